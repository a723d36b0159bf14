"""One record of a file of recorded traffic, whatever its format."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

REQUEST: Final = "1"
ANSWER: Final = "2"
"""What the server said at the time."""
REPLAYED: Final = "3"
"""What a server said to a replay of the request."""
KINDS: Final = (REQUEST, ANSWER, REPLAYED)


class FormatError(ValueError):
    """What was read is not in the format. The text says where in the file, and what would be right."""


class Record(Struct, frozen=True):
    """`payload` is a whole HTTP/1.1 message as on the wire. `at` is Unix time and `latency` a duration, nanoseconds.

    `id` is the same for a request and its answers. `connection` names the client's connection, where that is known;
    `latency` is 0 where it is not. `place` is where the payload begins in its file.
    """

    kind: str
    id: str
    at: int
    payload: bytes
    latency: int = 0
    connection: str = ""
    place: int = 0
