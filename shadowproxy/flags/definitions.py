"""Flag definitions as they were written, in flagd's JSON format (flagd.dev/reference/flag-definitions)."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

ENABLED: Final = "ENABLED"
DISABLED: Final = "DISABLED"


NO_RULE: Final = Raw(b"null")

_encode: Final = msgspec.json.Encoder().encode


class Definition(Struct, frozen=True, eq=False, omit_defaults=True, rename={"default_variant": "defaultVariant"}):
    """One flag, as JSON has it. `default_variant` None: the caller's own default applies.

    Its targeting stays JSON until somebody asks for the flag: as objects of Python ten thousand of them would take ten
    times the room.
    """

    state: str
    variants: dict[str, Any]
    default_variant: str | None = None
    targeting: Raw = NO_RULE
    metadata: dict[str, Any] = {}

    @property
    def rule(self) -> dict[str, Any] | None:
        """The targeting as JsonLogic; None: there is none."""
        rule: dict[str, Any] | None = msgspec.json.decode(self.targeting)
        return rule

    def with_rule(self, rule: dict[str, Any] | None) -> Definition:
        return msgspec.structs.replace(self, targeting=NO_RULE if rule is None else Raw(msgspec.json.encode(rule)))

    def __eq__(self, other: object) -> bool:
        """Written alike: for Python 1, 1.0 and true are equal, for whoever gets a flag they are not."""
        return isinstance(other, Definition) and (self is other or _encode(self) == _encode(other))

    def __ne__(self, other: object) -> bool:  # the one of Struct compares identities
        return not self == other

    def __hash__(self) -> int:
        return hash(_encode(self))


class Definitions(Struct, frozen=True, omit_defaults=True, rename={"evaluators": "$evaluators"}):
    """A whole file: flags by key in the order of the file, `$evaluators` by name, metadata of all of them."""

    flags: dict[str, Definition] = {}
    evaluators: dict[str, Any] = {}
    metadata: dict[str, Any] = {}

    def encode(self) -> bytes:
        """As a flagd file."""
        more = {"$evaluators": self.evaluators, "metadata": self.metadata}
        return _encode({"flags": self.flags, **{name: value for name, value in more.items() if value}})


class FlagsError(Exception):
    """Definitions that cannot be used. All `problems`, each `place: path: what is wrong; what would be right`."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@contextmanager
def collecting_later() -> Iterator[None]:
    """Ten thousand flags are a million objects, none of them garbage: looking for it takes longer than making them."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
