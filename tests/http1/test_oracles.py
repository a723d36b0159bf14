"""Other parsers as oracles: what this room accepts, h11 and llhttp (httptools) read in the same way.

They are the parsers of many upstreams: where they differ from this room, a request could be smuggled.
"""

from __future__ import annotations

import h11
import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shadowproxy.http1 import CHUNKED, NO_BODY, RequestHead, encode_chunk, encode_trailers, forward_request
from tests.http1.drive import LIMITS, Message, drive, request

_NAMES = st.sampled_from(
    [b"Accept", b"X-A", b"Cookie", b"Connection", b"TE", b"Trailer", b"Via", b"Expect", b"Upgrade"]
)
_VALUES = st.sampled_from(
    [b"", b"1", b"a b", b"close", b"keep-alive", b"upgrade", b"trailers", b"X-A", b"\xff", b"a\tb"]
)
_FRAMING = st.sampled_from(
    [
        [],
        [b"Content-Length: 3"],
        [b"content-length: 03"],
        [b"Content-Length: 3", b"Content-Length: 3"],
        [b"Transfer-Encoding: chunked"],
        [b"transfer-encoding: CHUNKED"],
    ]
)
_STARTS = st.sampled_from(
    [b"GET / HTTP/1.1", b"POST /p?q=1 HTTP/1.1", b"GET /p HTTP/1.0", b"PUT http://b/p HTTP/1.1", b"OPTIONS * HTTP/1.1"]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Mostly sound requests, with a few bytes replaced now and then."""
    framing = draw(_FRAMING)
    extra = [b"%b: %b" % pair for pair in draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=3))]
    raw = request(*draw(st.permutations([*framing, *extra])), start=draw(_STARTS))
    if framing:
        raw += b"3\r\nabc\r\n0\r\n\r\n" if b"chunked" in framing[0].lower() else b"abc"
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(raw) - 1))
        raw = raw[:place] + draw(st.sampled_from([b"", b" ", b"\r\n", b"\x00", b";", b"a", b":"])) + raw[place + 1 :]
    return raw


def emitted(message: Message) -> bytes:
    head = message.head
    assert isinstance(head, RequestHead)
    out = forward_request(head, b"", frozenset(), head.framing, b"up")
    if head.framing == CHUNKED:
        return out + encode_chunk(message.body) + encode_trailers(message.trailers)
    return out + message.body


class Llhttp:
    """What httptools makes of bytes."""

    def __init__(self, raw: bytes) -> None:
        self.url, self.body, self.messages = b"", b"", 0
        self.fields: list[tuple[bytes, bytes]] = []
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(raw)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages += 1


def by_h11(raw: bytes) -> tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    head = connection.next_event()
    assert isinstance(head, h11.Request)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert connection.trailing_data[0] == b""
    return head.method, head.target, list(head.headers.raw_items()), body


@settings(max_examples=300)
@given(raw=requests())
@example(raw=request(b"Transfer-Encoding: chunked") + b'3;a="b"\r\nabc\r\n0\r\nT: v\r\n\r\n')
def test_what_is_forwarded_is_read_the_same_by_others(raw: bytes) -> None:
    for message in drive(raw, [raw]).messages:
        if not message.whole:
            continue
        head = message.head
        assert isinstance(head, RequestHead)
        out = emitted(message)
        method, target, fields, body = by_h11(out)
        assert (method, target, body) == (head.method, head.target, message.body)
        sent = [line.split(b":")[0] for line in out.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
        assert [name for name, _ in fields] == sent
        if head.method in (b"GET", b"POST", b"PUT", b"OPTIONS"):  # llhttp knows a closed list
            llhttp = Llhttp(out)
            assert (llhttp.url, llhttp.body, llhttp.messages) == (head.target, message.body, 1)
            assert [name for name, _ in llhttp.fields][: len(sent)] == sent


@pytest.mark.parametrize("raw", [request(), request(b"Content-Length: 3", start=b"POST / HTTP/1.1") + b"abc"])
def test_the_oracles_read_ordinary_requests(raw: bytes) -> None:
    (message,) = drive(raw, [raw], LIMITS).messages
    assert Llhttp(raw).body == by_h11(raw)[3] == message.body
    assert message.head.framing in (NO_BODY, 3)
