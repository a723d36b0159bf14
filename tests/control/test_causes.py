from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shadowproxy.compare.causes import MAX_SETS, cause_id
from shadowproxy.control import causes as room
from shadowproxy.control.causes import CauseBook, find
from shadowproxy.model.pair import CauseCount
from shadowproxy.model.totals import CauseTotal, RouteTotals
from shadowproxy.store import Known
from tests.report.facts import mirror, route

NOW = 2000.0
DAY = 86400.0


def keys(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"$.{name}", "body_value") for name in names)


def count(*names: str, pairs: int = 1, at: float = NOW, **changes: Any) -> CauseCount:
    fields = keys(*names)
    values: dict[str, Any] = {"service": "shop", "route": "item", "arm": "candidate", "primary_status": 200}
    values |= {"shadow_status": 200, "failure": "", "mixed": False, "words": " ".join(names), **changes}
    place: Any = tuple(values[n] for n in ("service", "route", "arm", "primary_status", "shadow_status", "failure"))
    identity = cause_id(place, fields, mixed=values["mixed"])
    return CauseCount(id=identity, keys=fields, pairs=pairs, first_at=at, last_at=at, **values)


def book(epoch: str = "e1", max_age: float = DAY) -> CauseBook:
    return CauseBook(epoch, max_age)


def rows(table: CauseBook, *routes: RouteTotals, now: float = NOW) -> list[CauseTotal]:
    return table.rows(routes, now)


def counts_of(table: CauseBook) -> dict[tuple[str, ...], int]:
    return {tuple(field for field, _ in row.keys): row.pairs for row in rows(table)}


def test_counts_of_all_comparers_add_up_and_the_largest_is_first() -> None:
    table = book()
    table.add([count("a", pairs=2, at=NOW - 5), count("b", pairs=3)])
    table.add([count("a", pairs=4, at=NOW - 50)])
    first, second = rows(table)
    assert (first.keys, first.pairs, first.before) == (keys("a"), 6, 0)
    assert (first.first_at, first.last_at) == (NOW - 50, NOW - 5)
    assert second.pairs == 3
    table.add([count("a", arm="secondary")])
    assert len(rows(table)) == 2


def test_the_smallest_example_and_the_newest_words_stay() -> None:
    table = book()
    table.add([count("a", example="x1", size=50)])
    table.add([count("a", example="x2", size=90)])
    table.add([count("a", words="newer", suggestion="try")])
    (row,) = rows(table)
    assert (row.example, row.size, row.words, row.suggestion) == ("x1", 50, "newer", "try")
    table.add([count("a", example="x3", size=9, suggestion=None)])
    assert (rows(table)[0].example, rows(table)[0].suggestion) == ("x3", "try")


def test_what_one_comparer_has_refuted_another_does_not_suggest() -> None:
    table = book()
    table.add([count("a", suggestion="try"), count("a", suggestion=""), count("a", suggestion="try")])
    assert rows(table)[0].suggestion == ""


def test_what_is_learned_survives_control_and_the_instance() -> None:
    first = book("e1")
    first.add([count("a", pairs=5, at=NOW - 100, suggestion="")])
    known = first.take_changed()
    assert first.take_changed() == []
    assert [(item.kind, item.service) for item in known] == [("cause", "shop")]

    again = book("e1")
    again.restore(known)
    again.add([count("a", pairs=2)])
    (row,) = rows(again)
    assert (row.pairs, row.before, row.first_at) == (7, 0, NOW - 100)

    later = book("e2")
    later.restore(again.take_changed())
    (row,) = rows(later)
    assert (row.pairs, row.before, row.suggestion) == (0, 7, None)
    later.add([count("a", pairs=1, at=NOW + 5)])
    (row,) = rows(later, now=NOW + 5)
    assert (row.pairs, row.before, row.first_at, row.last_at) == (1, 7, NOW - 100, NOW + 5)


def test_what_cannot_be_read_is_learned_anew() -> None:
    table = book()
    table.restore([Known("cause", "shop", "c-1", b"\xc1"), Known("cause", "shop", "c-2", None)])
    assert rows(table) == []


def test_causes_that_are_too_old_are_forgotten() -> None:
    table = book(max_age=100.0)
    table.add([count("a", at=NOW - 90, route="user"), count("b")])
    assert len(rows(table)) == 2
    assert [row.keys for row in rows(table, now=NOW + 50)] == [keys("b")]
    table.take_changed()
    table.add([count("c", at=NOW + 61)])
    forgotten = [item.key for item in table.take_changed() if item.value is None]
    assert forgotten == [count("a", route="user").id]
    assert {key[1] for key in table._groups} == {"item"}


