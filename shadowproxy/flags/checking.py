"""Is a targeting rule one that can be evaluated, and what does it cost at most?

Everything that is certain to be wrong whoever asks is said here, with its path. What depends on the context is left to
the evaluation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from shadowproxy.flags.compiling import IF, LOOPS, OPERATORS, REF
from shadowproxy.flags.locating import Path
from shadowproxy.flags.operators import MAX_WEIGHTS, VERSION_OPERATORS, version

MAX_DEPTH: Final = 60
"""Rules in rules, references followed: closures call each other, and Python's stack holds about 1,000 frames."""
MAX_NODES: Final = 20_000
"""Of one rule, references followed: an evaluation passes each at most once, besides loops. Some two milliseconds."""

Problem = tuple[Path, str]
Cost = tuple[int, int]
"""Nodes and depth, references followed."""


class Checker:
    """Of the rules of one file. `evaluators` are those that rules may refer to. `problems` are what was found."""

    def __init__(self, evaluators: Mapping[str, Any]) -> None:
        self.problems: list[Problem] = []
        self._evaluators = evaluators
        self._costs: dict[str, Cost] = {}
        """Of evaluators that are sound."""
        self._under_way: list[str] = []
        for name in evaluators:
            self._evaluator(name)

    def rule(self, rule: Any, variants: Collection[str], path: Path) -> None:
        """Look at the targeting of one flag."""
        size, depth = _Walk(self, variants, path).look(rule, result=True, depth=1)
        if depth > MAX_DEPTH:
            self.problems.append((path, f"with what it refers to it is nested deeper than {MAX_DEPTH}"))
        elif size > MAX_NODES:
            self.problems.append((path, f"with what it refers to it has more than {MAX_NODES:,} nodes"))

    def cost(self, name: Any) -> Cost | None:
        """Of an evaluator; None: there is none of that name."""
        if not isinstance(name, str) or name not in self._evaluators:
            return None
        return self._evaluator(name)

    @property
    def names(self) -> str:
        return ", ".join(sorted(self._evaluators)) or "none"

    def _evaluator(self, name: str) -> Cost:
        """What it costs; nothing where it refers to itself, which is said."""
        known = self._costs.get(name)
        if known is not None:
            return known
        if name in self._under_way:
            way = " → ".join([*self._under_way[self._under_way.index(name) :], name])
            self.problems.append((("$evaluators", name), f"it refers to itself: {way}; a rule cannot contain itself"))
            return 1, 1
        if len(self._under_way) >= MAX_DEPTH:
            return 1, MAX_DEPTH + 1
        self._under_way.append(name)
        cost = _Walk(self, None, ("$evaluators", name)).look(self._evaluators[name], result=True, depth=1)
        self._under_way.pop()
        self._costs[name] = cost
        return cost


