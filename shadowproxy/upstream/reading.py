"""Whether a peer is read from: not while what it sent cannot go on, nor while much of it waits to be taken apart.

A peer that cuts its body into tiny chunks makes a quarter of a megabyte cost as much as thousands of requests. What
one read brought is therefore taken apart a piece a turn, so that every other connection has its turn in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Reading:
    """`catch_up` is called in a later turn of the loop, once for each `fall_behind`, and never while paused."""

    __slots__ = ("_behind", "_catch_up", "_transport", "paused")

    def __init__(self, transport: asyncio.ReadTransport, catch_up: Callable[[], None]) -> None:
        self.paused = False
        self._behind = False
        self._transport = transport
        self._catch_up = catch_up

    def pause(self) -> None:
        """Whoever gets the bytes takes no more until `resume`."""
        if not self.paused:
            self.paused = True
            if not self._behind:
                self._transport.pause_reading()

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            if self._behind:
                asyncio.get_running_loop().call_soon(self._go_on)
            else:
                self._transport.resume_reading()

    def fall_behind(self) -> None:
        """There is more to take apart than may be done in one turn."""
        if not self.paused:
            self._transport.pause_reading()
        self._behind = True
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._behind and not self.paused:
            self._behind = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
                self._catch_up()
