"""The control process: hears the comparers, resolves names, keeps what must survive it, and serves the admin API."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from shadowproxy.admin.serving import Serving
from shadowproxy.admin.status import status
from shadowproxy.control.accepted import KNOWN as ACCEPTED
from shadowproxy.control.asking import ask, questions
from shadowproxy.control.causes import KNOWN
from shadowproxy.control.learning import PROPOSE_EVERY, Learning
from shadowproxy.control.links import Commands, Feed
from shadowproxy.control.names import Lookups, Resolver, host_names
from shadowproxy.control.state import State
from shadowproxy.endpoints.routes import learned
from shadowproxy.metrics.counters import Counters
from shadowproxy.model.commands import Apply, Names, Paths, Ready, Reload
from shadowproxy.model.flags import Evaluations
from shadowproxy.model.policy import Launch, Policy, Registry
from shadowproxy.runtime.children import CONTROL
from shadowproxy.runtime.logs import Log, open_log
from shadowproxy.runtime.templates_file import save
from shadowproxy.store import StoreError
from shadowproxy.store.sqlite import SqliteStore
from shadowproxy.upstream.tasks import spawn

NAMES_EVERY: Final = 5.0
STATUS_EVERY: Final = 1.0
WEIGH_EVERY: Final = 10.0
"""Seconds between bets on the pairs that came: evidence that begins anew from time to time must see when they came."""
SAMPLE_EVERY: Final = 1.0
TEACH_EVERY: Final = 0.25
VERSIONS_EVERY: Final = 10.0
LAST_WORDS: Final = 0.5
"""Seconds for what comparers have said before they ended."""
STORE_SECONDS: Final = 2.0
"""Seconds for the store to write what waits."""
RETRY_EVERY: Final = 5.0
"""Seconds until learned templates that could not be written are tried again."""


class _Control:
    """One run of the process."""

    def __init__(self, state: State, log: Log) -> None:
        self._state = state
        self._log = log
        self._ended = asyncio.Event()
        self._commands = Commands(self._obey, self._ended)
        self._feed = Feed(state.hear, state.knowledge.lessons)
        self._learning = Learning(state.policy, time.monotonic())
        self._templates_due = asyncio.Event()
        state.ask_for_reload = lambda: self._commands.send(Reload())
        state.rollouts.send = self._commands.send
        state.flags.send = self._commands.send
        self._serving = Serving(state)
        self._lookups = Lookups()
        self._resolver = Resolver(self._lookups)
        self._names_due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, commands: socket.socket, feed: socket.socket, listeners: Mapping[str, socket.socket]) -> None:
        """Serve until the supervisor says Quit or is gone. Signals are the supervisor's."""
        try:
            await self._feed.listen(feed)
            await self._serving.start(listeners["admin"], listeners.get("metrics"))
            await self._commands.connect(commands)
            forever = (
                self._resolve(),
                self._tell_status(),
                self._weigh(),
                self._prove_isolation(),
                self._take_samples(),
                self._ask_versions(),
                self._teach(),
                self._learn(),
                self._keep_templates(),
                self._state.rollouts.run(),
                self._state.flags.run(),
            )
            self._tasks = [spawn(task) for task in forever]
            self._commands.send(Ready(self._state.policy.sequence))
            await self._ended.wait()
            # A Quit comes once the comparers have ended; without a supervisor they end after the workers' drain.
            orphaned = self._commands.orphaned
            await self._feed.drained(self._state.launch.drain_timeout + LAST_WORDS if orphaned else LAST_WORDS)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._lookups.close()
        self._feed.close()
        self._commands.close()
        await self._state.rollouts.close()
        await self._serving.stop()

    def _obey(self, message: Apply | Paths | Evaluations) -> None:
        if isinstance(message, Paths):
            self._learning.hear(message, time.monotonic())
        elif isinstance(message, Evaluations):
            self._state.flags.tally.add(message.counts)
        else:
            self._apply(message)

    def _apply(self, message: Apply) -> None:
        self._state.apply(message)
        self._learning.apply(message.policy)
        self._templates_due.set()
        if not message.reread:
            return
        self._names_due.set()
        try:
            self._serving.reload_certificate()
        except (OSError, ssl.SSLError) as error:
            self._log.error("the admin certificate cannot be read again; the one before stays", error=str(error))

    async def _learn(self) -> None:
        while True:
            await asyncio.sleep(PROPOSE_EVERY)
            templates = self._learning.propose(time.monotonic())
            if templates is not None:
                self._commands.send(templates)

    async def _keep_templates(self) -> None:
        """Keep what is learned on disk as it is in force: what a service that is gone had learned goes with it."""
        kept, is_well = None, True
        while True:
            templates = learned(self._state.policy)
            if templates != kept:
                try:
                    await asyncio.to_thread(save, Path(self._state.launch.data_dir), templates)
                    kept, is_well = templates, True
                except OSError as error:
                    if is_well:
                        self._log.warning("learned templates cannot be kept; they are tried again", error=str(error))
                    is_well = False
            await _wait(self._templates_due, RETRY_EVERY)
            self._templates_due.clear()

    async def _resolve(self) -> None:
        """Every few seconds, and when a policy may have brought new names. The first answer is always sent."""
        first = True
        while True:
            self._names_due.clear()
            if await self._resolver.refresh(host_names(self._state.policy)) or first:
                self._commands.send(Names(self._resolver.addresses))
                first = False
            await _wait(self._names_due, NAMES_EVERY)

    async def _tell_status(self) -> None:
        while True:
            await asyncio.sleep(STATUS_EVERY)
            if self._state.watchers:
                self._state.watchers.tell("status", status(self._state, time.monotonic(), time.time()))

    async def _weigh(self) -> None:
        while True:
            self._state.weigh(time.time())
            await asyncio.sleep(WEIGH_EVERY)

    async def _take_samples(self) -> None:
        while True:
            self._state.sample(time.time())
            await asyncio.sleep(SAMPLE_EVERY)

    async def _prove_isolation(self) -> None:
        while True:
            due = self._state.isolation.tick(time.monotonic(), time.time())
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _teach(self) -> None:
        """As often as comparers report: what is known to be noise from now on is no mismatch."""
        while True:
            await asyncio.sleep(TEACH_EVERY)
            self._feed.tell(self._state.tick(time.time()))

    async def _ask_versions(self) -> None:
        while True:
            asked = questions(self._state.policy)
            found = await asyncio.gather(*(ask(upstream, path, header) for _, _, upstream, path, header in asked))
            for (service, arm, *_), version in zip(asked, found, strict=True):
                if version:
                    self._state.knowledge.versions.hear(service, arm, version, time.time())
            await asyncio.sleep(VERSIONS_EVERY)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until `event` is set, at most `seconds`."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        pass


