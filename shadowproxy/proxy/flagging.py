"""Feature flags on a request: one decision, made when its head is there, and the field that says it to every arm.

What a trusted proxy decided stands; of the rest a flag that is killed or DISABLED is what it is for everybody, then a
rollout's overlay counts, then its own targeting. Flags that are the same for everybody are encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from time import time
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from shadowproxy.flags.definitions import Definitions
from shadowproxy.flags.evaluation import SPLIT, Evaluation, Flag, FlagSet
from shadowproxy.flags.fields import member, parse
from shadowproxy.flags.reading import header_name
from shadowproxy.flags.selection import Expose, selected
from shadowproxy.http1 import RequestHead
from shadowproxy.model.flags import Attribute, FlagsInForce, FlagsPolicy, flag_salt
from shadowproxy.model.policy import Policy, RoutePolicy, ServicePolicy
from shadowproxy.model.sampling import share
from shadowproxy.proxy.forwarded import Peer
from shadowproxy.proxy.tokens import claim, claims_reader
from shadowproxy.proxy.users import client_address, reader

Trusts = Callable[[str], bool]


class Around(Protocol):
    """What is so for every request of a moment: whom the proxy trusts, and whose rollout's lease has run out."""

    @property
    def trusts(self) -> Trusts: ...

    @property
    def lapsed(self) -> frozenset[str]: ...


class Decided(NamedTuple):
    """What a request carries. `line` is the field, empty: none; `shadowed` are that and the field of the candidate's
    copies, None: they are the same.

    `tested`: whether the user has the flag that the service's rollout tests, by its overlay; None: it is no evidence.
    `share` is the user's for that, `once`: no other request has it.
    """

    line: bytes = b""
    shadowed: tuple[bytes, bytes] | None = None
    share: float = 1.0
    once: bool = True
    tested: bool | None = None


UNDECIDED: Final = Decided()
"""Where there are no flags."""


class _Overlay(NamedTuple):
    service: str
    leased: bool
    salt: bytes
    weight: float
    evaluation: Evaluation


class _Exposed:
    """A flag as requests carry it. `constant` is its member where everybody has the same, b"" where nobody has one."""

    __slots__ = ("constant", "counted", "encoded", "flag", "name", "overlays")

    def __init__(self, flag: Flag, overlays: list[_Overlay]) -> None:
        self.flag = flag
        name = header_name(flag.key, flag.definition)
        self.name = name.encode()
        self.encoded = {variant: member(name, value) for variant, value in flag.definition.variants.items()}
        self.overlays = [] if flag.is_settled else overlays
        always = flag.always
        self.constant = None if self.overlays or always is None else self.encoded.get(always.variant or "", b"")
        self.counted = (flag.key, (always.variant or "") if always else "", always.reason if always else "")


class _List:
    """The flags of one list. `line` is the whole field where all of them are constant. `template` are their members,
    empty where one has none or depends on who asks: those are `varying`, with their places. `served`: how often it was.
    """

    __slots__ = ("flags", "line", "served", "template", "varying")

    def __init__(self, field: bytes, flags: list[_Exposed]) -> None:
        self.flags = flags
        self.template = [each.constant or b"" for each in flags]
        self.varying = [(place, each) for place, each in enumerate(flags) if each.constant is None]
        self.line = None if self.varying else _line(field, self.template)
        self.served = 0


class _Asking(NamedTuple):
    """Who makes a request."""

    head: RequestHead
    peer: Peer
    trusts: Trusts
    service: str
    route: str
    now: float


