"""The fields of JSON bodies as a tree that grows with what differs, so that rules are matched once per field.

A node knows how its field is written and which rules apply to it: growing a child advances every rule by one step,
as a lazily built automaton does. Visiting a known field is one dictionary look-up, however many rules there are.
Array indices fold into `[]`. Members fold into `*` when their names are ids by the look of them, or once more than
`MAX_MEMBERS` distinct ones differed under one parent; a member that a rule names keeps its own node in any case.
The tree is bounded: past `MAX_NODES` fields further ones are folded and forgotten, never misjudged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Final

from msgspec import Struct

from shadowproxy.compare.paths import CHILD, ELEMENT, MEMBER, FieldPath, write_member
from shadowproxy.compare.tolerance import Tolerance

MAX_MEMBERS: Final = 64
MAX_NODES: Final = 8192
MAX_TEXT: Final = 200
"""Characters of a written field; what lies deeper shares its ancestor's text."""

_LONG_NAME: Final = 64
_ID: Final = re.compile(
    r"-?\d+(?:\.\d+)*"
    r"|\d{4}-\d\d(?:-\d\d(?:[T ].*)?)?"
    r"|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    r"|(?=[a-fA-F]*\d)[0-9a-fA-F]{16,}"
    r"|(?=(?:[A-Za-z]*\d){3})[0-9A-Za-z]{20,}"
    r"|[A-Za-z]{1,16}[-_:](?:\d{5,}|(?=(?:[A-Za-z]*\d){2})[0-9A-Za-z]{12,})"
    r"|[^@\s]+@[^@\s]+"
    r"|https?://.+"
)
"""A number, an address or a version; a date; a UUID; a long hexadecimal or random string, also after a prefix; an
e-mail address; a URL."""

_State = tuple[int, int]


class Rule(Struct, frozen=True):
    """What a rule of the user does to the fields that its path names. `identity` leads to the names of elements."""

    path: FieldPath
    ignore: bool = False
    unordered: bool = False
    tolerance: Tolerance | None = None
    identity: tuple[str, ...] | None = None


def looks_like_id(key: str) -> bool:
    """Whether a member's name identifies one of many, so that it must not become part of a field."""
    return len(key) > _LONG_NAME or _ID.fullmatch(key) is not None


def bounded(text: str) -> str:
    """A written field of at most `MAX_TEXT` characters."""
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


class Field:
    """One field: `text` as written, and what the rules say of it. `plain`: no rule applies to it or below it."""

    __slots__ = (
        "_any",
        "_element",
        "_folded",
        "_named",
        "_states",
        "_tree",
        "identity",
        "ignored",
        "members",
        "plain",
        "text",
        "tolerance",
        "unordered",
    )

    def __init__(self, tree: FieldTree, text: str, states: frozenset[_State]) -> None:
        self.text = bounded(text)
        self.members: dict[str, Field] = {}
        tree.nodes += 1
        self._tree = tree
        self._states = states
        self._element: Field | None = None
        self._any: Field | None = None
        self._folded = False
        rules = [tree.rules[index] for index, at in sorted(states) if at == len(tree.rules[index].path.steps)]
        self.ignored = any(rule.ignore for rule in rules)
        self.unordered = any(rule.unordered for rule in rules)
        tolerances = [rule.tolerance for rule in rules if rule.tolerance is not None]
        self.tolerance = reduce(Tolerance.widened, tolerances) if tolerances else None
        self.identity = next((rule.identity for rule in reversed(rules) if rule.identity is not None), None)
        self.plain = not states
        self._named = frozenset(
            step.name
            for index, at in states
            for step in tree.rules[index].path.steps[at : at + 1]
            if step.kind == MEMBER
        )

    def member(self, key: str) -> Field:
        """The field of a member of this object."""
        return self.members.get(key) or self._grow(key)

    def element(self) -> Field:
        """The field of every element of this array."""
        if self._element is not None:
            return self._element
        element = self._child(ELEMENT, None, "[]")
        if not self._tree.full:
            self._element = element
        return element

    def _grow(self, key: str) -> Field:
        if key not in self._named and self._folds(key):
            return self._any_member()
        child = self.members[key] = self._child(MEMBER, key, write_member(key))
        return child

    def _folds(self, key: str) -> bool:
        if not self._folded and len(self.members) >= MAX_MEMBERS:
            self._folded = True
            self.members = {name: child for name, child in self.members.items() if name in self._named}
        return self._folded or self._tree.full or looks_like_id(key) or self._tree.private(key)

    def _any_member(self) -> Field:
        if self._any is not None:
            return self._any
        child = self._child(MEMBER, None, ".*")
        if not self._tree.full:
            self._any = child
        return child

    def _child(self, kind: str, name: str | None, step: str) -> Field:
        return Field(self._tree, self.text + step if len(self.text) < MAX_TEXT else self.text, self._after(kind, name))

    def _after(self, kind: str, name: str | None) -> frozenset[_State]:
        """The rules alive one step further: into an element, or a member (`name` None: one that no rule names)."""
        states: set[_State] = set()
        for index, at in self._states:
            for step in self._tree.rules[index].path.steps[at : at + 1]:
                if step.deep:
                    states.add((index, at))
                if step.kind == CHILD or (step.kind == kind and (kind == ELEMENT or step.name == name)):
                    states.add((index, at + 1))
        return frozenset(states)


class FieldTree:
    """The root of the fields of one route. `private` says which names must not be written for another reason."""

    __slots__ = ("nodes", "private", "root", "rules")

    def __init__(self, rules: Iterable[Rule] = (), private: Callable[[str], bool] = lambda key: False) -> None:
        self.rules = tuple(rule for rule in rules if rule.path.room == "json")
        self.private = private
        self.nodes = 0
        self.root = Field(self, "$", frozenset((index, 0) for index in range(len(self.rules))))

    @property
    def full(self) -> bool:
        return self.nodes >= MAX_NODES
