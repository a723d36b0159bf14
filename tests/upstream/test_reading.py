"""Two reasons not to read from a peer, and how they go together."""

from __future__ import annotations

import asyncio

from shadowproxy.upstream.reading import Reading
from tests.fakes.loop import FakeLoop
from tests.fakes.transport import FakeTransport


class Desk:
    """A transport that is read from, and how often its owner was asked to catch up."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.transport = FakeTransport(self.loop, asyncio.Protocol())
        self.reading = Reading(self.transport)
        self.caught_up = 0

    def catch_up(self) -> None:
        assert self.transport.reading
        self.caught_up += 1


def test_paused_is_paused_until_resumed() -> None:
    desk = Desk()
    desk.reading.pause()
    desk.reading.pause()
    assert not desk.transport.reading
    assert desk.reading.paused
    desk.reading.resume()
    desk.reading.resume()
    assert desk.transport.reading
    assert not desk.reading.paused


def test_behind_is_caught_up_with_in_a_later_turn() -> None:
    desk = Desk()
    with desk.loop.running():
        desk.reading.fall_behind(desk.catch_up)
        assert (desk.transport.reading, desk.caught_up) == (False, 0)
    desk.loop.run()
    assert (desk.transport.reading, desk.caught_up) == (True, 1)


def test_behind_and_paused_waits_for_both() -> None:
    for pause_first in (True, False):
        desk = Desk()
        with desk.loop.running():
            if pause_first:
                desk.reading.pause()
            desk.reading.fall_behind(desk.catch_up)
            desk.reading.pause()
        desk.loop.run()
        assert (desk.transport.reading, desk.caught_up) == (False, 0)
        with desk.loop.running():
            desk.reading.resume()
            assert not desk.transport.reading
        desk.loop.run()
        assert (desk.transport.reading, desk.caught_up) == (True, 1)


def test_paused_and_resumed_in_one_turn_catches_up_once() -> None:
    desk = Desk()
    with desk.loop.running():
        desk.reading.fall_behind(desk.catch_up)
        desk.reading.pause()
        desk.reading.resume()
    desk.loop.run()
    assert desk.caught_up == 1


def test_what_has_closed_is_not_caught_up_with() -> None:
    desk = Desk()
    with desk.loop.running():
        desk.reading.fall_behind(desk.catch_up)
        desk.transport.close()
    desk.loop.run()
    assert desk.caught_up == 0