def test_sets_of_a_group_that_is_mixed_go_under_one_field_each() -> None:
    table = book()
    table.add([count("a", "b", pairs=5, example="x1", size=9), count("b", pairs=3), count("c", pairs=1)])
    table.add([count("c", shadow_status=500)])
    table.take_changed()
    table.add([count("b", mixed=True, pairs=10, example="x2", size=20)])
    found = rows(table)
    assert {(row.keys, row.pairs, row.mixed, row.shadow_status) for row in found} == {
        (keys("b"), 18, True, 200),
        (keys("c"), 1, True, 200),
        (keys("c"), 1, False, 500),
    }
    lead = found[0]
    assert lead.id == count("b", mixed=True).id
    assert (lead.example, lead.size) == ("x1", 9)
    gone = {item.key for item in table.take_changed() if item.value is None}
    assert gone == {count("a", "b").id, count("b").id, count("c").id}


def test_more_sets_than_are_told_apart_are_mixed_here_too() -> None:
    table = book()
    names = [f"f{number:02}" for number in range(MAX_SETS)]
    table.add([count("always", name, pairs=2) for name in names])
    assert len(rows(table)) == MAX_SETS
    table.add([count("always", "one more")])
    (row,) = rows(table)
    assert (row.keys, row.pairs, row.mixed) == (keys("always"), 2 * MAX_SETS + 1, True)
    assert row.words == "$.always has another value, in varying company."
    table.add([count("always", mixed=True, pairs=4)])
    assert counts_of(table) == {("$.always",): 2 * MAX_SETS + 5}


def test_the_table_is_bounded_and_earlier_instances_give_way_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_CAUSES", 3)
    earlier = book("e0")
    earlier.add([count("old", pairs=100, at=NOW - 9)])
    table = book("e1")
    table.restore(earlier.take_changed())
    table.add(
        [count("a"), count("b"), count("c"), count("d", pairs=2), count("e", pairs=3), count("f", service="mail")]
    )
    table.add([count(failure="candidate_timeout", primary_status=0, shadow_status=None)])
    found = rows(table)
    assert {row.keys for row in found if row.keys} == {keys("a"), keys("b"), keys("c"), keys("f")}
    (rest,) = [row for row in found if not row.keys and not row.failure]
    assert (rest.route, rest.pairs) == ("item", 5)
    assert sum(row.pairs for row in found if not row.failure) == 9
    restored = book("e1")
    restored.restore(table.take_changed())
    assert len([row for row in rows(restored) if row.service == "shop"]) == 3


def test_failures_are_counted_by_the_workers() -> None:
    table = book()
    table.add([count(failure="candidate_timeout", primary_status=0, shadow_status=None, pairs=2, example="x1", size=3)])
    totals = route(mirror(kinds={"candidate_timeout": 70, "candidate_refused": 4, "body_value": 9}, mismatch=83))
    late, refused = rows(table, totals)
    assert (late.failure, late.pairs, late.example, late.last_at) == ("candidate_timeout", 70, "x1", NOW)
    assert (refused.failure, refused.pairs, refused.first_at) == ("candidate_refused", 4, None)
    assert refused.words == "The candidate refused the connection."


def test_a_route_that_the_candidate_does_not_know_is_named() -> None:
    table = book()
    table.add([count("a", shadow_status=404, pairs=99, suggestion="")])
    (row,) = rows(table, route(mirror(match=1, mismatch=99)))
    assert row.suggestion is not None
    assert "404" in row.suggestion
    (row,) = rows(table, route(mirror(match=100, mismatch=99)))
    assert row.suggestion == ""


def test_a_cause_is_found_by_its_id_or_the_beginning_of_it() -> None:
    table = book()
    table.add([count("a"), count("b")])
    first, second = rows(table)
    assert find([first, second], first.id) == first
    assert find([first, second], "c-") is None
    assert find([first, second], "nope") is None
    longer = msgspec.structs.replace(second, id=first.id + "0")
    assert find([first, longer], first.id) == first


def noise(*names: str) -> dict[str, set[tuple[str, str, str]]]:
    return {"shop": {("item", f"$.{name}", "body_value") for name in names}}


def test_a_cause_of_nothing_but_noise_is_left_out() -> None:
    table = book()
    table.add([count("a", pairs=2), count("at", pairs=9), count("at", "trace", pairs=4)])
    left = room.without_noise(rows(table), noise("at", "trace"))
    assert [(row.keys, row.pairs) for row in left] == [(keys("a"), 2)]


def test_what_differed_in_noise_as_well_joins_its_like() -> None:
    table = book()
    table.add([count("a", pairs=2, at=NOW - 9), count("a", "at", pairs=7, at=NOW - 50), count("b", pairs=8)])
    left = room.without_noise(rows(table), noise("at"))
    assert [(row.keys, row.pairs, row.first_at) for row in left] == [
        (keys("a"), 9, NOW - 50),
        (keys("b"), 8, NOW),
    ]


def test_without_a_like_it_stays_as_it_is() -> None:
    table = book()
    table.add([count("a", "at", pairs=7)])
    assert room.without_noise(rows(table), noise("at")) == rows(table)
    assert room.without_noise(rows(table), {}) == rows(table)
