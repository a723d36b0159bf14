"""What the renderings for a terminal share: its width, its colours, its lines."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from shadowproxy.report.plain import plain

WIDTH: Final = 100
LABEL: Final = 11
ROOM: Final = WIDTH - LABEL - 2
"""What is left of a line beside its label."""

_STYLES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Paint:
    """Wraps text in a style, or leaves it alone."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._on and style else text


def labelled(label: str, text: str) -> str:
    return f"  {label:<{LABEL}}{text}"


def paragraph(label: str, text: str, paint: Paint, style: str = "", width: int = WIDTH) -> Iterator[str]:
    """A label and a text of any length, broken between words."""
    for line in wrapped(text, width - LABEL - 2):
        yield labelled(label, paint(style, line))
        label = ""


def wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(plain(text), width, break_on_hyphens=False) or [""]
