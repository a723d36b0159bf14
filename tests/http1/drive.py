"""Drives the room as the proxy does: a stream of bytes, cut anywhere, becomes messages, a fault, or waits for more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hypothesis import strategies as st

from shadowproxy.http1 import (
    BodyReader,
    HeadReader,
    RequestHead,
    ResponseHead,
    body_reader,
    parse_request,
    parse_response,
)
from shadowproxy.model.errors import ExchangeError
from shadowproxy.model.policy import LimitsPolicy

LIMITS = LimitsPolicy()
TIGHT = LimitsPolicy(line=48, head=160, fields=5, chunk_extensions=12, trailers=24)
"""Limits that a few fragments exceed."""


@dataclass
class Message:
    head: RequestHead | ResponseHead
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    whole: bool = False


@dataclass
class Outcome:
    messages: list[Message] = field(default_factory=list)
    fault: str = ""
    extra: bytes = b""
    """What came after the last message that its connection carries."""
    waiting: bool = False
    """Bytes of a message that is not whole have come."""

    @property
    def bodies(self) -> list[int]:
        return [len(message.body) for message in self.messages if message.whole]


class Stream:
    """One side of one connection."""

    def __init__(self, limits: LimitsPolicy, methods: Iterable[bytes] | None) -> None:
        self.limits = limits
        self.request = methods is None
        self.methods = list(methods or ())
        self.reader = HeadReader(limits, self.request)
        self.body: BodyReader | None = None
        self.ended = False
        self.outcome = Outcome()

    def feed(self, data: bytes) -> None:
        while data:
            if self.ended:
                self.outcome.extra += data
                return
            data = self._head(data) if self.body is None else self._body(self.body, data)

    def _head(self, data: bytes) -> bytes:
        head, data = self.reader.feed(data)
        if head is None:
            return b""
        message = Message(self._parse(head))
        self.outcome.messages.append(message)
        self.body = body_reader(message.head.framing, self.limits, self.request)
        self._finish(self.body)
        return data

    def _parse(self, head: bytes) -> RequestHead | ResponseHead:
        if self.request:
            return parse_request(head, self.limits)
        response = parse_response(head, self.methods[0] if self.methods else b"GET", self.limits)
        if response.status >= 200:
            del self.methods[:1]
        return response

    def _body(self, body: BodyReader, data: bytes) -> bytes:
        pieces, data = body.feed(data)
        assert all(pieces), "no piece is empty"
        self.outcome.messages[-1].body += b"".join(pieces)
        self._finish(body)
        return data

    def _finish(self, body: BodyReader) -> None:
        if not body.done:
            return
        message = self.outcome.messages[-1]
        message.trailers, message.whole = body.trailers, True
        self.body = None
        interim = isinstance(message.head, ResponseHead) and message.head.status < 200 and not message.head.upgrade
        if not interim and (not message.head.keep_alive or message.head.upgrade is not None):
            self.ended = True


def cut(raw: bytes, places: Iterable[int]) -> Iterator[bytes]:
    """`raw` in the pieces between `places`, which may repeat or lie outside."""
    start = 0
    for place in sorted({place for place in places if 0 < place < len(raw)}):
        yield raw[start:place]
        start = place
    yield raw[start:]


def drive(
    raw: bytes, pieces: Iterable[bytes], limits: LimitsPolicy = LIMITS, methods: Iterable[bytes] | None = None
) -> Outcome:
    """What becomes of `raw`, fed in `pieces`: requests, or the responses to requests with these `methods`."""
    pieces = list(pieces)
    assert b"".join(pieces) == raw
    stream = Stream(limits, methods)
    try:
        for piece in pieces:
            stream.feed(piece)
    except ExchangeError as error:
        stream.outcome.fault = error.fault.reason
        if stream.body is not None:  # payload from the piece that holds the fault is not handed out
            stream.outcome.messages[-1].body = b""
    stream.outcome.waiting = not stream.outcome.fault and (stream.body is not None or stream.reader.started)
    return stream.outcome


def bytewise(raw: bytes) -> Iterator[bytes]:
    return (raw[i : i + 1] for i in range(len(raw)))


def cuts(most: int = 8) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(1, 400), max_size=most)


def request(*lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes | None = b"Host: a") -> bytes:
    """A request's head."""
    return b"".join(line + b"\r\n" for line in (start, *([host] if host is not None else []), *lines, b""))


def response(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"".join(line + b"\r\n" for line in (start, *lines, b""))
