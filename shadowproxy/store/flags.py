"""What is known of flags, in `audit.sqlite`: their state, and who changed what when, version by version."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from shadowproxy.config.flag_file import examine
from shadowproxy.flags.changing import Kept, change_class, differing, effective, service_of, taken
from shadowproxy.flags.definitions import Definition, Definitions
from shadowproxy.flags.selection import in_force
from shadowproxy.model.flags import FlagsInForce
from shadowproxy.model.policy import Policy
from shadowproxy.rollout.freeze import blocking
from shadowproxy.store import StoreError
from shadowproxy.store.audit_file import FILE_NAME
from shadowproxy.store.rollouts import RolloutStore

STATE: Final = "flags/state"
_VERSION: Final = "flags/version/"
MAX_VERSIONS: Final = 500
"""Kept; older ones cannot be gone back to any more, the audit goes on naming them."""

Both = tuple[Definition | None, Definition | None]


class Version(Struct, frozen=True):
    """One change of what is in force: who, why, by `file` or `api`, and each flag before and after."""

    number: int
    at: float
    who: str
    reason: str
    source: str
    action: str
    flags: dict[str, Both]


def key_of(version: int) -> str:
    return f"{_VERSION}{version:010d}"


def versions(documents: dict[str, bytes]) -> list[Version]:
    """Those that are kept, oldest first; what cannot be read is left out."""
    found = []
    for key, body in sorted(documents.items()):
        if key.startswith(_VERSION):
            try:
                found.append(msgspec.json.decode(body, type=Version))
            except msgspec.MsgspecError:
                continue
    return found


def kept_in(documents: dict[str, bytes]) -> Kept | None:
    """None: there is nothing, or nothing that can be understood."""
    body = documents.get(STATE)
    try:
        return None if body is None else msgspec.json.decode(body, type=Kept)
    except msgspec.MsgspecError:
        return None


def as_of(version: int, now: Definitions, newer: Iterable[Version]) -> dict[str, Definition]:
    """The flags as they were in a version. `newer` are those since, newest first."""
    flags = dict(now.flags)
    for each in newer:
        if each.number > version:
            for key, (before, _) in each.flags.items():
                if before is None:
                    flags.pop(key, None)
                else:
                    flags[key] = before
    return flags


class Starting(Struct, frozen=True):
    """What the proxy begins with, before control has looked. `problems`: it cannot, since nothing good is known."""

    flags: FlagsInForce = FlagsInForce()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def starting(directory: Path, policy: Policy, now: float) -> Starting:
    """The flags of the first request: the file, changes that stand, and what was good before where the file is not."""
    if policy.flags is None:
        return Starting()
    known, troubles = _known(directory)
    path = policy.flags.file
    file = examine(policy)
    warnings = (*troubles, *file.warnings)
    kept = known if known is not None and known.file in {"", path} else Kept(known.version if known else 0)
    if file.definitions is None:
        if not kept.file:
            return Starting(problems=file.problems)
        warnings += (*file.problems, f"{path} cannot be used: flags are those of version {kept.version}, until it can")
    else:
        if file.problems and not kept.file:
            return Starting(problems=file.problems)
        warnings += file.problems
        kept = taken(kept, path, file.definitions, freezing(policy, now))
    before = effective(known) if known is not None else None
    made = effective(kept)
    moved = before is None or differing(before.definitions, made.definitions) or before.killed != made.killed
    version = kept.version + 1 if moved else kept.version
    found = in_force(version, made.definitions, made.killed, policy)
    return Starting(found, (), warnings)


def _known(directory: Path) -> tuple[Kept | None, tuple[str, ...]]:
    if not (directory / FILE_NAME).exists():
        return None, ()
    try:
        body = RolloutStore(directory).document(STATE)
    except StoreError as error:
        return None, (f"what was changed about flags cannot be read, so that the file alone counts: {error}",)
    return (None if body is None else kept_in({STATE: body})), ()


def freezing(policy: Policy, now: float) -> Callable[[Definition], str]:
    """Why a change of a flag waits by the windows of a policy; freezes by hand are control's."""

    def why(definition: Definition) -> str:
        found = blocking(policy.freeze, (), service_of(definition), change_class(definition), now)
        return found.reason if found is not None else ""

    return why
