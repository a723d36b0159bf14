"""Cuts heads out of a byte stream, however it is split, in linear time and bounded memory.

What can never become a head is refused as soon as that is certain, so that a peer which speaks something else
(TLS, HTTP/2, lines ended by LF alone) gets its answer instead of a timeout. Faults are found from left to right:
the same stream gives the same fault for any split.
"""

from __future__ import annotations

from typing import Final

from shadowproxy.http1.grammar import stray_line_end
from shadowproxy.http1.request import request_line_fault
from shadowproxy.http1.response import status_line_fault
from shadowproxy.model import errors
from shadowproxy.model.errors import ExchangeError
from shadowproxy.model.policy import LimitsPolicy

_END: Final = b"\r\n\r\n"
_EMPTY_LINES: Final = 4
"""How many empty lines may come before a request (RFC 9112 section 2.2 asks for one; old clients add one per POST)."""


class HeadReader:
    """Reads one head after another from one peer; after a head it is ready for the next one."""

    __slots__ = ("_buffer", "_empty_lines", "_limits", "_line_fault", "_line_sound", "_request", "_searched", "_small")

    def __init__(self, limits: LimitsPolicy, request: bool) -> None:
        self._limits = limits
        self._small = min(limits.line, limits.head)
        self._request = request
        self._line_fault = request_line_fault if request else status_line_fault
        self._buffer = bytearray()
        self._searched = 0
        self._empty_lines = 0
        self._line_sound = False

    @property
    def started(self) -> bool:
        """Whether any byte of the next head has come; empty lines before a request are none of it."""
        return len(self._buffer) > 0 and self._buffer != b"\r"

    def feed(self, data: bytes) -> tuple[bytes | None, bytes]:
        """The head, with its empty line, and the bytes after it; or None and nothing when more is needed.

        Raises ExchangeError: of a request METHOD_TOO_LONG, TARGET_TOO_LONG, HEAD_TOO_LARGE, VERSION, REQUEST_LINE or
        HEADER, of a response MALFORMED.
        """
        if not self._buffer:
            end = data.find(_END) + 4
            # So small that no limit can be exceeded; empty lines before a request are for the slow way.
            if 4 < end <= self._small and data[0] > 0x20 and not self._empty_lines:
                return (data, b"") if end == len(data) else (data[:end], data[end:])
        return self._feed_slowly(data)

    def _feed_slowly(self, data: bytes) -> tuple[bytes | None, bytes]:
        buffer = self._buffer
        buffer += data
        if self._request and not self._line_sound:
            self._skip_empty_lines()
        end = buffer.find(_END, max(0, self._searched - 3))
        self._judge(len(buffer) if end < 0 else end + 4)
        if end < 0:
            self._searched = len(buffer)
            return None, b""
        head, rest = bytes(buffer[: end + 4]), bytes(buffer[end + 4 :])
        buffer.clear()
        self._searched = self._empty_lines = 0
        self._line_sound = False
        return head, rest

    def _skip_empty_lines(self) -> None:
        buffer = self._buffer
        start = 0
        while buffer.startswith(b"\r\n", start):
            start += 2
            self._empty_lines += 1
            if self._empty_lines > _EMPTY_LINES:
                raise ExchangeError(errors.REQUEST_LINE, f"more than {_EMPTY_LINES} empty lines before a request")
        del buffer[:start]

    def _judge(self, end: int) -> None:
        """Raises for the first fault that can be told from the first `end` bytes, which are all of the head so far."""
        buffer, limits = self._buffer, self._limits
        if not self._line_sound and buffer and buffer != b"\r":
            newline = buffer.find(b"\n", 0, limits.line + 2) + 1
            fault = self._line_fault(bytes(buffer[: newline or limits.line + 2]), limits)
            if fault is not None:
                raise fault
            self._line_sound = newline > 0
        if self._line_sound and stray_line_end(buffer, max(0, self._searched - 1), min(end, limits.head)):
            raise ExchangeError(errors.HEADER if self._request else errors.MALFORMED, "a line does not end in CRLF")
        if end > limits.head:
            too_large = errors.HEAD_TOO_LARGE if self._request else errors.MALFORMED
            raise ExchangeError(too_large, f"a head has at most {limits.head} bytes")
