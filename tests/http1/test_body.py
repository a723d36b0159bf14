"""Bodies: by length, chunked, to the close of the connection; what ends them, and what refuses them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.http1 import (
    CHUNKED,
    LAST_CHUNK,
    NO_BODY,
    UNTIL_CLOSE,
    ChunkedReader,
    CloseReader,
    LengthReader,
    body_reader,
    encode_chunk,
    encode_trailers,
)
from shadowproxy.model import errors
from shadowproxy.model.errors import ExchangeError, Fault
from tests.http1.drive import LIMITS, TIGHT, bytewise, cut, cuts


def chunked_fault(raw: bytes, request: bool = True) -> Fault | None:
    """The fault that a reader with tight limits finds, the same at once and byte by byte."""
    found = []
    for pieces in ([raw], bytewise(raw)):
        reader = ChunkedReader(TIGHT, request)
        try:
            for piece in pieces:
                reader.feed(piece)
            assert not reader.done
        except ExchangeError as error:
            found.append(error.fault)
    assert len(found) != 1
    assert found[:1] == found[1:]
    return found[0] if found else None


def test_the_reader_follows_the_framing() -> None:
    assert isinstance(body_reader(CHUNKED, LIMITS, request=True), ChunkedReader)
    assert isinstance(body_reader(UNTIL_CLOSE, LIMITS, request=False), CloseReader)
    assert isinstance(body_reader(3, LIMITS, request=True), LengthReader)
    assert body_reader(NO_BODY, LIMITS, request=True).done


def test_a_length_is_exact() -> None:
    reader = LengthReader(5)
    data = b"abc"
    pieces, rest = reader.feed(data)
    assert pieces[0] is data
    assert (rest, reader.done) == (b"", False)
    assert reader.feed(b"") == ([], b"")
    assert reader.feed(b"defg") == ([b"de"], b"fg")
    assert reader.done
    assert reader.feed(b"more") == ([], b"more")
    reader.eof()
    assert reader.trailers == []


def test_a_piece_that_ends_with_the_body_is_not_copied() -> None:
    data = b"abc"
    pieces, rest = LengthReader(3).feed(data)
    assert pieces[0] is data
    assert rest == b""


@pytest.mark.parametrize(("request_side", "fault"), [(True, errors.CLIENT_GONE), (False, errors.TRUNCATED)])
def test_an_early_end_is_no_end(request_side: bool, fault: Fault) -> None:
    for framing, sent in ((5, b"abc"), (CHUNKED, b"3\r\nabc\r\n"), (CHUNKED, b"0\r\n")):
        reader = body_reader(framing, LIMITS, request_side)
        reader.feed(sent)
        with pytest.raises(ExchangeError) as caught:
            reader.eof()
        assert caught.value.fault is fault


def test_a_close_delimited_body_ends_with_the_connection() -> None:
    reader = CloseReader()
    assert reader.feed(b"abc") == ([b"abc"], b"")
    assert reader.feed(b"") == ([], b"")
    assert not reader.done
    reader.eof()
    assert reader.done
    assert reader.trailers == []


@given(
    chunks=st.lists(st.binary(max_size=40), max_size=6),
    trailers=st.lists(st.tuples(st.from_regex(r"[A-Za-z]{9}", fullmatch=True), st.sampled_from(["", "v", "a\tb"]))),
    places=cuts(),
)
def test_what_is_encoded_is_read_back(chunks: list[bytes], trailers: list[tuple[str, str]], places: list[int]) -> None:
    fields = [(name.encode(), value.encode()) for name, value in trailers]
    raw = b"".join(map(encode_chunk, chunks)) + encode_trailers(fields)
    reader = ChunkedReader(LIMITS, request=True)
    body, rest = b"", b""
    for piece in cut(raw + b"next", places):
        pieces, after = reader.feed(piece) if not reader.done else ([], piece)
        body += b"".join(pieces)
        rest += after
    assert (body, rest, reader.done, reader.trailers) == (b"".join(chunks), b"next", True, fields)
    reader.eof()


def test_an_empty_chunk_is_not_encoded() -> None:
    assert encode_chunk(b"") == b""
    assert encode_chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert encode_trailers([]) == LAST_CHUNK


def test_only_what_may_be_a_trailer_is_encoded() -> None:
    names = [b"Content-Length", b"HOST", b"Authorization", b"Set-Cookie", b"Transfer-Encoding", b"Connection"]
    fields = [(name, b"1") for name in names]
    assert encode_trailers([*fields, (b"Checksum", b"2")]) == b"0\r\nChecksum: 2\r\n\r\n"


@pytest.mark.parametrize(
    "line",
    [
        b"3",
        b"03",
        b"0000000000000003",
        b"3;a",
        b"3;a;b",
        b"3;a=b",
        b'3;a="b;c"',
        b'3;a="\\""',
        b'3;a=""',
        b"3 ; a\t= b",
    ],
)
def test_chunk_lines_that_are_fine(line: bytes) -> None:
    for raw in (b"%b\r\nabc\r\n0;x\r\n\r\n" % line, b"%b\r\nabc\r\n000\r\n\r\n" % line):
        reader = ChunkedReader(LIMITS, request=True)
        assert reader.feed(raw) == ([b"abc"], b"")
        assert reader.done


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" 3",
        b"3 ",
        b"3\t",
        b"+3",
        b"-3",
        b"0x3",
        b"3_0",
        b"x",
        b"3x",
        b"3;",
        b"3;;a",
        b"3; ;",
        b"3;a=",
        b"3;=b",
        b'3;a="b',
        b'3;a="b"c',
        b"3;a b",
        b"3;a=b c",
        b"3 a",
        b"3\x00",
        b"3;\x00",
        b"3;a\x00",
        b'3;a="\x01"',
        b"3\rx",
        b"00000000000000003",
        b"8000000000000000",
        b"ffffffffffffffff",
        b"f0000000000000003",
    ],
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_chunk_lines_that_are_refused(line: bytes, end: bytes) -> None:
    assert chunked_fault(line + end) is errors.CHUNK
    assert chunked_fault(line + end, request=False) is errors.MALFORMED


@pytest.mark.parametrize("start", [b"x", b"-", b"3x", b"3\rx", b"3\n", b"0" * 17, b"3;a\rb"])
def test_what_becomes_no_chunk_line_is_refused_at_once(start: bytes) -> None:
    assert chunked_fault(start[:-1]) is None
    assert chunked_fault(start) is errors.CHUNK


@pytest.mark.parametrize("end", [b"x", b"\n", b"\rx", b"\r\r"])
def test_data_must_be_followed_by_crlf(end: bytes) -> None:
    assert chunked_fault(b"3\r\nabc" + end[:-1]) is None
    assert chunked_fault(b"3\r\nabc" + end) is errors.CHUNK
    assert chunked_fault(b"3\r\nabc" + end + b"\n", request=False) is errors.MALFORMED


def test_the_largest_chunk_is_just_begun() -> None:
    reader = ChunkedReader(LIMITS, request=True)
    assert reader.feed(b"7fffffffffffffff\r\nabc") == ([b"abc"], b"")
    assert not reader.done


def test_extensions_are_bounded_over_the_message() -> None:
    six = b"1;" + b"e" * 5 + b"\r\na\r\n"  # with its semicolon an extension of six bytes
    assert TIGHT.chunk_extensions == 12
    assert chunked_fault(six * 2) is None
    assert chunked_fault(six * 3) is errors.CHUNK
    assert chunked_fault(b"1;" + b"e" * 40) is errors.CHUNK
    assert chunked_fault(b"0" * 15 + b"1;" + b"e" * 11 + b"\r\na\r\n") is None


def test_a_chunk_may_come_in_many_pieces() -> None:
    reader = ChunkedReader(LIMITS, request=True)
    got = [reader.feed(piece)[0] for piece in (b"6", b"\r", b"\nab", b"cd", b"ef", b"\r", b"\n0\r\n\r", b"\n")]
    assert got == [[], [], [b"ab"], [b"cd"], [b"ef"], [], [], []]
    assert reader.done


def test_trailers_are_kept_apart() -> None:
    reader = ChunkedReader(LIMITS, request=False)
    assert reader.feed(b"0\r\nA:  1 \r\na: 2\r\nContent-Length: 5\r\n\r\nnext") == ([], b"next")
    assert reader.trailers == [(b"A", b"1"), (b"a", b"2"), (b"Content-Length", b"5")]


@pytest.mark.parametrize(
    "line", [b"no colon", b": x", b"A : x", b" A: x", b"A: \x00", b"A: b\rc", b"A: b\x7f", b"\xe9: b", b"\t"]
)
def test_trailers_that_are_refused(line: bytes) -> None:
    for end in (b"\r\n", b"\n"):
        assert chunked_fault(b"0\r\nX: y\r\n" + line + end) is errors.TRAILER
        assert chunked_fault(b"0\r\nX: y\r\n" + line + end, request=False) is errors.MALFORMED


def test_trailers_are_bounded() -> None:
    assert TIGHT.trailers == 24
    assert chunked_fault(b"0\r\n" + b"A: ".ljust(22, b"x") + b"\r\n") is None
    assert chunked_fault(b"0\r\n" + b"A: ".ljust(23, b"x") + b"\r\n") is errors.TRAILER
    assert chunked_fault(b"0\r\n" + b"A: ".ljust(25, b"x")) is errors.TRAILER
    assert chunked_fault(b"0\r\n" + b"A:\r\n" * TIGHT.fields) is None
    assert chunked_fault(b"0\r\n" + b"A:\r\n" * (TIGHT.fields + 1)) is errors.TRAILER


def test_very_many_chunks_are_taken_apart_some_at_a_time() -> None:
    body = bytes(i % 251 for i in range(2000))
    raw = b"".join(b"1;x\r\n%c\r\n" % byte for byte in body) + b"0\r\nX-Sum: 1\r\n\r\nGET /"
    reader = ChunkedReader(LIMITS, request=True)
    pieces, rest = reader.feed(raw[:-8])
    turns = [len(pieces)]
    while reader.behind:
        assert rest == b""
        more, rest = reader.feed(raw[-8:] if len(turns) == 2 else b"")
        turns.append(len(more))
        pieces += more
    assert turns == [512, 512, 512, 464]
    assert (b"".join(pieces), rest, reader.done) == (body, b"GET /", True)
    assert reader.trailers == [(b"X-Sum", b"1")]
