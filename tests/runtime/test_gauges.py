"""What a worker writes about its present state."""

from __future__ import annotations

import msgspec
import pytest

from shadowproxy.metrics import layout as at
from shadowproxy.model.rollout import Split
from shadowproxy.runtime.gauges import write_gauges
from tests.fakes.stage import Stage, policy


@pytest.mark.parametrize("whose", ["copies", "users"])
def test_a_breaker_is_open_for_copies_or_for_users(whose: str) -> None:
    what = policy("candidate")
    (service,) = what.services
    split = Split("r", weight=0.5, leased=False)
    s = Stage(msgspec.structs.replace(what, services=(msgspec.structs.replace(service, split=split),)))
    snapshot = s.site.snapshot
    words = s.counters
    first = at.service_row(0) + at.BREAKER_OPEN
    write_gauges(words, snapshot, s.pressure, 0.0, 0.0)
    assert words[first : first + 3].tolist() == [0, 0, 0]
    breaker = s.arm().breaker if whose == "copies" else snapshot.servings[0].breaker
    breaker.trip(0.0)
    write_gauges(words, snapshot, s.pressure, 0.0, 0.0)
    assert words[first : first + 3].tolist() == [0, 1, 0]
