"""The player: every recorded request once, when it is due, in order within its connection, as far as there is room.

    due ─► room ─► its connection is free ─► begin ─► done: the next one of its connection

It waits instead of giving anything up: for the room that bounds memory, and at the end for every verdict.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct, field

from shadowproxy.http1 import RequestHead
from shadowproxy.replay.messages import NO_SERVICE, Answer, Preparer, RefusedError, Request
from shadowproxy.replay.pacing import Lateness, Pace
from shadowproxy.replay.recording import Entry, Recording, RecordingError

STUCK: Final = 60.0
"""Seconds without a verdict after which the rest is given up at the end."""
_SPELL: Final = 64
"""Requests that are begun between two turns of the loop, where nothing else makes the player wait."""
_SHOWN: Final = 3


class Played(Struct):
    """What has happened so far. `refused` requests and `unusable` recorded answers are by reason."""

    total: int
    sent: int = 0
    done: int = 0
    unanswered: Counter[str] = field(default_factory=Counter)
    """Requests to which the primary gave no whole answer, by reason."""
    unrecorded: int = 0
    """Requests without a recorded answer, where that would be the primary's."""
    refused: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    """What was wrong with the first few that were refused."""
    held_up: int = 0
    """Requests that were due and had to wait for room."""
    stopped: bool = False

    def refuse(self, number: int, error: RefusedError) -> None:
        self.refused[error.reason] += 1
        if len(self.examples) < _SHOWN:
            self.examples.append(f"request {number + 1}: {error}")


class Stage(Protocol):
    """What requests are sent through: the data plane, or a test's."""

    @property
    def undecided(self) -> int:
        """Pairs without a verdict."""

    def has_room(self) -> bool: ...
    def serves(self, head: RequestHead) -> bool: ...
    def send(self, request: Request, answer: Answer | None, latency: float, done: Callable[[str], None]) -> None:
        """Send one request to every arm; `done` gets why the primary gave no whole answer, empty if it did."""


class Player:
    """`ask`: the primary is asked; else the recorded answers are its. At most `concurrency` requests are under way."""

    def __init__(
        self, stage: Stage, recording: Recording, preparer: Preparer, pace: Pace, concurrency: int, ask: bool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._stage = stage
        self._recording = recording
        self._preparer = preparer
        self._pace = pace
        self._concurrency = concurrency
        self._ask = ask
        self._under_way = 0
        self._busy: dict[str, deque[tuple[int, float]]] = {}
        """By connection: the requests, and when they were due, that wait for the one under way on it."""
        self._changed = asyncio.Event()
        self._sleep: asyncio.Future[None] | None = None
        self._next_due: float | None = None
        self._broken: RecordingError | None = None
        self.lateness = Lateness()
        self.played = Played(len(recording.entries))

    def changed(self) -> None:
        """There may be more room, or fewer pairs without a verdict."""
        self._changed.set()

    def stop(self) -> None:
        """Send nothing more; what is under way is finished."""
        self.played.stopped = True
        self._changed.set()
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)

    @property
    def is_paced(self) -> bool:
        """Are requests due at certain times?"""
        return self._pace.due(1, self._recording.entries[-1].at) > 0

    @property
    def late(self) -> float:
        """How late the next request is, or the last one was, seconds."""
        if self._next_due is None:
            return self.lateness.last
        return max(0.0, self._loop.time() - self._next_due)

    def left(self, elapsed: float) -> float | None:
        """Seconds that it will take yet: by the times that are due, else by how fast it went; None: nobody knows."""
        total = len(self._recording.entries)
        planned = self._pace.due(total - 1, self._recording.entries[-1].at) - elapsed
        over = self.played.done + self.played.refused.total()
        if planned > 0:
            return planned + self.late
        return elapsed / over * (total - over) if over else None

    async def run(self) -> None:
        """Play everything. Raises RecordingError when the recording cannot be read any more."""
        start = self._loop.time()
        for number, entry in enumerate(self._recording.entries):
            due = start + self._pace.due(number, entry.at)
            self._next_due = due
            await self._until(due)
            if not self._has_room():
                self.played.held_up += 1
            while not (self._has_room() or self.played.stopped):
                await self._change()
            if self.played.stopped:
                break
            self._release(number, entry.connection, due)
            if number % _SPELL == 0:
                await asyncio.sleep(0)
        self._next_due = None
        await self._finish()
        if self._broken is not None:
            raise self._broken

    async def _until(self, due: float) -> None:
        left = due - self._loop.time()
        if left <= 0 or self.played.stopped:
            return
        self._sleep = sleep = self._loop.create_future()
        handle = self._loop.call_later(left, _wake, sleep)
        await sleep
        handle.cancel()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _has_room(self) -> bool:
        return self._under_way < self._concurrency and self._stage.has_room()

    async def _finish(self) -> None:
        """Wait for everything that is under way, and for its verdicts."""
        while self._under_way:
            await self._change()
        while left := self._stage.undecided:
            try:
                async with asyncio.timeout(STUCK):
                    while self._stage.undecided == left:
                        await self._change()
            except TimeoutError:
                return

    # -- one request

    def _release(self, number: int, connection: str, due: float) -> None:
        """Begin a request, or let it wait for those before it on its connection."""
        queue = self._busy.get(connection)
        if queue is not None:
            queue.append((number, due))
            return
        if connection:
            self._busy[connection] = deque()
        self._under_way += 1
        self._begin(number, connection, due)

    def _begin(self, number: int, connection: str, due: float) -> None:
        entry = self._recording.entries[number]
        try:
            request, answer = self._prepare(entry)
        except RefusedError as error:
            self.played.refuse(number, error)
            self._leave(connection)
            return
        except RecordingError as error:
            self._broken = error
            self.stop()
            self._leave(connection)
            return
        self.played.sent += 1
        self.lateness.add(self._loop.time() - due)
        if answer is None and not self._ask:
            self.played.unrecorded += 1

        def done(failure: str) -> None:
            self.played.done += 1
            if failure:
                self.played.unanswered[failure] += 1
            self._leave(connection)

        self._stage.send(request, answer, entry.latency / 1e9, done)

    def _prepare(self, entry: Entry) -> tuple[Request, Answer | None]:
        """Raises RefusedError for a request that cannot be sent, and RecordingError."""
        request = self._preparer.request(self._recording.request(entry))
        head = request.head
        if not self._stage.serves(head):
            where = (head.host + head.path).decode("latin-1")
            raise RefusedError(NO_SERVICE, f"{where} does not belong to the service")
        payload = None if self._ask else self._recording.answer(entry)
        if payload is None:
            return request, None
        try:
            return request, self._preparer.answer(payload, head.method)
        except RefusedError as error:
            self.played.unusable[error.reason] += 1
            return request, None

    def _leave(self, connection: str) -> None:
        """A request has come to its end: the next one of its connection takes its place, in a turn of its own."""
        queue = self._busy.get(connection)
        if queue and not self.played.stopped:
            number, due = queue.popleft()
            self._loop.call_soon(self._begin, number, connection, due)
            return
        self._busy.pop(connection, None)
        self._under_way -= 1
        self._changed.set()


def _wake(sleep: asyncio.Future[None]) -> None:
    if not sleep.done():
        sleep.set_result(None)