class Flagging:
    """Of one worker, compiled from a policy and the flags in force; immutable but for `counts`."""

    def __init__(self, policy: Policy, in_force: FlagsInForce, before: Flagging | None = None) -> None:
        """`policy` has a flags section. `before`: flags that are the same are not compiled again."""
        assert policy.flags is not None  # noqa: S101 - there is none of these without one
        self._policy = policy.flags
        self._in_force = in_force
        self.version = in_force.version
        self.counts: dict[tuple[str, str, str], int] = {}
        if before is not None:
            self.counts = {(flag, variant, reason): number for flag, variant, reason, number in before.take_counts()}
        self._flags = _compiled(in_force, before)
        name = policy.flags.header
        self.strip = frozenset({name.lower().encode()})
        self._name = name.lower().encode()
        self._field = name.encode() + b": "
        self._overlays = _overlays(policy, self._flags)
        self._tested = {each.name: each.split.testing for each in policy.services if each.split and each.split.testing}
        self._exposed: dict[str, _Exposed] = {}
        self._lists: dict[Expose, _List] = {}
        self._shadows: dict[tuple[str, str], dict[bytes, bytes]] = {}
        self._context = _context(policy.flags)
        self._keys = {each.name: _key(policy.flags, each) for each in policy.services}
        for service in policy.services:
            for route in (*service.routes, service.other):
                self._prepare(service.name, route)

    def decide(
        self,
        head: RequestHead,
        request_id: bytes,
        peer: Peer,
        around: Around,
        service: str,
        route: RoutePolicy,
    ) -> Decided:
        """What a request carries."""
        listed = self._lists[route.expose_flags]
        came = self._came(head) if peer.trusted and self._name in head.names else None
        shadow = self._shadows.get((service, route.name)) if self._shadows else None
        tested = self._tested.get(service)
        if listed.line is not None and came is None and shadow is None and tested is None:
            listed.served += 1
            return Decided(listed.line)
        asking = _Asking(head, peer, around.trusts, service, route.name, time())
        return self._decide(listed, came, shadow, tested, asking, request_id, around.lapsed)

    def take_counts(self) -> list[tuple[str, str, str, int]]:
        """Evaluations since they were last taken."""
        for listed in self._lists.values():
            for each in listed.flags if listed.served else ():
                if each.constant is None:
                    continue
                self.counts[each.counted] = self.counts.get(each.counted, 0) + listed.served
            listed.served = 0
        taken = [(*key, count) for key, count in self.counts.items() if count]
        self.counts.clear()
        return taken

    # -- one decision

    def _decide(
        self,
        listed: _List,
        came: dict[bytes, bytes] | None,
        shadow: dict[bytes, bytes] | None,
        tested: str | None,
        asking: _Asking,
        request_id: bytes,
        lapsed: Container[str],
    ) -> Decided:
        key = self._keys[asking.service](asking)
        parts = listed.template[:]
        context: dict[str, Any] | None = None
        counts = self.counts
        seen: tuple[float, bool] | None = None
        for place, exposed in listed.varying:
            flag = exposed.flag
            if came is not None and exposed.name in came:
                continue  # another proxy of this chain has decided, and has counted it
            if context is None:
                context = self._context(asking, key)
            evaluation = self._laid_over(exposed, key or request_id, lapsed) if exposed.overlays else None
            if flag.key == tested:
                own = flag.evaluate(context, int(asking.now)).variant
                seen = self._evidence(exposed, asking.service, own, key or request_id, lapsed)
            if evaluation is None:
                evaluation = flag.evaluate(context, int(asking.now))
            parts[place] = exposed.encoded.get(evaluation.variant or "", b"")
            counted = flag.key, evaluation.variant or "", evaluation.reason
            counts[counted] = counts.get(counted, 0) + 1
        if came is None:
            listed.served += 1
        else:
            parts = self._merged(listed, parts, came)
        line = _line(self._field, parts)
        shadowed = None
        if shadow is not None:
            instead = _line(self._field, _with(parts, shadow))
            shadowed = (line, instead) if instead != line else None
        if seen is None:
            return Decided(line, shadowed)
        return Decided(line, shadowed, seen[0], not key, seen[1])

    def _merged(self, listed: _List, parts: list[bytes], came: dict[bytes, bytes]) -> list[bytes]:
        """What came, and what it does not decide as far as there is room."""
        members = list(came.values())
        room = self._policy.max_size - sum(len(each) + 2 for each in members)
        for exposed, part in zip(listed.flags, parts, strict=True):
            if exposed.name in came:
                continue
            if exposed.constant is not None:
                self.counts[exposed.counted] = self.counts.get(exposed.counted, 0) + 1
            if part and room >= len(part) + 2:
                members.append(part)
                room -= len(part) + 2
        return members

    def _laid_over(self, exposed: _Exposed, key: bytes, lapsed: Container[str]) -> Evaluation | None:
        for overlay in exposed.overlays:
            if (not overlay.leased or overlay.service not in lapsed) and share(overlay.salt, key) < overlay.weight:
                return overlay.evaluation
        return None

    def _evidence(
        self, exposed: _Exposed, service: str, own: str | None, key: bytes, lapsed: Container[str]
    ) -> tuple[float, bool] | None:
        """The user's share, and whether it is below the weight; None where the rollout changes nothing for the user."""
        for overlay in exposed.overlays:
            if overlay.service == service:
                if own == overlay.evaluation.variant or (overlay.leased and service in lapsed):
                    return None
                h = share(overlay.salt, key)
                return h, h < overlay.weight
        return None

    def _came(self, head: RequestHead) -> dict[bytes, bytes] | None:
        """What a trusted proxy says; None: nothing that can be read."""
        lines = [line for name, line in zip(head.names, head.kept, strict=True) if name == self._name]
        return parse(b", ".join(line.partition(b":")[2].strip() for line in lines))

    # -- compiling

    def _prepare(self, service: str, route: RoutePolicy) -> None:
        expose = route.expose_flags
        if expose not in self._lists:
            keys = selected(self._flags.definitions, expose, self._policy.max_size).keys
            self._lists[expose] = _List(self._field, [each for key in keys if (each := self._expose(key))])
        if route.shadow.flags:
            shadow = {}
            for key, variant in route.shadow.flags.items():
                exposed = self._expose(key)
                if exposed is not None and variant in exposed.encoded and not exposed.flag.is_settled:
                    shadow[exposed.name] = exposed.encoded[variant]
            if shadow:
                self._shadows[service, route.name] = shadow

    def _expose(self, key: str) -> _Exposed | None:
        known = self._exposed.get(key)
        if known is None:
            flag = self._flags.get(key)
            if flag is not None:
                known = self._exposed[key] = _Exposed(flag, self._overlays.get(key, []))
        return known


