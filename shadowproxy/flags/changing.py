"""What becomes of flags when somebody changes one, or the file that defines them. Pure.

A flag is what the file says, unless it was changed through the API since: such a change stands until the file's
definition of that flag changes, and then it is over. A kill stands until somebody lifts it. So the newer word counts,
whoever said it, and what was switched off in an emergency stays off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from shadowproxy.flags.definitions import DISABLED, ENABLED, NO_RULE, Definition, Definitions
from shadowproxy.flags.operators import MAX_WEIGHTS
from shadowproxy.flags.reading import CHANGE_CLASS, OFF_VARIANT
from shadowproxy.model.rollout import CHANGE_CLASSES

FILE: Final = "file"
API: Final = "api"
SERVICE: Final = "service"
"""Metadata: the service that a flag belongs to, for freezes that are for some services."""


class RefusedError(Exception):
    """A change that cannot be made: one sentence that says why and what would be possible."""


class Change(Struct, frozen=True):
    """What somebody made of one flag. `over` is the file's definition at that time, None: there was none.

    `is_kill`: `definition` is what it was before, and comes back when the kill is lifted.
    """

    definition: Definition
    over: Definition | None
    who: str
    reason: str
    at: float
    is_kill: bool = False


class Held(Struct, frozen=True):
    """An edit of the file that waits for the end of a freeze, in words."""

    why: str


class Kept(Struct, frozen=True):
    """All that is known of flags: what the file last said and could be used, and what was changed since.

    `version` rises with every change of what is in force. `seen` is the whole file, with `held` edits that are not in
    `base` yet.
    """

    version: int = 0
    file: str = ""
    base: Definitions = Definitions()
    changes: dict[str, Change] = {}
    held: dict[str, Held] = {}


class Effective(NamedTuple):
    """What is in force. `over` are changes that are over, because the file says something else now."""

    definitions: Definitions
    killed: frozenset[str]
    over: tuple[str, ...] = ()


def effective(kept: Kept) -> Effective:
    flags = dict(kept.base.flags)
    killed: set[str] = set()
    over: list[str] = []
    for key, change in kept.changes.items():
        written = kept.base.flags.get(key)
        if change.is_kill:
            flags[key] = killed_as(written or change.definition, change.definition)
            killed.add(key)
        elif written == change.over:
            flags[key] = change.definition
        else:
            over.append(key)
    return Effective(replace(kept.base, flags=flags), frozenset(killed), tuple(over))


def without(kept: Kept, over: tuple[str, ...]) -> Kept:
    """The same without changes that are over."""
    return replace(kept, changes={key: change for key, change in kept.changes.items() if key not in over})


def killed_as(definition: Definition, before: Definition) -> Definition:
    """The off variant for everybody; where the new definition has none that can be told, the one before is killed."""
    for each in (definition, before):
        try:
            return replace(each, state=ENABLED, default_variant=off_variant(each), targeting=NO_RULE)
        except RefusedError:
            continue
    return replace(definition, state=DISABLED)


def off_variant(definition: Definition) -> str:
    """Which variant is off. Raises RefusedError."""
    named = definition.metadata.get(OFF_VARIANT)
    if isinstance(named, str) and named in definition.variants:
        return named
    false = [name for name, value in definition.variants.items() if value is False]
    if len(false) == 1:
        return false[0]
    if "off" in definition.variants:
        return "off"
    raise RefusedError(
        f"which variant is off cannot be told: give the flag metadata `{OFF_VARIANT}`, one of "
        f"{', '.join(definition.variants)}; `disable` leaves it to each caller's own default"
    )


# Changes of one flag


def set_to(definition: Definition, variant: str) -> Definition:
    """That variant for everybody. Raises RefusedError."""
    _check(definition, variant)
    return replace(definition, state=ENABLED, default_variant=variant, targeting=NO_RULE)


def set_default(definition: Definition, variant: str) -> Definition:
    """That variant for those whom targeting gives none. Raises RefusedError."""
    _check(definition, variant)
    return replace(definition, default_variant=variant)


def ramped(definition: Definition, variant: str, share: Decimal) -> Definition:
    """That variant for a share of the users whom other targeting gives none, the default for the rest.

    Raising the share only adds users: the variant has the lowest buckets. Raises RefusedError.
    """
    _check(definition, variant)
    rest = definition.default_variant
    if rest is None or rest == variant:
        others = [name for name in definition.variants if name != variant]
        if len(others) != 1:
            raise RefusedError(
                f"what the others get cannot be told: `set --default` another variant than {variant} first"
            )
        rest = others[0]
    places = max(0, -int(share.normalize().as_tuple().exponent))
    total = 10 ** (places + 2)
    if total > MAX_WEIGHTS:
        raise RefusedError("a share has at most seven decimals")
    weight = int(share * 10**places)
    fractional = {"fractional": [[variant, weight], [rest, total - weight]]}
    other = without_ramp(definition.rule)
    rule = fractional if other is None else {"or": [other, fractional]}
    return replace(definition, state=ENABLED, default_variant=rest).with_rule(rule)


def without_ramp(rule: dict[str, Any] | None) -> dict[str, Any] | None:
    """The targeting besides the ramp; None: there is none."""
    if rule is None or _is_ramp(rule):
        return None
    parts = rule.get("or")
    if isinstance(parts, list) and len(parts) == 2 and _is_ramp(parts[1]) and isinstance(parts[0], dict):
        return parts[0]
    return rule


def ramp_of(definition: Definition) -> tuple[str, float] | None:
    """Variant and share of a ramp; None: there is none."""
    rule = definition.rule
    if rule is None:
        return None
    parts = rule.get("or")
    ramp = parts[-1] if isinstance(parts, list) and parts else rule
    if not _is_ramp(ramp):
        return None
    (variant, weight), (_, rest) = ramp["fractional"]
    return (variant, weight / (weight + rest)) if weight + rest else None


def _is_ramp(rule: Any) -> bool:
    parts = rule.get("fractional") if isinstance(rule, dict) and len(rule) == 1 else None
    return (
        isinstance(parts, list)
        and len(parts) == 2
        and all(
            isinstance(part, list) and len(part) == 2 and isinstance(part[0], str) and type(part[1]) is int
            for part in parts
        )
    )


def _check(definition: Definition, variant: str) -> None:
    if variant not in definition.variants:
        raise RefusedError(f"there is no variant {variant!r}; there are {', '.join(definition.variants)}")


# Does it switch something on?


def is_enabling(before: Definition | None, after: Definition | None) -> bool:
    """Whether anybody may get something else than off, or than before. What cannot be told is enabling."""
    if after is None or after == before or after.state == DISABLED or _is_off(after):
        return False
    if before is None:
        return True
    if _shape(before) != _shape(after):
        return True
    was, now = ramp_of(before), ramp_of(after)
    if was is None or now is None or (was[0], without_ramp(before.rule)) != (now[0], without_ramp(after.rule)):
        return True
    return not (now[1] <= was[1] and before.default_variant == after.default_variant)


def _shape(definition: Definition) -> Definition:
    """What a ramp does not touch."""
    return replace(definition, targeting=NO_RULE, default_variant=None)


def _is_off(definition: Definition) -> bool:
    try:
        return definition.rule is None and definition.default_variant == off_variant(definition)
    except RefusedError:
        return False


def change_class(definition: Definition) -> str:
    """What a freeze looks at."""
    found = definition.metadata.get(CHANGE_CLASS)
    return found if isinstance(found, str) and found in CHANGE_CLASSES else CHANGE_CLASSES[0]


def service_of(definition: Definition) -> str:
    found = definition.metadata.get(SERVICE)
    return found if isinstance(found, str) else ""


# The file


def taken(kept: Kept, file: str, found: Definitions, frozen: Callable[[Definition], str]) -> Kept:
    """What is known once the file says `found`. `frozen` says why changes of such a flag wait; empty: they do not.

    Edits that switch something on wait for the end of a freeze, one by one; new evaluators, which many flags may use,
    keep the whole file waiting where any flag is frozen.
    """
    if kept.file not in {"", file}:
        kept = Kept(kept.version, file)
    if kept.base.evaluators != found.evaluators and kept.base.flags:
        why = next((why for each in found.flags.values() if (why := frozen(each))), "")
        if why:
            return replace(kept, held={"$evaluators": Held(why)})
    flags: dict[str, Definition] = {}
    held: dict[str, Held] = {}
    is_first = not kept.file
    for key, definition in found.flags.items():
        before = kept.base.flags.get(key)
        why = "" if is_first or not is_enabling(before, definition) else frozen(definition)
        if not why:
            flags[key] = definition
            continue
        held[key] = Held(why)
        if before is not None:
            flags[key] = before
    return replace(kept, file=file, base=replace(found, flags=flags), held=held)


def differing(before: Definitions, after: Definitions) -> list[str]:
    """Keys of flags that are not the same, in the order of the newer file; all of them where evaluators differ."""
    keys = [*after.flags, *(key for key in before.flags if key not in after.flags)]
    if (before.evaluators, before.metadata) != (after.evaluators, after.metadata):
        return keys
    return [key for key in keys if before.flags.get(key) != after.flags.get(key)]


def changed(kept: Kept, changes: Mapping[str, Change | None]) -> Kept:
    """With these changes; None takes one back, so that the file counts."""
    after = {**kept.changes, **{key: change for key, change in changes.items() if change is not None}}
    return replace(kept, changes={key: change for key, change in after.items() if changes.get(key, change) is not None})
