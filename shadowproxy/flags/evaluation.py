"""Flags as they are evaluated: a set of them, compiled where they are first asked for; and what an evaluation says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from shadowproxy.flags.definitions import DISABLED, Definition, Definitions

STATIC: Final = "STATIC"
TARGETING_MATCH: Final = "TARGETING_MATCH"
DEFAULT: Final = "DEFAULT"
SPLIT: Final = "SPLIT"
OFF: Final = "DISABLED"
ERROR: Final = "ERROR"

PARSE_ERROR: Final = "PARSE_ERROR"
GENERAL: Final = "GENERAL"

Context = Mapping[str, Any]
"""The evaluation context: attributes by name, `targetingKey` (a string) among them where there is one."""


class Evaluation(NamedTuple):
    """`variant` None: there is no value, the caller's own default applies (`reason` DISABLED, DEFAULT or ERROR).

    `error` is an OpenFeature error code, empty where there is none; `detail` says what is wrong.
    """

    value: Any
    variant: str | None
    reason: str
    error: str = ""
    detail: str = ""


class Flag:
    """One flag, compiled. `is_settled`: neither a rollout's overlay nor a shadow changes it (killed or DISABLED)."""

    __slots__ = ("definition", "is_settled", "key", "metadata")

    def __init__(self, key: str, definition: Definition, is_killed: bool, metadata: Mapping[str, Any]) -> None:
        self.key = key
        self.definition = definition
        self.metadata = metadata
        self.is_settled = is_killed or definition.state == DISABLED

    def evaluate(self, context: Context, now: int) -> Evaluation:
        """Never raises. `now` is Unix time in seconds (`$flagd.timestamp`)."""
        definition = self.definition
        if definition.state == DISABLED:
            return Evaluation(None, None, OFF)
        if definition.default_variant is None:
            return Evaluation(None, None, STATIC)
        return self.of(definition.default_variant, STATIC)

    def of(self, variant: str, reason: str) -> Evaluation:
        """The evaluation that a variant stands for, whoever chose it; an error where there is no such variant."""
        variants = self.definition.variants
        if variant not in variants:
            return Evaluation(None, None, ERROR, GENERAL, f"there is no variant {variant!r} of {self.key!r}")
        return Evaluation(variants[variant], variant, reason)


class FlagSet:
    """Flags of one version. Immutable but for what is compiled at the first look; swapped by reference."""

    __slots__ = ("_flags", "definitions", "killed", "version")

    def __init__(
        self,
        version: int,
        definitions: Definitions,
        killed: Collection[str] = (),
        before: FlagSet | None = None,
    ) -> None:
        """`before`: what it has compiled is taken over where the definition is the same."""
        self.version = version
        self.definitions = definitions
        self.killed = frozenset(killed)
        self._flags: dict[str, Flag] = {}

    def get(self, key: str) -> Flag | None:
        flag = self._flags.get(key)
        definition = self.definitions.flags.get(key)
        if flag is None and definition is not None:
            metadata = {**self.definitions.metadata, **definition.metadata}
            flag = self._flags[key] = Flag(key, definition, key in self.killed, metadata)
        return flag
