from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from shadowproxy.model.totals import CauseTotal, FieldExample
from shadowproxy.report import build, cause_of, render_markdown, render_text
from shadowproxy.report.causes import MAX_CAUSES
from shadowproxy.report.example import render_cause
from tests.report.facts import CURL, facts, mirror, route, service
from tests.report.reports import cause
from tests.store.examples import example

KEYS = (("$.price", "body_type"), ("$.tags", "body_order"))


def total(number: int, pairs: int, **changes: Any) -> CauseTotal:
    values: dict[str, Any] = {
        "service": "shop",
        "route": "item",
        "id": f"c-{number}",
        "keys": KEYS,
        "primary_status": 200,
        "shadow_status": 200,
        "failure": "",
        "epoch": "e",
        "pairs": pairs,
        "first_at": 1010.0,
        "last_at": 1080.0,
        "words": "$.price is a string instead of a number.",
    }
    return CauseTotal(**{**values, **changes})


def test_a_service_lists_its_causes_by_impact_with_their_share() -> None:
    shown = {"c-1": FieldExample("shop", "item", *KEYS[0], "ex1", "1.5", '"1.5"', CURL)}
    rows = [total(1, 30), total(2, 10, suggestion="compare: {}"), total(3, 5, service="mail"), total(4, 0, before=9)]
    report = build(
        facts(
            route(mirror(match=60, mismatch=40, incomparable=20)),
            services=(service(), service("mail")),
            causes=rows,
            cause_examples=shown,
        )
    )
    shop, mail = report.services
    assert [(each.id, each.pairs, each.share) for each in shop.causes] == [("c-1", 30, 0.3), ("c-2", 10, 0.1)]
    assert shop.causes[0].example is not None
    assert (shop.causes[0].example.id, shop.causes[0].example.candidate) == ("ex1", '"1.5"')
    assert (shop.causes[1].suggestion, shop.causes[1].example) == ("compare: {}", None)
    assert [(each.id, each.share) for each in mail.causes] == [("c-3", 0.0)]


def test_what_is_left_out_is_counted() -> None:
    rows = [total(number, 200 - number) for number in range(MAX_CAUSES + 7)]
    report = build(facts(route(mirror(mismatch=20_000)), causes=rows))
    assert len(report.services[0].causes) == MAX_CAUSES
    assert report.services[0].causes_left_out == 7


def test_every_sort_of_cause_is_said_in_text_and_markdown() -> None:
    rows = [
        total(1, 30, before=1234),
        total(2, 20, keys=(), failure="candidate_refused", primary_status=0, shadow_status=None, first_at=None),
        total(3, 10, keys=KEYS[:1], mixed=True),
        total(4, 9, left_out=40),
        total(5, 8, keys=(), primary_status=0, shadow_status=None),
    ]
    report = build(facts(route(mirror(match=23, mismatch=77)), causes=rows))
    text = " ".join(render_text(report).split())
    for part in (
        "cause c-1 · 30 pairs (1,234 before this start), 30.0% · item · 200 → 200 · first 1m 20s ago, last 10 s ago",
        "cause c-2 · 20 pairs, 20.0% · item · no response · when is not known",
        "candidate_refused",
        "$.price body_type and others that vary",
        "$.price body_type, $.tags body_order and 40 more",
        "cause c-5 · 8 pairs, 8.0% · item · any status",
        "too many to be told apart",
    ):
        assert part in text
    shown = render_markdown(report)
    for part in ("| `c-1` | `item` | 30 | 30.0% |", "`$.price body_type and others that vary`", "no response"):
        assert part in shown


def test_a_slow_route_stands_beside_the_causes() -> None:
    report = build(facts(route(mirror(match=99, mismatch=1)), causes=[total(1, 1)]))
    (shop,) = report.services
    late = replace(shop, routes=[replace(shop.routes[0], slower=True, slower_why="p50 +80 ms")])
    lines = render_text(replace(report, services=[late])).splitlines()
    place = lines.index("  slower     item: p50 +80 ms")
    assert lines[place + 1] == ""
    assert any(line.startswith("  cause      c-1") for line in lines[:place])


def test_a_cause_is_shown_with_what_is_kept_of_it() -> None:
    told = render_cause(cause_of(total(1, 30, suggestion="# why\ncompare: {}"), 100, None), example(1), 1090.0)
    lines = told.splitlines()
    assert lines[:2] == [
        "c-1 · shop · item · 200 → 200",
        "30 pairs, 30.0% · first 1m 20s ago, last 10 s ago",
    ]
    for part in (
        "suggestion:\n# why\ncompare: {}",
        "$.price body_type, $.tags body_order",
        "ex00001 · shop",
        "curl -sS",
    ):
        assert part in told
    assert max(map(len, lines)) <= 100


def test_what_a_stranger_wrote_cannot_speak_to_the_terminal() -> None:
    evil = "\x1b[2J"
    told = render_cause(
        cause(1, words=evil, route=evil, suggestion=f"# {evil}" + "x " * 90 + f"\n{evil}", keys=[(evil, evil)]),
        None,
        0.0,
    )
    assert "\x1b" not in told


def test_in_a_changed_line_only_what_differs_is_coloured() -> None:
    shown = render_cause(cause(1), example(1), 0.0, color=True)
    (line,) = [line for line in shown.splitlines() if line.startswith("  | ")]
    assert '"price": \x1b[31m1.5\x1b[0m,' in line
    assert '"price": \x1b[31m"1.5"\x1b[0m,' in line
