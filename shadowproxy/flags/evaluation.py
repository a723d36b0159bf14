"""Flags as they are evaluated: a set of them, compiled where they are first asked for; and what an evaluation says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from shadowproxy.flags.compiling import Rule, compile_rule
from shadowproxy.flags.definitions import DISABLED, Definition, Definitions, collecting_later
from shadowproxy.flags.operators import MAX_STEPS

STATIC: Final = "STATIC"
TARGETING_MATCH: Final = "TARGETING_MATCH"
DEFAULT: Final = "DEFAULT"
SPLIT: Final = "SPLIT"
OFF: Final = "DISABLED"
ERROR: Final = "ERROR"

PARSE_ERROR: Final = "PARSE_ERROR"
GENERAL: Final = "GENERAL"

Context = Mapping[str, Any]
"""The evaluation context, a plain dict: attributes by name, `targetingKey` (a string) among them where there is one."""


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
    """One flag, compiled. `is_settled`: neither a rollout's overlay nor a shadow changes it (killed or DISABLED).

    `always` is what every evaluation says, None: it depends on the context. `needs_time`: on the time as well.
    """

    __slots__ = ("_rule", "always", "definition", "is_settled", "key", "metadata", "needs_time")

    def __init__(
        self,
        key: str,
        definition: Definition,
        is_killed: bool,
        metadata: Mapping[str, Any],
        evaluators: Mapping[str, Any],
    ) -> None:
        self.key = key
        self.definition = definition
        self.metadata = metadata
        self.is_settled = is_killed or definition.state == DISABLED
        self._rule: Rule | None = None
        self.needs_time = False
        self.always: Evaluation | None = None
        if definition.state == DISABLED:
            self.always = Evaluation(None, None, OFF)
        elif definition.rule is None:
            self.always = self._default(STATIC)
        else:
            self._rule = compile_rule(definition.rule, evaluators, key)
            self.needs_time = self._rule.needs_time

    def evaluate(self, context: Context, now: int) -> Evaluation:
        """Never raises. `now` is Unix time in seconds (`$flagd.timestamp`)."""
        rule = self._rule
        if rule is None:
            assert self.always is not None  # noqa: S101 - without a rule nothing depends on anything
            return self.always
        if rule.needs_flagd:
            flagd = {"flagKey": self.key, "timestamp": now}
            context = {**context, "$flagd": flagd, "targetingKey": context.get("targetingKey")}
        try:
            rule.meter.left = MAX_STEPS
            variant = rule.run(context)
            if type(variant) is not str:
                if variant is None:
                    return self._default(DEFAULT)
                if isinstance(variant, list | dict):
                    return _failed("targeting gives a list or an object, not the name of a variant")
                variant = str(variant).lower() if isinstance(variant, bool) else str(variant)
        except Exception as error:  # whatever a rule makes of whatever a request brings
            return _failed(f"{type(error).__name__}: {error}")
        return self.of(variant, TARGETING_MATCH)

    def of(self, variant: str, reason: str) -> Evaluation:
        """The evaluation that a variant stands for, whoever chose it; an error where there is no such variant."""
        variants = self.definition.variants
        if variant not in variants:
            return _failed(f"there is no variant {variant!r}")
        return Evaluation(variants[variant], variant, reason)

    def _default(self, reason: str) -> Evaluation:
        variant = self.definition.default_variant
        return Evaluation(None, None, DEFAULT) if variant is None else self.of(variant, reason)


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
        """`before`: what it has compiled is taken over where nothing is different."""
        self.version = version
        self.definitions = definitions
        self.killed = frozenset(killed)
        self._flags: dict[str, Flag] = {}
        if before is not None and before._same_around(definitions):
            self._flags = {key: flag for key, flag in before._flags.items() if self._is_same(flag, before)}

    def get(self, key: str) -> Flag | None:
        flag = self._flags.get(key)
        if flag is None:
            definition = self.definitions.flags.get(key)
            if definition is None:
                return None
            known = self.definitions
            metadata = {**known.metadata, **definition.metadata}
            flag = self._flags[key] = Flag(key, definition, key in self.killed, metadata, known.evaluators)
        return flag

    def __iter__(self) -> Iterator[Flag]:
        """All of them, in the order of the file."""
        if len(self._flags) < len(self.definitions.flags):
            with collecting_later():
                for key in self.definitions.flags:
                    self.get(key)
        return iter([self._flags[key] for key in self.definitions.flags])

    def _same_around(self, other: Definitions) -> bool:
        known = self.definitions
        return _written(known.evaluators, known.metadata) == _written(other.evaluators, other.metadata)

    def _is_same(self, flag: Flag, before: FlagSet) -> bool:
        key = flag.key
        if self.definitions.flags.get(key) != flag.definition:
            return False
        return (key in self.killed) == (key in before.killed)


def _written(*values: Any) -> bytes:
    """For Python 1, 1.0 and true are equal; for whoever gets a flag they are not."""
    return msgspec.json.encode(values)


def _failed(detail: str) -> Evaluation:
    return Evaluation(None, None, ERROR, GENERAL, detail[:200])
