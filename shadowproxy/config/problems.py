"""What a configuration can be told: one line a problem, with its place."""

from __future__ import annotations

import re
from typing import NamedTuple

COMMAND_LINE = "command line"
"""The file name under which values given as options stand."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")

Path = tuple[str | int, ...]
"""Keys and list indexes from the top of the document to a value."""


class Problem(NamedTuple):
    """One thing that is wrong. Lines and columns count from 1; `message` says what would be right as well."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{printable(self.file, 1000)}:{self.line}:{self.column}: "
        return f"{where}{self.path}: {self.message}" if self.path else where + self.message


class ConfigError(Exception):
    """The configuration cannot be used; `problems` are all that were found, in the order of the file."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class BadValueError(ValueError):
    """A value that cannot be used. The message says what would be right and never repeats the value itself."""


def spell(path: Path) -> str:
    """`services.checkout.routes[2].match`, with names that hold other characters in quotes."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += '["' + printable(step).replace('"', '\\"') + '"]'
    return text


def printable(text: str, limit: int = 60) -> str:
    """`text` on one line of at most `limit` characters, whatever it holds."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
