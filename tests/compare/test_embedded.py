"""Texts that hold JSON: compared, explained and redacted as what they hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shadowproxy.model.policy import ComparePolicy
from tests.compare.builders import example, found, pair, response, ruled, verdict


def held(value: Any, indent: int | None = None) -> dict[str, str]:
    return {"payload": json.dumps(value, indent=indent)}


def test_a_text_that_holds_json_on_both_sides_is_compared_as_json() -> None:
    assert found(held({"x": 1, "y": [1]}), held({"y": [2], "x": 1})) == {("$.payload.y[]", "body_value")}
    assert found(held([1]), held([1, 2])) == {("$.payload", "body_size")}
    assert found(held([1]), held({"a": 1})) == {("$.payload", "body_type")}


def test_the_same_json_written_otherwise_is_a_match() -> None:
    assert verdict(held({"x": 1, "y": 2}), held({"y": 2, "x": 1}, indent=2)) == "match"
    assert verdict([held({"x": 1}), 1], [held({"x": 1}, indent=1), 1]) == "match"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ('{"a": 1', '{"a": 2'),
        ('{"a": 1}', "nothing"),
        ("nothing", '{"a": 1}'),
        ("1", "2"),
        ('"a"', '"b"'),
        ("[", "]"),
        ("", "[]"),
        ("[" * 65 + "]" * 65, "[" * 65 + " " + "]" * 65),
        ('["\\ud800"]', '["\\ud801"]'),
    ],
)
def test_any_other_text_is_a_value(a: str, b: str) -> None:
    assert found({"payload": a}, {"payload": b}) == {("$.payload", "body_value")}


def test_rules_hold_inside() -> None:
    rules = ComparePolicy(ignore=("$.payload.at",), tolerance={"$..n": 1}, unordered=("$.payload.l",))
    a, b = held({"at": 1, "n": 1, "l": [1, 2]}), held({"at": 2, "n": 2, "l": [2, 1]})
    assert verdict(a, b, rules) == "ignored"
    assert ruled(a, b, rules) == {
        ("$.payload.at", "body_value"),
        ("$.payload.n", "body_value"),
        ("$.payload.l", "body_order"),
    }
    assert verdict(a, b, ComparePolicy(ignore=("$.payload",))) == "ignored"


def nested(value: Any, times: int) -> Any:
    for _ in range(times):
        value = held(value)
    return value


def test_texts_in_texts_are_looked_into_twice() -> None:
    assert found(nested({"x": 1}, 2), nested({"x": 2}, 2)) == {("$.payload.payload.x", "body_value")}
    assert found(nested({"x": 1}, 3), nested({"x": 2}, 3)) == {("$.payload.payload.payload", "body_value")}
    two = {"one": nested({"x": 1}, 1), "other": nested({"x": 1}, 2)}
    other = {"one": nested({"x": 2}, 1), "other": nested({"x": 2}, 2)}
    assert found(two, other) == {("$.one.payload.x", "body_value"), ("$.other.payload.payload.x", "body_value")}


def test_an_example_names_the_exact_place() -> None:
    made = example(pair(response(held({"x": {"y": 1}, "z": "a" * 5000})), response(held({"x": {}, "z": "a" * 5000}))))
    assert made.explanation == ["$.payload.x.y is missing; the primary has 1."]
    assert (made.differences[0].field, made.differences[0].primary) == ("$.payload.x.y", "1")


def test_secrets_inside_are_masked_by_name_and_by_rule() -> None:
    rules = ComparePolicy(redact=("$.payload.mail",))
    a = nested({"password": "hunter2", "mail": "ann@a", "deep": json.dumps({"ssn": 123456789, "x": 1})}, 1)
    b = nested({"password": "hunter3", "mail": "bob@b", "deep": json.dumps({"ssn": 123456789, "x": 2})}, 1)
    made = example(pair(response(a), response(b)), rules)
    for secret in ("hunter", "ann@a", "bob@b", "123456789"):
        assert secret not in str(made)
    assert {each.field for each in made.differences} == {"$.payload.password", "$.payload.mail", "$.payload.deep.x"}
    assert json.loads(json.loads(made.primary_body)["payload"])["password"].startswith("~")


def test_a_text_without_secrets_is_shown_as_it_was_written() -> None:
    made = example(pair(response(held({"a": 1}, indent=3)), response(held({"a": 2}))))
    assert json.loads(made.primary_body) == held({"a": 1}, indent=3)
