"""How fields are written: one grammar for rules, metrics, reports and the API (contract, meaning 11).

    field  = "status" | "line" | "body" | "header:" name | "form:" name | "$" *step
    step   = "." key | ".." key           a member; ".." a member at any depth below
           | ".*" | "..*"                 every member or element
           | "[]" | "[*]"                 every element of an array
           | "['" text "']"               a member whose name needs quotes; \\' and \\\\ are escapes
    key    = 1*(any character but . [ ] ' " * and white space)

Array indices are never written: `$.items[].sku` stands for the sku of every item. In XML and HTML a key is a tag, or
`@` and an attribute: siblings of one tag are written as a single one (`$.feed.entry.title`), an element's own text as
the element. What a text holds that is JSON is written as if it stood there itself. Records are elements: `$[].x`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MEMBER: Final = "member"
ELEMENT: Final = "element"
CHILD: Final = "child"
"""A member or an element, whatever its name."""

BODY_ROOMS: Final = ("json", "line", "form", "body")

_BARE: Final = re.compile(r"""[^\s.\[\]'"*]+""")
_QUOTED: Final = re.compile(r"""\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\]""", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A field name: RFC 9110 section 5.6.2."""
_SINGLE: Final = ("status", "line", "body")
_FORMS: Final = "write status, line, body, header:name, form:name, or a path such as $.items[].sku"


class PathError(ValueError):
    """A field that the grammar does not know. The message says what would be right."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path. `deep`: at any depth below. `name` is set for `MEMBER` alone."""

    kind: str
    name: str = ""
    deep: bool = False


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A compiled field: `room` is `json`, `header`, `form`, `status`, `line` or `body`; header names in lower case."""

    text: str
    room: str
    name: str = ""
    steps: tuple[Step, ...] = ()


def compile_path(text: str) -> FieldPath:
    """The field that `text` names. Raises PathError."""
    if text in _SINGLE:
        return FieldPath(text, text)
    if text.startswith("$"):
        return FieldPath(text, "json", steps=_steps(text))
    room, colon, name = text.partition(":")
    if not colon or room not in ("header", "form"):
        raise PathError(f"{text!r} is no field: {_FORMS}")
    if room == "form":
        if not name:
            raise PathError("'form:' needs the name of a form field, such as form:email")
        return FieldPath(text, "form", name)
    if not _TOKEN.fullmatch(name):
        raise PathError(f"{text!r}: a header name is letters, digits and hyphens, such as header:server")
    return FieldPath(text, "header", name.lower())


def compile_names(text: str) -> tuple[str, ...]:
    """The members that lead from an element to its name: `id`, `node.id` or `['an id']`. Raises PathError."""
    try:
        steps = () if text.startswith("$") else _steps(text if text.startswith("[") else f".{text}", 0)
    except PathError:
        steps = ()
    if not steps or any(step.kind != MEMBER or step.deep for step in steps):
        raise PathError(f"{text!r} leads to no member of an element: write its name, such as id, or node.id")
    return tuple(step.name for step in steps)


def check_names(text: str) -> str | None:
    """What is wrong with the name of an identifying member and what would be right; None when it is fine."""
    try:
        compile_names(text)
    except PathError as error:
        return str(error)
    return None


def check_path(text: str, *, json: bool = False, masked: bool = False) -> str | None:
    """What is wrong with a field and what would be right; None when it is fine.

    `json`: only paths into JSON are; `masked`: only what has a value that can be masked.
    """
    try:
        path = compile_path(text)
    except PathError as error:
        return str(error)
    if json and path.room != "json":
        return f"{text!r} is no path into JSON: write one such as $.items[].price"
    if masked and path.room == "status":
        return f"{text!r} has nothing to mask: write header:name, form:name, body, or a path such as $.user.email"
    return None


def names(pattern: FieldPath, field: FieldPath) -> bool:
    """Whether `pattern`, which may have wildcards, names `field`, which is written as a finding is."""
    if pattern.room != "json" or field.room != "json":
        return (pattern.room, pattern.name) == (field.room, field.name)
    places = {0}
    for step in field.steps:
        places = {after for at in places for each in pattern.steps[at : at + 1] for after in _advance(each, step, at)}
    return len(pattern.steps) in places


def _advance(pattern: Step, step: Step, at: int) -> Iterator[int]:
    """Where one step of a field leads in a pattern; a step that stands for many members takes a wildcard."""
    if pattern.deep:
        yield at
    if pattern.kind == CHILD or (pattern.kind, pattern.name) == (step.kind, step.name):
        yield at + 1


def written(path: FieldPath) -> str | None:
    """How findings write the one field that a path names; None where it has wildcards."""
    if path.room != "json":
        return f"{path.room}:{path.name}" if path.name else path.room
    text = "$"
    for step in path.steps:
        if step.kind == CHILD or step.deep:
            return None
        text += "[]" if step.kind == ELEMENT else write_member(step.name)
    return text


def write_member(key: str) -> str:
    """The step that leads to a member, as it is written: `.price`, or `['a key']` where quotes are needed."""
    if _BARE.fullmatch(key):
        return f".{key}"
    escaped = key.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"


def _steps(text: str, at: int = 1) -> tuple[Step, ...]:
    steps: list[Step] = []
    while at < len(text):
        deep = text.startswith("..", at)
        dots = 2 if deep else int(text[at] == ".")
        at += dots
        if quoted := _QUOTED.match(text, at):
            if dots == 1:
                raise _wrong(text, at, "write ['name'] without a dot before it")
            inner = quoted[1] if quoted[1] is not None else quoted[2]
            steps.append(Step(MEMBER, _ESCAPE.sub(r"\1", inner), deep))
            at = quoted.end()
        elif text.startswith(("[]", "[*]"), at) and not dots:
            steps.append(Step(ELEMENT))
            at = text.index("]", at) + 1
        elif text.startswith("[", at):
            raise _wrong(text, at, "write [] for every element of an array, or ['name'] for a member")
        elif not dots:
            raise _wrong(text, at, "a step begins with . or .. or [")
        elif text.startswith("*", at):
            steps.append(Step(CHILD, deep=deep))
            at += 1
        elif bare := _BARE.match(text, at):
            steps.append(Step(MEMBER, bare[0], deep))
            at = bare.end()
        else:
            raise _wrong(text, at, "a name or * must follow the dot; names with other characters are written ['so']")
    return tuple(steps)


def _wrong(text: str, at: int, right: str) -> PathError:
    return PathError(f"{text!r}, character {at + 1}: {right}")
