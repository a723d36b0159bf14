"""How far the traffic is, on standard error: a bar on a terminal, otherwise a line at each quarter."""

from __future__ import annotations

from typing import Final, TextIO

_WIDTH: Final = 40


class Progress:
    """Call it with the number of requests done; call `close` at the end."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._steps = _WIDTH if stream.isatty() else 4
        self._bar = stream.isatty()
        self._shown = 0

    def __call__(self, done: int) -> None:
        step = done * self._steps // self._total
        if step == self._shown:
            return
        self._shown = step
        if self._bar:
            self._stream.write(f"\r[{'#' * step:{self._steps}}] {done}/{self._total} requests")
        else:
            self._stream.write(f"{done}/{self._total} requests\n")
        self._stream.flush()

    def close(self) -> None:
        if self._bar:
            self._stream.write("\n")
