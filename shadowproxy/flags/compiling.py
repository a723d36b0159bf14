"""JsonLogic to closures: what can be decided once is decided here, so that an evaluation costs about a microsecond.

    compile_rule(rule, evaluators, key) -> Rule

Everything in a rule that depends on nothing is computed here; the common shapes (a variable of one name, a comparison
with a constant, fractions with constant weights) have closures of their own, the rest calls the operators. What costs
more than it should is refused when it is read (`flags.checking`) or stopped by a meter when it is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from shadowproxy.flags import operators as op
from shadowproxy.flags.operators import LimitError, Meter, to_bool

Closure = Callable[[Any], Any]
"""From the data in its scope to a value."""

IF: Final = frozenset({"if", "?:"})
LOOPS: Final = frozenset({"filter", "map", "reduce", "all", "some", "none"})
CONTROL: Final = IF | LOOPS | {"and", "or"}
REF: Final = "$ref"
OPERATORS: Final = CONTROL | op.ON_VALUES.keys() | op.ON_DATA.keys()


class Node(NamedTuple):
    """A compiled part: either `closure`, or a constant `value`. `size` is how many nodes one evaluation passes, loops
    counted once.
    """

    closure: Closure | None
    value: Any = None
    size: int = 1

    @property
    def is_constant(self) -> bool:
        return self.closure is None

    @property
    def run(self) -> Closure:
        if self.closure is not None:
            return self.closure
        value = self.value
        return lambda data: value


class Rule(NamedTuple):
    """A compiled rule. `run` may raise anything. `needs_flagd`: the data needs `$flagd` and `targetingKey` in it.

    `needs_time`: it looks at the time. `meter` is to be filled before each run.
    """

    run: Closure
    needs_flagd: bool
    needs_time: bool
    meter: Meter


class _Compiler:
    """Of one rule of one flag."""

    def __init__(self, evaluators: Mapping[str, Any], key: str) -> None:
        self.meter = Meter()
        self.needs_flagd = False
        self.needs_time = False
        self._evaluators = evaluators
        self._key = key
        self._known: dict[tuple[str, bool], Node] = {}

    def node(self, rule: Any, top: bool) -> Node:
        """`top`: the data is the evaluation context, not an element of a list."""
        if isinstance(rule, list):
            return self._list(rule, top)
        if not isinstance(rule, dict) or len(rule) != 1:
            return _constant(rule)
        [(name, args)] = rule.items()
        if name == REF:
            known = self._known.get((args, top))
            if known is None:
                known = self._known[args, top] = self.node(self._evaluators[args], top)
            return known
        args = args if isinstance(args, list) else [args]
        if name in LOOPS:
            return self._loop(name, args, top)
        nodes = [self.node(arg, top) for arg in args]
        if name in CONTROL:
            return _choice(name, nodes)
        if name in op.ON_DATA:
            return self._on_data(name, nodes, top)
        return _on_values(name, nodes)

    def _list(self, rule: list[Any], top: bool) -> Node:
        nodes = [self.node(item, top) for item in rule]
        if all(node.is_constant for node in nodes):
            return _constant([node.value for node in nodes])
        runs = [node.run for node in nodes]
        return Node(lambda data: [run(data) for run in runs], size=_size(nodes))

    # -- what looks at the data

    def _on_data(self, name: str, nodes: list[Node], top: bool) -> Node:
        if name == "var" and 1 <= len(nodes) <= 2 and isinstance(nodes[0].value, str):
            return self._var(nodes, top)
        if name == "fractional" and nodes:
            made = self._fractional(nodes, top)
            if made is not None:
                return made
        if top:
            self.needs_flagd = self.needs_time = True
        return _call(op.ON_DATA[name], nodes)

    def _var(self, nodes: list[Node], top: bool) -> Node:
        key = nodes[0].value
        if top and key == "$flagd.flagKey":
            return _constant(self._key)
        if top and key.partition(".")[0] in {"", "$flagd"}:
            self.needs_flagd = self.needs_time = True
        if key == "":
            return Node(lambda data: data)
        if len(nodes) == 2 and nodes[1].value is not None:
            return _call(op.var, nodes)
        if "." in key or key == "length":
            return Node(lambda data: op.var(data, key))

        def look(data: Any) -> Any:
            return data.get(key) if type(data) is dict else op.var(data, key)

        return Node(look)

    def _fractional(self, nodes: list[Node], top: bool) -> Node | None:
        """With constant fractions; None: they are computed, or the first argument may be the key or a fraction."""
        first, size = nodes[0], _size(nodes)
        with_key = not (first.is_constant and isinstance(first.value, list))
        fractions = nodes[1:] if with_key else nodes
        if not all(node.is_constant for node in fractions) or (first.is_constant and with_key):
            return None
        try:
            table = op.Fractions([node.value for node in fractions])
        except ValueError:
            return None
        if with_key:
            run, pick = first.run, table.pick
            values = [node.value for node in fractions]
            flagd = {"flagKey": self._key}

            def by_key(data: Any) -> Any:
                key = run(data)
                if type(key) is str:
                    return pick(key) if key else None
                if top:  # what is no key is taken for a fraction, and then the targeting key is asked for
                    data = {"$flagd": flagd, "targetingKey": data.get("targetingKey")}
                return op.fractional(data, key, *values)

            return Node(by_key, size=size)
        if not top:
            return None
        seed, pick = self._key, table.pick

        def by_targeting_key(data: Any) -> Any:
            targeting_key = data.get("targetingKey")
            return pick(seed + targeting_key) if targeting_key else None

        return Node(by_targeting_key, size=size)

    # -- loops

    def _loop(self, name: str, args: list[Any], top: bool) -> Node:
        if len(args) < 2 and name not in {"map", "reduce"}:
            return _constant([] if name == "filter" else name == "none")
        if not args:
            return _constant([] if name == "map" else None)
        items = self.node(args[0], top)
        each = self.node(args[1], False) if len(args) > 1 else _constant(None)
        start = args[2] if len(args) > 2 and name == "reduce" else None
        return Node(_LOOPS[name](items.run, each.run, start, self.meter, each.size), size=items.size + each.size)


def compile_rule(rule: Any, evaluators: Mapping[str, Any], key: str) -> Rule:
    """Of the flag `key`. The rule was checked: operators and references exist, there is no cycle, sizes are bounded."""
    compiler = _Compiler(evaluators, key)
    node = compiler.node(rule, top=True)
    return Rule(node.run, compiler.needs_flagd, compiler.needs_time, compiler.meter)


def _size(nodes: list[Node]) -> int:
    return 1 + sum(node.size for node in nodes)


def _constant(value: Any) -> Node:
    return Node(None, value)


# Operators on values


def _on_values(name: str, nodes: list[Node]) -> Node:
    if all(node.is_constant for node in nodes):
        try:
            return _constant(op.ON_VALUES[name](None, *[node.value for node in nodes]))
        except Exception:  # it is wrong whenever it is evaluated, and only then
            return _call(op.ON_VALUES[name], nodes)
    special = _SPECIAL.get(name)
    made = special(nodes) if special is not None else None
    return Node(made, size=_size(nodes)) if made is not None else _call(op.ON_VALUES[name], nodes)


def _call(operator: op.Operator, nodes: list[Node]) -> Node:
    runs = [node.run for node in nodes]
    if len(runs) == 1:
        [only] = runs
        return Node(lambda data: operator(data, only(data)), size=_size(nodes))
    if len(runs) == 2:
        one, other = runs
        return Node(lambda data: operator(data, one(data), other(data)), size=_size(nodes))
    return Node(lambda data: operator(data, *[run(data) for run in runs]), size=_size(nodes))


def _equals(nodes: list[Node]) -> Closure | None:
    """A value compared with a constant string."""
    if len(nodes) != 2 or type(nodes[1].value) is not str:
        return None
    run, wanted, equals = nodes[0].run, nodes[1].value, op.equals

    def compare(data: Any) -> bool:
        value = run(data)
        return value == wanted if type(value) is str else equals(data, value, wanted)

    return compare


def _strictly_equals(nodes: list[Node]) -> Closure | None:
    if len(nodes) != 2 or not nodes[1].is_constant:
        return None
    run, wanted = nodes[0].run, nodes[1].value
    return lambda data: bool(run(data) == wanted)


def _contains(nodes: list[Node]) -> Closure | None:
    """A value that is looked for in a constant list of strings."""
    if len(nodes) != 2 or not isinstance(nodes[1].value, list):
        return None
    run, wanted = nodes[0].run, nodes[1].value
    if not all(type(each) is str for each in wanted):
        return None
    strings = frozenset(wanted)

    def look(data: Any) -> bool:
        value = run(data)
        return value in strings if type(value) is str else value in wanted

    return look


def _affix(test: Callable[[str, str], bool]) -> Callable[[list[Node]], Closure | None]:
    def special(nodes: list[Node]) -> Closure | None:
        if len(nodes) != 2 or type(nodes[1].value) is not str:
            return None
        run, wanted = nodes[0].run, nodes[1].value

        def compare(data: Any) -> bool | None:
            value = run(data)
            return test(value, wanted) if isinstance(value, str) else None

        return compare

    return special


def _sem_ver(nodes: list[Node]) -> Closure | None:
    """A version against a constant one."""
    if len(nodes) != 3 or not nodes[2].is_constant or not isinstance(nodes[1].value, str):
        return None
    holds, wanted = op.VERSION_OPERATORS.get(nodes[1].value), op.version_of(nodes[2].value)
    if holds is None or wanted is None:
        return None
    run, parse, convert = nodes[0].run, op.version, op.version_of

    def compare(data: Any) -> bool | None:
        value = run(data)
        found = parse(value) if type(value) is str else convert(value)
        return holds(found, wanted) if found is not None else None

    return compare


_SPECIAL: Final[dict[str, Callable[[list[Node]], Closure | None]]] = {
    "==": _equals,
    "===": _strictly_equals,
    "in": _contains,
    "starts_with": _affix(str.startswith),
    "ends_with": _affix(str.endswith),
    "sem_ver": _sem_ver,
}


# Choices: what is not chosen is not evaluated.


def _choice(name: str, nodes: list[Node]) -> Node:
    runs, size = [node.run for node in nodes], _size(nodes)
    if name in IF:
        return Node(_if(runs), size=size)
    if not runs:
        return _constant(None)
    return Node(_and(runs) if name == "and" else _or(runs), size=size)


def _if(runs: list[Closure]) -> Closure:
    if not runs:
        return lambda data: None
    if len(runs) == 1:
        return runs[0]
    condition, then = runs[:2]
    otherwise = _if(runs[2:])

    def choose(data: Any) -> Any:
        met = condition(data)
        return then(data) if (met if type(met) is bool else to_bool(met)) else otherwise(data)

    return choose


def _and(runs: list[Closure]) -> Closure:
    def both(data: Any) -> Any:
        value = None
        for run in runs:
            value = run(data)
            if not to_bool(value):
                return value
        return value

    return both


def _or(runs: list[Closure]) -> Closure:
    def either(data: Any) -> Any:
        value = None
        for run in runs:
            value = run(data)
            if to_bool(value):
                return value
        return value

    return either


# Loops: the data of what is done for each element is the element.

_Loop = Callable[[Closure, Closure, Any, Meter, int], Closure]


def _over(nothing: Any, loop: Callable[[list[Any], Closure], Any]) -> _Loop:
    """`nothing` is the answer where there is no list."""

    def make(items: Closure, each: Closure, _start: Any, meter: Meter, size: int) -> Closure:
        def run(data: Any) -> Any:
            found = items(data)
            if not isinstance(found, list):
                return nothing
            meter.spend(size * len(found))
            return loop(found, each)

        return run

    return make


def _reduce(items: Closure, each: Closure, start: Any, meter: Meter, size: int) -> Closure:
    def run(data: Any) -> Any:
        found = items(data)
        if not isinstance(found, list):
            return start
        meter.spend(size * len(found))
        scope = {"accumulator": start}
        for item in found:
            scope["current"] = item
            scope["accumulator"] = value = each(scope)
            if type(value) is list:
                meter.weigh(value)
        return scope["accumulator"]

    return run


_LOOPS: Final[dict[str, _Loop]] = {
    "filter": _over([], lambda items, each: [item for item in items if to_bool(each(item))]),
    "map": _over([], lambda items, each: [each(item) for item in items]),
    "all": _over(False, lambda items, each: bool(items) and all(to_bool(each(item)) for item in items)),
    "some": _over(False, lambda items, each: any(to_bool(each(item)) for item in items)),
    "none": _over(True, lambda items, each: not any(to_bool(each(item)) for item in items)),
    "reduce": _reduce,
}

__all__ = ["CONTROL", "LOOPS", "OPERATORS", "REF", "LimitError", "Rule", "compile_rule"]
