"""Reads JSON as RFC 8259 has it, and sees what a dictionary hides.

msgspec reads it; true, 1 and 1.0 stay apart by their types. Nesting is measured before the parser runs. Numbers
that Python's numbers cannot hold (1e999, or more digits than it converts) are kept as they were written, in a
`msgspec.Raw`. Members that occur twice are looked for on demand: `repeats` is a cheap test, `read_all` keeps them.
"""

from __future__ import annotations

import gc
import json
from itertools import accumulate
from math import isfinite
from typing import Final, NoReturn

import msgspec

from shadowproxy.compare.limits import IncomparableError
from shadowproxy.model.policy import KIB

_MAX_DIGITS: Final = 4000
"""Python converts 4,300 digits at most (`sys.set_int_max_str_digits`), to stay out of quadratic time."""
MAX_CONTAINERS: Final = 250_000
"""Arrays and objects of one text: each takes a hundred bytes and a microsecond, whatever little it holds."""
_LARGE: Final = 4 * KIB
BEGINNINGS: Final = frozenset("{[ \t\r\n")
"""What a text that holds JSON begins with."""
_ENDS: Final = frozenset("}]")
_BOM: Final = b"\xef\xbb\xbf"
_BRACKETS: Final = b"[]{}"
_ALL_BUT_BRACKETS_AND_QUOTES: Final = bytes(i for i in range(256) if i not in b'"' + _BRACKETS)
_UP_AND_DOWN: Final = bytes(1 if i in b"[{" else 255 for i in range(256))

_decode: Final = msgspec.json.Decoder().decode
canonical: Final = msgspec.json.Encoder(order="deterministic").encode
"""Bytes that are equal only for equal JSON values: members sorted, 1 and 1.0 and true apart."""


class NotJsonError(Exception):
    """The text is no JSON."""


class Repeated(list[object]):
    """All values of a member that occurs more than once in its object, in order."""


def read(text: bytes, max_depth: int) -> object:
    """The value of `text`; of members that occur twice the last.

    Raises NotJsonError, and IncomparableError as `check_shape` does.
    """
    text = text.removeprefix(_BOM)
    check_shape(text, max_depth)
    try:
        return _parse(text)
    except msgspec.ValidationError:
        return _read_slowly(text, repeated=False)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise NotJsonError from None
    except RecursionError:
        raise IncomparableError("too_deep") from None


def read_all(text: bytes) -> object:
    """As `read`, but members that occur more than once have a `Repeated` as their value. For texts read before."""
    return _read_slowly(text.removeprefix(_BOM), repeated=True)


def embedded(text: str, max_depth: int) -> object:
    """The object or array whose JSON a text is; None when it is none, or one that nests too deep."""
    if text[:1] not in BEGINNINGS or text.strip()[-1:] not in _ENDS:
        return None
    try:
        value = read(text.encode(), max_depth)
    except (NotJsonError, IncomparableError, UnicodeEncodeError):
        return None
    return value if isinstance(value, (dict, list)) else None


def repeats(text: bytes, again: bytes) -> bool:
    """Whether some object in `text` has a member twice. `again` is the text of the value that was read from it.

    Fewer members came out than were written: they are counted by their colons, and strings without escapes hold the
    same colons in both texts.
    """
    if b"\\" in text:
        text, again = _outside_strings(_unescaped(text)), _outside_strings(_unescaped(again))
    return text.count(b":") != again.count(b":")


def check_shape(text: bytes, max_depth: int) -> None:
    """Raises IncomparableError for what nests deeper than `max_depth` or has more than `MAX_CONTAINERS` containers.

    Whether `text` is valid JSON does not matter.
    """
    brackets = _brackets(text)
    if len(brackets) <= max_depth:
        return
    depth = 0
    for start in range(0, min(len(brackets), 2 * MAX_CONTAINERS), _LARGE):
        steps = memoryview(brackets[start : start + _LARGE].translate(_UP_AND_DOWN)).cast("b")
        depths = list(accumulate(steps, initial=depth))
        if max(depths) > max_depth:
            raise IncomparableError("too_deep")
        depth = depths[-1]
    if len(brackets) > 2 * MAX_CONTAINERS:
        raise IncomparableError("too_wide")


def _parse(text: bytes) -> object:
    """Parses without the cycle collector: it would look at every new container again and again, and find nothing."""
    if len(text) < _LARGE or not gc.isenabled():
        return _decode(text)
    gc.disable()
    try:
        return _decode(text)
    finally:
        gc.enable()


def _brackets(text: bytes) -> bytes:
    """The brackets of `text` outside strings. Most strings hold none: of those two quotes in a row are left."""
    brackets = _unescaped(text).translate(None, _ALL_BUT_BRACKETS_AND_QUOTES).replace(b'""', b"")
    return _outside_strings(brackets) if b'"' in brackets else brackets


def _outside_strings(text: bytes) -> bytes:
    """Unescaped text without its strings: every second part between quotes."""
    return b"".join(text.split(b'"')[::2])


def _unescaped(text: bytes) -> bytes:
    """`text` without escaped quotes, so that every quote begins or ends a string (RFC 8259, 7)."""
    return text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text


def _read_slowly(text: bytes, *, repeated: bool) -> object:
    try:
        value: object = json.loads(
            text.decode(),
            object_pairs_hook=_object if repeated else None,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_refuse,
        )
        canonical(value)  # refuses lone surrogates, which are no Unicode text
    except (ValueError, RecursionError):
        raise NotJsonError from None
    return value


def _integer(digits: str) -> object:
    return int(digits) if len(digits) <= _MAX_DIGITS else msgspec.Raw(digits.encode())


def _float(digits: str) -> object:
    value = float(digits)
    return value if isfinite(value) else msgspec.Raw(digits.encode())


def _refuse(constant: str) -> NoReturn:
    raise NotJsonError(constant)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    every: dict[str, list[object]] = {}
    for key, value in pairs:
        every.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else Repeated(values) for key, values in every.items()}
