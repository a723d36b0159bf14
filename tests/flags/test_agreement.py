"""Flags mean here what they mean in `openfeature-flagd-core`: random flag sets and contexts, thousands of each."""

from __future__ import annotations

import json
import os
import random
from typing import Any

from shadowproxy.flags.definitions import FlagsError
from shadowproxy.flags.evaluation import ERROR, FlagSet
from shadowproxy.flags.reading import read
from tests.flags.reference import reference

SETS = int(os.environ.get("FLAG_SETS", "600"))
CONTEXTS = 8

STRINGS = [
    "",
    "on",
    "off",
    "a",
    "b",
    "true",
    "false",
    "1",
    "0",
    "-1",
    "1.5",
    "ä€😀",
    "@x.com",
    "a@x.com",
    "v1.2",
    "null",
]
STRINGS += ["1.2.3", "2.0.0-rc.1", "1.10", "V3", " 7 ", "inf", "NaN", "1e3", "de", "user-1", "a.b", "length"]
SCALARS: list[Any] = [*STRINGS, 0, 1, -1, 2, 3, 7, 1.0, 1.5, -0.5, 1e20, 10**18, True, False, None]
NAMES = ["email", "age", "plan", "version", "tags", "nested", "nested.x", "nested.list.0", "tags.1", "tags.length"]
NAMES += ["targetingKey", "$flagd.flagKey", "missing", "email.0", "current", "accumulator", "accumulator.x"]
TWO = ["==", "!=", "===", "!==", "<", "<=", ">", ">=", "in", "-", "/", "%", "starts_with", "ends_with"]
SOME = ["+", "*", "min", "max", "cat", "merge", "and", "or", "missing"]
LOOPS = ["map", "filter", "all", "some", "none", "reduce"]


