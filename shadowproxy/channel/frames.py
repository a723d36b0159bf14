"""Cut a byte stream into frames and put frames on it."""

from __future__ import annotations

from typing import Final

MAX_FRAME: Final = 64 * 1024 * 1024
_PREFIX: Final = 4


class FrameError(Exception):
    """The peer announced a frame larger than `MAX_FRAME`: the stream cannot be trusted any more."""


def frame(payload: bytes) -> bytes:
    """`payload` with its length before it."""
    return len(payload).to_bytes(_PREFIX, "big") + payload


class FrameReader:
    """Collects bytes however they were split and gives back whole frames."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Every frame that `data` completes, in order. Raises FrameError."""
        buffer = self._buffer
        if buffer:
            buffer += data
        stream = buffer or data  # mostly whole frames come, and nothing of them is to be kept
        frames: list[bytes] = []
        start = 0
        while len(stream) - start >= _PREFIX:
            size = int.from_bytes(stream[start : start + _PREFIX], "big")
            if size > MAX_FRAME:
                raise FrameError(f"frame of {size} bytes, at most {MAX_FRAME} are allowed")
            end = start + _PREFIX + size
            if len(stream) < end:
                break
            frames.append(bytes(stream[start + _PREFIX : end]))
            start = end
        if stream is buffer:
            del buffer[:start]
        else:
            buffer += data[start:]
        return frames
