"""Compares the named parts of two multipart bodies, as the fields of a form are."""

from __future__ import annotations

from shadowproxy.compare.fields import bounded, looks_like_id
from shadowproxy.compare.findings import ABSENT, Findings
from shadowproxy.compare.multipart import Multipart, Part
from shadowproxy.compare.reading import Reader
from shadowproxy.compare.trees import TEXT, same


def compare_parts(
    a: Multipart | None, b: Multipart | None, reader: Reader, ignored: frozenset[str], found: Findings
) -> None:
    """Findings on `form:name`, parts of one name in order: `body_type` where their types differ, else `body_value`.

    Parts are compared as what their types say they are; how they are written says nothing.
    """
    left, right = _named(a), _named(b)
    for name in dict.fromkeys((*left, *right)):
        x, y = left.get(name, []), right.get(name, [])
        kind = _kind(x, y, reader)
        if kind:
            field = f"form:{name}"
            written = "form:*" if looks_like_id(name) else bounded(field)
            found.add(written, kind, _texts(x), _texts(y), ruled=field in ignored)


def _kind(x: list[Part], y: list[Part], reader: Reader) -> str:
    if not x or not y:
        return "body_missing" if x else "body_extra"
    if len(x) != len(y):
        return "body_value"
    for one, other in zip(x, y, strict=True):
        if one != other:
            read, reread = reader.part(one), reader.part(other)
            if read.get("@content-type") != reread.get("@content-type"):
                return "body_type"
            if not same(read[TEXT], reread[TEXT]) or one.is_file != other.is_file:
                return "body_value"
    return ""


def _named(body: Multipart | None) -> dict[str, list[Part]]:
    named: dict[str, list[Part]] = {}
    for part in body.parts if body is not None else ():
        if name := part.name:
            named.setdefault(name, []).append(part)
    return named


def _texts(parts: list[Part]) -> object:
    return [part.decoded().decode("utf-8", "surrogateescape") for part in parts] or ABSENT
