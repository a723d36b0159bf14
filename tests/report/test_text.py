from __future__ import annotations

from msgspec.structs import replace

from shadowproxy.report import render_text
from tests.report.reports import (
    accepted,
    cause,
    errors,
    evidence,
    field,
    full,
    knowledge,
    latency,
    of,
    rich,
    routes,
    shown,
)

HOSTILE = "\x1b[31mred\x07\n\u202e| `x` <script>alert(1)</script>"


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_everything_that_is_known_is_said_in_a_hundred_columns() -> None:
    text = render_text(full())
    assert max(map(len, text.splitlines())) <= 100
    for part in (
        "1,200 second answers from the secondary in 1m 30s: 1 field regressed, 1 noisy",
        "candidate http://candidate:80 v2",
        "99 pairs, 10.0% · item · 200 → 200 · first 1m 20s ago, last 5 s ago",
        "$.price changed from a number to a string.",
        'tolerance: {"$.price": 0.01}',
        "cause c0002 · 98 pairs, 10.0% · item · no response · first",
        "… and 7 more causes",
        "regressed 42 3.5% $.price",
        "candidate alone 42, second answer alone 1, both 3; evidence 10^9.2 (10^4.5 needed)",
        "(10^4.5 needed), since 1m 00s ago",
        "needs about 120 more pairs",
        "noise 800 66.7% $.at",
        "calibrated +50.0 ms [+48.0, +52.0] +60.0 ms [+55.0, +70.0] +90.0 ms",
        "candidate alone 32, both 3, neither 1,100; the candidate fails more often",
        "primary alone 4: no credit to the candidate",
        "accepted active 1, expired 1, dead 1; 77 pairs covered",
        "the new price list (ann, expires 2026-12-01)",
    ):
        assert part in squeezed(text)
    assert text.splitlines()[-1] == "✗ regression: 1 field regressed on item (exit code 1)"


def test_a_route_with_nothing_to_look_at_takes_one_line() -> None:
    lines = render_text(full()).splitlines()
    assert [line for line in lines if line.startswith("calm ")] == ["calm         60         60        0"]
    assert "calm · 60 requests" in render_text(full(), full=True)


def test_what_regressed_comes_before_what_is_open_and_noise_is_last() -> None:
    text = render_text(full())
    places = [text.index(f"\n  {word} ") for word in ("differs", "regressed", "open", "noise         ")]
    assert places == sorted(places)


def test_a_request_shown_with_its_cause_is_not_repeated_below_its_route() -> None:
    route = replace(routes()[0], fields=[field("$.price", example=shown(id="another"))], evidence=[], failures=[])
    told, untold = (of(rich(routes=[route], causes=causes)) for causes in ([cause(1)], [cause(2, keys=[])]))
    assert "another  curl" not in render_text(told)
    assert render_text(told, full=True).count("another  curl") == 1
    assert render_text(untold).count("another  curl") == 1


def test_evidence_that_several_fields_share_is_said_once() -> None:
    fields = [field(f"$.f{i}") for i in range(3)]
    route = replace(routes()[0], failures=[], fields=fields, evidence=[evidence(each.field) for each in fields])
    assert render_text(of(rich(routes=[route]))).count("candidate alone 42") == 1


def test_a_field_that_only_the_primarys_own_version_changed_says_nothing_of_the_candidate() -> None:
    alone = evidence("$.trace", "open", candidate_only=0, both=0, second_only=1)
    route = replace(routes()[1], evidence=[alone])
    assert "$.trace" not in render_text(of(rich(routes=[route])), full=True)


def test_books_of_arms_that_are_alike_are_told_together() -> None:
    busy = routes()[0]
    books = busy.books["candidate"]
    for other, told in (
        (books, "books      each arm: eligible 1,200"),
        (replace(books, in_flight=1), "secondary: sent 1,200"),
    ):
        text = render_text(of(rich(routes=[replace(busy, books={"candidate": books, "secondary": other})])))
        assert told in text


def test_errors_that_nobody_had_and_latency_that_is_usual_take_no_line() -> None:
    usual = {"regressed": False, "candidate_only": 0, "primary_only": 0, "both": 0}
    route = replace(routes()[0], errors=errors(**usual), paired=latency(slower=False, evidence=-0.3), slower=False)
    text = render_text(of(rich(routes=[route])))
    assert "candidate alone 0" not in text
    assert "10^-0.3" not in text
    whole = render_text(of(rich(routes=[route])), full=True)
    assert "candidate alone 0" in whole
    assert "10^-0.3" in whole


def test_only_entries_that_are_expired_or_dead_are_named() -> None:
    text = render_text(full())
    assert "\n    expired  item $.currency body_value" in text
    assert "\n    dead     item" in text
    assert "\n    active" not in text
    assert "\n    active" in render_text(full(), full=True)


def test_a_long_list_is_cut_and_the_rest_counted() -> None:
    route = replace(routes()[0], fields=[field(f"$.f{i}") for i in range(40)], evidence=[], failures=[])
    report = of(rich(routes=[replace(route, name=f"r{i}") for i in range(20)], causes=[cause(i) for i in range(30)]))
    text = render_text(report)
    assert text.count("… and 28 more: shadowproxy diffs list --route r") == 12
    assert text.count("\nr") == 12 + 1 + 8
    assert "… and 29 more causes" in text
    whole = render_text(report, full=True)
    assert "more: shadowproxy diffs" not in whole
    assert "… and 7 more causes" in whole


def test_without_second_answers_it_is_said_what_counts() -> None:
    assert "whatever differs counts" in render_text(of(rich(knowledge=None)))
    few = squeezed(render_text(of(rich(knowledge=knowledge(source="resample", answers=12)))))
    assert "12 second answers from asking the primary again" in few
    assert "before 20 whatever differs counts" in few


def test_errors_without_evidence_are_no_finding() -> None:
    calm = replace(routes()[1], errors=errors(regressed=False, primary_only=0, more=400))
    text = squeezed(render_text(of(rich(routes=[calm])), full=True))
    assert "needs about 400 more pairs" in text
    assert "no credit" not in text
    assert "fails more often" not in text


def test_copies_given_up_are_named_in_the_line_of_a_calm_route() -> None:
    calm = routes()[1]
    books = {"candidate": replace(calm.books["candidate"], lost={"channel_full": 2}, compared=58)}
    assert "2 (channel_full 2)" in render_text(of(rich(routes=[replace(calm, books=books)])))


def test_nothing_from_traffic_reaches_the_terminal_as_it_is() -> None:
    hostile = shown(primary=HOSTILE, candidate=HOSTILE, curl=HOSTILE)
    route = replace(
        routes()[0],
        name=HOSTILE,
        fields=[field(HOSTILE, example=hostile)],
        evidence=[evidence(HOSTILE, example=hostile)],
        slower_why=HOSTILE,
    )
    service = rich(
        name=HOSTILE,
        routes=[route],
        causes=[
            cause(1, route=HOSTILE, words=HOSTILE, suggestion=HOSTILE, example=hostile, keys=[(HOSTILE, "status")])
        ],
        accepted=[accepted("dead", field=HOSTILE, reason=HOSTILE, owner=HOSTILE, expires=HOSTILE)],
        knowledge=knowledge(versions={"candidate": HOSTILE}),
        conclusion=HOSTILE,
    )
    for text in (render_text(of(service)), render_text(of(service), full=True)):
        assert not set(text) & {"\x1b", "\x07", "\u202e"}
