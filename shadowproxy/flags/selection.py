"""Which flags a request carries, and which ones workers can need at all. Pure.

What a request carries is fixed when flags or rules change, not while it is served: flags are taken in the order of the
file as long as the largest value that they may have fits into the field. So a request costs a bounded number of
evaluations, and whether a flag is there does not depend on who asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from msgspec.structs import replace

from shadowproxy.flags.definitions import Definition, Definitions
from shadowproxy.flags.fields import member
from shadowproxy.flags.reading import header_name
from shadowproxy.model.flags import FlagsInForce
from shadowproxy.model.policy import Policy
from shadowproxy.model.rollout import FLAG

_COMMA = 2
"""Bytes between two members."""

Expose = tuple[str, ...] | None
"""Keys, with `*` at the end of one for any rest; None: all."""


class Selected(NamedTuple):
    """Keys in the order of the file, and those that did not fit."""

    keys: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def selected(definitions: Definitions, expose: Expose, max_size: int) -> Selected:
    """What requests of a route with this list carry."""
    keys: list[str] = []
    left_out: list[str] = []
    room = max_size + _COMMA
    for key, definition in definitions.flags.items():
        if not is_exposed(key, expose):
            continue
        if not left_out:
            room -= _largest(key, definition) + _COMMA
        if room >= 0:
            keys.append(key)
        else:
            left_out.append(key)
    return Selected(tuple(keys), tuple(left_out))


def is_exposed(key: str, expose: Expose) -> bool:
    if expose is None:
        return True
    return any(key.startswith(each[:-1]) if each.endswith("*") else key == each for each in expose)


def lists_of(policy: Policy) -> list[Expose]:
    """Every list that routes of a policy have, each once."""
    found: list[Expose] = []
    for service in policy.services:
        for route in (*service.routes, service.other):
            if route.expose_flags not in found:
                found.append(route.expose_flags)
    return found


def shadowed(policy: Policy) -> dict[str, set[str]]:
    """Flags that copies carry with another variant, with the variants."""
    found: dict[str, set[str]] = {}
    for service in policy.services:
        for route in (*service.routes, service.other):
            for flag, variant in route.shadow.flags.items():
                found.setdefault(flag, set()).add(variant)
    return found


def ramped(policy: Policy) -> dict[str, list[tuple[str, str]]]:
    """Flags that rollouts are going to ramp: by flag the service and the variant."""
    found: dict[str, list[tuple[str, str]]] = {}
    for service in policy.services:
        for stage in service.rollout.stages if service.rollout is not None else ():
            if stage.kind == FLAG:
                found.setdefault(stage.flag, []).append((service.name, stage.variant))
    return found


def in_force(version: int, definitions: Definitions, killed: Collection[str], policy: Policy) -> FlagsInForce:
    """What workers get: flags that a request may carry, that a copy carries, that a rollout ramps."""
    if policy.flags is None:
        return FlagsInForce(version)
    needed: set[str] = {*shadowed(policy), *ramped(policy), *_laid_over(policy)}
    for expose in lists_of(policy):
        keys, left_out = selected(definitions, expose, policy.flags.max_size)
        needed.update(keys, left_out[:1])  # the first that did not fit ends the list for workers as well
    flags = {key: each for key, each in definitions.flags.items() if key in needed}
    document = replace(definitions, flags=flags, metadata={})
    return FlagsInForce(version, document.encode(), tuple(sorted(needed & set(killed))))


def _laid_over(policy: Policy) -> Iterable[str]:
    return (overlay.flag for service in policy.services if service.split for overlay in service.split.flags)


def _largest(key: str, definition: Definition) -> int:
    """Also of one that is DISABLED: it may be enabled at any time, and must not push out others then."""
    name = header_name(key, definition)
    return max(len(member(name, value)) for value in definition.variants.values())
