"""A flags file is read as it was meant, or refused with everything that is wrong and where."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest

from shadowproxy.flags.definitions import DISABLED, FlagsError
from shadowproxy.flags.evaluation import DEFAULT, ERROR, OFF, STATIC, TARGETING_MATCH, FlagSet
from shadowproxy.flags.reading import MAX_BYTES, read

ON_OFF = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(FlagsError) as refused:
        read(text if isinstance(text, bytes) else text.encode(), "flags.json")
    return list(refused.value.problems)


def of(targeting: Any, **more: Any) -> str:
    return json.dumps({"flags": {"a": {**ON_OFF, "targeting": targeting}}, **more})


def flags(document: dict[str, Any]) -> FlagSet:
    return FlagSet(1, read(json.dumps(document).encode(), "flags.json"))


def test_a_file_is_read_in_its_order_with_its_metadata() -> None:
    made = flags(
        {
            "$schema": "https://flagd.dev/schema/v0/flags.json",
            "metadata": {"team": "shop", "tier": 1},
            "flags": {"b": ON_OFF, "a": {**ON_OFF, "metadata": {"team": "cart"}}},
        }
    )
    assert [flag.key for flag in made] == ["b", "a"]
    assert [dict(flag.metadata) for flag in made] == [{"team": "shop", "tier": 1}, {"team": "cart", "tier": 1}]
    assert made.get("c") is None


def test_what_is_written_comes_back_the_same() -> None:
    document = {
        "flags": {"a": {**ON_OFF, "targeting": {"if": [{"var": "x"}, "on", None]}}},
        "$evaluators": {"e": {"var": "x"}},
    }
    made = read(json.dumps(document).encode(), "flags.json")
    assert read(made.encode(), "again") == made
    assert json.loads(made.encode()) == document


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        (ON_OFF, (False, "off", STATIC)),
        ({**ON_OFF, "state": DISABLED}, (None, None, OFF)),
        ({**ON_OFF, "defaultVariant": None}, (None, None, DEFAULT)),
        ({**ON_OFF, "defaultVariant": ""}, (None, None, DEFAULT)),
        (
            {"state": "ENABLED", "variants": {"true": True, "false": False}, "defaultVariant": True},
            (True, "true", STATIC),
        ),
        ({**ON_OFF, "targeting": {}}, (False, "off", STATIC)),
        ({**ON_OFF, "targeting": {"if": [True, "on"]}}, (True, "on", TARGETING_MATCH)),
        ({**ON_OFF, "targeting": {"var": "x"}}, (None, None, ERROR)),
        ({**ON_OFF, "targeting": {"/": [1, 0]}}, (None, None, ERROR)),
    ],
)
def test_an_evaluation_says_value_variant_and_reason(flag: dict[str, Any], said: tuple[Any, ...]) -> None:
    made = flags({"flags": {"a": flag}}).get("a")
    assert made is not None
    assert made.evaluate({"x": "no variant"}, 0)[:3] == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\xff{}", "flags.json:1: it is not UTF-8, as JSON has to be"),
        ("", "flags.json:1:1: it is not JSON: Expecting value"),
        ('{"flags": {\n  "a": }}', "flags.json:2:8: it is not JSON: Expecting value"),
        ('{"flags": {"a": NaN}}', "flags.json: it is not JSON: NaN is no number of JSON"),
        ("[" * 100_000, "flags.json: it is nested too deep"),
        ("[]", "flags.json:1:1: a flags file is an object with `flags`, not list"),
        ("{}", "flags.json:1:1: `flags` has to be an object of flags, not null"),
        ('{"flags": []}', "flags.json:1:2: flags: `flags` has to be an object of flags, not list"),
        (
            '{"flags": {"a": 1}}',
            "flags.json:1:12: flags.a: a flag is an object with `state`, `variants` and `defaultVariant`, not number",
        ),
        ('{\n"flags": {\n  "a": {},\n  "a": {}}}', 'flags.json:4:3: "a" stands twice in one object; write it once'),
    ],
)
def test_what_is_no_flags_file_is_refused(text: str | bytes, said: str) -> None:
    assert problems(text)[0] == said


def test_too_large_a_file_is_refused_unread() -> None:
    assert "at most" in problems(b" " * (MAX_BYTES + 1))[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "enabled"}, 'flags.a.state: `state` has to be ENABLED or DISABLED, not "enabled"'),
        ({"variants": {}}, "flags.a.variants: `variants` has to be an object with at least one variant, not {}"),
        (
            {"variants": {"on": True, "off": 0}},
            "flags.a.variants.off: it is a number, the one before a boolean: all variants have one type",
        ),
        ({"variants": {"on": None}, "defaultVariant": "on"}, "flags.a.variants.on: a variant has a value, not null"),
        ({"defaultVariant": "of"}, "flags.a.defaultVariant: there is no variant 'of'; there are on, off"),
        ({"defaultVariant": 3}, "flags.a.defaultVariant: it has to be the name of a variant, not number"),
        (
            {"default": "on"},
            "flags.a.default: there is no such key; a flag has defaultVariant, metadata, state, targeting, variants",
        ),
        ({"metadata": {"x": None}}, "flags.a.metadata.x: it has to be a string, a number or a boolean, not null"),
        (
            {"metadata": {"change_class": "big"}},
            "flags.a.metadata.change_class: it has to be one of feature, fix, security, not 'big'",
        ),
        (
            {"metadata": {"off_variant": "no"}},
            "flags.a.metadata.off_variant: there is no variant 'no'; there are on, off",
        ),
        ({"metadata": {"header_name": "A b"}}, 'flags.a.metadata.header_name: "A b" cannot stand in a header'),
        ({"targeting": []}, "flags.a.targeting: it has to be a JsonLogic rule, an object, not list"),
        (
            {"targeting": {"if": [], "or": []}},
            "flags.a.targeting: a rule is an object with one operator, not with 2: if, or",
        ),
    ],
)
def test_what_a_flag_cannot_be_is_said_with_its_path(change: dict[str, Any], said: str) -> None:
    [problem] = problems(json.dumps({"flags": {"a": {**ON_OFF, **change}}}))
    assert said in problem


@pytest.mark.parametrize(
    ("targeting", "said"),
    [
        ({"iff": []}, "flags.a.targeting.iff: there is no operator 'iff'"),
        (
            {"if": [{"$ref": "x"}, "on"]},
            "flags.a.targeting.if[0].$ref: there is no evaluator 'x' under `$evaluators`; there are: none",
        ),
        ({"if": [True, "onn"]}, "flags.a.targeting.if[1]: there is no variant 'onn'; there are on, off"),
        ({"fractional": [["on", 10], ["offf", 90]]}, "flags.a.targeting.fractional[1][0]: there is no variant 'offf'"),
        ({"fractional": [["on", 1.5]]}, "flags.a.targeting.fractional[0][1]: the weight 1.5 is not a whole number"),
        ({"fractional": []}, "fractional takes at least one"),
        ({"if": [{"sem_ver": ["1", "=>", "2"]}, "on"]}, "sem_ver knows no '=>'; it knows =, !=, <, <=, >, >=, ^, ~"),
        ({"if": [{"sem_ver": ["1", ">=", "two"]}, "on"]}, "'two' is no version; a version is written 1.2.3"),
        ({"if": [{"starts_with": ["a"]}, "on"]}, "starts_with takes two strings, not 1 arguments"),
    ],
)
def test_what_no_rule_can_be_is_said_with_its_path(targeting: dict[str, Any], said: str) -> None:
    [problem] = problems(of(targeting))
    assert said in problem


def test_every_problem_is_said_at_once() -> None:
    lines = [
        "{",
        ' "flags": {',
        '  "a": {"state": "on", "variants": {"x": 1}},',
        '  "B": {"state": "ENABLED", "variants": {}}',
        " }}",
    ]
    text = "\n".join(lines)
    assert [each.split(": ")[0] for each in problems(text)] == ["flags.json:3:9", "flags.json:4:29", "flags.json:4:3"]


def test_two_flags_cannot_have_one_name_in_the_header() -> None:
    text = json.dumps({"flags": {"a": ON_OFF, "A": {**ON_OFF, "metadata": {"header_name": "a"}}}})
    assert "also that of 'a'" in problems(text)[0]


def test_a_key_that_no_header_can_have_needs_a_name() -> None:
    assert "give it metadata `header_name`" in problems(json.dumps({"flags": {"newCheckout": ON_OFF}}))[0]
    named = {**ON_OFF, "metadata": {"header_name": "new-checkout"}}
    assert flags({"flags": {"newCheckout": named}}).get("newCheckout") is not None


class TestHostileRules:
    @pytest.mark.parametrize("loop", [["a"], ["b", "a"], ["b", "c", "a"]])
    def test_a_circle_of_references_is_refused(self, loop: list[str]) -> None:
        names = ["a", *loop]
        evaluators = {one: {"!": [{"$ref": other}]} for one, other in zip(names, loop, strict=False)}
        found = problems(of({"if": [{"$ref": "a"}, "on"]}, **{"$evaluators": evaluators}))
        assert any("it refers to itself" in each for each in found)

    def test_references_that_double_are_refused(self) -> None:
        evaluators = {"e0": {"var": "x"}, **{f"e{n}": {"and": [{"$ref": f"e{n - 1}"}] * 2} for n in range(1, 40)}}
        [problem] = problems(of({"if": [{"$ref": "e39"}, "on"]}, **{"$evaluators": evaluators}))
        assert "more than 20,000 nodes" in problem

    def test_a_long_chain_of_references_is_refused(self) -> None:
        evaluators = {f"e{n}": {"!": [{"$ref": f"e{n + 1}"}]} for n in range(3000)} | {"e3000": True}
        assert any(
            "nested deeper than 60" in each for each in problems(of({"$ref": "e0"}, **{"$evaluators": evaluators}))
        )

    def test_rules_that_are_nested_too_deep_are_refused(self) -> None:
        rule: Any = {"var": "x"}
        for _ in range(400):
            rule = {"!": [rule]}
        assert "nested deeper than 60" in problems(of({"if": [rule, "on"]}))[0]

    @pytest.mark.parametrize(
        "rule",
        [
            {"reduce": [{"var": "many"}, {"cat": [{"var": "accumulator"}, {"var": "accumulator"}]}, "x"]},
            {"reduce": [{"var": "many"}, {"merge": [{"var": "accumulator"}, {"var": "accumulator"}]}, [1]]},
            {"reduce": [{"var": "many"}, {"*": [{"var": "accumulator"}, {"var": "accumulator"}]}, 7]},
            {"cat": [{"reduce": [{"var": "many"}, [{"var": "accumulator"}, {"var": "accumulator"}], 1]}]},
            {"some": [{"var": "many"}, {"some": [["a"] * 400, {"some": [["b"] * 400, {"==": [{"var": ""}, "c"]}]}]}]},
            {"%": [{"var": "huge"}, 0]},
            {"substr": ["abc", {"var": "inf"}]},
        ],
    )
    def test_an_evaluation_that_would_grow_without_bound_is_an_error(self, rule: Any) -> None:
        made = flags({"flags": {"a": {**ON_OFF, "targeting": {"if": [rule, "on", "off"]}}}}).get("a")
        assert made is not None
        context = {"many": list(range(100)), "huge": 10**300, "inf": float("inf")}
        began = time.process_time()
        assert made.evaluate(context, 0).reason == ERROR
        assert time.process_time() - began < 2


@pytest.mark.no_cover
def test_ten_thousand_flags_are_read_in_a_second_and_64_mib() -> None:
    staff = {"ends_with": [{"var": "email"}, "@example.com"]}
    document = {
        "$evaluators": {"staff": staff},
        "flags": {
            f"flag-{n}": {
                **ON_OFF,
                "targeting": {
                    "if": [
                        {"or": [{"$ref": "staff"}, {"in": [{"var": "country"}, ["de", "fr"]]}]},
                        "on",
                        {"fractional": [{"var": "email"}, ["on", n % 100], ["off", 100 - n % 100]]},
                    ]
                },
            }
            for n in range(10_000)
        },
    }
    text = json.dumps(document).encode()
    began = time.process_time()
    FlagSet(1, read(text, "flags.json"))
    seconds = time.process_time() - began
    tracemalloc.start()
    made = FlagSet(1, read(text, "flags.json"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 1024 * 1024
    assert seconds < 3  # less than one where nothing else runs
    flag = made.get("flag-99")
    assert flag is not None
    assert flag.evaluate({"country": "fr"}, 0).variant == "on"


def test_what_did_not_change_is_not_compiled_again() -> None:
    rule = {"if": [{"var": "x"}, "on"]}
    first = flags(
        {
            "flags": {
                "a": {**ON_OFF, "targeting": rule},
                "b": {"state": "ENABLED", "variants": {"x": 1}, "defaultVariant": "x"},
            }
        }
    )
    second = read(
        json.dumps(
            {
                "flags": {
                    "a": {**ON_OFF, "targeting": rule},
                    "b": {"state": "ENABLED", "variants": {"x": 1.0}, "defaultVariant": "x"},
                }
            }
        ).encode(),
        "f",
    )
    list(first)
    after = FlagSet(2, second, (), first)
    assert after.get("a") is first.get("a")
    assert after.get("b") is not first.get("b")
    killed = FlagSet(3, second, ("a",), after)
    assert killed.get("a") is not after.get("a")
