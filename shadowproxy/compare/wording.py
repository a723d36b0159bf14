"""Values and differences in words, for people."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from shadowproxy.compare.findings import ABSENT
from shadowproxy.compare.showing import element_text
from shadowproxy.compare.trees import Element, Siblings
from shadowproxy.model.pair import Difference

MAX_RENDERED: Final = 200
_MAX_QUOTED: Final = 80

_FAILURES: Final = {
    "candidate_error": "The connection to the {arm} broke",
    "candidate_timeout": "The {arm} gave no whole answer in time",
    "candidate_refused": "The {arm} refused the connection",
    "candidate_truncated": "The {arm}'s answer ended too early",
    "candidate_malformed": "The {arm}'s answer was no valid HTTP",
    "candidate_tls": "The TLS handshake with the {arm} failed",
}
_TYPES: Final = {
    bool: "boolean",
    int: "integer",
    float: "number",
    msgspec.Raw: "number",
    str: "string",
    list: "array",
    dict: "object",
    Element: "element",
    Siblings: "elements",
}
_NULL: Final = "null"
_IN_GENERAL: Final = {
    "status": "{field} differs",
    "header": "{field} differs",
    "body_value": "{field} has another value",
    "body_type": "{field} is of another type",
    "body_missing": "{field} is missing",
    "body_extra": "{field} is new",
    "body_order": "{field} is in another order",
    "body_size": "{field} has another size",
    "body_bytes": "{field} has other bytes",
    "body_shape": "{field} has another shape",
    "body_null": "{field} is null more often",
}
_MAX_NAMED: Final = 3
"""Fields that the sentence about a cause names."""
_KINDS: Final = {
    "body_order": "{field} holds the same in another order.",
    "body_missing": "{field} is missing; the primary has {primary}.",
    "body_extra": "{field} is new: {shadow}.",
    "body_type": "{field} is of another type: {primary} became {shadow}.",
    "body_bytes": "{field} has other bytes: {primary} became {shadow}.",
    "body_value": "{field} changed from {primary} to {shadow}.",
    "body_shape": "{field} differs in every answer, but never looks like {shadow}; the primary has {primary}.",
    "body_null": "{field} is null more often than the primary's own version says; the primary has {primary}.",
}


def render(value: object) -> str | None:
    """A value as short JSON; bytes as text or, where they are none, their number and beginning. None: absent."""
    if value is ABSENT:
        return None
    if isinstance(value, bytes):
        value = _bytes_text(value)
    if isinstance(value, Siblings):
        value = [element_text(each) if isinstance(each, Element) else each for each in value[:MAX_RENDERED]]
    elif isinstance(value, Element):
        value = element_text(value)
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return shorten(text, MAX_RENDERED)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def printable(text: str) -> str:
    """`text` with whatever is no Unicode text (a kept byte, a lone surrogate) replaced."""
    return text.encode("utf-8", "replace").decode()


def binary_note(body: bytes) -> str:
    """What stands for a body that is no text."""
    return f"({len(body):,} bytes, beginning with {body[:16].hex(' ')})"


def status_text(status: int) -> str:
    """`404 Not Found`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def describe(difference: Difference, arm: str) -> str:
    """One sentence for one difference of any kind but `body_size` and a failed exchange."""
    if difference.kind == "status":
        was, now = status_text(int(difference.primary or 0)), status_text(int(difference.shadow or 0))
        return f"The {arm} answered {now}, the primary {was}."
    if difference.kind == "header":
        return _describe_header(difference)
    primary, shadow = _short(difference.primary), _short(difference.shadow)
    return _KINDS[difference.kind].format(field=difference.field, primary=primary, shadow=shadow)


def describe_size(field: str, primary: object, shadow: object) -> str:
    """One sentence for two arrays or bodies of unequal length."""
    size = _size(shadow)
    unit = ("element" if isinstance(primary, list) else "byte") + ("" if size == "1" else "s")
    return f"{field} has {size} {unit}, the primary's {_size(primary)}."


