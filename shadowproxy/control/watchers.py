"""Who follows what happens as it happens. Nobody waits for a follower: one that is behind misses events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

MAX_WATCHERS: Final = 32
_BACKLOG: Final = 256


class Event(Struct, frozen=True):
    """`name` is `status`, `example`, `rollout` or `flags`; `body` can be encoded as JSON."""

    name: str
    body: object


class FlagsChanged(Struct, frozen=True):
    """The body of `flags`: a version of the flags is in force now."""

    version: int
    """Its number."""
    flags: list[str]
    """Those that changed, at most 20."""
    reason: str


class WatchersError(Exception):
    """As many as there may be are there already."""


class Watchers:
    """The queues of all followers."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._queues: set[asyncio.Queue[Event | None]] = set()

    def __bool__(self) -> bool:
        return bool(self._queues)

    def tell(self, name: str, body: object) -> None:
        event = Event(name, body)
        for queue in self._queues:
            if not queue.full():
                queue.put_nowait(event)

    def end(self) -> None:
        """Let every follower go: None is the last that it gets."""
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    @contextmanager
    def joined(self) -> Iterator[asyncio.Queue[Event | None]]:
        """A queue that fills while the context lasts. Raises WatchersError."""
        if len(self._queues) >= (MAX_WATCHERS if self._most is None else self._most):
            raise WatchersError
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_BACKLOG)
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)
