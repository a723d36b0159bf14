"""How fast a client sends and takes: the floor of an upload, and the wait for a client that takes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shadowproxy.upstream.deadlines import NEVER, Deadlines, Timer


class UploadPace:
    """Bytes of one request's body, in windows. `excused`: for a part of this window the client could not send."""

    __slots__ = ("_window", "excused", "total")

    def __init__(self) -> None:
        self.total = 0
        self.excused = False
        self._window = 0

    def add(self, size: int) -> None:
        self.total += size
        self._window += size

    def next_window(self, least: float, paused: bool) -> bool:
        """The window is over: did at least `least` bytes come, or was the client excused?"""
        kept = self.excused or self._window >= least
        self._window = 0
        self.excused = paused
        return kept


class WriteWatch:
    """Ends a client that takes none of the bytes that wait for it for `seconds`."""

    __slots__ = ("_deadlines", "_give_up", "_seconds", "_timer", "_transport", "_waiting")

    def __init__(self, transport: asyncio.Transport, deadlines: Deadlines, give_up: Callable[[], None]) -> None:
        self._transport = transport
        self._deadlines = deadlines
        self._give_up = give_up
        self._timer = Timer(self._late)
        self._seconds = 0.0
        self._waiting = 0

    def start(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting = self._transport.get_write_buffer_size()
        self._deadlines.arm(self._timer, self._deadlines.now + seconds)

    def stop(self) -> None:
        self._timer.at = NEVER

    def drop(self) -> None:
        """The client is gone."""
        self._timer.drop()

    def add(self, size: int) -> None:
        """As many bytes more are waiting."""
        self._waiting += size

    def _late(self) -> None:
        if self._transport.get_write_buffer_size() < self._waiting:
            self.start(self._seconds)
        else:
            self._give_up()
