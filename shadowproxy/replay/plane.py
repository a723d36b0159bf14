"""The data plane of a replay: origins, arms, mirrors and links as a worker has them, without clients.

Nothing here is ever given up for want of room: `has_room` says whether more may be begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from shadowproxy.http1 import RequestHead
from shadowproxy.model.policy import MIB, Policy
from shadowproxy.proxy.snapshot import Compiler
from shadowproxy.replay.exchange import REPEATS, Exchange
from shadowproxy.replay.messages import Answer, Request
from shadowproxy.replay.rules import NO_LIMIT
from shadowproxy.shadow.link import Link
from shadowproxy.shadow.pressure import Pressure
from shadowproxy.shadow.strata import Strata
from shadowproxy.upstream.deadlines import TICK, Deadlines
from shadowproxy.upstream.origin import Names

MAX_PAIRS: Final = 1024
"""Pairs without a verdict ..."""
MAX_HELD: Final = 64 * MIB
"""... and bytes of them and of what is under way, past which nothing is begun."""
_SWEEP_TICKS: Final = 4
_SECOND_TICKS: Final = 20


class PatientLink(Link):
    """A link that takes every pair, since its caller asks `Plane.has_room` first. `changed` hears of every answer."""

    max_outstanding = NO_LIMIT
    max_bytes = NO_LIMIT

    def __init__(self, path: str, changed: Callable[[], None]) -> None:
        super().__init__(path)
        self.connected = asyncio.Event()
        self._changed = changed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.connected.set()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._changed()


class Plane:
    """`policy` has one service; `ask` says whether its primary is asked. `on_change` hears of every verdict."""

    def __init__(
        self,
        policy: Policy,
        names: Names,
        words: memoryview,
        control: memoryview,
        comparers: Sequence[str],
        ask: bool,
    ) -> None:
        self._ask = ask
        self._loop = asyncio.get_running_loop()
        self.words = words
        self.deadlines = Deadlines(self._loop.time())
        self.on_change: Callable[[], None] = _nothing
        self.links = [PatientLink(path, self._changed) for path in comparers]
        self._strata = Strata(words, control)
        self._compiler = Compiler(self.deadlines, names, words, self.links, Pressure(NO_LIMIT), self._strata)
        self.snapshot = self._compiler.compile(policy)
        (self.service,) = self.snapshot.services
        for arm in self.snapshot.arms:
            arm.repeats = REPEATS
        self._ticks = 0
        self._tick_handle: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Raises TimeoutError when no comparer can be reached."""
        for link in self.links:
            link.connect()
        async with asyncio.timeout(10):
            for link in self.links:
                await link.connected.wait()
        self._tick()

    def serves(self, head: RequestHead) -> bool:
        return self.snapshot.service(head.host, head.path) is self.service

    def send(self, request: Request, answer: Answer | None, latency: float, done: Callable[[str], None]) -> None:
        """One request to every arm. Unless the primary is asked, `answer` is what it said, if it said anything."""
        Exchange(self, request, done).begin(answer, latency, self._ask)

    def has_room(self) -> bool:
        pairs = sum(link.outstanding for link in self.links)
        held = sum(link.held for link in self.links) + sum(arm.held for arm in self.snapshot.arms)
        return pairs < MAX_PAIRS and held < MAX_HELD

    @property
    def undecided(self) -> int:
        """Pairs without a verdict."""
        return sum(link.outstanding for link in self.links)

    def close(self) -> None:
        """What has no verdict by now is lost."""
        if self._tick_handle is not None:
            self._tick_handle.cancel()
        self._strata.close()
        for link in self.links:
            link.flush()
        for arm in self.snapshot.arms:
            arm.close()
        for link in self.links:
            link.close()
        for origin in self.snapshot.origins.values():
            origin.retire()

    def _changed(self) -> None:
        self.on_change()

    def _tick(self) -> None:
        """As a worker's, without pressure: nothing is shed."""
        now = self._loop.time()
        self._tick_handle = self._loop.call_later(TICK, self._tick)
        self._ticks += 1
        self.deadlines.advance(now)
        for arm in self.snapshot.arms:
            arm.sweep(now)
        self._strata.tick(now)
        if self._ticks % _SWEEP_TICKS == 0:
            for origin in self.snapshot.origins.values():
                origin.sweep()
        if self._ticks % _SECOND_TICKS == 0:
            for link in self.links:
                link.flush()


def _nothing() -> None:
    """Until somebody listens."""
