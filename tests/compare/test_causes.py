from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.compare import causes as room
from shadowproxy.compare.causes import MAX_KEYS, MAX_SETS, CauseTable, as_rest, cause_id, merged
from shadowproxy.compare.findings import Key, Values
from shadowproxy.model.pair import CauseCount, Pair
from shadowproxy.model.policy import ComparePolicy
from tests.compare.builders import engine, pair, policy, response

SAME = ("shop", "item", "candidate", 200, 200, "")


def fields(*names: str) -> dict[Key, Values]:
    return {(f"$.{name}", "body_value"): (1, 2) for name in names}


def mismatch(at: float = 1000.0, **changes: Any) -> Pair:
    return msgspec.structs.replace(pair(response({}), response({}), at=at), **changes)


def counted(table: CauseTable, *sets: Sequence[str]) -> list[CauseCount]:
    for number, names in enumerate(sets):
        table.count(mismatch(1000.0 + number), fields(*names))
    return table.harvest()


def by_keys(counts: list[CauseCount]) -> dict[tuple[str, ...], int]:
    return {tuple(field for field, _ in count.keys): count.pairs for count in counts}


def test_what_has_route_statuses_and_fields_in_common_is_one_cause() -> None:
    counts = counted(CauseTable(), "ab", "ba", "a", "ab")
    assert by_keys(counts) == {("$.a", "$.b"): 3, ("$.a",): 1}
    first = counts[0]
    assert (first.service, first.route, first.arm) == ("shop", "item", "candidate")
    assert (first.primary_status, first.shadow_status, first.failure) == (200, 200, "")
    assert (first.first_at, first.last_at) == (1000.0, 1003.0)
    assert first.words == "$.a has another value, $.b has another value."


def test_an_id_is_the_same_in_every_process_and_another_for_another_cause() -> None:
    (one,) = counted(CauseTable(), "ab")
    (other,) = counted(CauseTable(), "ba")
    assert one.id == other.id == cause_id(SAME, one.keys, mixed=False)
    assert one.id.startswith("c-")
    table = CauseTable()
    for each in (
        mismatch(),
        mismatch(route="user"),
        mismatch(service="mail"),
        mismatch(shadow=response({}, status=500)),
        mismatch(primary=response({}, status=201), shadow=response({}, status=500)),
    ):
        table.count(each, fields("a"))
    assert len({count.id for count in table.harvest()}) == 5


def test_a_harvest_has_what_came_since_the_last() -> None:
    table = CauseTable()
    assert by_keys(counted(table, "a", "a")) == {("$.a",): 2}
    assert table.harvest() == []
    (again,) = counted(table, "a")
    assert (again.pairs, again.first_at, again.example) == (1, 1000.0, "")


def test_a_failed_exchange_is_one_cause_per_kind_whatever_came_of_it() -> None:
    busy = engine()
    for status in (200, 404):
        busy.handle(pair(response({}, status=status), None, failure="candidate_timeout", answer=False))
    busy.handle(pair(response({}), response(b"{"), failure="candidate_truncated", answer=False))
    late, cut = busy.harvest()[0].causes
    assert (late.failure, late.pairs, late.keys, late.primary_status, late.shadow_status) == (
        "candidate_timeout",
        2,
        (),
        0,
        None,
    )
    assert late.words == "The candidate gave no whole answer in time."
    assert late.suggestion == ""
    assert cut.failure == "candidate_truncated"


def test_of_another_arm_nothing_is_reported() -> None:
    busy = engine()
    different = pair(response({"a": 1}), response({"a": 2}))
    busy.handle(msgspec.structs.replace(different, arm="secondary"))
    aggregate, examples = busy.harvest()
    assert aggregate.causes == []
    assert [each.arm for each in examples] == ["secondary"]


def test_ten_fields_that_differ_independently_make_ten_causes() -> None:
    draw = random.Random(11)
    table = CauseTable()
    names = "abcdefghij"
    totals: Counter[str] = Counter()
    for _ in range(5000):
        found = [name for name in names if draw.random() < 0.5]
        if found:
            table.count(mismatch(), fields(*found))
            totals["pairs"] += 1
    counts = table.harvest()
    mixed = [count for count in counts if count.mixed]
    exact = [count for count in counts if not count.mixed]
    assert len(exact) == MAX_SETS
    assert 1 <= len(mixed) <= len(names)
    assert all(len(count.keys) == 1 for count in mixed)
    assert sum(count.pairs for count in counts) == totals["pairs"]
    assert sum(count.pairs for count in exact) < 100, "what was counted before anyone could know"
    table.count(mismatch(), fields(*names))
    (later,) = table.harvest()
    assert later.mixed
    assert later.id in {count.id for count in mixed}, "ids stay"
    assert "in varying company" in later.words


