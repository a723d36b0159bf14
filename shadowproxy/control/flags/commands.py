"""What somebody asks of flags, and what a flag is to be after it. Pure but for the look at a file's signature."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shadowproxy.config.problems import BadValueError
from shadowproxy.config.units import parse_share
from shadowproxy.flags import changing
from shadowproxy.flags.changing import RefusedError
from shadowproxy.flags.definitions import DISABLED, ENABLED, Definition


class FlagCommand(Struct, frozen=True):
    """What somebody asks for: set, ramp, kill, enable, disable or revert.

    `default` of set: the variant for those whom targeting gives none. `share` of ramp is a percentage.
    `version`: only if it is still the one in force. `to` of revert: the version to go back to; `flag` empty: of all.
    `override`: freezes that permit it do not hold this change.
    """

    action: str
    who: str
    reason: str
    at: float
    flag: str = ""
    variant: str | None = None
    default: bool = False
    definition: bytes | None = None
    share: str = ""
    to: int | None = None
    version: int | None = None
    override: bool = False


class UnknownFlagError(RefusedError):
    """There is no flag of that key."""


class UnwritableError(RefusedError):
    """What switches something on is not done while it cannot be written."""


def made(command: FlagCommand, definition: Definition) -> Definition:
    match command.action:
        case "set":
            if command.variant is None:
                raise RefusedError("say which variant")
            return (changing.set_default if command.default else changing.set_to)(definition, command.variant)
        case "ramp":
            if command.variant is None:
                raise RefusedError("say which variant")
            try:
                return changing.ramped(definition, command.variant, parse_share(command.share))
            except BadValueError as error:
                raise RefusedError(f"share: {error}") from None
        case "kill":
            changing.off_variant(definition)
            return definition
        case "enable":
            return replace(definition, state=ENABLED)
        case "disable":
            return replace(definition, state=DISABLED)
    raise RefusedError(f"there is no command {command.action!r}")


def words_of(command: FlagCommand) -> str:
    parts = [command.action, command.flag, command.variant or "", command.share]
    if command.to is not None:
        parts.append(f"to version {command.to}")
    return " ".join(part for part in parts if part)


def plain(definition: Definition | None) -> dict[str, Any] | None:
    """As JSON has it."""
    return None if definition is None else msgspec.json.decode(msgspec.json.encode(definition), type=dict)


def signature_of(path: Path) -> object:
    """Changes with what a path leads to, also when a link on the way is put somewhere else."""
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, os.path.realpath(path)