class _Walk:
    """One look at one rule, which stands at `path`. `variants` None: it is not known whose rule it will be."""

    __slots__ = ("_checker", "_path", "_variants")

    def __init__(self, checker: Checker, variants: Collection[str] | None, path: Path) -> None:
        self._checker = checker
        self._variants = variants
        self._path: list[str | int] = [*path]

    def look(self, rule: Any, result: bool, depth: int) -> Cost:
        """`result`: what it gives is what the whole rule gives."""
        if isinstance(rule, dict):
            if len(rule) == 1:
                [(name, args)] = rule.items()
                return self._operator(name, args, result, depth)
        elif isinstance(rule, list):
            return self._all(rule, False, depth)
        if result and isinstance(rule, str | bool):
            self._variant(rule)
        return 1, 1

    def _operator(self, name: str, args: Any, result: bool, depth: int) -> Cost:
        if depth > MAX_DEPTH:
            return 1, MAX_DEPTH + 1
        if name == REF:
            cost = self._checker.cost(args)
            if cost is None:
                there = f"there are: {self._checker.names}"
                self._say(f"there is no evaluator {args!r} under `$evaluators`; {there}", name)
            return cost or (1, 1)
        if name not in OPERATORS:
            self._say(f"there is no operator {name!r}; there are {', '.join(sorted(OPERATORS))}", name)
            return 1, 1
        parts = args if isinstance(args, list) else [args]
        if why := _wrong(name, parts):
            self._say(why, name)
        self._path.append(name)
        if parts is not args:
            cost = self.look(args, result and (name == "or" or name in IF), depth + 1)
            cost = cost[0] + 1, cost[1] + 1
        elif name == "fractional":
            cost = self._fractional(parts, result, depth)
        elif name == "reduce":
            cost = self._all(parts[:2], False, depth)  # the third is taken as it is written
        elif name in IF:
            cost = self._branches(parts, result, depth)
        else:
            cost = self._all(parts, result and name == "or", depth)
        self._path.pop()
        return cost

    def _all(self, parts: list[Any], result: bool, depth: int) -> Cost:
        size, deepest = 1, 0
        if depth > MAX_DEPTH:
            return 1, MAX_DEPTH + 1
        path = self._path
        for index, part in enumerate(parts):
            if isinstance(part, dict | list) or result:
                path.append(index)
                more, deeper = self.look(part, result, depth + 1)
                path.pop()
                size += more
                deepest = max(deepest, deeper)
            else:
                size += 1
        return size, deepest + 1

    def _branches(self, parts: list[Any], result: bool, depth: int) -> Cost:
        size, deepest, last = 1, 0, len(parts) - 1
        path = self._path
        for index, part in enumerate(parts):
            path.append(index)
            more, deeper = self.look(part, result and (index % 2 == 1 or index == last), depth + 1)
            path.pop()
            size += more
            deepest = max(deepest, deeper)
        return size, deepest + 1

    def _fractional(self, parts: list[Any], result: bool, depth: int) -> Cost:
        size, deepest = 1, 1
        path = self._path
        for index, part in enumerate(parts):
            path.append(index)
            if isinstance(part, list):
                more, deeper = self._fraction(part, result, depth)
            else:
                more, deeper = self.look(part, False, depth + 1)
            path.pop()
            size += more
            deepest = max(deepest, deeper)
        return size, deepest + 1

    def _fraction(self, part: list[Any], result: bool, depth: int) -> Cost:
        if not 1 <= len(part) <= 2:
            self._say("a fraction is written [variant] or [variant, weight]")
            return 1, 1
        if len(part) == 2:
            weight = part[1]
            if isinstance(weight, bool) or not isinstance(weight, int | dict):
                self._say(f"the weight {weight!r} is not a whole number", 1)
            elif isinstance(weight, int) and weight > MAX_WEIGHTS:
                self._say(f"weights add up to at most {MAX_WEIGHTS:,}", 1)
        if result and isinstance(part[0], str | bool):
            self._path.append(0)
            self._variant(part[0])
            self._path.pop()
        return self._all(part, False, depth)

    def _variant(self, result: str | bool) -> None:
        if self._variants is not None:
            name = str(result).lower() if isinstance(result, bool) else result
            if name not in self._variants:
                self._say(f"there is no variant {name!r}; there are {', '.join(self._variants)}")

    def _say(self, why: str, *further: str | int) -> None:
        self._checker.problems.append(((*self._path, *further), why))


def _wrong(name: str, parts: list[Any]) -> str:
    """Why an operator with these arguments never gives anything; empty: it may."""
    if name == "sem_ver":
        if len(parts) != 3:
            return f"sem_ver takes a version, an operator and a version, not {len(parts)} arguments"
        if isinstance(parts[1], str) and parts[1] not in VERSION_OPERATORS:
            return f"sem_ver knows no {parts[1]!r}; it knows {', '.join(VERSION_OPERATORS)}"
        if isinstance(parts[2], str) and version(parts[2]) is None:
            return f"{parts[2]!r} is no version; a version is written 1.2.3"
    elif name in {"starts_with", "ends_with"} and len(parts) != 2:
        return f"{name} takes two strings, not {len(parts)} arguments"
    elif name == "fractional" and (not parts or (isinstance(parts[0], str) and len(parts) == 1)):
        return "fractional takes at least one [variant, weight]"
    elif name == "var" and len(parts) > 2:
        return f"var takes a name and a default, not {len(parts)} arguments"
    elif name in LOOPS and name not in {"map", "reduce"} and len(parts) < 2:
        return f"{name} takes a list and a rule"
    return ""
