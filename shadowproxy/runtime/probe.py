"""`/healthz` and `/readyz`, answered by the supervisor itself: a dead control must not get a healthy pod killed.

One request per connection, no body read, nothing that waits. The number of connections and the life of each are
bounded; when there are too many the oldest goes, so that a crowd of silent ones cannot keep a kubelet out.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
from collections.abc import Callable
from typing import Final

CONNECTIONS: Final = 64
LIFETIME: Final = 5.0
"""Seconds from accepting to the end, whatever the client does."""
HEAD: Final = 8 * 1024

Unready = Callable[[], str]


def respond(head: bytes, unready: Unready) -> bytes:
    """The whole answer to a request head (RFC 9112 section 3). `unready` gives the reason for a 503, empty if ready."""
    parts = head.partition(b"\r\n")[0].split(b" ")
    if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
        return _answer(b"400 Bad Request", "not an HTTP/1.1 request")
    method, target, _ = parts
    path = target.partition(b"?")[0]
    if path not in {b"/healthz", b"/readyz"}:
        status, text = b"404 Not Found", "only /healthz and /readyz are here"
    elif method not in {b"GET", b"HEAD"}:
        return _answer(b"405 Method Not Allowed", "only GET and HEAD", b"Allow: GET, HEAD\r\n")
    elif path == b"/readyz" and (why := unready()):
        status, text = b"503 Service Unavailable", why
    else:
        status, text = b"200 OK", "ok"
    return _answer(status, text, head_only=method == b"HEAD")


def _answer(status: bytes, text: str, fields: bytes = b"", *, head_only: bool = False) -> bytes:
    body = text.encode() + b"\n"
    head = (
        b"HTTP/1.1 %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nCache-Control: no-store\r\n"
    )
    return head % (status, len(body)) + fields + b"Connection: close\r\n\r\n" + (b"" if head_only else body)


class _Visitor:
    __slots__ = ("answered", "connection", "ends_at", "received")

    def __init__(self, connection: socket.socket, ends_at: float) -> None:
        self.connection = connection
        self.ends_at = ends_at
        self.received = bytearray()
        self.answered = False


class Probe:
    """The probe listener inside the supervisor's selector; callbacks are registered as the keys' data."""

    def __init__(
        self, listener: socket.socket, selector: selectors.BaseSelector, unready: Unready, clock: Callable[[], float]
    ) -> None:
        self._listener = listener
        self._selector = selector
        self._unready = unready
        self._clock = clock
        self._visitors: list[_Visitor] = []
        """Oldest first, hence in the order of `ends_at`."""
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def next_due(self) -> float:
        return self._visitors[0].ends_at if self._visitors else math.inf

    def expire(self, now: float) -> None:
        """Close the connections whose time is over."""
        while self._visitors and self._visitors[0].ends_at <= now:
            self._leave(self._visitors[0])

    def abandon(self) -> None:
        """In a forked child: close the copies of the connections, and leave the selector, which is shared, alone."""
        for visitor in self._visitors:
            visitor.connection.close()

    def _accept(self, _events: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # gone again, or no descriptor left: the next probe may do better
        connection.setblocking(False)
        if len(self._visitors) >= CONNECTIONS:
            self._leave(self._visitors[0])
        visitor = _Visitor(connection, self._clock() + LIFETIME)
        self._visitors.append(visitor)
        self._selector.register(connection, selectors.EVENT_READ, lambda _events: self._read(visitor))

    def _read(self, visitor: _Visitor) -> None:
        try:
            data = visitor.connection.recv(HEAD)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._leave(visitor)
        elif not visitor.answered:
            visitor.received += data
            if b"\r\n\r\n" in visitor.received:
                self._send(visitor, respond(bytes(visitor.received), self._unready))
            elif len(visitor.received) > HEAD:
                self._send(visitor, _answer(b"431 Request Header Fields Too Large", f"at most {HEAD} bytes"))

    def _send(self, visitor: _Visitor, answer: bytes) -> None:
        """A fresh socket's buffer takes the few bytes at once. Then wait for the client's end."""
        visitor.answered = True
        with contextlib.suppress(OSError):
            visitor.connection.send(answer)
            visitor.connection.shutdown(socket.SHUT_WR)

    def _leave(self, visitor: _Visitor) -> None:
        self._visitors.remove(visitor)
        self._selector.unregister(visitor.connection)
        visitor.connection.close()
