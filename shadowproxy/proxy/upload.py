"""The body of a request on its way: to the primary as it comes, with back-pressure, and held for the copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shadowproxy.http1 import CHUNKED, LAST_CHUNK, RequestHead, encode_chunk, encode_trailers
from shadowproxy.upstream.connection import Connection, Trailers

if TYPE_CHECKING:
    from shadowproxy.proxy.client import ClientConnection
    from shadowproxy.shadow.tap import Tap


class Upload:
    """Until the origin lends a connection what came waits here, and the client is not read from.

    `whole`: the last byte came. `awaits_continue`: the client holds its body back until the primary said something.
    """

    __slots__ = ("_chunked", "_client", "_connection", "_early", "awaits_continue", "whole")

    def __init__(self, client: ClientConnection, head: RequestHead) -> None:
        self._client = client
        self._chunked = head.framing == CHUNKED
        self._connection: Connection | None = None
        self._early: list[bytes] = []
        self.awaits_continue = head.expect_continue
        self.whole = False

    def begin(self, connection: Connection) -> None:
        """The head is on its way over `connection`."""
        self._connection = connection
        if self._early:
            connection.write(b"".join(self._early))
            self._early = []
        if not self.whole and not connection.full:
            self._client.resume()

    def feed(self, data: bytes, tap: Tap | None) -> None:
        """A piece of the body, without its framing."""
        self.awaits_continue = False
        framed = encode_chunk(data) if self._chunked else data
        if self._connection is not None:
            self._connection.write(framed)
        else:
            self._early.append(framed)
            self._client.pause()
        if tap is not None:
            tap.hold(data)

    def end(self, trailers: Trailers, first_byte: float | None) -> None:
        """The body is whole; the answer is due in `first_byte` seconds."""
        self.whole = True
        end = b""
        if self._chunked:
            end = encode_trailers(trailers) if trailers else LAST_CHUNK
        if self._connection is not None:
            self._connection.write(end)
            self._connection.end_request(first_byte)
        else:
            self._early.append(end)

    def on_upstream_full(self) -> None:
        if not self.whole:
            self._client.pause()

    def on_upstream_ready(self) -> None:
        if not self.whole:
            self._client.resume()