def test_a_fault_that_is_always_there_stays_one_cause_among_fields_that_vary() -> None:
    draw = random.Random(12)
    table = CauseTable()
    for _ in range(2000):
        table.count(mismatch(), fields("stock", *(name for name in "abcdefgh" if draw.random() < 0.5)))
    mixed = {count.keys[0][0]: count.pairs for count in table.harvest() if count.mixed}
    assert set(mixed) == {"$.stock"}
    assert mixed["$.stock"] > 1900


def test_a_fault_that_begins_later_takes_the_lead_in_the_end() -> None:
    draw = random.Random(13)
    table = CauseTable()

    def some(*more: str) -> list[str]:
        return [*more, *(name for name in "abcdefgh" if draw.random() < 0.5)] or ["a"]

    for _ in range(20_000):
        table.count(mismatch(), fields(*some()))
    table.harvest()
    for _ in range(8_000):
        table.count(mismatch(), fields(*some("stock")))
    table.harvest()
    for _ in range(100):
        table.count(mismatch(), fields(*some("stock")))
    assert {count.keys[0][0] for count in table.harvest()} == {"$.stock"}


def test_very_many_fields_are_one_cause_by_the_first_of_them() -> None:
    names = [f"f{number:04}" for number in range(500)]
    (count,) = counted(CauseTable(), names, names)
    assert len(count.keys) == MAX_KEYS
    assert count.left_out == 500 - MAX_KEYS
    assert count.pairs == 2
    assert count.words.endswith(", and 497 more fields differ.")
    assert count.suggestion is None or count.suggestion == ""


