"""Bars and intervals as inline SVG that stretches with its column; figures always stand beside them as text.

Shapes tell states apart, not only colours. Everything here is made of numbers: nothing foreign gets in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Final

from shadowproxy.model.totals import Interval

_HIDDEN: Final = '<svg aria-hidden="true" focusable="false" height="20">'


def bar(share: float, tone: str) -> str:
    """A share 0..1 of the whole width."""
    return f"{_HIDDEN}{_rect(0, 1, 'base')}{_rect(0, _within(share), tone)}</svg>"


def shares(parts: Sequence[tuple[int, str]]) -> str:
    """Counts one after another as parts of the whole width; every second part has a frame, so that edges show."""
    whole = sum(count for count, _ in parts)
    if not whole:
        return ""
    drawn, at = [], 0.0
    for count, tone in parts:
        width = count / whole
        drawn.append(_rect(at, width, tone) if count else "")
        at += width
        drawn.append(f'<line class="edge" x1="{_pc(at)}" x2="{_pc(at)}" y1="2" y2="18"/>' if 0 < at < 0.9999 else "")
    return f"{_HIDDEN}{''.join(drawn)}</svg>"


def evidence(found: float, needed: float, regressed: bool) -> str:
    """An e-value and its threshold, both as log10; the scale ends a little beyond the larger one."""
    most = max(found, needed, 1.0) * 1.15
    tone = "bad" if regressed else "warn"
    mark = _pc(_within(needed / most))
    return (
        f"{_HIDDEN}{_rect(0, 1, 'base')}{_rect(0, _within(found / most), tone)}"
        f'<line class="needed" x1="{mark}" x2="{mark}" y1="0" y2="20"/></svg>'
    )


Scale = tuple[float, float]
"""What the left and the right end of an axis stand for."""


def scale(intervals: Iterable[Interval]) -> Scale:
    """An axis that holds zero and all of `intervals`, with some room."""
    values = [0.0]
    for each in intervals:
        values += [value for value in (each.estimate, each.lower, each.upper) if value is not None and isfinite(value)]
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or 1.0
    return low - room, high + room


def interval(found: Interval, axis: Scale) -> str:
    """A dot for the estimate, a line for what it lies between, a dashed line at zero."""
    zero = _pc(_at(0.0, axis))
    lower, upper = (_at(value, axis) for value in _bounds(found))
    span = f'<line class="span" x1="{_pc(lower)}" x2="{_pc(upper)}" y1="10" y2="10"/>'
    dot = f'<circle class="dot" cx="{_pc(_at(found.estimate, axis))}" cy="10" r="5"/>'
    return f'{_HIDDEN}<line class="axis" x1="{zero}" x2="{zero}" y1="0" y2="20"/>{span}{dot}</svg>'


def _bounds(found: Interval) -> tuple[float, float]:
    lower = found.estimate if found.lower is None else found.lower
    return lower, found.estimate if found.upper is None else found.upper


def _at(value: float, axis: Scale) -> float:
    low, high = axis
    return _within((value - low) / (high - low))


def _within(share: float) -> float:
    return min(max(share, 0.0), 1.0) if isfinite(share) else 0.0


def _rect(at: float, width: float, tone: str) -> str:
    return f'<rect class="{tone}" x="{_pc(at)}" width="{_pc(width)}" y="4" height="12"/>'


def _pc(share: float) -> str:
    return f"{share * 100:.2f}%"
