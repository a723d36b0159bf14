"""Noise among the differences of a pair, and the bits that triples give."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from shadowproxy.compare import Engine, noise
from shadowproxy.model.pair import Answer, CapturedResponse, FieldBits, Learned, Second, Sightings
from shadowproxy.model.policy import ComparePolicy, Endpoint, Policy, RoutePolicy, ServicePolicy, UpstreamPolicy
from tests.compare.builders import GET, JSON, Clock, engine, pair, response


def uuid(number: int) -> str:
    return f"7f9c2ba4-e88f-4a2b-9c01-{number:012x}"


def triple(busy: Engine, primary: Any, candidate: Any, second: Any, arm: str = "secondary") -> Answer:
    whole = msgspec.structs.replace(pair(response(primary), response(candidate)), second=Second(arm, response(second)))
    answer = busy.handle(whole)
    assert answer is not None
    return answer


def alone(busy: Engine, primary: Any, candidate: Any, spared: bool | None = None) -> Answer:
    answer = busy.handle(msgspec.structs.replace(pair(response(primary), response(candidate)), spared=spared))
    assert answer is not None
    return answer


def bits(busy: Engine) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    rows = busy.harvest()[0].bits
    return {(row.field, row.kind): (row.candidate, row.second, row.both, row.spared) for row in rows}


def learned(*noisy: tuple[str, str], regressed: tuple[tuple[str, str], ...] = (), generation: int = 0) -> Learned:
    return Learned("shop", generation, [("item", *each) for each in noisy], [("item", *each) for each in regressed])


def test_what_the_second_answer_shows_too_is_noise() -> None:
    busy = engine()
    answer = triple(busy, {"at": 1, "a": 1}, {"at": 2, "a": 1}, {"at": 3, "a": 1})
    assert answer == Answer(7, "noise", (), "mismatch", ("body_value",))
    assert bits(busy) == {("$.at", "body_value"): (0, 0, 1, 0)}


def test_what_only_the_candidate_shows_stands() -> None:
    busy = engine()
    answer = triple(busy, {"at": 1, "a": 1}, {"at": 2, "a": 9}, {"at": 3, "a": 1})
    assert (answer.verdict, answer.kinds) == ("mismatch", ("body_value",))
    aggregate, examples = busy.harvest()
    assert [(row.field, row.pairs) for row in aggregate.fields] == [("$.a", 1)]
    assert {(row.field, row.candidate, row.both) for row in aggregate.bits} == {("$.a", 1, 0), ("$.at", 0, 1)}
    shown = {each.field: each.noise for each in examples[0].differences}
    assert shown == {"$.a": False, "$.at": True}
    assert all("$.at" not in sentence for sentence in examples[0].explanation)


def test_what_only_the_second_answer_shows_is_evidence_as_well() -> None:
    busy = engine()
    assert triple(busy, {"a": 1}, {"a": 1}, {"a": 2}).verdict == "match"
    assert bits(busy) == {("$.a", "body_value"): (0, 1, 0, 0)}


def test_another_kind_of_difference_in_a_noisy_field_is_no_noise() -> None:
    busy = engine()
    assert triple(busy, {"a": 1}, {"a": "N/A"}, {"a": 2}).kinds == ("body_type",)
    assert bits(busy) == {("$.a", "body_type"): (1, 0, 0, 0), ("$.a", "body_value"): (0, 1, 0, 0)}


def test_without_a_second_answer_control_says_what_is_noise() -> None:
    busy = engine()
    assert alone(busy, {"a": 1}, {"a": 2}).verdict == "mismatch"
    busy.learn(learned(("$.a", "body_value")))
    assert alone(busy, {"a": 1}, {"a": 2}).verdict == "noise"
    assert alone(busy, {"a": 1, "b": 1}, {"a": 2, "b": 2}).verdict == "mismatch"
    busy.learn(learned(("$.a", "body_value"), regressed=(("$.a", "body_value"),)))
    assert alone(busy, {"a": 1}, {"a": 2}).verdict == "mismatch"


def test_what_chance_spared_is_counted_apart() -> None:
    busy = engine()
    for spared in (True, True, False, None):
        alone(busy, {"a": 1}, {"a": 2}, spared)
    (row,) = busy.harvest()[0].bits
    assert (row.candidate, row.second, row.both, row.spared, row.missed) == (0, 0, 0, 2, 1)


def test_a_resample_that_cannot_be_compared_was_drawn_all_the_same() -> None:
    busy = engine(ComparePolicy(max_depth=2))
    deep = json.loads('{"a": {"b": {"c": {"d": 1}}}}')
    drawn = msgspec.structs.replace(
        pair(response({"a": 1}), response({"a": 2})), second=Second("resample", response(deep)), spared=False
    )
    busy.handle(drawn)
    (row,) = busy.harvest()[0].bits
    assert (row.spared, row.missed) == (0, 1)


def test_a_secondary_of_another_version_excuses_nothing() -> None:
    busy = engine()
    busy.learn(msgspec.structs.replace(learned(), is_alike=False))
    assert triple(busy, {"a": 1}, {"a": 2}, {"a": 2}).verdict == "mismatch"
    assert bits(busy) == {}
    busy.learn(learned())
    assert triple(busy, {"a": 1}, {"a": 2}, {"a": 2}).verdict == "noise"


def test_which_side_a_field_differs_on_does_not_decide_whether_it_finds_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "MAX_FIELDS", 20)
    busy = engine()
    names = [f"n{number}" for number in range(60)]
    triple(busy, {}, dict.fromkeys(names[:30], 1), dict.fromkeys(names[30:], 1))
    found = list(bits(busy).values())
    assert len(found) == 20
    assert {(1, 0, 0, 0), (0, 1, 0, 0)} == set(found)


def test_garbage_in_a_field_that_always_differs_is_found_by_its_look() -> None:
    busy = engine()
    for number in range(30):
        triple(busy, {"id": uuid(3 * number)}, {"id": uuid(3 * number + 1)}, {"id": uuid(3 * number + 2)})
    assert triple(busy, {"id": uuid(1)}, {"id": "N/A"}, {"id": uuid(2)}).kinds == ("body_shape",)
    found = bits(busy)
    assert found["$.id", "body_shape"] == (1, 0, 0, 0)
    assert found["$.id", "body_value"] == (0, 0, 31, 0)


def test_a_look_that_the_second_answer_has_too_is_noise() -> None:
    busy = engine()
    for number in range(30):
        triple(busy, {"id": uuid(3 * number)}, {"id": uuid(3 * number + 1)}, {"id": uuid(3 * number + 2)})
    assert triple(busy, {"id": uuid(1)}, {"id": "N/A"}, {"id": "none"}).verdict == "noise"
    assert bits(busy)["$.id", "body_shape"] == (0, 0, 1, 0)


def test_garbage_is_found_without_a_second_answer_once_the_field_is_known() -> None:
    busy = engine()
    busy.learn(learned(("$.id", "body_value")))
    for number in range(30):
        assert alone(busy, {"id": uuid(2 * number)}, {"id": uuid(2 * number + 1)}).verdict == "noise"
    assert alone(busy, {"id": uuid(1)}, {"id": ""}).kinds == ("body_shape",)


def test_a_new_generation_forgets_the_looks_and_what_was_noise() -> None:
    busy = engine()
    busy.learn(learned(("$.id", "body_value"), generation=1))
    for number in range(30):
        alone(busy, {"id": uuid(2 * number)}, {"id": uuid(2 * number + 1)})
    busy.learn(learned(generation=2))
    assert alone(busy, {"id": uuid(1)}, {"id": ""}).kinds == ("body_value",)


def test_looks_are_told_now_and_then_and_taken_over_by_a_new_comparer() -> None:
    clock = Clock()
    busy = engine(clock=clock)
    for number in range(30):
        triple(busy, {"id": uuid(3 * number)}, {"id": uuid(3 * number + 1)}, {"id": uuid(3 * number + 2)})
    assert busy.harvest()[0].shapes == []
    clock.now += 60
    shapes = busy.harvest()[0].shapes
    assert [(row.service, row.route, row.field) for row in shapes] == [("shop", "item", "$.id")]
    other = engine()
    other.learn(msgspec.structs.replace(learned(("$.id", "body_value")), shapes=shapes))
    assert alone(other, {"id": uuid(1)}, {"id": "N/A"}).kinds == ("body_shape",)


def test_an_answer_that_cannot_be_compared_gives_no_bits() -> None:
    busy = engine(ComparePolicy(max_depth=2))
    deep = json.loads('{"a": {"b": {"c": {"d": 1}}}}')
    answer = triple(busy, {"a": 1}, {"a": 2}, deep)
    assert (answer.verdict, answer.second_verdict) == ("mismatch", "incomparable")
    answer = triple(busy, {"a": 1}, deep, {"a": 2})
    assert (answer.verdict, answer.second_verdict) == ("incomparable", "mismatch")
    assert bits(busy) == {}


def test_noise_in_header_fields_is_noise_too() -> None:
    busy = engine()
    served = [response({}, [*JSON, (b"X-Served-By", f"web-{n}".encode())]) for n in range(3)]
    whole = msgspec.structs.replace(pair(served[0], served[1]), second=Second("secondary", served[2]))
    answer = busy.handle(whole)
    assert answer is not None
    assert answer.verdict == "noise"
    assert bits(busy) == {("header:x-served-by", "header"): (0, 0, 1, 0)}


def test_an_example_whose_differences_are_all_noise_is_not_made() -> None:
    busy = engine()
    triple(busy, {"at": 1}, {"at": 2}, {"at": 3})
    assert busy.harvest()[1] == []


@pytest.mark.parametrize(
    ("second", "hidden"),
    [
        ({"error": "try later"}, {"$.at", "$.deep.at", "$.list[].at", "$.kind"}),
        ({"at": "x", "deep": {"at": 1}, "list": [{"at": 1}], "kind": 1}, {"$.at"}),
        ({"at": 1, "deep": None, "list": [{"at": 1}], "kind": 1}, {"$.deep.at"}),
        ({"at": 1, "deep": {"at": 1}, "list": "none", "kind": 1}, {"$.list[].at"}),
        ({"at": 3, "deep": {"at": 1}, "list": [{"at": 1}], "kind": 1, "atom": 1}, set()),
        ([], {"$.at", "$.deep.at", "$.list[].at", "$.kind"}),
    ],
)
def test_a_second_answer_says_nothing_of_what_it_lacks(second: Any, hidden: set[str]) -> None:
    busy = engine()
    primary = {"at": 1, "deep": {"at": 1}, "list": [{"at": 1}], "kind": 1}
    triple(busy, primary, {"at": 2, "deep": {"at": 2}, "list": [{"at": 2}], "kind": "x"}, second)
    rows = {row.field: row for row in busy.harvest()[0].bits if not row.second}
    assert {field for field, row in rows.items() if row.missed} == hidden
    assert not any(rows[field].candidate or rows[field].both for field in hidden)


@pytest.mark.parametrize("page", [b"<html>busy</html>", b""])
def test_an_error_page_says_nothing_of_any_field(page: bytes) -> None:
    busy = engine()
    served = CapturedResponse(503, [(b"Content-Type", b"text/html")], page, 0.01)
    whole = pair(response({"at": 1}), response({"at": 2}))
    busy.handle(msgspec.structs.replace(whole, second=Second("secondary", served)))
    rows = {row.field: row for row in busy.harvest()[0].bits}
    assert (rows["$.at"].candidate, rows["$.at"].missed) == (0, 1)
    assert (rows["status"].second, rows["body"].second) == (1, 1)


def test_what_the_candidate_lacks_and_the_second_answer_has_counts_for_both() -> None:
    busy = engine()
    triple(busy, {"at": 1}, {}, {"at": 2})
    assert bits(busy) == {("$.at", "body_missing"): (1, 0, 0, 0), ("$.at", "body_value"): (0, 1, 0, 0)}


def test_what_a_secondary_did_not_answer_is_known_to_be_unknown() -> None:
    arms = {arm: UpstreamPolicy((Endpoint(f"http://{arm}:80"),)) for arm in ("primary", "candidate", "secondary")}
    shop = ServicePolicy("shop", 0, arms, (RoutePolicy("item", 0),))
    busy = Engine(Policy((shop,)), b"key", Clock())
    alone(busy, {"at": 1}, {"at": 2})
    triple(busy, {"at": 1}, {"at": 2}, {"at": 3})
    (row,) = busy.harvest()[0].bits
    assert (row.candidate, row.both, row.spared, row.missed) == (0, 1, 0, 1)
    busy.learn(msgspec.structs.replace(learned(), is_alike=False))
    alone(busy, {"at": 1}, {"at": 2})
    assert bits(busy) == {}


def test_a_field_that_is_null_now_and_then_is_watched_for_how_often() -> None:
    busy = engine()
    type_, null = ("$.code", "body_type"), ("$.code", "body_null")
    assert triple(busy, {"code": "A1"}, {"code": None}, {"code": "A1"}).kinds == ("body_type",)
    assert bits(busy) == {type_: (1, 0, 0, 0)}
    busy.learn(learned(type_))
    for candidate, second in ((None, "A1"), ("A1", None), (None, None), ("A1", "A1")):
        assert triple(busy, {"code": "A1"}, {"code": candidate}, {"code": second}).verdict in {"noise", "match"}
    triple(busy, {"code": None}, {"code": "A1"}, {"code": None})
    assert bits(busy) == {type_: (2, 1, 1, 0), null: (1, 1, 1, 0)}
    busy.learn(learned(type_, regressed=(null,)))
    assert triple(busy, {"code": "A1"}, {"code": None}, {"code": "A1"}).kinds == ("body_null",)
    assert triple(busy, {"code": "A1"}, {"code": None}, {"code": None}).verdict == "noise"
    assert alone(busy, {"code": "A1"}, {"code": None}).kinds == ("body_null",)
    assert alone(busy, {"code": None}, {"code": "A1"}).verdict == "noise"


def test_another_type_is_one_difference_unless_types_are_noise() -> None:
    busy = engine()
    for number in range(30):
        triple(busy, {"id": uuid(3 * number)}, {"id": uuid(3 * number + 1)}, {"id": uuid(3 * number + 2)})
    assert alone(busy, {"id": uuid(1)}, {"id": 7}).kinds == ("body_type",)
    busy.learn(learned(("$.id", "body_value"), ("$.id", "body_type")))
    assert alone(busy, {"id": uuid(1)}, {"id": 7}).kinds == ("body_shape",)


def test_versions_are_handed_on() -> None:
    busy = engine()
    busy.sight(Sightings([("shop", "primary", "v1", 3)]))
    busy.sight(Sightings([("shop", "primary", "v1", 2)]))
    assert busy.harvest()[0].versions == [("shop", "primary", "v1", 5)]
    assert busy.harvest()[0].versions == []


@pytest.mark.parametrize("fields", [5000])
def test_the_bits_of_one_harvest_are_bounded(fields: int) -> None:
    busy = engine(ComparePolicy(max_time=5.0))
    for start in range(0, fields, 50):
        members = {f"n{start + number}": 1 for number in range(50)}
        triple(busy, {"m" + str(start): members}, {"m" + str(start): dict.fromkeys(members, 2)}, {"x": 1})
    rows = busy.harvest()[0].bits
    assert len(rows) <= 4096
    assert all(isinstance(row, FieldBits) for row in rows)


@pytest.mark.parametrize(("kept", "suggested"), [(True, False), (False, True)])
def test_an_id_that_the_second_answer_has_as_well_is_not_suggested_to_be_ignored(kept: bool, suggested: bool) -> None:
    busy = engine()
    for number in range(30):
        asked = msgspec.structs.replace(GET, target=f"/items/{number}".encode())
        whole = pair(response({"id": uuid(number)}), response({"id": uuid(number + 100)}), asked)
        second = Second("secondary", response({"id": uuid(number)}))
        busy.handle(msgspec.structs.replace(whole, second=second) if kept else whole)
    (cause,) = busy.harvest()[0].causes
    assert bool(cause.suggestion) == suggested
