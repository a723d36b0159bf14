from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shadowproxy.report import Report, compare, render_html, render_markdown, render_text
from shadowproxy.report.history import MAX_CAUSES, MAX_FIELDS, Memory, memories, remember
from shadowproxy.report.values import Changes, FieldReport, RouteReport
from tests.report.reports import accepted, cause, errors, evidence, field, knowledge, latency, of, rich, routes, shown

THEN, NOW = 1000.0, 8200.0
"""Two hours apart."""
SEEN = {"first_at": 900.0, "last_at": 990.0}
AGAIN = {"first_at": 900.0, "last_at": 8000.0}


def calm(**changes: Any) -> RouteReport:
    values: dict[str, Any] = {"name": "item", "second_answers": 1200}
    return replace(routes()[1], **{**values, **changes})


def report(at: float = NOW, compared: int = 2000, epoch: str = "e", policy: int = 4, **changes: Any) -> Report:
    values: dict[str, Any] = {
        "routes": [calm()],
        "verdict": "pass",
        "exit_code": 0,
        "compared": compared,
        "causes": [],
        "causes_left_out": 0,
        "accepted": [],
    }
    values |= changes
    values["routes"] = [
        replace(each, verdicts={"candidate": {"match": compared, "incomparable": 9}}) if each.name == "item" else each
        for each in values["routes"]
    ]
    return replace(of(rich(**values)), generated_at=at, epoch=epoch, policy=policy)


def then(**changes: Any) -> Report:
    return report(**{"at": THEN, "compared": 1000, **changes})


def changes(before: Report, after: Report) -> Changes:
    found = compare(after, memories(before)).services[0].changes
    assert found is not None
    return found


def said(before: Report, after: Report) -> list[str]:
    return [
        f"{each.direction} {each.about} {each.route}: {each.says}".replace(" : ", ": ")
        for each in changes(before, after).items
    ]


FAILING: dict[str, Any] = {"verdict": "fail", "exit_code": 1}
FEW: dict[str, Any] = {"verdict": "inconclusive", "exit_code": 3, "compared": 12}
PRICE = {"routes": [calm(fields=[field("$.price")], evidence=[evidence("$.price")])]}
UNKNOWN = {"routes": [calm(fields=[field("$.price")], mismatches=42)], "knowledge": None}
SLOWER = {"routes": [calm(paired=latency())]}
ERRORS = {"routes": [calm(errors=errors())]}
NO_ANSWER = {"routes": [calm(failures=[FieldReport("", "candidate_timeout", 2, 0.01, None)])]}

