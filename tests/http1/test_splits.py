"""The law of the room: however a stream is split, the same messages, the same fault, the same waiting."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http1.drive import LIMITS, TIGHT, bytewise, cut, cuts, drive, request, response

_CHUNKED = b'3\r\nabc\r\n1a;e=1;f="q"\r\n' + b"d" * 26 + b"\r\n0\r\nT: v\r\nU: w\r\n\r\n"
_REQUESTS = [
    request(),
    request(b"Connection: keep-alive, x", b"X: y"),
    request(b"Content-Length: 3", start=b"POST /p?q HTTP/1.1") + b"abc",
    request(b"Transfer-Encoding: chunked", start=b"PUT /p HTTP/1.1") + _CHUNKED,
    request(start=b"GET http://b/c HTTP/1.1"),
    request(b"Connection: keep-alive", start=b"GET / HTTP/1.0", host=None),
    request(b"X: " + b"y" * 40, b"A: 1", b"B: 2"),
    b"\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x00\xa5",
]
_RESPONSES = [
    response(b"Content-Length: 3") + b"abc",
    response(b"Transfer-Encoding: chunked") + _CHUNKED,
    response(start=b"HTTP/1.1 204 No Content"),
    response(start=b"HTTP/1.1 100"),
    response(b"Content-Length: 2", start=b"HTTP/1.1 304 Not Modified"),
    response(b"X: " + b"y" * 40, b"A: 1", b"Content-Length: 0"),
    response(b"Connection: keep-alive", start=b"HTTP/1.0 200 OK") + b"to the end",
]
_PIECES = [b"", b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"\xff", b";", b'"', b"0", b"\r\n\r\n", b"M" * 33]
_PIECES += [b"Host: b\r\n", b"Content-Length: 4\r\n", b"Transfer-Encoding: gzip\r\n", b" folded\r\n", b"y" * 50]


@st.composite
def streams(draw: st.DrawFn, messages: list[bytes]) -> bytes:
    """Sound messages in a row, with a few bytes here and there replaced."""
    raw = b"".join(draw(st.lists(st.sampled_from(messages), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(raw)))
        raw = raw[:place] + draw(st.sampled_from(_PIECES)) + raw[place + draw(st.integers(0, 2)) :]
    return raw


@settings(max_examples=400)
@given(raw=streams(_REQUESTS), places=cuts(), tight=st.booleans())
def test_requests_do_not_depend_on_the_split(raw: bytes, places: list[int], tight: bool) -> None:
    limits = TIGHT if tight else LIMITS
    whole = drive(raw, [raw], limits)
    assert drive(raw, cut(raw, places), limits) == whole
    assert drive(raw, bytewise(raw), limits) == whole


@settings(max_examples=400)
@given(raw=streams(_RESPONSES), places=cuts(), tight=st.booleans(), method=st.sampled_from([b"GET", b"HEAD"]))
def test_responses_do_not_depend_on_the_split(raw: bytes, places: list[int], tight: bool, method: bytes) -> None:
    limits = TIGHT if tight else LIMITS
    whole = drive(raw, [raw], limits, [method] * 9)
    assert drive(raw, cut(raw, places), limits, [method] * 9) == whole
    assert drive(raw, bytewise(raw), limits, [method] * 9) == whole


@pytest.mark.parametrize(
    ("raw", "bodies"),
    [
        (request(), [0]),
        (request() * 3, [0, 0, 0]),
        (b"\r\n" + request(b"Content-Length: 3") + b"abc" + b"\r\n" + request(), [3, 0]),
        (request(b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n02\r\nde\r\n0\r\nT: v\r\n\r\n" + request(), [5, 0]),
    ],
)
def test_pipelined_requests_come_out_one_after_another(raw: bytes, bodies: list[int]) -> None:
    for size in range(1, len(raw) + 1):
        outcome = drive(raw, [raw[i : i + size] for i in range(0, len(raw), size)])
        assert (outcome.bodies, outcome.fault, outcome.waiting) == (bodies, "", False)


def test_responses_come_out_one_after_another() -> None:
    raw = (
        response(start=b"HTTP/1.1 103 Early Hints")
        + response(b"Content-Length: 3")
        + b"abc"
        + response(b"Content-Length: 9")  # to HEAD
        + response(b"Transfer-Encoding: chunked")
        + b"1\r\na\r\n0\r\n\r\n"
        + response()
        + b"to the end"
    )
    for pieces in ([raw], bytewise(raw)):
        outcome = drive(raw, pieces, methods=[b"GET", b"HEAD", b"GET", b"GET"])
        assert [message.body for message in outcome.messages] == [b"", b"abc", b"", b"a", b"to the end"]
        assert (outcome.fault, outcome.waiting) == ("", True)