def describe_failure(kind: str, arm: str, status: int, seconds: float) -> str:
    """One sentence for a shadow exchange that gave no whole response."""
    what = _FAILURES.get(kind, _FAILURES["candidate_error"]).format(arm=arm)
    return f"{what}; the primary answered {status_text(status)} after {seconds * 1000:,.0f} ms."


def failed(kind: str, arm: str) -> str:
    """One sentence for all shadow exchanges that failed in one way."""
    return f"{_FAILURES.get(kind, _FAILURES['candidate_error']).format(arm=arm)}."


def answered_otherwise(arm: str, primary: int, shadow: int | None, fields: int) -> str:
    """One sentence for answers of another status, in which so many other fields differ too."""
    now = "nothing" if shadow is None else status_text(shadow)
    more = f"; {fields:,} {'field differs' if fields == 1 else 'fields differ'} with it" if fields else ""
    return f"The {arm} answered {now} instead of {status_text(primary)}{more}."


def in_general(field: str, kind: str, types: tuple[str, str] | None) -> str:
    """How a field differs in many pairs, without an end; `types` are the names of both types where they are known."""
    if kind == "body_type" and types and all(types):
        return f"{field} is {with_article(types[1])} instead of {with_article(types[0])}"
    name = f"header {field.partition(':')[2]}" if kind == "header" else field
    return _IN_GENERAL.get(kind, "{field} differs").format(field=name)


def enumerated(parts: Sequence[str], left_out: int) -> str:
    """One sentence of several parts, the first few of them named."""
    left_out += len(parts) - len(parts[:_MAX_NAMED])
    named = ", ".join(parts[:_MAX_NAMED])
    more = f", and {left_out:,} more {'field differs' if left_out == 1 else 'fields differ'}" if left_out else ""
    return f"{named[:1].upper() if named.startswith('header ') else named[:1]}{named[1:]}{more}."


def changed(where: str, a: Any, b: Any) -> str:
    """One sentence for a value that became another one."""
    if type(a) is not type(b):
        return f"{where} was {_with_type(a)} and is {_with_type(b)} now."
    relative = ""
    if type(a) in (int, float) and a:
        try:
            share = (b - a) / abs(a) * 100
            relative = f" ({share:+,.1f} %)" if abs(share) < 10_000 else ""
        except OverflowError:
            relative = ""
    return f"{where} changed from {quoted(a)} to {quoted(b)}{relative}."


def quoted(value: object) -> str:
    """A value as JSON, short enough for a sentence."""
    return _short(render(value))


def _describe_header(difference: Difference) -> str:
    name = f"Header {difference.field.partition(':')[2]}"
    primary, shadow = _bare(difference.primary), _bare(difference.shadow)
    if difference.shadow is None:
        return f"{name} is missing; the primary sends {primary}"
    return f"{name} is new: {shadow}" if difference.primary is None else f"{name} changed from {primary} to {shadow}"


def _bare(rendered: str | None) -> str:
    """A header value as it was sent, if it is a single one."""
    try:
        value = msgspec.json.decode(rendered or "null")
    except msgspec.DecodeError:
        value = None
    return shorten(value, _MAX_QUOTED) if isinstance(value, str) else _short(rendered)


def _size(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{len(value):,}" if isinstance(value, (bytes, list)) else "more"


def type_name(value: object) -> str:
    """`string`, `null`, …; empty for what JSON does not have."""
    return _NULL if value is None else _TYPES.get(type(value), "")


def with_article(name: str) -> str:
    """`an integer`, `null`."""
    return name if name == _NULL else f"{'an' if name[0] in 'aio' else 'a'} {name}"


def _with_type(value: object) -> str:
    name = _TYPES.get(type(value))
    return f"the {name} {quoted(value)}" if name else quoted(value)


def _short(text: str | None) -> str:
    return "nothing" if text is None else shorten(text, _MAX_QUOTED)


def _bytes_text(value: bytes) -> str:
    try:
        return value.decode() if b"\0" not in value else binary_note(value)
    except UnicodeDecodeError:
        return binary_note(value)
