"""Where in the text of a JSON document something stands, for whoever has to mend it.

Only asked when something is wrong: what lies before is skipped by the parser of the standard library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()

Path = tuple[str | int, ...]
"""Names of members and indices of elements, from the document inwards."""


def place(text: str, path: Path) -> str:
    """`line:column` of the value at a path, of its name where it is a member; of the nearest one that is there.

    Raises nothing for a document that can be parsed. Of a member that stands there twice it is the last one.
    """
    return place_of(text, _find(text, path))


def place_of(text: str, offset: int) -> str:
    line = text.count("\n", 0, offset) + 1
    return f"{line}:{offset - (text.rfind(chr(10), 0, offset) + 1) + 1}"


def path_text(path: Sequence[str | int]) -> str:
    """As people write it: `flags.new-checkout.targeting.if[0]`."""
    words = ""
    for part in path:
        if isinstance(part, int):
            words += f"[{part}]"
        else:
            plain = re.fullmatch(r"[\w$-]+", part)
            words += (("." if words else "") + part) if plain else f"[{json.dumps(part, ensure_ascii=False)}]"
    return words


def _find(text: str, path: Path) -> int:
    at = shown = _skip(text, 0)
    for part in path:
        found = _member(text, at, part) if isinstance(part, str) else _element(text, at, part)
        if found is None:
            break
        shown, at = found
    return shown


def _member(text: str, at: int, name: str) -> tuple[int, int] | None:
    """Where the name begins, and where its value does; of the last one of that name."""
    found = None
    if text[at : at + 1] != "{":
        return None
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, end = _DECODER.raw_decode(text, at)
        value = _skip(text, _skip(text, end) + 1)
        if key == name:
            found = at, value
        _, end = _DECODER.raw_decode(text, value)
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _element(text: str, at: int, number: int) -> tuple[int, int] | None:
    if text[at : at + 1] != "[":
        return None
    at = _skip(text, at + 1)
    while text[at] != "]":
        if number == 0:
            return at, at
        number -= 1
        _, end = _DECODER.raw_decode(text, at)
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return None


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
