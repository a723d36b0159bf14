"""Hear from the proxy that something happened, so that it is asked at once and not only at the next second.

A thread reads the event stream that the dashboard follows (`/api/v1/events`). Where none can be had (too many follow
already, an older proxy, a cut line) whoever waits just waits: it asks every second as before.
"""

from __future__ import annotations

import http.client
import threading
from types import TracebackType
from typing import Final, Self

from shadowproxy.cli import live
from shadowproxy.cli.client import ClientError, authorization, connection_to

PATH: Final = "/api/v1/events"
HAPPENED: Final = frozenset({b"event: rollout", b"event: flags"})
"""The status comes every second, and says nothing that would not be asked for anyway."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds between two attempts; each is twice as long as the one before, until one succeeds."""


class Hearing:
    """Follows the events of the proxy at `admin` while it is entered."""

    def __init__(self, admin: str, token: str | None) -> None:
        self._admin = admin
        self._token = token
        self._happened = threading.Event()
        self._ended = threading.Event()
        self._is_connected = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._follow, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def wait(self, seconds: float) -> None:
        """Until something happens, but no longer than that."""
        if not self._is_connected:
            live.wait(seconds)
            return
        if self._happened.wait(seconds):
            self._happened.clear()

    def _follow(self) -> None:
        pause = FIRST_PAUSE
        while not self._ended.is_set():
            try:
                if self._read():
                    pause = FIRST_PAUSE
            except (ClientError, OSError, http.client.HTTPException, ValueError):
                pass  # whoever waits asks every second meanwhile
            self._is_connected = False
            self._ended.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _read(self) -> bool:
        """Read the stream to its end; whether there was one. Raises ClientError, OSError and HTTPException."""
        connection = connection_to(self._admin)
        try:
            connection.request("GET", PATH, headers=authorization(self._token))
            response = connection.getresponse()
            if response.status != http.client.OK:
                return False
            self._is_connected = True
            while not self._ended.is_set() and (line := response.readline(1 << 20)):
                if line.rstrip() in HAPPENED:
                    self._happened.set()
            return True
        finally:
            connection.close()
