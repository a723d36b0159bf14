"""The bodies of an example side by side, as the API has them. Pure."""

from __future__ import annotations

from typing import Final

from shadowproxy.admin.values import Row, Side
from shadowproxy.model.pair import Example
from shadowproxy.report.bodies import Line, marked, side_by_side

AROUND: Final = 400
WIDEST: Final = 4_000
"""Characters of a line of a body: around what differs, and of what does."""


def rows(example: Example) -> list[Row]:
    found = []
    for mark, left, right in side_by_side(example.primary_body, example.shadow_body):
        one, other = marked(left, right, AROUND, WIDEST)
        found.append(Row(mark, _side(one), _side(other)))
    return found


def _side(line: Line) -> Side:
    return Side(line.before, line.changed, line.after)
