"""Compares the named parts of two multipart bodies, as the fields of a form are."""

from __future__ import annotations

from shadowproxy.compare.fields import FieldTree, bounded, looks_like_id
from shadowproxy.compare.findings import ABSENT, Findings
from shadowproxy.compare.multipart import Multipart, Part
from shadowproxy.compare.reading import Reader
from shadowproxy.compare.trees import TEXT, same
from shadowproxy.compare.walker import Walker


def compare_parts(
    a: Multipart | None, b: Multipart | None, reader: Reader, walker: Walker, ignored: frozenset[str], found: Findings
) -> None:
    """Findings on `form:name`, parts of one name in order: `body_type` where their types differ, else `body_value`.

    Parts are compared as what their types say they are; how they are written says nothing.
    """
    left, right = _named(a), _named(b)
    for name in dict.fromkeys((*left, *right)):
        x, y = left.get(name, []), right.get(name, [])
        kind, ruled = _kind(x, y, reader, walker, found.recorded)
        if kind:
            field = f"form:{name}"
            written = "form:*" if looks_like_id(name) else bounded(field)
            found.add(written, kind, _texts(x), _texts(y), ruled=ruled or field in ignored)


def _kind(x: list[Part], y: list[Part], reader: Reader, walker: Walker, recorded: bool) -> tuple[str, bool]:
    """The kind of the difference, empty for none, and whether a mask explains it."""
    if not x or not y:
        return ("body_missing" if x else "body_extra"), False
    if len(x) != len(y):
        return "body_value", False
    differing = Findings(recorded)
    for one, other in zip(x, y, strict=True):
        if one != other:
            read, reread = reader.part(one), reader.part(other)
            if read.get("@content-type") != reread.get("@content-type"):
                return "body_type", False
            if one.is_file != other.is_file:
                return "body_value", False
            if not same(read[TEXT], reread[TEXT]):
                walker.walk(FieldTree().root, read[TEXT], reread[TEXT], differing)
    return ("body_value" if differing.counted or differing.ruled else ""), not differing.counted


def _named(body: Multipart | None) -> dict[str, list[Part]]:
    named: dict[str, list[Part]] = {}
    for part in body.parts if body is not None else ():
        if name := part.name:
            named.setdefault(name, []).append(part)
    return named


def _texts(parts: list[Part]) -> object:
    return [part.decoded().decode("utf-8", "surrogateescape") for part in parts] or ABSENT
