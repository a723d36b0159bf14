from __future__ import annotations

import pytest

from shadowproxy.control.watchers import MAX_WATCHERS, Event, Watchers, WatchersError


async def test_everybody_who_joined_hears() -> None:
    watchers = Watchers()
    watchers.tell("status", 0)
    assert not watchers
    with watchers.joined() as one, watchers.joined() as other:
        assert watchers
        watchers.tell("status", 1)
        assert one.get_nowait() == other.get_nowait() == Event("status", 1)
    assert not watchers


async def test_one_that_is_behind_misses_events_and_still_hears_the_end() -> None:
    watchers = Watchers()
    with watchers.joined() as slow:
        for number in range(10_000):
            watchers.tell("example", number)
        size = slow.qsize()
        assert size < 1000
        watchers.end()
        last = [slow.get_nowait() for _ in range(slow.qsize())][-1]
        assert last is None
    with watchers.joined() as fresh:
        watchers.end()
        assert fresh.get_nowait() is None


async def test_their_number_is_bounded() -> None:
    watchers = Watchers()
    joined = [watchers.joined() for _ in range(MAX_WATCHERS)]
    for one in joined:
        one.__enter__()
    with pytest.raises(WatchersError), watchers.joined():
        pass
    joined[0].__exit__(None, None, None)
    with watchers.joined():
        pass
