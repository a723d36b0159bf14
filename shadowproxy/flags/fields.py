"""Structured fields (RFC 9651): what a flag is on a request, and what another proxy said of it.

Members are kept as the bytes they came as: a decision that is passed on is not changed on the way.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

import msgspec

MAX_KEY: Final = 64
"""RFC 9651 section 3.2: parsers must take keys of at least as many characters."""
MAX_INTEGER: Final = 999_999_999_999_999
_MAX_DECIMAL: Final = 999_999_999_999
_THOUSANDTH: Final = Decimal("0.001")

_KEY: Final = r"[a-z*][a-z0-9_.*-]*"
_STRING: Final = r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'
_BARE: Final = (
    rf"(?:{_STRING}"
    r'|%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*"'
    r"|-?\d{1,12}\.\d{1,3}|@?-?\d{1,15}"
    r"|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*"
    r"|:[A-Za-z0-9+/]*={0,2}:|\?[01])"
)
_PARAMETERS: Final = rf"(?:;[ ]*{_KEY}(?:={_BARE})?)*"
_ITEM: Final = rf"{_BARE}{_PARAMETERS}"
_INNER: Final = rf"\([ ]*(?:{_ITEM}(?:[ ]+{_ITEM})*[ ]*)?\){_PARAMETERS}"
_MEMBER: Final = re.compile(rf"({_KEY})(=(?:{_INNER}|{_ITEM})|{_PARAMETERS})".encode())
_COMMA: Final = re.compile(rb"[ \t]*,[ \t]*")
_IS_KEY: Final = re.compile(_KEY)


def is_key(name: str) -> bool:
    """Can it be the name of a member, in every implementation?"""
    return len(name) <= MAX_KEY and _IS_KEY.fullmatch(name) is not None


def member(name: str, value: Any) -> bytes:
    """A member of a dictionary with a value of JSON: `name`, `name=?0`, `name=3`, `name="text"`."""
    key = name.encode()
    if value is True:
        return key
    return key + b"=" + _item(value)


def rounded(value: Any) -> Decimal | None:
    """What becomes of a number with more than three decimals (section 4.1.5); None: nothing does."""
    if isinstance(value, float) and _is_decimal(value):
        exact, sent = Decimal(repr(value)), _decimal(value)
        return sent if exact != sent else None
    return None


def parse(value: bytes) -> dict[bytes, bytes] | None:
    """The members of a dictionary as they came, by name; None: it is none, and counts for nothing (section 4.2).

    `value` is the whole field, its lines joined by commas. Of several members of one name the last counts, in the place
    of the first.
    """
    value = value.strip(b" ")
    members: dict[bytes, bytes] = {}
    at, end = 0, len(value)
    while at < end:
        found = _MEMBER.match(value, at)
        if found is None or not _is_sound(found[0]):
            return None
        members[found[1]] = found[0]
        at = found.end()
        if at == end:
            return members
        comma = _COMMA.match(value, at)
        if comma is None or comma.end() == end:
            return None
        at = comma.end()
    return members


def _item(value: Any) -> bytes:
    if value is False:
        return b"?0"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int) and abs(value) <= MAX_INTEGER:
        return b"%d" % value
    if isinstance(value, float) and _is_decimal(value):
        return _plain(_decimal(value))
    return _string(msgspec.json.encode(value).decode())  # objects, and numbers that no Decimal is large enough for


def _is_decimal(value: float) -> bool:
    return abs(value) < _MAX_DECIMAL


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(_THOUSANDTH, ROUND_HALF_EVEN)


def _plain(value: Decimal) -> bytes:
    text = f"{value:f}".rstrip("0")
    text = text + "0" if text.endswith(".") else text
    return b"0.0" if text == "-0.0" else text.encode()


def _string(value: str) -> bytes:
    if value.isascii() and value.isprintable():
        return b'"%b"' % value.replace("\\", "\\\\").replace('"', '\\"').encode()
    raw = value.encode("utf-8", "replace")
    return b'%%"%b"' % b"".join(
        b"%%%02x" % byte if byte in b'%"' or not 0x20 <= byte <= 0x7E else bytes((byte,)) for byte in raw
    )


_DISPLAY: Final = re.compile(rb'%"((?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*)"')
_BINARY: Final = re.compile(rb":([A-Za-z0-9+/]*=*):")


def _is_sound(text: bytes) -> bool:
    """What a pattern cannot say: is a Display String UTF-8?"""
    if b'%"' not in text:
        return True
    for found in _DISPLAY.finditer(re.sub(rb'(?<!%)"(?:[^"\\]|\\.)*"', b"", text)):
        raw = re.sub(rb"%([0-9a-f]{2})", lambda hit: bytes((int(hit[1], 16),)), found[1])
        try:
            raw.decode()
        except UnicodeDecodeError:
            return False
    return True