def test_beyond_the_bound_mismatches_are_one_cause_per_route(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_CAUSES", 3)
    table = CauseTable()
    for number in range(6):
        table.count(mismatch(shadow=response({}, status=500 + number)), fields("a"))
    table.count(mismatch(route="user"), fields("a"))
    table.count(mismatch(service="mail"), fields("a"))
    for _ in range(2):
        table.count(mismatch(shadow=None, failure="candidate_refused"), {})
    counts = table.harvest()
    rest = {count.route: count for count in counts if not count.keys and not count.failure}
    assert {route: count.pairs for route, count in rest.items()} == {"item": 3, "user": 1}
    assert rest["item"].words == "Mismatches of many different kinds, more than are told apart."
    assert sum(count.pairs for count in counts) == 10
    assert [count.pairs for count in counts if count.failure] == [2], "failures always have their place"
    table.count(mismatch(shadow=response({}, status=500)), fields("a"))
    (known,) = table.harvest()
    assert known.shadow_status == 500


def test_a_group_that_is_mixed_gives_its_places_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_CAUSES", MAX_SETS)
    table = CauseTable()
    names = [f"f{number}" for number in range(MAX_SETS + 1)]
    counts = counted(table, *([name] for name in names))
    assert [count.mixed for count in counts] == [False] * MAX_SETS + [True]
    table.count(mismatch(route="user"), fields("a"))
    assert table.harvest()[0].keys, "it has a cause of its own"


def test_new_rules_tell_a_route_apart_afresh_and_lose_no_count() -> None:
    busy = engine()
    bodies = [{name: 1 for name in "abcdefgh" if number >> "abcdefgh".index(name) & 1} for number in range(1, 60)]
    for body in bodies:
        busy.handle(pair(response(dict.fromkeys(body, 1)), response(dict.fromkeys(body, 2))))
    busy.apply(policy(ComparePolicy(ignore=("$.b", "$.c", "$.d", "$.e", "$.f", "$.g", "$.h"))))
    for body in bodies:
        busy.handle(pair(response(dict.fromkeys(body, 1)), response(dict.fromkeys(body, 2))))
    aggregate, _ = busy.harvest()
    again = [count for count in aggregate.causes if count.keys == (("$.a", "body_value"),)]
    assert [(count.mixed, count.pairs) for count in again if not count.mixed][-1] == (False, 30)
    assert sum(count.pairs for count in aggregate.causes) == 59 + 30


STEP = st.one_of(
    st.just("harvest"),
    st.just("reload"),
    st.tuples(
        st.sampled_from(("item", "user")),
        st.sampled_from((200, 404, 500)),
        st.frozensets(st.sampled_from("abcdefgh"), max_size=8),
    ),
)


@given(st.lists(STEP, max_size=120))
def test_causes_add_up_to_the_mismatches(steps: list[Any]) -> None:
    """Whatever comes in whatever order: every verdict `mismatch` is in exactly one cause, harvested once."""
    busy = engine()
    rules = [ComparePolicy(), ComparePolicy(ignore=("$.a",))]
    verdicts: Counter[str] = Counter()
    causes: Counter[str] = Counter()

    def harvest() -> None:
        for count in busy.harvest()[0].causes:
            assert count.pairs > 0
            causes[count.route] += count.pairs

    for step in steps:
        if step == "harvest":
            harvest()
        elif step == "reload":
            busy.apply(policy(rules[0]))
            rules.reverse()
        else:
            route, status, names = step
            each = pair(response(dict.fromkeys(names, 1)), response(dict.fromkeys(names, 2), status=status))
            answer = busy.handle(msgspec.structs.replace(each, route=route))
            assert answer is not None
            verdicts[route] += answer.verdict == "mismatch"
    harvest()
    assert +causes == +verdicts


def sized(size: int, request: str) -> Pair:
    return pair(response({"a": 1, "b": "x" * size}), response({"a": 2, "b": "x" * size}), request_id=request)


def test_a_clearly_smaller_pair_makes_a_new_example() -> None:
    busy = engine()
    for number in range(20):
        busy.handle(sized(1000, f"large-{number}"))
    busy.harvest()
    busy.handle(sized(900, "hardly"))
    assert busy.harvest()[1] == []
    busy.handle(sized(100, "small"))
    aggregate, (example,) = busy.harvest()
    (cause,) = aggregate.causes
    assert example.request_id == "small"
    assert (cause.example, cause.id) == (example.id, example.cause)
    assert cause.size < 300
    busy.handle(sized(80, "not small enough"))
    assert busy.harvest()[1] == []


def test_two_counts_of_one_cause_are_one() -> None:
    one = CauseCount("shop", "item", "candidate", "c-1", (), 200, 200, "", 3, 5.0, 9.0, "old", 10, "try", "words")
    other = msgspec.structs.replace(one, pairs=4, first_at=7.0, last_at=8.0, example="", size=0, suggestion=None)
    both = merged(one, other)
    assert (both.pairs, both.first_at, both.last_at, both.example, both.suggestion) == (7, 5.0, 9.0, "old", "try")
    smaller = msgspec.structs.replace(one, example="new", size=4, suggestion="")
    assert (merged(one, smaller).example, merged(one, smaller).suggestion) == ("new", "")
    assert merged(smaller, one).size == 4
    rest = as_rest(one)
    assert (rest.keys, rest.primary_status, rest.pairs) == ((), 0, 3)
    assert rest.id == as_rest(other).id != one.id


@pytest.mark.parametrize(
    ("primary", "shadow", "words"),
    [
        (response({"stock": 1}), response({"stock": "1"}), "$.stock is a string instead of an integer."),
        (response({"stock": 1.5}), response({"stock": None}), "$.stock is null instead of a number."),
        (response({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}), response({}), None),
        (response({"a": 1}), response({"error": 1}, status=500), None),
        (
            response({}, status=200),
            response({}, status=204),
            "The candidate answered 204 No Content instead of 200 OK.",
        ),
        (response({}, [(b"X-Pod", b"a")]), response({}, [(b"X-Pod", b"b")]), "Header x-pod differs."),
        (response([1, 2]), response([2, 1]), "$ is in another order."),
    ],
)
def test_words_say_what_is_common(primary: Any, shadow: Any, words: str | None) -> None:
    busy = engine()
    busy.handle(pair(primary, shadow))
    (cause,) = busy.harvest()[0].causes
    expected = words or (
        "The candidate answered 500 Internal Server Error instead of 200 OK; 2 fields differ with it."
        if cause.shadow_status == 500
        else "$.a is missing, $.b is missing, $.c is missing, and 2 more fields differ."
    )
    assert cause.words == expected


def test_nothing_of_a_body_but_names_of_fields_is_in_a_cause() -> None:
    busy = engine()
    for number in range(30):
        busy.handle(pair(response({"a": f"private-{number}", "b": 7001}), response({"a": "priv", "b": 7001.5})))
    stored = msgspec.json.encode(busy.harvest()[0].causes).decode()
    assert "priv" not in stored
    assert "7001" not in stored
