"""Whether a peer is read from: not while what it sent cannot go on, nor while much of it waits to be taken apart.

A peer that cuts its body into tiny chunks makes a quarter of a megabyte cost as much as thousands of requests. What
one read brought is therefore taken apart a piece a turn, so that every other connection has its turn in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Reading:
    """Of one transport. `paused` says that whoever gets the bytes takes no more."""

    __slots__ = ("_catch_up", "_transport", "paused")

    def __init__(self, transport: asyncio.ReadTransport) -> None:
        self.paused = False
        self._transport = transport
        self._catch_up: Callable[[], None] | None = None
        """Set while behind, and only then: an owner that is gone is not to be kept by what it owns."""

    def pause(self) -> None:
        if not self.paused:
            self.paused = True
            if self._catch_up is None:
                self._transport.pause_reading()

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            if self._catch_up is not None:
                asyncio.get_running_loop().call_soon(self._go_on)
            else:
                self._transport.resume_reading()

    def fall_behind(self, catch_up: Callable[[], None]) -> None:
        """There is more to take apart than may be done in one turn: `catch_up` is called in a later one, not before
        a `resume` where it is paused, and not at all when the transport has closed.
        """
        if not self.paused:
            self._transport.pause_reading()
        self._catch_up = catch_up
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        catch_up = self._catch_up
        if catch_up is not None and not self.paused:
            self._catch_up = None
            if not self._transport.is_closing():
                self._transport.resume_reading()
                catch_up()
