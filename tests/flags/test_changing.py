"""Who says what about a flag, and whose word counts."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shadowproxy.flags import changing
from shadowproxy.flags.changing import Change, Kept, RefusedError, effective, is_enabling, taken
from shadowproxy.flags.definitions import DISABLED, Definition, Definitions
from shadowproxy.flags.evaluation import FlagSet
from shadowproxy.flags.reading import read

ON_OFF = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
BETA = {"if": [{"==": [{"var": "beta"}, True]}, "on"]}


def of(flag: dict[str, Any] | None = None, **more: Any) -> Definition:
    text = json.dumps({"flags": {"a": {**(flag or ON_OFF), **more}}}).encode()
    return read(text, "flags.json").flags["a"]


OFF, ON = of(), of(defaultVariant="on")


def value(definition: Definition, key: str = "ann", **context: Any) -> Any:
    flag = FlagSet(1, Definitions({"a": definition})).get("a")
    assert flag is not None
    return flag.evaluate({"targetingKey": key, **context}, 0).value


def kept(definition: Definition, change: Change | None = None) -> Kept:
    return Kept(1, "flags.json", Definitions({"a": definition}), {"a": change} if change else {})


def by(definition: Definition, over: Definition | None, is_kill: bool = False) -> Change:
    return Change(definition, over, "ann", "why", 0.0, is_kill)


class TestRamps:
    def test_a_share_gets_the_variant_and_the_rest_the_default(self) -> None:
        made = changing.ramped(OFF, "on", Decimal(25))
        assert changing.ramp_of(made) == ("on", 0.25)
        shares = [value(made, f"user-{n}") for n in range(4000)]
        assert 0.22 < sum(shares) / len(shares) < 0.28

    @given(st.decimals(0, 100, places=3), st.decimals(0, 100, places=3), st.text(min_size=1, max_size=8))
    def test_raising_it_only_adds_users(self, one: Decimal, other: Decimal, user: str) -> None:
        low, high = (changing.ramped(OFF, "on", share) for share in sorted((one, other)))
        assert value(high, user) or not value(low, user)

    @pytest.mark.parametrize("share", ["0", "0.1", "33.3", "99.99999", "100"])
    def test_the_share_is_exact(self, share: str) -> None:
        found = changing.ramp_of(changing.ramped(OFF, "on", Decimal(share)))
        assert found is not None
        assert Decimal(repr(found[1])) == pytest.approx(Decimal(share) / 100)

    def test_other_targeting_comes_first_and_stays(self) -> None:
        made = changing.ramped(changing.ramped(of(targeting=BETA), "on", Decimal(0)), "on", Decimal(0))
        assert value(made, beta=True) is True
        assert value(made) is False
        assert changing.without_ramp(made.rule) == BETA

    def test_a_flag_that_is_on_is_ramped_down_to_its_other_variant(self) -> None:
        made = changing.ramped(ON, "on", Decimal(0))
        assert value(made) is False
        assert made.default_variant == "off"

    def test_what_cannot_be_ramped_is_refused(self) -> None:
        with pytest.raises(RefusedError, match="there is no variant 'maybe'"):
            changing.ramped(OFF, "maybe", Decimal(1))
        three = of({**ON_OFF, "variants": {"a": "1", "b": "2", "c": "3"}, "defaultVariant": "a"})
        with pytest.raises(RefusedError, match="cannot be told"):
            changing.ramped(three, "a", Decimal(1))
        with pytest.raises(RefusedError, match="seven decimals"):
            changing.ramped(OFF, "on", Decimal("0.00000001"))


class TestOff:
    @pytest.mark.parametrize(
        ("flag", "off"),
        [
            (ON_OFF, "off"),
            ({**ON_OFF, "variants": {"yes": True, "no": False}, "defaultVariant": "yes"}, "no"),
            ({**ON_OFF, "variants": {"on": "x", "off": "y"}}, "off"),
            ({**ON_OFF, "metadata": {"off_variant": "on"}}, "on"),
        ],
    )
    def test_which_variant_is_off(self, flag: dict[str, Any], off: str) -> None:
        assert changing.off_variant(of(flag)) == off

    def test_one_that_cannot_be_told_is_refused_with_what_to_do(self) -> None:
        sizes = of({**ON_OFF, "variants": {"s": 1, "l": 2}, "defaultVariant": "s"})
        with pytest.raises(RefusedError, match="metadata `off_variant`, one of s, l"):
            changing.off_variant(sizes)
        assert changing.killed_as(sizes, sizes).state == DISABLED


class TestWhoseWordCounts:
    def test_a_change_stands_until_the_file_says_something_else(self) -> None:
        changed = kept(OFF, by(ON, OFF))
        assert effective(changed).definitions.flags["a"] == ON
        after = taken(changed, "flags.json", Definitions({"a": of(metadata={"x": 1})}), lambda _: "")
        found = effective(after)
        assert found.over == ("a",)
        assert found.definitions.flags["a"].default_variant == "off"

    def test_a_kill_stands_whatever_the_file_says(self) -> None:
        killed = kept(ON, by(ON, ON, is_kill=True))
        found = effective(replace(killed, base=Definitions({"a": of(defaultVariant="on", targeting=BETA)})))
        assert found.killed == {"a"}
        assert value(found.definitions.flags["a"], beta=True) is False
        gone = effective(replace(killed, base=Definitions()))
        assert value(gone.definitions.flags["a"]) is False

    def test_a_change_taken_back_leaves_what_the_file_says(self) -> None:
        changed = changing.changed(kept(OFF, by(ON, OFF)), {"a": None})
        assert effective(changed).definitions.flags["a"] == OFF

    def test_another_file_begins_anew_and_the_version_goes_on(self) -> None:
        found = taken(kept(OFF, by(ON, OFF)), "other.json", Definitions({"a": OFF}), lambda _: "frozen")
        assert (found.file, found.changes, found.version) == ("other.json", {}, 1)


class TestEnabling:
    @pytest.mark.parametrize(
        ("before", "after", "enabling"),
        [
            (None, OFF, False),
            (None, ON, True),
            (OFF, ON, True),
            (ON, OFF, False),
            (ON, of(state=DISABLED), False),
            (of(state=DISABLED), ON, True),
            (OFF, OFF, False),
            (OFF, of(targeting=BETA), True),
            (of(targeting=BETA), OFF, False),
            (ON, None, False),
            (ON, of({**ON_OFF, "variants": {"on": True, "off": False, "x": True}, "defaultVariant": "on"}), True),
            (changing.ramped(OFF, "on", Decimal(10)), changing.ramped(OFF, "on", Decimal(20)), True),
            (changing.ramped(OFF, "on", Decimal(20)), changing.ramped(OFF, "on", Decimal(10)), False),
            (changing.ramped(OFF, "on", Decimal(20)), changing.ramped(OFF, "off", Decimal(10)), True),
        ],
    )
    def test_what_may_give_anybody_something_else_is_enabling(
        self, before: Definition | None, after: Definition | None, enabling: bool
    ) -> None:
        assert is_enabling(before, after) is enabling

    def test_a_freeze_keeps_edits_waiting_that_switch_on(self) -> None:
        before = Kept(1, "f", Definitions({"a": ON, "b": OFF}))
        edited = Definitions({"a": OFF, "b": ON, "new": ON, "quiet": OFF})
        held = taken(before, "f", edited, lambda _: "the weekend")
        assert held.base.flags == {"a": OFF, "b": OFF, "quiet": OFF}
        assert {key: each.why for key, each in held.held.items()} == {"b": "the weekend", "new": "the weekend"}
        over = taken(held, "f", edited, lambda _: "")
        assert (over.base, over.held) == (edited, {})

    def test_new_evaluators_wait_as_a_whole(self) -> None:
        before = Kept(1, "f", Definitions({"a": OFF}))
        edited = Definitions({"a": ON}, {"staff": True})
        held = taken(before, "f", edited, lambda _: "the weekend")
        assert (held.base, set(held.held)) == (before.base, {"$evaluators"})


def test_where_evaluators_differ_every_flag_may() -> None:
    before, after = Definitions({"a": OFF, "b": ON}), Definitions({"a": OFF, "c": ON})
    assert changing.differing(before, after) == ["c", "b"]
    assert changing.differing(before, replace(after, evaluators={"x": True})) == ["a", "c", "b"]


def test_what_freezes_look_at() -> None:
    assert (changing.change_class(OFF), changing.service_of(OFF)) == ("feature", "")
    named = of(metadata={"change_class": "fix", "service": "shop"})
    assert (changing.change_class(named), changing.service_of(named)) == ("fix", "shop")
