"""What a segment of a path looks like. The learner and the workers ask the same question, so that a request finds the
template that requests like it brought about.

The looks exclude each other; the first that fits is the answer. A wrong guess costs little: what is taken for a name
folds into `{name}` as soon as there are many of it.
"""

from __future__ import annotations

import re
from typing import Final

ID: Final = "id"
UUID: Final = "uuid"
DATE: Final = "date"
HEX: Final = "hex"
EMAIL: Final = "email"
FILE: Final = "file"
TOKEN: Final = "token"  # noqa: S105 - a look, no secret
NAME: Final = "name"
LOOKS: Final = (ID, UUID, DATE, HEX, EMAIL, FILE, TOKEN, NAME)
"""The names of placeholders in learned templates."""

_SHORTEST_TOKEN: Final = 16
_LONGEST_NAME: Final = 64
"""Longer segments are tokens, whatever they hold: a bound on the work as well."""
_LONGEST_WORD: Final = 24
"""Letters and digits without a separator: hardly any name with a digit is as long, and most random identifiers are."""

_CLASSES: Final = bytes(
    ord("a" if chr(c).islower() else "A" if chr(c).isupper() else "0" if chr(c).isdigit() else "-")
    if c < 128
    else ord("-")
    for c in range(256)
)
"""For bytes.translate: every letter and digit becomes one for its kind, the rest separates words."""

_PLAIN: Final = re.compile(rb"[a-z_~-]{1,64}|[A-Za-z_-]{1,15}")
"""Most names, told at a glance: dice would have thrown a digit or a capital."""
_LOOK: Final = re.compile(
    rb"(?P<id>[+-]?[0-9]+)"
    rb"|(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    rb"|(?P<date>[0-9]{4}-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12][0-9]|3[01])(?:[T_][0-9:.%+\-A-Za-z]*)?)?"
    rb"|[0-9]{8}T[0-9]{4,6}Z?)"
    # At least two digits and a letter: `feedface` and `face2face` are words.
    rb"|(?P<hex>(?=[0-9]*[a-fA-F])(?=(?:[a-fA-F]*[0-9]){2})[0-9a-fA-F]{8,})"
    rb"|(?P<email>[^@%]+(?:@|%40)[^@%]+\.[A-Za-z]{2,})"
    rb"|(?P<file>.+\.(?:css|m?js|map|png|jpe?g|gif|svg|ico|webp|avif|bmp|woff2?|ttf|otf|eot|mp[34]|webm|ogg|wasm|pdf))",
    re.DOTALL,
)


def look(segment: bytes) -> str:
    """The look of a segment that is not empty, of `LOOKS`."""
    if segment.isdigit():
        return ID
    if _PLAIN.fullmatch(segment):
        return NAME
    if len(segment) > _LONGEST_NAME:
        return TOKEN
    match = _LOOK.fullmatch(segment)
    if match is not None and match.lastgroup is not None:
        return match.lastgroup
    return TOKEN if len(segment) >= _SHORTEST_TOKEN and _is_random(segment.translate(_CLASSES)) else NAME


def _is_random(classes: bytes) -> bool:
    """Whether nobody would have chosen this text: its letters, capitals and digits change as if by dice."""
    count = classes.count
    words = classes.split(b"-")
    length = len(classes) - len(words) + 1
    if length < _SHORTEST_TOKEN:
        return False
    digits = count(b"a0") + count(b"A0") + count(b"0a") + count(b"0A")
    if digits * 4 >= length or (digits and max(map(len, words)) >= _LONGEST_WORD):
        return True
    # The words of `getUserById2`, and the splinters of `dQw4w9WgXcQ`.
    pieces = len(words) + digits + count(b"aA") + count(b"AAa")
    return length * 2 < pieces * 5 and b"a" in classes and b"A" in classes
