"""A worker: the data plane's process. It serves, mirrors and counts; it knows neither configuration nor comparison.

It runs on its last policy whatever happens to the rest. When its supervisor is gone it drains and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import socket
import ssl
from collections.abc import Callable
from time import monotonic
from typing import Final, cast

import msgspec
import uvloop

from shadowproxy.channel import FrameReader, frame
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.model.commands import (
    Adopt,
    Applied,
    Apply,
    Drain,
    Names,
    Paths,
    Quit,
    Ready,
    StopAccepting,
    ToRole,
    ToSupervisor,
    Yield,
)
from shadowproxy.model.flags import NO_FLAGS, Evaluations, FlagsInForce
from shadowproxy.model.policy import Launch, Policy
from shadowproxy.proxy.access_log import AccessLog
from shadowproxy.proxy.flagging import Flagging
from shadowproxy.proxy.site import Site
from shadowproxy.proxy.snapshot import Compiler
from shadowproxy.runtime.gauges import write_gauges
from shadowproxy.runtime.listeners import Listeners, server_context
from shadowproxy.runtime.splits import restored, splits
from shadowproxy.shadow.link import Link
from shadowproxy.shadow.pressure import Pressure
from shadowproxy.shadow.strata import Strata
from shadowproxy.upstream.deadlines import TICK, Deadlines
from shadowproxy.upstream.tasks import spawn

_TELL_TICKS: Final = 2
_SWEEP_TICKS: Final = 4
_SECOND_TICKS: Final = 20
_IDLE_GRACE: Final = 0.5
"""Seconds that an idle connection stays open when listening has ended: a request may be on its way."""
_POLL: Final = 0.02
_COPIES_GRACE: Final = 1.0
"""Seconds that copies and verdicts get once the last client is served."""


def run_worker(
    slot: int,
    block: int,
    launch: Launch,
    apply: Apply,
    names: Names,
    counters: Counters,
    commands: socket.socket,
    sockets: list[list[socket.socket]],
    comparers: list[str],
    flags: FlagsInForce = NO_FLAGS,
) -> None:
    """Serve until told to end. `slot` says which listening sockets are its own, `block` which counters."""
    # Requests make hardly any cycles; the default thresholds would walk the heap for nothing.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    words = counters.block(block)

    async def main() -> None:
        worker = Worker(slot, launch, apply, names, words, counters.control, comparers, flags)
        await worker.run(commands, sockets)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


class Worker:
    """Holds the parts together: ticks, commands, drain."""

    def __init__(
        self,
        slot: int,
        launch: Launch,
        apply: Apply,
        names: Names,
        words: memoryview,
        control: memoryview,
        comparers: list[str],
        flags: FlagsInForce = NO_FLAGS,
    ) -> None:
        self.slot = slot
        self.launch = launch
        self.words = words
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._names: dict[str, tuple[str, ...]] = dict(names.addresses)
        self._deadlines = Deadlines(self._loop.time())
        self._links = [Link(path) for path in comparers]
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._pressure = Pressure(soft)
        self._strata = Strata(words, control)
        self._compiler = Compiler(
            self._deadlines, self._names, words, self._links, self._pressure, self._strata, slot, launch.workers
        )
        snapshot = self._compiler.compile(apply.policy)
        log = AccessLog(apply.policy.access_log, words)
        self.site = Site(snapshot, self._deadlines, words, apply.policy.epoch, log)
        self._flags = flags
        self.site.flags = self._flagging(apply.policy)
        words[at.FLAGS_VERSION] = flags.version
        self._ended = asyncio.Event()
        self._leaving = False
        self._ticks = 0
        self._due = self._loop.time() + TICK
        self._reply: Callable[[ToSupervisor], None] = lambda _: None
        self._offer: Callable[[ToSupervisor], None] = lambda _: None

    async def run(self, commands: socket.socket, sockets: list[list[socket.socket]]) -> None:
        listeners = self._listeners = Listeners(self.site, sockets)
        for link in self._links:
            link.connect()
        await listeners.accept(self.slot)
        self._tick()
        channel = _Commands(self._obey, self._orphaned)
        commands.setblocking(False)
        await self._loop.create_unix_connection(lambda: channel, sock=commands)
        self._reply, self._offer = channel.send, channel.offer
        self.words[at.DRAINING] = 0
        self.words[at.SEQUENCE] = self.site.snapshot.sequence
        self._reply(Ready(self.site.snapshot.sequence))
        await self._ended.wait()
        self.site.access_log.close()

    # -- time

    def _tick(self) -> None:
        """Twenty times a second: deadlines, pressure, heartbeat."""
        now = self._loop.time()
        lag = max(0.0, now - self._due)
        self._due = now + TICK
        self._loop.call_later(TICK, self._tick)
        self._ticks += 1
        self._deadlines.advance(now)
        snapshot = self.site.snapshot
        snapshot.hear(self._control, monotonic())
        for arm in snapshot.arms:
            if arm.live:
                arm.sweep(now)
        for serving in snapshot.servings:
            serving.tick(now)
        self._strata.tick(now)
        if self.site.sighted and self._ticks % _TELL_TICKS == 0:
            self._offer(Paths(self.site.sighted))
            self.site.sighted = []
        if self._ticks % _SWEEP_TICKS == 0:
            for origin in (*snapshot.origins.values(), *snapshot.leaving):
                origin.sweep()
        if self._ticks % _SECOND_TICKS == 0:
            self.site.refresh()
            self._tell_evaluations()
            for link in self._links:
                link.flush()
        descriptors = write_gauges(self.words, snapshot, self._pressure, lag, now)
        self._pressure.observe(now, lag, descriptors + len(self.site.clients))
        self.words[at.HEARTBEAT] = int(monotonic() * 1000)

    def _tell_evaluations(self) -> None:
        flags = self.site.flags
        counts = flags.take_counts() if flags is not None else []
        if counts:
            self._reply(Evaluations(counts))

    # -- commands

    def _obey(self, command: ToRole) -> None:
        if isinstance(command, Apply):
            spawn(self._apply(command))
        elif isinstance(command, Names):
            self._names.update(command.addresses)
        elif isinstance(command, FlagsInForce):
            self._flags = command
            self.site.flags = self._flagging(self.site.snapshot.policy)
            self.words[at.FLAGS_VERSION] = command.version
        elif isinstance(command, Adopt):
            spawn(self._listeners.accept(command.slot))
        elif isinstance(command, Yield):
            spawn(self._listeners.leave(command.slot))
        elif isinstance(command, Drain):
            self._start_draining()
        elif isinstance(command, StopAccepting):
            spawn(self._drain(command.timeout, command.handover))
        elif isinstance(command, Quit):
            self._ended.set()

    async def _apply(self, command: Apply) -> None:
        """Swap the snapshot; a policy whose files cannot be used leaves the old one in force, but for its splits."""
        policy = command.policy
        listening = _listening(self.site.snapshot.policy) != _listening(policy) or (command.reread and policy.tls)
        try:
            # What can fail comes first: then nothing has changed.
            context = server_context(policy.tls) if listening else None
            self._swap(policy, command.reread)
            if listening:
                await self._listeners.reload(context)
        except (OSError, ssl.SSLError) as error:
            # Whoever is sent back to the primary must not have to wait for somebody to mend a certificate.
            self._swap(restored(self.site.snapshot.policy, splits(policy))[0], reread=False)
            self._reply(Applied(policy.sequence, str(error)))
            return
        current = self.site.snapshot  # the next one may have come while certificates were changed
        self.site.access_log.apply(current.policy.access_log)
        self.words[at.SEQUENCE] = current.sequence
        self._reply(Applied(policy.sequence))

    def _swap(self, policy: Policy, reread: bool) -> None:
        """Raises OSError or ssl.SSLError where nothing has changed."""
        snapshot = self._compiler.compile(policy, reread)
        snapshot.hear(self._control, monotonic())
        if policy.flags is not None or self.site.flags is not None:
            self.site.flags = self._flagging(policy)
        self.site.snapshot = snapshot

    def _flagging(self, policy: Policy) -> Flagging | None:
        """Of the flags in force; what was counted goes on."""
        return None if policy.flags is None else Flagging(policy, self._flags, self.site.flags)

    def _orphaned(self) -> None:
        """The supervisor is gone: nobody would restart or stop this worker."""
        if not self._ended.is_set() and not self._leaving:
            spawn(self._drain(self.launch.drain_timeout, handover=False))

    # -- the end

    def _start_draining(self) -> None:
        self.site.draining = True
        self.words[at.DRAINING] = 1

    async def _drain(self, seconds: float, handover: bool) -> None:
        """Listen no more, let what runs run out, at most `seconds`."""
        self._leaving = True
        self._start_draining()
        end = self._loop.time() + seconds
        await self._listeners.close(handover)
        idle_until = min(end, self._loop.time() + _IDLE_GRACE)
        while (self.site.clients or self.site.beginning) and self._loop.time() < end:
            if self._loop.time() >= idle_until:
                for client in list(self.site.clients):
                    client.drain()
            await asyncio.sleep(_POLL)
        for client in list(self.site.clients):
            client.abort()
        await asyncio.sleep(0)  # they hear of it in the loop's next turn; then their copies can be settled
        for _ in range(round(min(end - self._loop.time(), _COPIES_GRACE) / _POLL)):
            if not self._shadows_run():
                break
            await asyncio.sleep(_POLL)
        for arm in self.site.snapshot.arms:
            arm.close()
        for link in self._links:
            link.close()
        self._strata.close()
        self._ended.set()

    def _shadows_run(self) -> bool:
        return any(arm.live for arm in self.site.snapshot.arms) or any(
            link.outstanding or link.recording for link in self._links
        )


class _Commands(asyncio.Protocol):
    """The worker's end of its socket pair to the supervisor."""

    def __init__(self, obey: Callable[[ToRole], None], orphaned: Callable[[], None]) -> None:
        self._obey = obey
        self._orphaned = orphaned
        self._reader = FrameReader()
        self._decode = msgspec.msgpack.Decoder(ToRole).decode
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports derive from none of asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        for payload in self._reader.feed(data):
            self._obey(self._decode(payload))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._orphaned()

    def offer(self, message: ToSupervisor) -> None:
        """Send what may be lost, unless something waits to be read."""
        if self._transport is not None and not self._transport.get_write_buffer_size():
            self.send(message)

    def send(self, message: ToSupervisor) -> None:
        if self._transport is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._transport.write(frame(msgspec.msgpack.encode(message)))


def _listening(policy: object) -> tuple[object, object]:
    return getattr(policy, "tls", ()), getattr(policy, "proxy_protocol", False)