def run_control(
    launch: Launch,
    policy: Policy,
    registry: Registry,
    counters: Counters,
    commands: socket.socket,
    feed: socket.socket,
    listeners: Mapping[str, socket.socket],
    problems: tuple[str, ...] = (),
) -> None:
    """Be control until the end. `listeners`: bound sockets under `admin` and, where configured, `metrics`."""
    log = open_log(CONTROL, launch.log_format)
    store = SqliteStore(Path(launch.data_dir), launch.store, policy.epoch)
    state = State(launch, policy, registry, counters, store)
    state.problems = problems
    try:
        state.tally.restore(store.kept())
        state.causes.restore(store.known(KNOWN))
        state.accepted.restore(store.known(ACCEPTED))
        unread = state.knowledge.restore(store.known)
        if unread:
            log.warning("some of what was learned cannot be read and is learned anew", items=unread)
    except (StoreError, msgspec.MsgspecError) as error:
        log.warning("what was known of fields and causes is lost", error=str(error))
    store.start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(state, log, commands, feed, listeners))


async def _serve(
    state: State, log: Log, commands: socket.socket, feed: socket.socket, listeners: Mapping[str, socket.socket]
) -> None:
    try:
        await _Control(state, log).run(commands, feed, listeners)
    finally:
        # Before the loop ends, which waits for whoever still reads from a disk that may never answer.
        await asyncio.to_thread(state.store.close, STORE_SECONDS)
