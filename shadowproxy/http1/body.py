"""Where a message's body ends, and what it holds, however its bytes are split (RFC 9112 sections 6 and 7)."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Protocol

from shadowproxy.http1.framing import CHUNKED, UNTIL_CLOSE
from shadowproxy.http1.grammar import chunk_line, chunk_line_start, field_line, field_line_start
from shadowproxy.model import errors
from shadowproxy.model.errors import ExchangeError
from shadowproxy.model.policy import LimitsPolicy

_MOST: Final = 2**63 - 1
_SIZE_DIGITS: Final = 16


class BodyReader(Protocol):
    """Takes one message's body out of a byte stream."""

    done: bool
    trailers: list[tuple[bytes, bytes]]

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The pieces of payload in `data`, and the bytes after the end of the message.

        Raises ExchangeError: CHUNK or TRAILER for a request, MALFORMED for a response.
        """

    def eof(self) -> None:
        """The stream has ended. Raises ExchangeError, CLIENT_GONE or TRUNCATED, unless the body may end so."""


def body_reader(framing: int, limits: LimitsPolicy, request: bool) -> BodyReader:
    """The reader for a head's `framing`."""
    if framing == CHUNKED:
        return ChunkedReader(limits, request)
    if framing == UNTIL_CLOSE:
        return CloseReader()
    return LengthReader(framing, request)


def _ended_early(request: bool, detail: str) -> ExchangeError:
    return ExchangeError(errors.CLIENT_GONE if request else errors.TRUNCATED, detail)


class LengthReader:
    """A body of `length` bytes."""

    __slots__ = ("_left", "_request", "done", "trailers")

    def __init__(self, length: int, request: bool = False) -> None:
        self._left = length
        self._request = request
        self.done = length == 0
        self.trailers: list[tuple[bytes, bytes]] = []

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        left = self._left
        size = len(data)
        if size < left:
            self._left = left - size
            return ([data] if data else []), b""
        if left == 0:
            return [], data
        self._left = 0
        self.done = True
        return ([data], b"") if size == left else ([data[:left]], data[left:])

    def eof(self) -> None:
        if not self.done:
            raise _ended_early(self._request, f"{self._left} bytes of the body are missing")


class CloseReader:
    """A body that ends with its connection."""

    __slots__ = ("done", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.trailers: list[tuple[bytes, bytes]] = []

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        return ([data] if data else []), b""

    def eof(self) -> None:
        self.done = True


class _At(Enum):
    SIZE = auto()
    """The line with a chunk's size and extensions."""
    DATA = auto()
    DATA_END = auto()
    """The CRLF after a chunk's data."""
    TRAILER = auto()
    """The lines after the last chunk, up to an empty one."""
    END = auto()


class ChunkedReader:
    """A chunked body. Extensions are checked and forgotten; trailers are kept apart from the head's fields."""

    __slots__ = ("_at", "_extensions", "_held", "_left", "_limits", "_request", "_trailer_size", "done", "trailers")

    def __init__(self, limits: LimitsPolicy, request: bool) -> None:
        self._limits = limits
        self._request = request
        self._at = _At.SIZE
        self._held = b""  # the piece of a line whose end has not come
        self._left = 0
        self._extensions = 0
        self._trailer_size = 0
        self.done = False
        self.trailers: list[tuple[bytes, bytes]] = []

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        pieces: list[bytes] = []
        position = 0
        if self._held:
            data = self._held + data
            self._held = b""
        while position < len(data):
            if self._at is _At.DATA:
                piece = data[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._at = _At.DATA_END
                continue
            if self._at is _At.END:
                break
            end = data.find(b"\n", position) + 1
            if not end:
                self._held = data[position:]
                self._judge_start(self._held)
                return pieces, b""
            self._take_line(data[position:end])
            position = end
        return pieces, data[position:]

    def eof(self) -> None:
        if not self.done:
            raise _ended_early(self._request, "the last chunk is missing")

    def _take_line(self, line: bytes) -> None:
        if self._at is _At.SIZE:
            self._take_size(line)
        elif self._at is _At.DATA_END:
            if line != b"\r\n":
                raise self._bad_chunk("a chunk's data is not followed by CRLF")
            self._at = _At.SIZE
        else:
            self._take_trailer(line)

    def _take_size(self, line: bytes) -> None:
        match = chunk_line(line)
        if match is None:
            raise self._bad_chunk("a chunk starts with its size in at most 16 hexadecimal digits, extensions and CRLF")
        digits, extensions = match.groups()
        self._extensions += len(extensions)
        if self._extensions > self._limits.chunk_extensions:
            raise self._bad_chunk(f"chunk extensions have at most {self._limits.chunk_extensions} bytes a message")
        size = int(digits, 16)
        if size > _MOST:
            raise self._bad_chunk("a chunk's size must be below 2^63")
        self._left = size
        self._at = _At.DATA if size else _At.TRAILER

    def _take_trailer(self, line: bytes) -> None:
        if line == b"\r\n":
            self._at = _At.END
            self.done = True
            return
        self._trailer_size += len(line)
        if not field_line(line):
            raise self._bad_trailer(f"trailer line {len(self.trailers) + 1} is no field line ended by CRLF")
        if self._trailer_size > self._limits.trailers or len(self.trailers) >= self._limits.fields:
            raise self._bad_trailer(self._trailer_limits())
        name, _, value = line.partition(b":")
        self.trailers.append((name, value.strip(b" \t\r\n")))

    def _judge_start(self, start: bytes) -> None:
        """Raises for a piece of a line that can become none: waiting would not help."""
        limits = self._limits
        if self._at is _At.SIZE:
            if not chunk_line_start(start):
                raise self._bad_chunk("a chunk starts with its size in hexadecimal")
            if len(start) - _SIZE_DIGITS - 1 > limits.chunk_extensions - self._extensions:
                raise self._bad_chunk(f"chunk extensions have at most {limits.chunk_extensions} bytes a message")
        elif self._at is _At.DATA_END:
            if start != b"\r":
                raise self._bad_chunk("a chunk's data is not followed by CRLF")
        elif not field_line_start(start):
            raise self._bad_trailer(f"trailer line {len(self.trailers) + 1} is no field line")
        elif len(start) > limits.trailers - self._trailer_size:
            raise self._bad_trailer(self._trailer_limits())

    def _bad_chunk(self, detail: str) -> ExchangeError:
        return ExchangeError(errors.CHUNK if self._request else errors.MALFORMED, detail)

    def _bad_trailer(self, detail: str) -> ExchangeError:
        return ExchangeError(errors.TRAILER if self._request else errors.MALFORMED, detail)

    def _trailer_limits(self) -> str:
        return f"trailers have at most {self._limits.trailers} bytes and {self._limits.fields} fields"