class Maker:
    """Random flags of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def case(self) -> dict[str, Any]:
        pick = self.random
        kind = pick.choice(["boolean", "string", "integer", "float", "object"])
        variants = self.variants(kind)
        flag: dict[str, Any] = {"state": "ENABLED" if pick.random() < 0.95 else "DISABLED", "variants": variants}
        if pick.random() < 0.9:
            flag["defaultVariant"] = (
                pick.choice([*variants, None, ""]) if pick.random() < 0.3 else pick.choice([*variants])
            )
        if pick.random() < 0.95:
            flag["targeting"] = self.targeting(list(variants))
        document: dict[str, Any] = {"flags": {pick.choice(["flag", "new-checkout", "f.1"]): flag}}
        # In an order in which the reference, which replaces one name after the other, has all of them replaced; and in
        # ASCII, since it takes an escape in an evaluator for one of a regular expression.
        document["$evaluators"] = {"second": self.ascii(2), "first": self.ascii(2, refs=False)}
        return {"kind": kind, "document": document}

    def ascii(self, depth: int, refs: bool = True) -> Any:
        while "\\" in json.dumps(made := self.rule(depth, refs)):
            pass
        return made

    def variants(self, kind: str) -> dict[str, Any]:
        pick = self.random
        if kind == "boolean":
            return {"on": True, "off": False, **({"true": True, "false": False} if pick.random() < 0.3 else {})}
        values = {
            "string": lambda: pick.choice(STRINGS),
            "integer": lambda: pick.choice([0, 1, -7, 10**12]),
            "float": lambda: pick.choice([0.5, -1.25, 3.0]),
            "object": lambda: pick.choice([{"a": 1}, {}, {"b": [1, None]}]),
        }[kind]
        return {
            name: values()
            for name in pick.sample(["on", "off", "a", "b", "1", "1.5", "true", "de"], pick.randint(1, 5))
        }

    def targeting(self, variants: list[str]) -> dict[str, Any]:
        pick, shape = self.random, self.random.random()
        if shape < 0.3:
            return {
                "if": [self.rule(3), self.result(variants), self.rule(2), self.result(variants), self.result(variants)]
            }
        if shape < 0.5:
            return {
                "if": [self.rule(3), self.result(variants), *([self.result(variants)] if pick.random() < 0.6 else [])]
            }
        if shape < 0.75:
            return self.fractional(variants)
        made = self.rule(4)
        return (
            made
            if isinstance(made, dict) and len(made) == 1 and "$ref" not in made
            else {"if": [made, self.result(variants)]}
        )

    def result(self, variants: list[str]) -> Any:
        pick, shape = self.random, self.random.random()
        if shape < 0.6:
            return pick.choice(variants)
        if shape < 0.8:
            return self.fractional(variants)
        return pick.choice([None, {"var": "plan"}, {"var": ["missing", pick.choice(variants)]}])

    def fractional(self, variants: list[str]) -> dict[str, Any]:
        pick = self.random
        weights = [
            [pick.choice(variants), *([pick.choice([0, 1, 25, 50, 99, -3, 2**31 - 1])] if pick.random() < 0.8 else [])]
            for _ in range(pick.randint(1, 4))
        ]
        key: list[Any] = []
        if pick.random() < 0.5:
            key = [
                pick.choice([{"var": "email"}, {"cat": [{"var": "$flagd.flagKey"}, {"var": "email"}]}, {"var": "age"}])
            ]
        if pick.random() < 0.1:
            weights[0] = [self.rule(1), {"var": "age"}]
        return {"fractional": [*key, *weights]}

    def rule(self, depth: int, refs: bool = True) -> Any:
        pick, shape = self.random, self.random.random()
        if depth <= 0 or shape < 0.12:
            return pick.choice(SCALARS)
        if shape < 0.32:
            name = pick.choice(NAMES)
            return {
                "var": pick.choice([name, [name], [name, pick.choice(SCALARS)], 0, "", None, [1]])
                if pick.random() < 0.4
                else name
            }
        if shape < 0.36:
            return [self.rule(depth - 1, refs) for _ in range(pick.randint(0, 3))]
        if shape < 0.4 and refs:
            return {"$ref": pick.choice(["first", "second"]) if depth > 2 else "first"}
        if shape < 0.48:
            operator = pick.choice(["=", "!=", "<", "<=", ">", ">=", "^", "~"])
            wanted = pick.choice(["1.2.3", "v1", "2.0.0-rc.1", "1.10", {"var": "version"}])
            return {"sem_ver": [self.rule(1, refs) if pick.random() < 0.3 else {"var": "version"}, operator, wanted]}
        if shape < 0.56:
            return self.loop(depth, refs)
        if shape < 0.62:
            return {
                pick.choice(["!", "!!", "substr", "if", "-", "log"]): [
                    self.rule(depth - 1, refs) for _ in range(pick.randint(1, 3))
                ]
            }
        if shape < 0.66:
            keys = pick.sample(NAMES, pick.randint(1, 3))
            return pick.choice([{"missing": keys}, {"missing_some": [pick.randint(0, 3), keys]}, {"missing": keys[0]}])
        name = pick.choice(TWO) if shape < 0.85 else pick.choice(SOME)
        count = 2 if name in TWO and pick.random() < 0.85 else pick.randint(1, 4)
        count = 2 if name in {"starts_with", "ends_with"} else count
        return {name: [self.rule(depth - 1, refs) for _ in range(count)]}

    def loop(self, depth: int, refs: bool) -> Any:
        pick = self.random
        name = pick.choice(LOOPS)
        items = pick.choice([{"var": "tags"}, {"var": "nested.list"}, ["a", 1, None, 2.5], self.rule(1, refs)])
        each = pick.choice([{"var": ""}, {"==": [{"var": ""}, "a"]}, self.rule(depth - 1, refs), {"var": "x"}])
        if name == "reduce":
            each = pick.choice(
                [
                    {"+": [{"var": "accumulator"}, {"var": "current"}]},
                    {"cat": [{"var": "accumulator"}, {"var": "current"}]},
                    each,
                ]
            )
            return {name: [items, each, pick.choice(SCALARS)]}
        return {name: [items, each]}

    def context(self) -> dict[str, Any]:
        pick = self.random
        made: dict[str, Any] = {}
        for name in ("email", "age", "plan", "version"):
            if pick.random() < 0.8:
                made[name] = pick.choice(SCALARS)
        if pick.random() < 0.6:
            made["tags"] = [pick.choice(SCALARS) for _ in range(pick.randint(0, 3))]
        if pick.random() < 0.6:
            made["nested"] = {"x": pick.choice(SCALARS), "list": [pick.choice(SCALARS), {"x": pick.choice(SCALARS)}]}
        if pick.random() < 0.8:
            made["targetingKey"] = pick.choice(["", "user-1", "user-2", "ä", f"u{pick.randint(0, 10**6)}"])
        return made


def test_every_value_variant_and_reason_is_that_of_the_reference() -> None:
    seed = int(os.environ.get("FLAG_SEED", random.SystemRandom().randint(0, 2**32)))
    maker = Maker(seed)
    asked, ours, refused, problems = [], [], 0, []
    for _ in range(SETS):
        made = maker.case()
        text = json.dumps(made["document"])
        [key] = made["document"]["flags"]
        try:
            flags = FlagSet(1, read(text.encode(), "flags.json"))
        except FlagsError as error:
            # The reference finds out when it is asked.
            others = [each for each in error.problems if "there is no variant" not in each]
            problems += others
            refused += 1
            continue
        flag = flags.get(key)
        assert flag is not None
        for _ in range(CONTEXTS):
            context = maker.context()
            asked.append({"definitions": text, "key": key, "type": made["kind"], "context": context})
            ours.append(flag.evaluate(context, 1_700_000_000))
    assert (problems, refused < SETS / 4) == ([], True), f"seed {seed}"
    with reference() as engine:
        answers = engine.ask(asked)
    errors = 0
    for case, here, there in zip(asked, ours, answers, strict=True):
        shown = f"seed {seed}: {here} is not {there}\n{case['definitions']}\n{case['context']}"
        if "error" in there:
            errors += 1
            assert here.reason == ERROR, shown
            continue
        assert (here.variant, here.reason) == (there["variant"], there["reason"]), shown
        if here.variant is not None:
            assert json.dumps(here.value) == json.dumps(there["value"]), shown
    assert errors < len(asked) / 2, f"seed {seed}: nearly all of it was wrong"
