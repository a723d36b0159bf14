"""Flag definitions as they were written, in flagd's JSON format (flagd.dev/reference/flag-definitions)."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

ENABLED: Final = "ENABLED"
DISABLED: Final = "DISABLED"


class Definition(Struct, frozen=True, omit_defaults=True, rename={"default_variant": "defaultVariant"}):
    """One flag, as JSON has it. `default_variant` None: the caller's own default applies."""

    state: str = ENABLED
    variants: dict[str, Any] = {}
    default_variant: str | None = None
    targeting: dict[str, Any] | None = None
    metadata: dict[str, Any] = {}


class Definitions(Struct, frozen=True, omit_defaults=True, rename={"evaluators": "$evaluators"}):
    """A whole file: flags by key in the order of the file, `$evaluators` by name, metadata of all of them."""

    flags: dict[str, Definition] = {}
    evaluators: dict[str, Any] = {}
    metadata: dict[str, Any] = {}

    def encode(self) -> bytes:
        """As a flagd file."""
        return msgspec.json.encode(self)


class FlagsError(Exception):
    """Definitions that cannot be used. All `problems`, each `place: path: what is wrong; what would be right`."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
