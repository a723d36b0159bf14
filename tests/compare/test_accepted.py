"""What an entry of the accepted differences covers, and what goes on counting."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from shadowproxy.compare import Engine
from shadowproxy.compare.accepted import _MAX_REMEMBERED, Accepted
from shadowproxy.compare.paths import PathError, compile_path, names
from shadowproxy.compare.shapes import check_shape
from shadowproxy.model.pair import AcceptedCount, Answer, Learned, Second
from shadowproxy.model.policy import AcceptedPolicy, Policy, RoutePolicy, ServicePolicy
from tests.compare.builders import Clock, pair, response
from tests.compare.test_noise import uuid

AT = 1.7e9


def entry(field: str = "$.price", kind: str = "body_value", route: str = "item", **more: Any) -> AcceptedPolicy:
    return AcceptedPolicy(route, field, kind, "ann", "by design", **more)


def accepting(*entries: AcceptedPolicy) -> Policy:
    routes = (RoutePolicy("item", 0), RoutePolicy("cart", 1))
    return Policy((ServicePolicy("shop", 0, {}, routes, accepted=entries),))


def engine(*entries: AcceptedPolicy) -> Engine:
    return Engine(accepting(*entries), b"key", Clock())


def handled(busy: Engine, primary: Any, candidate: Any, second: Any = None, **more: Any) -> Answer:
    whole = pair(response(primary), response(candidate), at=more.pop("at", AT))
    if second is not None:
        whole = msgspec.structs.replace(whole, second=Second("secondary", response(second)))
    answer = busy.handle(msgspec.structs.replace(whole, **more))
    assert answer is not None
    return answer


def test_a_pair_that_differs_only_in_what_is_accepted_is_ignored_and_counted_apart() -> None:
    busy = engine(entry())
    assert handled(busy, {"price": 1}, {"price": 2}) == Answer(7, "ignored")
    assert handled(busy, {"price": 1}, {"price": 3}, at=AT - 5).verdict == "ignored"
    aggregate, examples = busy.harvest()
    assert aggregate.accepted == [AcceptedCount("shop", entry().id, 2, AT), AcceptedCount("shop", "", 2, AT)]
    assert (aggregate.fields, aggregate.causes, aggregate.bits, examples) == ([], [], [], [])
    assert busy.harvest()[0].accepted == []


def test_what_is_not_accepted_still_counts_and_the_example_marks_the_rest() -> None:
    busy = engine(entry())
    assert handled(busy, {"price": 1, "name": "a"}, {"price": 2, "name": "b"}).kinds == ("body_value",)
    aggregate, (example,) = busy.harvest()
    assert [row.field for row in aggregate.fields] == ["$.name"]
    assert aggregate.causes[0].keys == (("$.name", "body_value"),)
    assert {each.field: (each.accepted, each.shape) for each in example.differences} == {
        "$.name": (False, "text 1-4"),
        "$.price": (True, "integer e3"),
    }
    assert all("price" not in sentence for sentence in example.explanation)


def test_another_kind_on_an_accepted_field_still_counts() -> None:
    assert handled(engine(entry()), {"price": 1}, {"price": "1"}).kinds == ("body_type",)
    assert handled(engine(entry()), {"price": 1}, {}).kinds == ("body_missing",)


def test_an_entry_holds_until_the_second_at_which_it_expires() -> None:
    busy = engine(entry(expires="2023-11-14", until=AT))
    assert handled(busy, {"price": 1}, {"price": 2}, at=AT - 0.001).verdict == "ignored"
    assert handled(busy, {"price": 1}, {"price": 2}, at=AT).verdict == "mismatch"


def test_a_value_of_another_shape_still_counts() -> None:
    busy = engine(entry(shape="integer e3"))
    assert handled(busy, {"price": 1}, {"price": 999}).verdict == "ignored"
    assert handled(busy, {"price": 1}, {"price": 1000}).verdict == "mismatch"


def test_one_value_of_another_shape_among_many_counts_wherever_it_stands() -> None:
    busy = engine(entry("$[].n", shape="integer e3"))
    before = [{"n": 1}, {"n": 1}, {"n": 1}]
    assert handled(busy, before, [{"n": 2}, {"n": 3}, {"n": 4}]).verdict == "ignored"
    for place in range(3):
        after = [{"n": 2}, {"n": 3}, {"n": 4}]
        after[place] = {"n": 5000}
        assert handled(busy, before, after).verdict == "mismatch"


def test_entries_of_several_shapes_add_up() -> None:
    both = (entry("$[]", shape="integer e3"), entry("$[]", shape="integer e6"))
    busy = engine(*both)
    assert handled(busy, [1, 1], [2, 5000]).verdict == "ignored"
    assert {row.id for row in busy.harvest()[0].accepted} == {each.id for each in both} | {""}
    assert handled(busy, [1, 1], [2, 5_000_000]).verdict == "mismatch"
    assert handled(engine(*both, entry("$[]")), [1, 1], [2, 5_000_000]).verdict == "ignored"


@pytest.mark.parametrize(("route", "verdict"), [("item", "ignored"), ("cart", "mismatch")])
def test_an_entry_is_about_its_route(route: str, verdict: str) -> None:
    assert handled(engine(entry()), {"price": 1}, {"price": 2}, route=route).verdict == verdict


@pytest.mark.parametrize("route", ["item", "cart", "a route that was learned a moment ago"])
def test_a_star_is_every_route(route: str) -> None:
    busy = engine(entry(route="*"))
    answer = handled(busy, {"price": 1}, {"price": 2}, route=route)
    assert answer.verdict == ("mismatch" if "learned" in route else "ignored")


def test_a_reload_changes_what_is_accepted() -> None:
    busy = engine()
    assert handled(busy, {"price": 1}, {"price": 2}).verdict == "mismatch"
    busy.apply(accepting(entry()))
    assert handled(busy, {"price": 1}, {"price": 2}).verdict == "ignored"
    busy.apply(accepting())
    assert handled(busy, {"price": 1}, {"price": 2}).verdict == "mismatch"


def test_what_is_accepted_is_no_evidence_on_either_side() -> None:
    busy = engine(entry(shape="integer e3"))
    assert handled(busy, {"price": 1}, {"price": 2}, {"price": 1}).verdict == "ignored"
    assert handled(busy, {"price": 1}, {"price": 1}, {"price": 2}).second_verdict == "mismatch"
    assert busy.harvest()[0].bits == []
    assert handled(busy, {"price": 1}, {"price": 5000}, {"price": 2}).verdict == "noise"
    (row,) = busy.harvest()[0].bits
    assert (row.candidate, row.second, row.both) == (1, 0, 0)


def test_a_pair_that_differs_in_noise_and_in_what_is_accepted_is_noise() -> None:
    busy = engine(entry())
    busy.learn(Learned("shop", 0, [("item", "$.at", "body_value")], []))
    assert handled(busy, {"price": 1, "at": 1}, {"price": 2, "at": 2}).verdict == "noise"
    assert [row.id for row in busy.harvest()[0].accepted] == [entry().id, ""]


def test_a_strange_look_in_a_noisy_field_can_be_accepted_by_itself() -> None:
    def taught(*entries: AcceptedPolicy) -> Engine:
        busy = engine(*entries)
        for number in range(30):
            handled(busy, {"id": uuid(number)}, {"id": uuid(100 + number)}, {"id": uuid(200 + number)})
        return busy

    strange = ({"id": uuid(1)}, {"id": "N/A"}, {"id": uuid(2)})
    assert handled(taught(), *strange).kinds == ("body_shape",)
    assert handled(taught(entry("$.id", "body_shape", shape="uuid")), *strange).kinds == ("body_shape",)
    assert handled(taught(entry("$.id", "body_shape", shape="text 1-4")), *strange).verdict == "noise"


def test_heads_and_statuses_are_accepted_as_well() -> None:
    busy = engine(entry("header:x-build", "header"), entry("status", "status", shape="integer e3"))
    one = response({"a": 1}, [(b"Content-Type", b"application/json"), (b"X-Build", b"1")])
    other = response({"a": 1}, [(b"Content-Type", b"application/json"), (b"X-Build", b"2")], 201)
    answer = busy.handle(pair(one, other))
    assert answer is not None
    assert answer.verdict == "ignored"


def test_failed_exchanges_are_never_accepted() -> None:
    busy = engine(entry("$", "candidate_timeout"), entry("status", "candidate_timeout"))
    answer = busy.handle(pair(response({}), None, failure="candidate_timeout"))
    assert answer is not None
    assert answer.kinds == ("candidate_timeout",)


def test_a_limit_that_ended_the_comparison_is_not_passed_over() -> None:
    busy = engine(entry("header:x-build", "header"))
    one = response(b"x" * 10, [(b"X-Build", b"1")], truncated=True)
    other = response(b"x" * 10, [(b"X-Build", b"2")], truncated=True)
    answer = busy.handle(pair(one, other))
    assert answer is not None
    assert answer.verdict == "incomparable"


@pytest.mark.parametrize(
    ("pattern", "field", "fits"),
    [
        ("$.items[].price", "$.items[].price", True),
        ("$.items[*]['price']", "$.items[].price", True),
        ("$.items[]", "$.items[].price", False),
        ("$.items.*.price", "$.items[].price", True),
        ("$.by_id.*", "$.by_id.*", True),
        ("$.by_id.*", "$.by_id.name", True),
        ("$.by_id.name", "$.by_id.*", False),
        ("$..price", "$.a.b[].price", True),
        ("$..price", "$.a.b[].prices", False),
        ("$.a..*", "$.a.b.c", True),
        ("$.a..*", "$.a", False),
        ("$", "$", True),
        ("header:X-Build", "header:x-build", True),
        ("header:x-build", "header:x-other", False),
        ("form:name", "form:name", True),
        ("status", "line", False),
        ("$.status", "status", False),
    ],
)
def test_paths_name_fields_as_findings_write_them(pattern: str, field: str, fits: bool) -> None:
    assert names(compile_path(pattern), compile_path(field)) is fits
    assert bool(Accepted([entry(pattern)], "item").of((field, "body_value"))) is fits


def test_a_field_whose_text_was_cut_off_is_accepted_as_it_is_written() -> None:
    cut = "$['a name that was cut o…"
    with pytest.raises(PathError):
        compile_path(cut)
    accepted = Accepted([entry("$..*")], "item")
    assert not accepted.of((cut, "body_value"))
    whole = "$." + "a" * 200
    for as_written in (whole, whole[:199] + "…", f"{whole}.deeper[]"):
        assert Accepted([entry(as_written)], "item").of((whole[:199] + "…", "body_value"))


def test_candidates_that_invent_fields_do_not_fill_the_memory() -> None:
    accepted = Accepted([entry("$.known")], "item")
    for number in range(_MAX_REMEMBERED + 5):
        accepted.of((f"$.f{number}", "body_value"))
    assert len(accepted._remembered) == 5
    assert accepted.of(("$.known", "body_value"))


@pytest.mark.parametrize(
    ("shape", "fine"),
    [
        ("uuid", True), ("null", True), ("text 5-16", True), ("text over 256", True), ("integer e3", True),
        ("integer below 0 e12", True), ("hex 32", True), ("array, empty", True), ("integer", True), ("text 1-5", False),
        ("strnig", False), ("integer e", False), ("", False), ("hex", False),
    ],
)  # fmt: skip
def test_shapes_that_no_value_has_are_told_apart(shape: str, fine: bool) -> None:
    assert (check_shape(shape) is None) is fine


def test_many_entries_cost_a_pair_little() -> None:
    busy = engine(*(entry(f"$.f{n}") for n in range(1000)))
    body = {f"f{n}": n for n in range(50)}
    changed = json.loads(json.dumps(body).replace(": ", ": 1"))
    for _ in range(3):
        assert handled(busy, body, changed).verdict == "ignored"
