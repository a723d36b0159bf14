from __future__ import annotations

import msgspec
import pytest

import shadowproxy.compare.engine
import shadowproxy.compare.examples
from shadowproxy.compare import Engine
from shadowproxy.compare.limits import REASONS
from shadowproxy.model.pair import Aggregate, Answer, FieldCount, Pair
from shadowproxy.model.policy import ComparePolicy, Policy, RoutePolicy, ServicePolicy
from shadowproxy.model.terms import KINDS, VERDICTS
from tests.compare.builders import Clock, answered, engine, pair, policy, response

DIFFERENT = pair(response({"a": 1, "b": 1}), response({"a": 2, "b": "1"}))


def test_a_pair_is_answered_by_its_id() -> None:
    assert answered(DIFFERENT) == Answer(7, "mismatch", ("body_value", "body_type"))
    assert answered(pair(response(b'{"a":1}'), response(b'{"a": 1}'))) == Answer(7, "match")
    assert answered(DIFFERENT, ComparePolicy(ignore=("$.a", "$.b"))) == Answer(7, "ignored")
    assert answered(DIFFERENT, ComparePolicy(max_depth=0)) == Answer(7, "incomparable")


def test_every_word_of_an_answer_is_in_the_contract() -> None:
    for each in (
        DIFFERENT,
        pair(response({}), None, failure="candidate_tls"),
        pair(response({}, [], 500), response([])),
    ):
        answer = answered(each)
        assert answer.verdict in VERDICTS
        assert set(answer.kinds) <= set(KINDS)


def test_counts_come_together_until_the_harvest() -> None:
    busy = engine()
    for _ in range(3):
        busy.handle(DIFFERENT)
    busy.handle(pair(response(b"[" * 99), response(b"[]")))
    aggregate, examples = busy.harvest()
    assert aggregate.fields == [
        FieldCount("shop", "item", "$.a", "body_value", 3),
        FieldCount("shop", "item", "$.b", "body_type", 3),
    ]
    assert aggregate.incomparable == [("shop", "item", "too_deep", 1)]
    assert len(examples) == 3
    assert busy.harvest() == (Aggregate([]), [])


def test_examples_given_up_are_counted_by_reason() -> None:
    busy = engine()
    for _ in range(10):
        busy.handle(DIFFERENT)
    aggregate, examples = busy.harvest()
    assert len(examples) == 5
    assert aggregate.suppressed == {"repeated": 5}


def test_the_oldest_of_too_many_examples_is_given_up() -> None:
    busy = engine()
    for n in range(70):
        busy.handle(pair(response({}, [(b"X-%d" % n, b"1")]), response({}, [])))
    aggregate, examples = busy.harvest()
    assert len(examples) == 64
    assert aggregate.suppressed == {"full": 6}


def test_a_copy_for_examples_alone_is_neither_answered_nor_counted() -> None:
    busy = engine()
    assert busy.handle(pair(response({}), None, failure="candidate_timeout", answer=False)) is None
    aggregate, examples = busy.harvest()
    assert aggregate.fields == []
    assert [each.failure for each in examples] == ["candidate_timeout"]


def test_new_rules_hold_from_now_on_and_keep_the_counts() -> None:
    busy = engine()
    busy.handle(DIFFERENT)
    busy.apply(policy(ComparePolicy(ignore=("$.a", "$.b"))))
    answer = busy.handle(DIFFERENT)
    assert answer is not None
    assert answer.verdict == "ignored"
    assert len(busy.harvest()[0].fields) == 2


def test_what_a_route_has_learned_survives_a_reload_that_leaves_it_alone() -> None:
    busy = engine()
    for n in range(65):
        busy.handle(pair(response({f"k{n}x": 1}), response({})))
    busy.harvest()
    busy.apply(policy(ComparePolicy()))
    busy.handle(pair(response({"another": 1}), response({})))
    assert [count.field for count in busy.harvest()[0].fields] == ["$.*"]
    busy.apply(policy(ComparePolicy(max_depth=9)))
    busy.handle(pair(response({"another": 1}), response({})))
    assert [count.field for count in busy.harvest()[0].fields] == ["$.another"]


def test_each_route_has_its_rules_and_a_foreign_one_the_defaults() -> None:
    routes = (RoutePolicy("a", 0, compare=ComparePolicy(ignore=("$.a", "$.b"))), RoutePolicy("b", 1))
    other = RoutePolicy("other", 2, compare=ComparePolicy(ignore=("$.a",)))
    busy = Engine(Policy((ServicePolicy("shop", 0, {}, routes, other),)), b"", Clock())
    verdicts = {}
    for route in ("a", "b", "other", "gone"):
        answer = busy.handle(msgspec.structs.replace(DIFFERENT, route=route))
        assert answer is not None
        verdicts[route] = (answer.verdict, answer.kinds)
    assert verdicts == {
        "a": ("ignored", ()),
        "b": ("mismatch", ("body_value", "body_type")),
        "other": ("mismatch", ("body_type",)),
        "gone": ("mismatch", ("body_value", "body_type")),
    }


def broken(*arguments: object) -> None:
    raise RuntimeError("a fault of ours")


def test_a_fault_of_ours_costs_one_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = engine()
    monkeypatch.setattr(shadowproxy.compare.engine, "compare", broken)
    assert busy.handle(DIFFERENT) == Answer(7, "incomparable")
    assert busy.harvest()[0].incomparable == [("shop", "item", "internal", 1)]
    assert "internal" in REASONS


def test_a_fault_of_ours_costs_one_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadowproxy.compare.examples.ExampleMaker, "make", broken)
    busy = engine()
    assert busy.handle(DIFFERENT) == answered(DIFFERENT)
    aggregate, examples = busy.harvest()
    assert (aggregate.suppressed, examples) == ({"failed": 1}, [])


def test_what_crosses_processes_can_be_written_and_read() -> None:
    busy = engine()
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(DIFFERENT), type=Pair)
    answer = busy.handle(sent)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Answer) == answer
    aggregate, _ = busy.harvest()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(aggregate), type=Aggregate) == aggregate
