"""PromQL with placeholders: `$version`, `$service` and `$arm` put in so that a value stays what it is, a value.

The version is what an arm says of itself, and a candidate may say anything: inside a string nothing ends the string,
inside a pattern (`=~`, `!~`) nothing is a pattern, and elsewhere only a plain word will do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Final

_LITERAL: Final = re.compile(
    r"""("(?:\\.|[^"\\])*"? | '(?:\\.|[^'\\])*'? | `[^`]*`? | \#[^\n]*)""", re.VERBOSE | re.DOTALL
)
"""A string or a comment (Prometheus, promql/parser/lex.go)."""
_NAME: Final = re.compile(r"\$(version|service|arm)\b")
_MATCHER: Final = re.compile(r"[=!]~\s*$")
_WORD: Final = re.compile(r"[A-Za-z0-9_]*", re.ASCII)
_SPECIAL: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")
_UNSAFE: Final = re.compile(r"""[\\"'`\x00-\x1f\x7f]""")


class PlaceholderError(ValueError):
    """A value cannot be put in where its placeholder stands. The text says why, for people."""


def substitute(query: str, values: Mapping[str, str]) -> str:
    """`query` with the placeholders replaced. `values` by name: version, service, arm. Raises PlaceholderError."""
    out: list[str] = []
    code = ""
    for index, piece in enumerate(_LITERAL.split(query)):  # code, literal, code, …
        if index % 2 == 0:
            code = piece
            out.append(_NAME.sub(partial(_put, values, "", False), piece))
        elif piece[0] == "#":
            out.append(piece)
        else:
            out.append(_NAME.sub(partial(_put, values, piece[0], bool(_MATCHER.search(code))), piece))
    return "".join(out)


def _put(values: Mapping[str, str], quote: str, is_pattern: bool, found: re.Match[str]) -> str:
    name, value = found.group(), values[found.group(1)]
    if not quote:
        if not _WORD.fullmatch(value):
            raise PlaceholderError(f"{name} is {value!r}, which can only stand inside quotes")
        return value
    if is_pattern:
        value = _SPECIAL.sub(r"\\\g<0>", value)
    if quote != "`":
        return _UNSAFE.sub(lambda character: f"\\x{ord(character.group()):02x}", value)
    if "`" in value:
        raise PlaceholderError(f"{name} is {value!r}, which cannot stand between backticks")
    return value
