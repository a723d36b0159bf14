"""Which template a path matches: a tree of dictionaries over its segments, so that two hundred templates cost as little
as one. The more specific template wins, segment by segment: literal, then a look, then a pattern, then any segment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, Generic, NamedTuple, TypeVar

from shadowproxy.endpoints.looks import LOOKS, NAME, TOKEN, look

T = TypeVar("T")

_PLACEHOLDER: Final = re.compile(r"\{[^{}/]*\}")
_LOOKS: Final = {f"{{{name}}}": name for name in LOOKS}


class Entry(NamedTuple, Generic[T]):
    """`looks`: its placeholders say what they take. Otherwise each takes any text that is not empty."""

    template: str
    looks: bool
    value: T


class _Node(Generic[T]):
    __slots__ = ("any", "literals", "looks", "patterns", "value")

    def __init__(self) -> None:
        self.literals: dict[bytes, _Node[T]] = {}
        self.looks: dict[str, _Node[T]] = {}
        self.patterns: dict[str, tuple[Callable[[bytes], bool], _Node[T]]] = {}
        """By their text, longest literal part first: `{id}.json`."""
        self.any: _Node[T] | None = None
        self.value: T | None = None


class Tree(Generic[T]):
    """Immutable once made. Of two templates that take the same paths the first counts."""

    def __init__(self, entries: Iterable[Entry[T]]) -> None:
        self._root: _Node[T] = _Node()
        self._parts = 0
        for entry in entries:
            segments = entry.template.split("/")
            self._parts = max(self._parts, len(segments))
            node = self._root
            for segment in segments[1:]:
                node = _child(node, segment, entry.looks)
            if node.value is None:
                node.value = entry.value

    def find(self, path: bytes) -> T | None:
        parts = path.split(b"/", self._parts)
        if len(parts) > self._parts or parts[0]:
            return None
        return _find(self._root, parts, 1)


def _child(node: _Node[T], segment: str, looks: bool) -> _Node[T]:
    """The child that stands for a segment of a template, made if it is not there."""
    if looks and segment in _LOOKS:
        return node.looks.setdefault(_LOOKS[segment], _Node())
    if _PLACEHOLDER.fullmatch(segment):
        node.any = node.any or _Node()
        return node.any
    if "{" not in segment:
        return node.literals.setdefault(segment.encode("latin-1"), _Node())
    literals = _PLACEHOLDER.split(segment)
    shape = "{}".join(literals)
    if shape not in node.patterns:
        node.patterns[shape] = (_pattern([literal.encode("latin-1") for literal in literals]), _Node())
        node.patterns = dict(sorted(node.patterns.items(), key=lambda item: -len(item[0])))
    return node.patterns[shape][1]


def _pattern(literals: list[bytes]) -> Callable[[bytes], bool]:
    """Whether a segment is these literals with something between each two. Linear, whatever a client sends."""
    first, *between, last = literals

    def matches(segment: bytes) -> bool:
        if not (segment.startswith(first) and segment.endswith(last)):
            return False
        end = len(first)
        for literal in between:
            found = segment.find(literal, end + 1)
            if found < 0:
                return False
            end = found + len(literal)
        return len(segment) - len(last) > end

    return matches


def _find(node: _Node[T], parts: list[bytes], index: int) -> T | None:
    """Depth first: a path that a literal leads astray is tried again with the placeholder beside it."""
    if index == len(parts):
        return node.value
    part = parts[index]
    child = node.literals.get(part)
    if child is not None:
        found = _find(child, parts, index + 1)
        if found is not None:
            return found
    if not part:
        return None
    if node.looks:
        name = look(part)
        child = node.looks.get(name)
        if child is None and name == TOKEN:
            child = node.looks.get(NAME)
        if child is not None:
            found = _find(child, parts, index + 1)
            if found is not None:
                return found
    for matches, child in node.patterns.values():
        if matches(part):
            found = _find(child, parts, index + 1)
            if found is not None:
                return found
    return _find(node.any, parts, index + 1) if node.any is not None else None
