"""Text, code and tables in Markdown. What comes from traffic is in code or escaped, so that it stays text.

A comment on GitHub or GitLab also notifies whoever is mentioned and links what looks like an address: that is undone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from shadowproxy.report.plain import clip, plain

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|~&])")
_LINKED: Final = (("@", "@<!-- -->"), ("#", "#<!-- -->"), ("://", r":\//"), ("www.", r"www\."))
VALUE: Final = 60
"""Characters of a value in a table."""


def text(words: str) -> str:
    """Words as they are, whatever they contain."""
    words = _SPECIAL.sub(r"\\\1", plain(words))
    for found, harmless in _LINKED:
        words = words.replace(found, harmless)
    return words


def code(words: str) -> str:
    """A code span; its fence is longer than any run of backticks inside (CommonMark 6.1)."""
    words = plain(words)
    if not words:
        return ""
    fence = "`" * (_longest_run(words) + 1)
    pad = " " if words.startswith("`") or words.endswith("`") else ""
    return f"{fence}{pad}{words}{pad}{fence}"


def cell(words: str, width: int = 10_000) -> str:
    """Code in a table, where a bar would end the cell even inside a code span (GitHub's tables extension)."""
    return code(clip(words, width)).replace("|", "\\|")


def value(words: str | None) -> str:
    """One side of a difference, in a table."""
    return "*absent*" if words is None else cell(words, VALUE)


def block(words: str, language: str) -> str:
    """A fenced block, with a fence longer than any inside (CommonMark 4.5). Lines are kept."""
    fence = "`" * max(_longest_run(words) + 1, 3)
    lines = "\n".join(map(plain, words.splitlines()))
    return f"{fence}{language}\n{lines}\n{fence}\n"


def _longest_run(words: str) -> int:
    return max((len(run) for run in re.findall("`+", words)), default=0)


def head(*names: str) -> str:
    """The first two lines of a table."""
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}\n"


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A whole table and an empty line; nothing without rows."""
    return head(*names) + "".join(map(row, rows)) + "\n" if rows else ""


def details(summary: str, body: str) -> str:
    """A part that is folded away. In its summary Markdown is not read, HTML is."""
    return f"<details><summary>{escape(plain(summary))}</summary>\n\n{body}\n</details>\n\n"