CASES: dict[str, tuple[Report, Report, list[str]]] = {
    "nothing": (then(), report(), []),
    "the verdict got worse": (then(), report(**FAILING), ["worse verdict: pass → fail"]),
    "the verdict got better": (then(**FAILING), report(), ["better verdict: fail → pass"]),
    "less is known": (then(), report(**FEW), ["worse verdict: pass → inconclusive"]),
    "a field regressed": (then(), report(**PRICE), ["worse field item: regressed: $.price body_type"]),
    "a field differs, of which nothing is known": (
        then(),
        report(**UNKNOWN),
        ["worse field item: regressed: $.price body_type"],
    ),
    "a field no longer counts": (then(**PRICE), report(), ["better field item: no longer counts: $.price body_type"]),
    "a field is still there": (then(**PRICE), report(**PRICE), []),
    "slower": (then(), report(**SLOWER), ["worse latency item: slower"]),
    "no longer slower": (then(**SLOWER), report(), ["better latency item: no longer: slower"]),
    "errors": (then(), report(**ERRORS), ["worse errors item: fails more often"]),
    "no longer errors": (then(**ERRORS), report(), ["better errors item: no longer: fails more often"]),
    "no answer": (then(), report(**NO_ANSWER), ["worse failures item: no whole answer"]),
    "an entry expired": (
        then(accepted=[accepted()]),
        report(accepted=[accepted("expired")]),
        ["worse accepted item: expired: $.currency body_value (ann)"],
    ),
    "an entry was expired before": (then(accepted=[accepted("expired")]), report(accepted=[accepted("expired")]), []),
    "another version": (
        then(),
        report(knowledge=knowledge(versions={"primary": "v1", "candidate": "v3"})),
        ["other version: candidate v2 → v3"],
    ),
    "another configuration": (then(), report(policy=5), ["other configuration: policy 4 → 5"]),
    "a new cause": (
        then(),
        report(causes=[cause(1, first_at=7000.0, last_at=8000.0)]),
        ["worse cause item: new: $.price changed from a number to a string."],
    ),
    "a cause that was left out then": (then(), report(causes=[cause(1, **AGAIN)]), []),
    "a cause that goes on": (then(causes=[cause(1, **SEEN)]), report(causes=[cause(1, **AGAIN)]), []),
    "a cause that stopped": (
        then(causes=[cause(1, **SEEN)]),
        report(causes=[cause(1, **SEEN)]),
        ["better cause item: no more, in 1,000 pairs: $.price changed from a number to a string."],
    ),
    "a cause of a route that nobody asks for": (
        then(causes=[cause(1, route="night", **SEEN)], routes=[calm(), calm(name="night")]),
        report(causes=[cause(1, route="night", **SEEN)], routes=[calm(), calm(name="night")]),
        [],
    ),
    "a cause that is gone": (
        then(causes=[cause(1, **SEEN)]),
        report(),
        ["better cause item: no more, in 1,000 pairs: $.price changed from a number to a string."],
    ),
    "a cause that may be among those left out": (then(causes=[cause(1, **SEEN)]), report(causes_left_out=1), []),
    "a rare cause that may come again": (
        then(causes=[cause(1, **SEEN, pairs=4)]),
        report(causes=[cause(1, **SEEN)]),
        [],
    ),
    "a cause without traffic since": (
        then(causes=[cause(1, **SEEN)]),
        report(compared=1000, causes=[cause(1, **SEEN)]),
        [],
    ),
    "a cause of which nobody knows when": (
        then(causes=[cause(1, first_at=None, last_at=None)]),
        report(causes=[cause(1, first_at=None, last_at=None), cause(2, first_at=None, last_at=None)]),
        [],
    ),
    "a restart forgets": (
        then(**PRICE),
        report(epoch="f", compared=90),
        ["other restart: counts began anew"],
    ),
    "another run that shows enough": (
        then(**PRICE),
        report(epoch="f", compared=900),
        ["other restart: counts began anew", "better field item: no longer counts: $.price body_type"],
    ),
    "a restart with too few pairs says nothing of latency": (
        then(**SLOWER),
        report(epoch="f", compared=400),
        ["other restart: counts began anew"],
    ),
    "another run says that it is no longer slower": (
        then(**SLOWER),
        report(epoch="f", compared=600),
        ["other restart: counts began anew", "better latency item: no longer: slower"],
    ),
    "a new version with too few pairs says nothing of latency": (
        then(**SLOWER),
        report(compared=400, routes=[calm(earlier=1000)]),
        [],
    ),
    "a new version that shows enough": (
        then(**SLOWER),
        report(compared=600, routes=[calm(earlier=1000)]),
        ["better latency item: no longer: slower"],
    ),
    "too few pairs are never better": (
        then(**PRICE, **FAILING),
        report(**FEW),
        ["better verdict: fail → inconclusive"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_changed(case: str) -> None:
    before, after, expected = CASES[case]
    assert said(before, after) == expected


def test_the_worst_comes_first_and_the_rest_is_counted() -> None:
    many = [field(f"$.f{i:03}") for i in range(150)]
    after = report(policy=5, routes=[calm(fields=many, second_answers=0, mismatches=42)], **FAILING)
    found = changes(then(**SLOWER), after)
    assert found.items[0].about == "verdict"
    assert {each.direction for each in found.items} == {"worse"}
    assert len(found.items) == 100
    assert found.left_out == 1 + 150 + 1 + 1 - 100


def test_since_when_and_how_much_was_compared() -> None:
    found = changes(then(), report())
    assert (found.since, found.before, found.after, found.pairs, found.restarted) == (THEN, "pass", "pass", 1000, False)
    assert changes(then(), report(epoch="f", compared=90)).pairs == 90
    assert changes(then(), report(compared=900)).pairs == 0
    assert changes(then(), report(compared=900, routes=[calm(earlier=1000)])).pairs == 900


def test_a_service_that_was_not_there_has_no_changes() -> None:
    assert compare(report(), {}).services[0].changes is None


def looks(*reports: Report) -> list[list[str]]:
    """What each report says when each is compared with the one before and remembered."""
    memory: Memory | None = None
    found = []
    for each in reports:
        seen = compare(each, {"shop": memory} if memory else {})
        items = seen.services[0].changes.items if seen.services[0].changes else []
        found.append([f"{item.about} {item.says.partition(':')[0]}" for item in items])
        memory = remember(seen, seen.services[0], memory)
    return found


def test_a_cause_stops_once_and_comes_again() -> None:
    quiet = cause(1, pairs=10, **SEEN)
    assert looks(
        report(at=1000.0, compared=100, causes=[quiet]),
        report(at=1001.0, compared=120, causes=[quiet]),
        report(at=1002.0, compared=140, causes=[quiet]),
        report(at=1003.0, compared=150, causes=[quiet]),
        report(at=1004.0, compared=900, causes=[quiet]),
        report(at=1005.0, compared=950, causes=[replace(quiet, last_at=1004.5)]),
        report(at=1006.0, compared=960, causes=[replace(quiet, last_at=1005.5)]),
    ) == [[], [], [], ["cause no more, in 50 pairs"], [], ["cause seen again"], []]


def test_what_is_remembered_is_bounded_and_travels() -> None:
    route = calm(
        fields=[field(f"$.f{i}") for i in range(400)],
        second_answers=0,
        mismatches=42,
        name="r" * 300,
        slower=True,
        slower_why="p50",
    )
    causes = [cause(i, words="w" * 5_000) for i in range(200)]
    big = report(routes=[route], causes=causes, accepted=[accepted("dead")])
    memory = memories(big)["shop"]
    assert (len(memory.fields), len(memory.causes)) == (MAX_FIELDS, MAX_CAUSES)
    raw = msgspec.msgpack.encode(memory)
    assert len(raw) < 150_000
    assert msgspec.msgpack.decode(raw, type=Memory) == memory
    assert not [each for each in said(big, big) if "field" in each]


def test_every_rendering_says_what_changed() -> None:
    after = compare(
        report(
            causes=[cause(1, first_at=7000.0, last_at=8000.0, words="new\x1b <b>|@x", example=shown())],
            **SLOWER,
            **FAILING,
        ),
        memories(then()),
    )
    text = render_text(after)
    assert "changes    since 2h 00m ago: pass → fail, 1,000 pairs compared" in text
    assert "\n    worse    verdict: pass → fail" in text
    assert "\n    worse    latency on item: slower" in text
    markdown = render_markdown(after)
    assert "- changes since 2h 00m ago: pass → fail, 1,000 pairs compared" in markdown
    assert "  - **worse** latency on item: slower" in markdown
    page = render_html(after)
    assert '<span class="chip worse">worse</span> latency on item: slower' in page
    assert "<b>" not in page
    assert "nothing changed; pass" in render_text(compare(report(), memories(then())))


def test_only_the_first_changes_are_shown_unless_in_full() -> None:
    many = [field(f"$.f{i:03}") for i in range(150)]
    after = compare(report(routes=[calm(fields=many, second_answers=0, mismatches=42)]), memories(then()))
    assert "… and 140 more changes" in render_text(after)
    assert "… and 50 more changes" in render_text(after, full=True)
    assert "… and 130 more changes" in render_markdown(after)
    assert "… and 50 more changes" in render_html(after)