def _overlays(policy: Policy, flags: FlagSet) -> dict[str, list[_Overlay]]:
    """Of all rollouts, by flag; the salt is that of the rollout's service."""
    found: dict[str, list[_Overlay]] = {}
    for service in policy.services:
        for overlay in service.split.flags if service.split is not None else ():
            flag = flags.get(overlay.flag)
            if flag is None or overlay.variant not in flag.definition.variants:
                continue
            salt = flag_salt((service.salt or service.name).encode(), overlay.flag)
            leased = service.split is not None and service.split.leased
            evaluation = flag.of(overlay.variant, SPLIT)
            made = _Overlay(service.name, leased, salt, overlay.weight, evaluation)
            found.setdefault(overlay.flag, []).append(made)
    return found


def _compiled(in_force: FlagsInForce, before: Flagging | None) -> FlagSet:
    if before is None:
        return FlagSet(in_force.version, msgspec.json.decode(in_force.document, type=Definitions), in_force.killed)
    if before._in_force == in_force:
        return before._flags
    definitions = msgspec.json.decode(in_force.document, type=Definitions)
    return FlagSet(in_force.version, definitions, in_force.killed, before._flags)


def _line(field: bytes, members: list[bytes]) -> bytes:
    """`members` are empty where there is none."""
    if b"" in members:
        members = [each for each in members if each]
    return field + b", ".join(members) + b"\r\n" if members else b""


def _with(members: list[bytes], others: dict[bytes, bytes]) -> list[bytes]:
    """The members with others in the places of those of the same names, or at the end."""
    left = dict(others)
    found = [left.pop(_name(each), each) for each in members]
    return [*found, *left.values()]


def _name(member: bytes) -> bytes:
    return member.partition(b";")[0].partition(b"=")[0]


# The evaluation context

_Value = Callable[[_Asking], Any]


def _key(policy: FlagsPolicy, service: ServicePolicy) -> Callable[[_Asking], bytes]:
    """The targeting key of a request; empty: it has none."""
    if policy.targeting_key is not None:
        value = _value(policy.targeting_key, policy)
        return lambda asking: _bytes(value(asking))
    sticky = service.rollout.sticky if service.rollout is not None else None
    if sticky is None:
        return lambda asking: b""
    read, by_address = reader(sticky.header, sticky.cookie), sticky.fallback == "client_ip"

    def key(asking: _Asking) -> bytes:
        found = read(asking.head)
        if found or not by_address:
            return found
        return client_address(asking.peer, asking.head.forwarded_for, asking.trusts)

    return key


def _bytes(value: Any) -> bytes:
    return b"" if value is None else str(value).encode("utf-8", "surrogateescape")


def _context(policy: FlagsPolicy) -> Callable[[_Asking, bytes], dict[str, Any]]:
    """The context of a request whose targeting key is known; what is not there is left out."""
    values: list[tuple[str, _Value]] = []
    claims: list[tuple[str, tuple[str, ...]]] = []
    for name, attribute in policy.attributes.items():
        if attribute.claim is not None:
            claims.append((name, tuple(attribute.claim.split("."))))
        else:
            values.append((name, _value(attribute, policy)))
    token = claims_reader(policy.jwt) if claims else None

    def context(asking: _Asking, key: bytes) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if key:
            made["targetingKey"] = key.decode("utf-8", "replace")
        for name, value in values:
            found = value(asking)
            if found:
                made[name] = found
        if token is not None:
            said = token(asking.head, asking.now)
            if said:
                for name, path in claims:
                    found = claim(said, path)
                    if found is not None:
                        made[name] = found
        return made

    return context


def _value(attribute: Attribute, policy: FlagsPolicy) -> _Value:
    if attribute.claim is not None:
        token, path = claims_reader(policy.jwt), tuple(attribute.claim.split("."))
        return lambda asking: claim(token(asking.head, asking.now), path)
    if attribute.built_in is not None:
        return _BUILT_IN[attribute.built_in]
    read = reader(attribute.header, attribute.cookie)
    return lambda asking: read(asking.head).decode("utf-8", "replace")


_BUILT_IN: Final[Mapping[str, _Value]] = {
    "client_address": lambda asking: client_address(asking.peer, asking.head.forwarded_for, asking.trusts).decode(
        "latin-1"
    ),
    "route": lambda asking: asking.route,
    "service": lambda asking: asking.service,
}
