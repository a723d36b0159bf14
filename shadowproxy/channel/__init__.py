"""Framed messages between processes: four bytes of length, big-endian, then msgpack. Sans-I/O."""

from shadowproxy.channel.frames import MAX_FRAME, FrameError, FrameReader, frame

__all__ = ["MAX_FRAME", "FrameError", "FrameReader", "frame"]
