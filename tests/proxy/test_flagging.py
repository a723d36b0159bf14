"""What a request carries: who decides, in which order, and what is counted."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shadowproxy.flags.fields import parse
from shadowproxy.http1 import RequestHead, parse_request
from shadowproxy.model.flags import Attribute, FlagsInForce, FlagsPolicy, Overlay, flag_salt
from shadowproxy.model.policy import LimitsPolicy, Policy, RoutePolicy, ServicePolicy, ShadowPolicy
from shadowproxy.model.rollout import Plan, Split, Stage, Sticky
from shadowproxy.model.sampling import share
from shadowproxy.proxy.flagging import Decided, Flagging
from shadowproxy.proxy.forwarded import Peer

ON_OFF: dict[str, Any] = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
BETA = {"if": [{"==": [{"var": "beta"}, "yes"]}, "on"]}
STRANGER, FRIEND = Peer("192.0.2.7", False, False), Peer("10.0.0.1", False, True)


@dataclass
class Around:
    lapsed: frozenset[str] = field(default_factory=frozenset)

    def trusts(self, peer: str) -> bool:
        return peer.startswith("10.")


def head(**fields: str) -> RequestHead:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return parse_request(f"GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode(), LimitsPolicy())


class World:
    """One service, `shop`, whose users are told apart by `x-user`."""

    def __init__(
        self,
        flags: dict[str, Any],
        killed: tuple[str, ...] = (),
        split: Split | None = None,
        shadow: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        attributes = {"beta": Attribute(header="x-beta"), "ip": Attribute(built_in="client_address")}
        attributes |= {"route": Attribute(built_in="route"), "service": Attribute(built_in="service")}
        plan = Plan("p", (Stage("s", "soak"),), sticky=Sticky(header="x-user", fallback="client_ip"))
        self.route = RoutePolicy("other", 0, shadow=ShadowPolicy(flags=shadow or {}))
        service = ServicePolicy("shop", 0, {}, other=self.route, split=split, rollout=plan)
        settings = replace(FlagsPolicy("f", attributes=attributes), **more)
        self.policy = Policy((service,), flags=settings)
        self.in_force = FlagsInForce(1, json.dumps({"flags": flags}).encode(), killed)
        self.flagging = Flagging(self.policy, self.in_force)

    def decide(self, peer: Peer = STRANGER, lapsed: tuple[str, ...] = (), **fields: str) -> Decided:
        around = Around(frozenset(lapsed))
        return self.flagging.decide(head(**fields), b"id-1", peer, around, "shop", self.route)

    def members(self, **how: Any) -> dict[str, str]:
        line = self.decide(**how).line
        found = parse(line.removeprefix(b"Feature-Flags: ").removesuffix(b"\r\n"))
        assert found is not None
        return {name.decode(): member.decode() for name, member in found.items()}

    def counted(self) -> dict[tuple[str, str, str], int]:
        return {(flag, variant, reason): n for flag, variant, reason, n in self.flagging.take_counts()}


def test_flags_that_are_the_same_for_everybody_are_one_line_and_are_counted() -> None:
    world = World({"a": ON_OFF, "b": {**ON_OFF, "defaultVariant": "on"}, "c": {**ON_OFF, "state": "DISABLED"}})
    assert {world.decide().line for _ in range(3)} == {b"Feature-Flags: a=?0, b\r\n"}
    assert world.counted() == {("a", "off", "STATIC"): 3, ("b", "on", "STATIC"): 3, ("c", "", "DISABLED"): 3}
    assert world.counted() == {}
    assert World({"c": {**ON_OFF, "state": "DISABLED"}}).decide().line == b""


def test_the_context_is_what_was_configured() -> None:
    def flag(name: str, wanted: str) -> dict[str, Any]:
        return {**ON_OFF, "targeting": {"if": [{"==": [{"var": name}, wanted]}, "on"]}}

    world = World(
        {
            "beta": flag("beta", "yes"),
            "ip": flag("ip", "192.0.2.9"),
            "route": flag("route", "other"),
            "service": flag("service", "shop"),
            "user": flag("targetingKey", "ann"),
        }
    )
    assert world.members(x_beta="yes", x_user="ann") == {
        "beta": "beta",
        "ip": "ip=?0",
        "route": "route",
        "service": "service",
        "user": "user",
    }
    assert world.members(peer=FRIEND, X_Forwarded_For="192.0.2.9, 10.0.0.3")["ip"] == "ip"
    assert world.members()["user"] == "user=?0"
    by_address = World({"user": flag("targetingKey", "192.0.2.7")})
    assert by_address.members()["user"] == "user", "the sticky key of a rollout falls back to the address"


def test_another_targeting_key_can_be_configured() -> None:
    flag = {**ON_OFF, "targeting": {"if": [{"==": [{"var": "targetingKey"}, "t-1"]}, "on"]}}
    world = World({"a": flag}, targeting_key=Attribute(cookie="tenant"))
    assert world.members(Cookie="tenant=t-1", x_user="ann") == {"a": "a"}


THREE = {"a": ON_OFF, "b": {**ON_OFF, "targeting": BETA}, "c": ON_OFF}


class TestWhatATrustedProxySaid:
    def test_stands_and_is_not_counted_again(self) -> None:
        world = World(THREE)
        found = world.decide(peer=FRIEND, Feature_Flags="b;x=1, other=5").line
        assert found == b"Feature-Flags: b;x=1, other=5, a=?0, c=?0\r\n"
        assert set(world.counted()) == {("a", "off", "STATIC"), ("c", "off", "STATIC")}

    def test_is_nothing_when_it_cannot_be_read_and_from_strangers(self) -> None:
        world = World(THREE)
        for how in ({"peer": FRIEND, "Feature_Flags": "B!"}, {"Feature_Flags": "b, a"}):
            assert world.members(**how) == {"a": "a=?0", "b": "b=?0", "c": "c=?0"}
        assert world.flagging.strip == {b"feature-flags"}

    def test_leaves_no_room_for_ours_where_it_is_large(self) -> None:
        world = World(THREE, max_size=40)
        assert world.members(peer=FRIEND, Feature_Flags="x=" + "1" * 15 + ", y=" + "2" * 12) == {
            "x": "x=" + "1" * 15,
            "y": "y=" + "2" * 12,
        }


def overlaid(weight: float, testing: str = "a", leased: bool = True) -> Split:
    return Split("p", leased=leased, flags=(Overlay("a", "on", weight),), testing=testing)


class TestOverlays:
    def test_they_come_before_targeting_by_the_hash_of_the_rollout(self) -> None:
        world = World({"a": {**ON_OFF, "targeting": BETA}}, split=overlaid(0.3))
        for n in range(200):
            h = share(flag_salt(b"shop", "a"), f"u{n}".encode())
            found = world.decide(x_user=f"u{n}")
            assert (found.line == b"Feature-Flags: a\r\n") is (h < 0.3)
            assert (found.share, found.once, found.tested) == (h, False, h < 0.3)
        reasons = Counter(reason for _, _, reason in world.counted())
        assert set(reasons) == {"SPLIT", "DEFAULT"}

    def test_a_rising_weight_only_adds_users(self) -> None:
        low, high = (World({"a": ON_OFF}, split=overlaid(weight)) for weight in (0.2, 0.6))
        for n in range(200):
            assert high.decide(x_user=f"u{n}").tested or not low.decide(x_user=f"u{n}").tested

    def test_who_would_have_the_variant_anyway_is_no_evidence(self) -> None:
        world = World({"a": {**ON_OFF, "targeting": BETA}}, split=overlaid(0.5))
        assert {world.decide(x_user=f"u{n}", x_beta="yes").tested for n in range(20)} == {None}

    def test_what_came_decided_is_no_evidence(self) -> None:
        world = World({"a": ON_OFF}, split=overlaid(1.0))
        found = world.decide(peer=FRIEND, Feature_Flags="a=?0", x_user="ann")
        assert (found.line, found.tested) == (b"Feature-Flags: a=?0\r\n", None)

    def test_a_lease_that_ran_out_takes_them_away(self) -> None:
        world = World({"a": ON_OFF}, split=overlaid(1.0))
        assert world.decide(x_user="ann", lapsed=("shop",)).line == b"Feature-Flags: a=?0\r\n"
        promoted = World({"a": ON_OFF}, split=overlaid(1.0, leased=False))
        assert promoted.decide(x_user="ann", lapsed=("shop",)).line == b"Feature-Flags: a\r\n"

    @pytest.mark.parametrize("how", ["killed", "disabled"])
    def test_a_flag_that_was_switched_off_has_none(self, how: str) -> None:
        flag = {**ON_OFF, "state": "DISABLED"} if how == "disabled" else ON_OFF
        world = World({"a": flag}, killed=("a",) if how == "killed" else (), split=overlaid(1.0))
        found = world.decide(x_user="ann")
        assert found.line == (b"" if how == "disabled" else b"Feature-Flags: a=?0\r\n")
        assert found.tested is None

    def test_without_a_key_each_request_draws_for_itself(self) -> None:
        world = World({"a": ON_OFF}, split=overlaid(0.5))
        found = world.decide(peer=Peer("", False, False))
        assert (found.share, found.once) == (share(flag_salt(b"shop", "a"), b"id-1"), True)

    def test_one_that_names_nothing_that_is_there_is_left_out(self) -> None:
        split = Split("p", flags=(Overlay("a", "maybe", 1.0), Overlay("gone", "on", 1.0)))
        assert World({"a": ON_OFF}, split=split).members(x_user="ann") == {"a": "a=?0"}


class TestShadows:
    def test_a_copy_carries_another_variant(self) -> None:
        world = World({"a": ON_OFF, "b": {**ON_OFF, "targeting": BETA}}, shadow={"a": "on"})
        assert world.decide().shadowed == (b"Feature-Flags: a=?0, b=?0\r\n", b"Feature-Flags: a, b=?0\r\n")

    def test_of_a_flag_that_requests_do_not_carry_as_well(self) -> None:
        world = World({"a": ON_OFF, "b": {**ON_OFF, "state": "DISABLED", "defaultVariant": "on"}}, shadow={"a": "on"})
        world.route = replace(world.route, expose_flags=("b",))
        service = replace(world.policy.services[0], other=world.route)
        world.flagging = Flagging(replace(world.policy, services=(service,)), world.in_force)
        assert world.decide().shadowed == (b"", b"Feature-Flags: a\r\n")

    def test_there_is_none_where_nothing_is_different(self) -> None:
        assert World({"a": {**ON_OFF, "defaultVariant": "on"}}, shadow={"a": "on"}).decide().shadowed is None
        assert World({"a": ON_OFF}, ("a",), shadow={"a": "on"}).decide().shadowed is None
        assert World({"a": ON_OFF}, shadow={"a": "maybe", "gone": "on"}).decide().shadowed is None


def test_what_is_the_same_is_not_compiled_again_and_counts_go_on() -> None:
    world = World({"a": {**ON_OFF, "targeting": BETA}})
    world.decide()
    after = Flagging(world.policy, replace(world.in_force, version=2), world.flagging)
    assert after.version == 2
    assert after._flags.get("a") is world.flagging._flags.get("a")
    assert after.take_counts() == [("a", "off", "DEFAULT", 1)]


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c", "zz"]), st.sampled_from(["", "=?0", "=7", ';x="y"']), max_size=4)
)
def test_every_line_can_be_read_and_nothing_that_came_is_changed(came: dict[str, str]) -> None:
    world = World({"a": ON_OFF, "b": {**ON_OFF, "targeting": BETA}, "c": ON_OFF}, split=overlaid(0.5))
    text = ", ".join(name + rest for name, rest in came.items())
    found = world.members(peer=FRIEND, x_user="ann", **({"Feature_Flags": text} if text else {}))
    assert {name: member for name, member in found.items() if name in came} == {n: n + rest for n, rest in came.items()}
    assert set(found) == {"a", "b", "c", *came}
