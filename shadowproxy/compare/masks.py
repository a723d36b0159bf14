"""Values of a recording that were masked when it was written: nobody can say whether they differ.

A mask stands for what it hides, so that the rest of a value is still compared: `sid=~a1b2c3d4~; Path=/` is like any
cookie of that name and path. That a value is there, and is not null, is known in spite of its mask.
"""

from __future__ import annotations

import re
from typing import Any, Final

_MASK: Final = re.compile(r"~[0-9a-f]{8}~")
_WHOLE_BODY: Final = re.compile(rb"~[0-9a-f]{8}~")


def is_mask(text: str) -> bool:
    return _MASK.fullmatch(text) is not None


def hides(primary: object, shadow: object) -> bool:
    """Whether `shadow`, which is there, may be what the recorded value `primary` was before it was masked."""
    if isinstance(primary, str):
        if isinstance(shadow, str):
            return is_like(primary, shadow)
        return shadow is not None and is_mask(primary)
    if isinstance(primary, list) and isinstance(shadow, list) and len(primary) == len(shadow):
        texts = [(_text(x), _text(y)) for x, y in zip(primary, shadow, strict=True)]
        return all(x is not None and y is not None and (x == y or is_like(x, y)) for x, y in texts)
    return isinstance(primary, bytes) and isinstance(shadow, bytes) and _WHOLE_BODY.fullmatch(primary) is not None


def is_like(primary: str, shadow: str, *, lines: bool = False) -> bool:
    """Whether `shadow` is `primary` with something in place of each mask, of which there is at least one.

    `lines`: what a mask hides does not go beyond its line. Takes linear time.
    """
    first, *middle = _MASK.split(primary)
    if not middle or not shadow.startswith(first):
        return False
    *middle, last = middle
    at = len(first)
    for part in middle:
        found = shadow.find(part, at)
        if found < 0 or (lines and "\n" in shadow[at:found]):
            return False
        at = found + len(part)
    end = len(shadow) - len(last)
    return at <= end and shadow.endswith(last) and not (lines and "\n" in shadow[at:end])


def unmasked(primary: dict[str, Any], shadow: dict[str, Any]) -> dict[str, Any]:
    """`primary` with its masked member names replaced by those of `shadow` that they may stand for."""
    masked = [key for key in primary if _MASK.search(key)]
    if not masked:
        return primary
    free = [key for key in shadow if key not in primary]
    names: dict[str, str] = {}
    for key in masked:
        name = next((name for name in free if is_like(key, name)), None)
        if name is not None:
            free.remove(name)
            names[key] = name
    return {names.get(key, key): value for key, value in primary.items()}


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else None
