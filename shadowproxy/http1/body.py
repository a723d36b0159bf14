"""Where a message's body ends, and what it holds, however its bytes are split (RFC 9112 sections 6 and 7)."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Protocol

from shadowproxy.http1.framing import CHUNKED, UNTIL_CLOSE
from shadowproxy.http1.grammar import Memo, chunk_line, chunk_line_start, field_line, field_line_start
from shadowproxy.model import errors
from shadowproxy.model.errors import ExchangeError
from shadowproxy.model.policy import LimitsPolicy

_MOST: Final = 2**63 - 1
_SIZE_DIGITS: Final = 16
_CHUNK_LINE: Final = "a chunk starts with its size below 2^63 in at most 16 hexadecimal digits, extensions and CRLF"
_MOST_PIECES: Final = 512
"""Chunks that are taken apart at once, which takes a fifth of a millisecond. Chunks of one byte make a read of 256 KiB
cost as much as a thousand requests: others are to have their turn in between.
"""
_NO_DATA_END: Final = "a chunk's data is not followed by CRLF"


class BodyReader(Protocol):
    """Takes one message's body out of a byte stream."""

    done: bool
    behind: bool
    """There is more in what was fed than `feed` took apart at once: `feed(b"")` goes on."""
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
    behind = False

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
    behind = False

    def __init__(self) -> None:
        self.done = False
        self.trailers: list[tuple[bytes, bytes]] = []

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        return ([data] if data else []), b""

    def eof(self) -> None:
        self.done = True


class _At(Enum):
    SIZE = auto()
    """In the line with a chunk's size and extensions."""
    DATA = auto()
    DATA_END = auto()
    """In the CRLF after a chunk's data."""
    TRAILER = auto()
    """In the lines after the last chunk, up to an empty one."""


_SIZE, _DATA, _DATA_END, _TRAILER = _At


def _read_chunk_line(line: bytes) -> tuple[int, int] | None:
    """Bytes of data and of extensions that a chunk's first line announces; None when it is none."""
    match = chunk_line(line)
    if match is None:
        return None
    size = int(match[1], 16)
    return (size, len(match[2])) if size <= _MOST else None


_chunk_lines: Final = Memo(_read_chunk_line)  # a peer cuts most of its chunks to one size


class ChunkedReader:
    """A chunked body. Extensions are checked and forgotten; trailers are kept apart from the head's fields."""

    __slots__ = (
        "_at",
        "_extensions",
        "_held",
        "_left",
        "_limits",
        "_request",
        "_trailer_size",
        "behind",
        "done",
        "trailers",
    )

    def __init__(self, limits: LimitsPolicy, request: bool) -> None:
        self._limits = limits
        self._request = request
        self._at = _SIZE
        self._held = b""  # the piece of a line whose end has not come, or what is left for the next turn
        self._left = 0
        self._extensions = 0
        self._trailer_size = 0
        self.done = False
        self.behind = False
        self.trailers: list[tuple[bytes, bytes]] = []

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        pieces: list[bytes] = []
        position = 0
        if self._held:
            data = self._held + data
            self._held = b""
        self.behind = False
        size = len(data)
        while position < size and not self.done:
            if len(pieces) >= _MOST_PIECES:
                self._held = data[position:]
                self.behind = True
                return pieces, b""
            if self._at is _DATA:
                position = self._take_data(data, position, pieces)
                continue
            end = data.find(b"\n", position) + 1
            if not end:
                self._held = data[position:]
                self._judge_start(self._held)
                return pieces, b""
            line = data[position:end]
            position = end
            if self._at is _SIZE:
                position = self._take_size(line, data, end, pieces)
            elif self._at is _DATA_END:
                self._take_data_end(line)
            else:
                self._take_trailer(line)
        return pieces, data[position:]

    def _take_data(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """Takes what `data` has of the chunk, with the CRLF after it where it is all there; the position after that."""
        end = position + self._left
        piece = data[position:end]
        pieces.append(piece)
        self._left -= len(piece)
        if self._left:
            return end
        if data.startswith(b"\r\n", end):
            self._at = _SIZE
            return end + 2
        self._at = _DATA_END
        return end

    def eof(self) -> None:
        if not self.done:
            raise _ended_early(self._request, "the last chunk is missing")

    def _take_size(self, line: bytes, data: bytes, position: int, pieces: list[bytes]) -> int:
        """Takes a chunk's first line, and the chunk as well where all of it is there; the position after that."""
        announced = _chunk_lines[line]
        if announced is None:
            raise self._bad_chunk(_CHUNK_LINE)
        left, extensions = announced
        if extensions:
            self._extensions += extensions
            if self._extensions > self._limits.chunk_extensions:
                raise self._bad_chunk(self._extension_limit())
        end = position + left
        if left and data.startswith(b"\r\n", end):
            pieces.append(data[position:end])
            return end + 2
        self._left = left
        self._at = _DATA if left else _TRAILER
        return position

    def _take_data_end(self, line: bytes) -> None:
        if line != b"\r\n":
            raise self._bad_chunk(_NO_DATA_END)
        self._at = _SIZE

    def _take_trailer(self, line: bytes) -> None:
        if line == b"\r\n":
            self.done = True
            return
        self._trailer_size += len(line)
        if not field_line(line):
            raise self._bad_trailer(self._no_trailer())
        if self._trailer_size > self._limits.trailers or len(self.trailers) >= self._limits.fields:
            raise self._bad_trailer(self._trailer_limits())
        name, _, value = line.partition(b":")
        self.trailers.append((name, value.strip(b" \t\r\n")))

    def _judge_start(self, start: bytes) -> None:
        """Raises for a piece of a line that can become none: waiting would not help."""
        limits = self._limits
        if self._at is _SIZE:
            if not chunk_line_start(start):
                raise self._bad_chunk(_CHUNK_LINE)
            if len(start) - _SIZE_DIGITS - 1 > limits.chunk_extensions - self._extensions:
                raise self._bad_chunk(self._extension_limit())
        elif self._at is _DATA_END:
            if start != b"\r":
                raise self._bad_chunk(_NO_DATA_END)
        elif not field_line_start(start):
            raise self._bad_trailer(self._no_trailer())
        elif len(start) > limits.trailers - self._trailer_size:
            raise self._bad_trailer(self._trailer_limits())

    def _bad_chunk(self, detail: str) -> ExchangeError:
        return ExchangeError(errors.CHUNK if self._request else errors.MALFORMED, detail)

    def _bad_trailer(self, detail: str) -> ExchangeError:
        return ExchangeError(errors.TRAILER if self._request else errors.MALFORMED, detail)

    def _trailer_limits(self) -> str:
        return f"trailers have at most {self._limits.trailers} bytes and {self._limits.fields} fields"

    def _extension_limit(self) -> str:
        return f"chunk extensions have at most {self._limits.chunk_extensions} bytes a message"

    def _no_trailer(self) -> str:
        return f"trailer line {len(self.trailers) + 1} is no field line ended by CRLF"
