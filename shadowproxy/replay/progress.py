"""How far the replay is, on standard error: a line that changes on a terminal, otherwise one every few seconds."""

from __future__ import annotations

from typing import Final, TextIO

from msgspec import Struct

EVERY: Final = 0.5
"""Seconds between two looks, on a terminal ..."""
EVERY_PLAIN: Final = 5.0
"""... and elsewhere."""
_CLEAR: Final = "\r\x1b[K"


class State(Struct, frozen=True):
    """`differ` and `failed` are pairs; `late` is in seconds, and so is `left`: None while nobody can say."""

    total: int
    sent: int
    answered: int
    differ: int
    failed: int
    late: float | None
    left: float | None


class Progress:
    """`show` the state now and then; `close` leaves the last one standing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self.every = EVERY if self._terminal else EVERY_PLAIN

    def show(self, state: State) -> None:
        self._write(_CLEAR + written(state) if self._terminal else written(state) + "\n")

    def close(self, state: State) -> None:
        self._write((_CLEAR if self._terminal else "") + written(state) + "\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def written(state: State) -> str:
    """`1,234/10,000 sent, 1,230 answered, 12 differ, 3 failed, late by 4 ms, 35 s left`."""
    parts = [
        f"{state.sent:,}/{state.total:,} sent",
        f"{state.answered:,} answered",
        f"{state.differ:,} differ",
        f"{state.failed:,} failed",
    ]
    if state.late is not None:
        parts.append(f"late by {seconds(state.late)}")
    if state.left is not None:
        parts.append(f"{seconds(state.left)} left")
    return ", ".join(parts)


def seconds(value: float) -> str:
    """A duration for people: `4 ms`, `1.5 s`, `35 s`, `2 min 5 s`."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
