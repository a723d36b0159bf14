"""The access log: JSON lines, sampled, written by a thread of its own so that a slow disk or pipe slows no request."""

from __future__ import annotations

import os
import random
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from shadowproxy.http1 import RequestHead
from shadowproxy.metrics import layout
from shadowproxy.model.policy import AccessLogPolicy

if TYPE_CHECKING:
    from shadowproxy.proxy.snapshot import Route

_BOUND: Final = 10_000
"""Entries that may wait; what comes on top is counted as dropped."""
_PERIOD: Final = 0.1


class Entry(msgspec.Struct, omit_defaults=True):
    """One line. `at` is Unix time, `seconds` from the request's head to the last byte of the answer."""

    at: float
    request_id: str
    peer: str
    method: str
    target: str
    status: int
    seconds: float
    sent: int
    service: str = ""
    route: str = ""
    arm: str = ""
    fault: str = ""


def exchange_entry(
    at: float,
    request_id: bytes,
    peer: str,
    head: RequestHead,
    route: Route | None,
    arm: str,
    status: int,
    seconds: float,
    sent: int,
) -> Entry:
    """The line of one exchange; `arm` is the one that was asked last, `fault` is the caller's to add."""
    entry = Entry(
        at,
        request_id.decode("latin-1"),
        peer,
        head.method.decode("latin-1"),
        head.target.decode("latin-1"),
        status,
        round(seconds, 6),
        sent,
    )
    if route is not None:
        entry.service, entry.route, entry.arm = route.service, route.name, arm
    return entry


class AccessLog:
    """`wants` decides, `add` keeps; both cost next to nothing and never block."""

    def __init__(self, policy: AccessLogPolicy, counters: memoryview) -> None:
        self._policy = policy
        self._counters = counters
        self._entries: deque[Entry] = deque()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = False
        self.apply(policy)

    def apply(self, policy: AccessLogPolicy) -> None:
        """Take a reloaded policy. The thread exists only once something is to be logged."""
        self._policy = policy
        self.enabled = policy.sample > 0.0
        if self.enabled and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
            self._thread.start()

    def wants(self, failed: bool) -> bool:
        return failed or self._policy.sample >= 1.0 or random.random() < self._policy.sample

    def add(self, entry: Entry) -> None:
        if len(self._entries) >= _BOUND:
            self._counters[layout.LOG_DROPPED] += 1
            return
        self._entries.append(entry)

    def close(self) -> None:
        """Write what waits, within a second."""
        self._ended = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        encode = msgspec.json.Encoder().encode
        while True:
            self._wake.wait(_PERIOD)
            count = len(self._entries)
            if count:
                lines = b"".join(encode(self._entries.popleft()) + b"\n" for _ in range(count))
                self._write(lines, count)
            if self._ended and not self._entries:
                return

    def _write(self, lines: bytes, count: int) -> None:
        """Blocks this thread alone. The file is opened anew each time, so that it may be rotated away."""
        try:
            if self._policy.path == "-":
                _write_all(1, lines)
            else:
                with Path(self._policy.path).open("ab", buffering=0) as file:
                    _write_all(file.fileno(), lines)
        except OSError:
            self._counters[layout.LOG_DROPPED] += count


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
