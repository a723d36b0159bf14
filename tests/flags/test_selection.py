"""Which flags a request carries is fixed beforehand, and the same on what workers get."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from shadowproxy.flags.definitions import Definitions
from shadowproxy.flags.fields import member
from shadowproxy.flags.reading import read
from shadowproxy.flags.selection import in_force, is_exposed, selected
from shadowproxy.model.flags import FlagsPolicy, Overlay
from shadowproxy.model.policy import Policy, RoutePolicy, ServicePolicy, ShadowPolicy
from shadowproxy.model.rollout import FLAG, Plan, Split, Stage

ON_OFF = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}


def of(flags: dict[str, Any]) -> Definitions:
    return read(json.dumps({"flags": flags}).encode(), "flags.json")


def texts(*sizes: int) -> Definitions:
    return of(
        {
            f"f{n}": {"state": "ENABLED", "variants": {"short": "", "long": "x" * size}, "defaultVariant": "short"}
            for n, size in enumerate(sizes)
        }
    )


def test_lists_name_flags_or_how_they_begin() -> None:
    assert is_exposed("a", None)
    assert not is_exposed("a", ())
    assert is_exposed("checkout-new", ("x", "checkout-*"))
    assert is_exposed("anything", ("*",))
    assert not is_exposed("checkouts", ("checkout",))


def test_flags_are_taken_in_their_order_while_the_largest_value_fits() -> None:
    definitions = texts(10, 500, 10)
    assert selected(definitions, None, 1000).keys == ("f0", "f1", "f2")
    cut = selected(definitions, None, 100)
    assert (cut.keys, cut.left_out) == (("f0",), ("f1", "f2"))
    assert selected(definitions, ("f2",), 100).keys == ("f2",)


@given(st.lists(st.integers(0, 60), max_size=12), st.integers(1, 300))
def test_no_value_is_ever_larger_than_the_field_may_be(sizes: list[int], limit: int) -> None:
    definitions = texts(*sizes)
    keys = selected(definitions, None, limit).keys
    largest = b", ".join(member(key, "x" * sizes[int(key[1:])]) for key in keys)
    assert len(largest) <= limit


LISTS = st.none() | st.lists(st.sampled_from(["f0", "f1", "f2", "f3*", "f*"]), max_size=3).map(tuple)


@example([0, 1, 0], [None, ("f2",)], 12)
@given(st.lists(st.integers(0, 60), max_size=10), st.lists(LISTS, min_size=1, max_size=4), st.integers(1, 200))
def test_workers_select_from_what_they_get_as_from_all(sizes: list[int], lists: list[Any], limit: int) -> None:
    definitions = texts(*sizes)
    routes = tuple(RoutePolicy(f"r{n}", n, expose_flags=each) for n, each in enumerate(lists))
    service = ServicePolicy("shop", 0, {}, routes=routes, other=RoutePolicy("other", 9, expose_flags=()))
    policy = Policy((service,), flags=FlagsPolicy("flags.json", max_size=limit))
    reduced = read(in_force(1, definitions, (), policy).document, "reduced")
    for each in lists:
        assert selected(reduced, each, limit).keys == selected(definitions, each, limit).keys


def test_workers_get_what_copies_and_rollouts_need_too() -> None:
    definitions = of(dict.fromkeys(("a", "shadowed", "ramped", "laid", "unused"), ON_OFF))
    other = RoutePolicy("other", 0, expose_flags=("a",), shadow=ShadowPolicy(flags={"shadowed": "on"}))
    plan = Plan("p", (Stage("s", FLAG, flag="ramped", variant="on", weights=(0.1,)),))
    split = Split("p", flags=(Overlay("laid", "on", 0.1),))
    service = ServicePolicy("shop", 0, {}, other=other, rollout=plan, split=split)
    policy = Policy((service,), flags=FlagsPolicy("flags.json"))
    found = in_force(7, definitions, ("a", "unused"), policy)
    assert set(read(found.document, "x").flags) == {"a", "shadowed", "ramped", "laid"}
    assert (found.version, found.killed) == (7, ("a",))
    assert in_force(7, definitions, (), replace(policy, flags=None)).document == b'{"flags": {}}'
