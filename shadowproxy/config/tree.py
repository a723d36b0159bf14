"""YAML 1.2 text → plain data, with the place of every key and value.

The events of the parser are read one by one without recursion, so that depth, size and aliases are bounded before
anything is built. Scalars are resolved by the core schema (YAML 1.2.2, section 10.3.2): `on`, `yes` and `1:20` are
strings. Keys are taken as written. Tags, merge keys and empty values are refused: none is needed here, and each hides a
mistake more often than it helps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from shadowproxy.config.problems import Path, Problem, printable, spell

MAX_DEPTH: Final = 32
MAX_NODES: Final = 100_000
"""Aliases count as what they stand for, so a few lines cannot become gigabytes."""

MAX_ITEMS: Final = 2_000
"""In one list or mapping: rules look at pairs of neighbours, and no service has that many routes."""

_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_INT: Final = re.compile(r"[-+]?[0-9]{1,18}")
_BASED: Final = re.compile(r"0(?:o[0-7]{1,20}|x[0-9a-fA-F]{1,15})")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


class Place(NamedTuple):
    """Where a value stands. `key` is the place of its key (its own for list items); `written` is a scalar's own text.

    `name` replaces the spelled path where the value has another name for its author, such as `--primary`.
    """

    file: str
    line: int
    column: int
    key: tuple[int, int]
    written: str | None = None
    name: str | None = None


_ALIGNED: Final = "write each key on a line of its own, as far in as its neighbours; text with ': ' needs quotes"
_ADVICE: Final = {
    "expected ',' or ']'": "close the [ of {opened}, and put commas between its items",
    "expected ',' or '}'": "close the {{ of {opened}, and put commas between its items",
    "expected the node content": "write a value here, or close what is open",
    "unexpected end of stream": "close the quote of {opened}",
    "alphabetic or numeric character": "put quotes around a value that begins with * or &",
    "cannot start any token": "put quotes around a value that begins with it",
    "unknown escape character": "write \\\\ for a backslash, or use single quotes",
    "could not find expected ':'": "write a colon and a space after a key",
    "mapping values are not allowed": _ALIGNED,
    "expected <block end>": _ALIGNED,
    "expected '<document start>'": _ALIGNED,
}
"""What would be right, by a part of what the parser says."""


class Tree(NamedTuple):
    """Plain data (dict, list, str, int, float, bool), and the place of every path in it."""

    data: Any
    places: dict[Path, Place]
    problems: list[Problem]
    blamed: set[Path]
    """Paths that a problem is about: what follows from it alone is not worth a line."""
    whole: bool
    """False when the reading ended at a problem."""


def resolve(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar by the core schema. Numbers that are absurdly long, infinite or none stay text."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if len(text) <= 40 and _FLOAT.fullmatch(text):
        return float(text)
    return text


def read(text: str, file: str) -> Tree:
    """The one document in `text`. Never raises: what is wrong stands in `problems`."""
    builder = _Builder(file)
    whole = False
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
        whole = True
    except _FatalError:
        pass
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        builder.problem(line, column, (), _syntax(error, text, line))
    except YAMLError as error:
        offset = getattr(error, "position", 0)
        line = text.count("\n", 0, offset)
        builder.problem(line, offset - (text.rfind("\n", 0, offset) + 1), (), "this character cannot stand in YAML")
    return Tree(builder.root, builder.places, builder.problems, builder.blamed, whole)


def _syntax(error: MarkedYAMLError, text: str, line: int) -> str:
    what = printable(error.problem or "this is not YAML", 200)
    lines = text.splitlines()
    here = lines[line] if line < len(lines) else ""
    if "found character '\\t'" in what or (here[: len(here) - len(here.lstrip())].count("\t")):
        return "a tab cannot indent YAML: use spaces"
    if "${" in here:
        return f'{what}: put quotes around a value with ${{…}}, as in "${{NAME}}"'
    opened = f"line {error.context_mark.line + 1}" if error.context_mark else "a line before"
    advice = next((advice for part, advice in _ADVICE.items() if part in what), "write YAML 1.2")
    return f"{what}: {advice.format(opened=opened)}"


class _FatalError(Exception):
    """Nothing after this place can be read usefully."""


class _Open:
    """A collection whose end has not come yet. `key` is the mapping key whose value comes next."""

    __slots__ = ("anchor", "items", "key", "key_mark", "path", "skip")

    def __init__(self, items: dict[str, Any] | list[Any], path: Path, anchor: str | None) -> None:
        self.items = items
        self.path = path
        self.anchor = anchor
        self.key: str | None = None
        self.key_mark = (0, 0)
        self.skip = False


class _Builder:
    """Builds data and places from events."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Any = None
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self.blamed: set[Path] = set()
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Path, Any]] = {}
        self._documents = 0
        self._nodes = 0

    def problem(self, line: int, column: int, path: Path, message: str) -> None:
        self.problems.append(Problem(self.file, line + 1, column + 1, spell(path), message))
        self.blamed.add(path)

    def take(self, event: Any) -> None:
        """Put one event where it belongs. Raises _FatalError after a problem that ends the reading."""
        mark = event.start_mark
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._fatal(mark, "a second document begins here: keep one document in a file")
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._close()
        elif isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent | AliasEvent):
            self._node(event, mark)

    def _fatal(self, mark: Any, message: str) -> None:
        self.problem(mark.line, mark.column, self._stack[-1].path if self._stack else (), message)
        raise _FatalError

    def _count(self, mark: Any) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._fatal(mark, f"more than {MAX_NODES} values, aliases counted as what they stand for")

    def _node(self, event: Any, mark: Any) -> None:
        self._count(mark)
        top = self._stack[-1] if self._stack else None
        if top is not None:
            self._room(top, mark)
        if top is not None and isinstance(top.items, dict) and top.key is None:
            self._key(top, event, mark)
            return
        path = self._next_path(top)
        key = top.key_mark if top is not None and top.key is not None else (mark.line + 1, mark.column + 1)
        if isinstance(event, AliasEvent):
            self._alias(event, path, key, mark)
            return
        if event.tag:
            self.problem(mark.line, mark.column, path, "tags are not used here: write the value alone")
        place = Place(self.file, mark.line + 1, mark.column + 1, key)
        if isinstance(event, ScalarEvent):
            value = resolve(event.value) if event.style is None else event.value
            self.places[path] = place._replace(written=event.value)
            if value is None and self._stack:
                line, column = key
                self.problem(line - 1, column - 1, path, "has no value: give it one, or delete the key")
                self._forget(top)
                return
            self._put(top, value)
            if event.anchor:
                self._anchors[event.anchor] = path, value
            return
        if len(self._stack) >= MAX_DEPTH:
            self._fatal(mark, f"nested more than {MAX_DEPTH} levels deep")
        self.places[path] = place
        items: dict[str, Any] | list[Any] = {} if isinstance(event, MappingStartEvent) else []
        self._put(top, items)
        self._stack.append(_Open(items, path, event.anchor))

    def _key(self, top: _Open, event: Any, mark: Any) -> None:
        if not isinstance(event, ScalarEvent):
            self._fatal(mark, "a key must be a plain word")
        key = event.value
        top.skip = False
        if key == "<<" and event.style is None:
            self.problem(mark.line, mark.column, top.path, "merge keys (<<) are not YAML 1.2: write the keys out")
            top.skip = True
        elif key in top.items:
            first = self.places[(*top.path, key)].key[0]
            self.problem(mark.line, mark.column, (*top.path, key), f"stands twice, first in line {first}: keep one")
            top.skip = True
        top.key = key
        top.key_mark = (mark.line + 1, mark.column + 1)

    def _room(self, top: _Open, mark: Any) -> None:
        if len(top.items) >= MAX_ITEMS:
            self._fatal(mark, f"more than {MAX_ITEMS} items in one list or mapping")

    def _next_path(self, top: _Open | None) -> Path:
        if top is None:
            return ()
        if isinstance(top.items, list):
            return (*top.path, len(top.items))
        # A refused key's value is read all the same, under a path that nothing asks for.
        return (*top.path, f"{top.key} (refused)" if top.skip else top.key or "")

    def _put(self, top: _Open | None, value: Any) -> None:
        if top is None:
            self.root = value
        elif isinstance(top.items, list):
            top.items.append(value)
        else:
            if not top.skip and top.key is not None:
                top.items[top.key] = value
            top.key = None

    def _forget(self, top: _Open | None) -> None:
        if top is not None:
            top.key = None

    def _close(self) -> None:
        done = self._stack.pop()
        if done.anchor:
            self._anchors[done.anchor] = done.path, done.items

    def _alias(self, event: Any, path: Path, key: tuple[int, int], mark: Any) -> None:
        if event.anchor not in self._anchors:
            self.problem(mark.line, mark.column, path, "this alias has no complete anchor before it")
            self._forget(self._stack[-1] if self._stack else None)
            return
        source, value = self._anchors[event.anchor]
        copied = self._copy(value, source, path, mark)
        self.places[path] = self.places[path]._replace(key=key)
        self._put(self._stack[-1], copied)

    def _copy(self, value: Any, source: Path, path: Path, mark: Any) -> Any:
        """A copy of its own with places of its own, so that what is changed under an alias stays there."""
        self._count(mark)
        if len(path) > MAX_DEPTH:
            self._fatal(mark, f"nested more than {MAX_DEPTH} levels deep")
        self.places[path] = self.places[source]
        if isinstance(value, dict):
            return {key: self._copy(item, (*source, key), (*path, key), mark) for key, item in value.items()}
        if isinstance(value, list):
            return [self._copy(item, (*source, i), (*path, i), mark) for i, item in enumerate(value)]
        return value


def leaves(data: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every scalar of the data with its path."""
    if isinstance(data, dict):
        for key, item in data.items():
            yield from leaves(item, (*path, key))
    elif isinstance(data, list):
        for index, item in enumerate(data):
            yield from leaves(item, (*path, index))
    else:
        yield path, data
