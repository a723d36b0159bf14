from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from shadowproxy.model.totals import Interval, Isolation
from shadowproxy.report import build, isolation_words, render_markdown, render_text
from tests.report.facts import facts, mirror, route

MS = 0.001
ADDED = {
    "p50": Interval(0.02 * MS, -0.01 * MS, 0.05 * MS),
    "p95": Interval(0.3 * MS, -0.1 * MS, 0.7 * MS),
    "p99": Interval(-12 * MS, -34.5 * MS, 10.5 * MS),
}
KNOWN = Isolation(
    state="measuring",
    hold_out=0.05,
    slot_seconds=2.0,
    rate=412.3,
    least_rate=50.0,
    slots=34,
    discarded={"late": 1},
    since=1000.0,
    added=ADDED,
    more={},
)


def said(**changes: Any) -> str:
    return isolation_words(replace(KNOWN, **changes))


def test_what_is_known_stands_with_its_interval() -> None:
    assert said() == (
        "mirroring adds p50 +20 µs [-10.0, +50.0], p95 +300 µs [-100, +700], p99 -12.0 ms [-34.5, +10.5]"
        " to the primary's latency; 34 slots of 2 s held out"
    )


def test_what_is_not_known_says_how_long_it_will_take() -> None:
    assert said(added={}, slots=1, more={"p50": 7, "p95": 15, "p99": 300}) == (
        "what mirroring adds to the primary's latency is not known yet: p50 needs about 7 more slots (≈ 4m 40s),"
        " p95 needs about 15 more slots (≈ 10m 00s), p99 needs about 300 more slots (≈ 3h 20m); 1 slot of 2 s held out"
    )
    assert said(added={"p50": ADDED["p50"]}, more={"p95": 1, "p99": 55}).startswith(
        "mirroring adds p50 +20 µs [-10.0, +50.0] to the primary's latency; p95 needs about 1 more slot (≈ 40 s), p99 "
    )


@pytest.mark.parametrize(
    ("state", "reason"), [("slow", "below 50 requests/s (now 12)"), ("unmirrored", "while no copies are sent")]
)
def test_it_says_why_nothing_is_held_out(state: str, reason: str) -> None:
    assert said(state=state, slots=0, added={}, rate=12.4) == f"off {reason}"
    assert said(state=state, rate=12.4).endswith(f"; 34 slots of 2 s held out; resting {reason}")


def test_at_first_there_is_no_rate() -> None:
    first = said(state="starting", slots=0, added={}, rate=None, more={"p50": 8, "p95": 16, "p99": 56})
    assert first.startswith("what mirroring adds to the primary's latency is not known yet: p50 needs about 8 more")
    assert first.endswith("; 0 slots of 2 s held out")


def test_reports_show_it_for_each_service_that_holds_out() -> None:
    row = route(mirror(match=60))
    text = render_text(build(facts(row, isolation={"shop": KNOWN})))
    assert "\n  isolation  mirroring adds p50 +20 µs [-10.0, +50.0], p95 +300 µs [-100, +700], p99" in text
    assert "34 slots of 2 s held out" in text
    assert max(map(len, text.splitlines())) <= 100
    markdown = render_markdown(build(facts(row, isolation={"shop": KNOWN})))
    assert "\n- isolation: mirroring adds p50" in markdown
    assert "isolation" not in render_text(build(facts(row)))
    assert build(facts(row)).services[0].isolation is None
