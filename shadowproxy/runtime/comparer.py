"""The comparer's process: pairs in from the workers, verdicts back, counts and examples on to control.

One thread and one selector. Nothing here waits for anybody: a worker that does not read its answers is disconnected,
control may be away, and from a worker with more pairs than can be compared no more is read, so that its channel fills
and *it* decides (`lost{channel_full}`). Workers take turns. A pair that kills this process is not sent again.
"""

from __future__ import annotations

import gc
import math
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from shadowproxy.model.commands import Applied, Apply, Quit, Ready, ToRole, ToSupervisor
from shadowproxy.model.pair import (
    Aggregate,
    Answer,
    Example,
    Exchange,
    FromComparer,
    FromWorker,
    Hello,
    Learned,
    Pair,
    Recorded,
    Sightings,
)
from shadowproxy.model.policy import Launch, Policy
from shadowproxy.runtime.backlog import Backlog, Delivery
from shadowproxy.runtime.children import COMPARER
from shadowproxy.runtime.link import Link, LinkError
from shadowproxy.runtime.logs import Log, open_log
from shadowproxy.runtime.recordings import Recordings

QUEUED: Final = 1024 * 1024
"""Bytes of pairs taken from a worker and not compared yet, past which no more is read from it."""
ANSWERS: Final = 1024 * 1024
"""Bytes of answers that a worker may leave unread."""
TURN: Final = 16
"""Pairs of one worker compared before it is another's turn."""
SPELL: Final = 0.005
"""Seconds of comparing between two looks at the sockets."""
REPORT_EVERY: Final = 0.25
LAST_WORDS: Final = 2.0
"""Seconds for control to take the last report."""
GRACE: Final = 1.0
COMPLAIN_EVERY: Final = 10.0
_FEED_LIMIT: Final = 64 * 1024 * 1024
_FROM_WORKER: Final = msgspec.msgpack.Decoder(FromWorker)
_FROM_CONTROL: Final = msgspec.msgpack.Decoder(Learned)
_COMMAND: Final = msgspec.msgpack.Decoder(ToRole)
_encode: Final = msgspec.msgpack.Encoder().encode


class Comparing(Protocol):
    """What this process needs of `compare.engine.Engine`."""

    def handle(self, pair: Pair) -> Answer | None: ...
    def harvest(self) -> tuple[Aggregate, list[Example]]: ...
    def apply(self, policy: Policy) -> None: ...
    def sight(self, sightings: Sightings) -> None: ...
    def learn(self, learned: Learned) -> None: ...
    def transcribe(self, exchange: Exchange) -> tuple[bytes, bytes | None] | None: ...


class _Customer:
    """One connected worker."""

    __slots__ = ("bytes", "link", "pairs")

    def __init__(self, connection: socket.socket) -> None:
        self.link = Link(connection, ANSWERS)
        self.pairs: deque[bytes] = deque()
        self.bytes = 0


class Comparer:
    """`listener` is where workers connect, `commands` leads to the supervisor, control listens at `feed_path`."""

    def __init__(
        self,
        engine: Comparing,
        recordings: Recordings,
        listener: socket.socket,
        commands: socket.socket,
        feed_path: str,
        *,
        drain_timeout: float,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._recordings = recordings
        self._listener = listener
        self._feed_path = feed_path
        self._drain_timeout = drain_timeout
        self._log = log
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._supervisor = Link(commands, ANSWERS)
        self._customers: list[_Customer] = []
        self._feed: Link | None = None
        self._delivery: Delivery | None = None
        self._backlog = Backlog()
        self._report_at = clock() + REPORT_EVERY
        self._complain_at = 0.0
        self._alone_until = math.inf
        self._quit = False

    def run(self, sequence: int) -> None:
        """Compare until told to quit, or until the supervisor and then the workers are gone."""
        listener = self._listener
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._supervisor, selectors.EVENT_READ, self._command)
        self._connect()  # at once: control tells those who come what is known to be noise
        self._say(Ready(sequence))
        while not self._over():
            for key, events in self._selector.select(self._until_next()):
                key.data(events)
            self._compare()
            if self._clock() >= self._report_at:
                self._report()
        self._last_words()

    def _over(self) -> bool:
        orphaned = self._alone_until < math.inf
        return self._quit or (orphaned and (not self._customers or self._clock() >= self._alone_until))

    def _until_next(self) -> float:
        if any(customer.pairs for customer in self._customers):
            return 0.0
        return max(0.0, self._report_at - self._clock())

    # Supervisor

    def _command(self, _events: int) -> None:
        try:
            for payload in self._supervisor.receive():
                match _COMMAND.decode(payload):
                    case Apply(policy):
                        self._apply(policy)
                    case Quit():
                        self._quit = True
        except LinkError:
            self._selector.unregister(self._supervisor)
            self._alone_until = self._clock() + self._drain_timeout + GRACE

    def _apply(self, policy: Policy) -> None:
        why = ""
        try:
            self._engine.apply(policy)
            self._recordings.apply(policy)
        except Exception as error:  # the rules before stay in force, and the supervisor says so
            self._log.crash("policy not applied", error, sequence=policy.sequence)
            why = f"{type(error).__name__}: {error}"
        self._say(Applied(policy.sequence, why))

    def _say(self, message: ToSupervisor) -> None:
        try:
            self._supervisor.send(_encode(message))
        except LinkError:
            pass  # reading will notice as well, and there the end begins

    # Workers

    def _accept(self, _events: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        customer = _Customer(connection)
        self._customers.append(customer)
        self._selector.register(connection, selectors.EVENT_READ, lambda events: self._serve(customer, events))

    def _serve(self, customer: _Customer, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                customer.link.flush()
            if events & selectors.EVENT_READ:
                for payload in customer.link.receive():
                    customer.pairs.append(payload)
                    customer.bytes += len(payload)
            self._watch(customer)
        except LinkError:
            self._leave(customer)

    def _watch(self, customer: _Customer) -> None:
        """Read from a worker while there is room for its pairs, write while answers wait."""
        events = selectors.EVENT_READ if customer.bytes < QUEUED else 0
        if customer.link.wants_to_write:
            events |= selectors.EVENT_WRITE
        key = self._selector.get_map().get(customer.link)
        if key is None:
            if events:
                self._selector.register(customer.link, events, lambda ready: self._serve(customer, ready))
        elif not events:
            self._selector.unregister(customer.link)
        elif events != key.events:
            self._selector.modify(customer.link, events, key.data)

    def _leave(self, customer: _Customer) -> None:
        """A worker has gone: its pairs are counted as lost with it, so they are not compared."""
        self._customers.remove(customer)
        if customer.link in self._selector.get_map():
            self._selector.unregister(customer.link)
        customer.link.close()

    def _compare(self) -> None:
        """Compare for one spell, in turns."""
        until = self._clock() + SPELL
        busy = True
        while busy and self._clock() < until:
            busy = False
            for customer in list(self._customers):
                if customer.pairs:
                    busy = True
                    self._take_turn(customer)

    def _take_turn(self, customer: _Customer) -> None:
        answers: list[bytes] = []
        try:
            for _ in range(min(TURN, len(customer.pairs))):
                payload = customer.pairs.popleft()
                customer.bytes -= len(payload)
                answer = self._handle(_FROM_WORKER.decode(payload))
                if answer is not None:
                    answers.append(_encode(answer))
            customer.link.send(*answers)
            self._watch(customer)
        except (LinkError, msgspec.MsgspecError):
            self._leave(customer)

    def _handle(self, pair: FromWorker) -> FromComparer | None:
        if isinstance(pair, Sightings):
            self._engine.sight(pair)
            return None
        if isinstance(pair, Exchange):
            return Recorded(pair.id, self._record(pair))
        try:
            return self._engine.handle(pair)
        except Exception as error:  # a fault of ours must not cost the other pairs their verdicts
            if self._clock() >= self._complain_at:
                self._complain_at = self._clock() + COMPLAIN_EVERY
                self._log.crash("pair not compared", error, service=pair.service, route=pair.route)
            return Answer(pair.id, "incomparable") if pair.answer else None

    def _record(self, exchange: Exchange) -> str:
        """Write an exchange to its recording; why that could not be, empty if it could."""
        messages = self._engine.transcribe(exchange)
        return self._recordings.write(exchange, *messages) if messages is not None else "redaction"

    # Control

    def _report(self) -> None:
        """Harvest, and hand everything over unless the last delivery is still on its way."""
        self._report_at = self._clock() + REPORT_EVERY
        self._backlog.add(*self._engine.harvest())
        if self._feed is None:
            self._connect()
        if self._feed is not None and self._delivery is None:
            self._delivery = self._backlog.take()
            try:
                self._feed.send(*self._delivery.payloads)
                self._watch_feed(self._feed)
            except LinkError:
                self._lose_feed()

    def _connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            connection.connect(self._feed_path)
        except OSError:
            connection.close()  # control's queue is full, or the directory is gone: the next report tries again
            return
        self._feed = Link(connection, _FEED_LIMIT)
        self._selector.register(self._feed, selectors.EVENT_READ, self._serve_feed)
        try:
            if not self._over():  # whoever leaves has nothing to learn, and an answer would meet a closed door
                self._feed.send(_encode(Hello()))
        except LinkError:
            self._lose_feed()

    def _serve_feed(self, events: int) -> None:
        if self._feed is None:
            return
        try:
            if events & selectors.EVENT_WRITE:
                self._feed.flush()
            if events & selectors.EVENT_READ:
                for payload in self._feed.receive():
                    self._engine.learn(_FROM_CONTROL.decode(payload))
            self._watch_feed(self._feed)
        except (LinkError, msgspec.MsgspecError):
            self._lose_feed()

    def _watch_feed(self, feed: Link) -> None:
        if not feed.wants_to_write:
            self._delivery = None
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if feed.wants_to_write else 0)
        self._selector.modify(feed, wanted, self._serve_feed)

    def _lose_feed(self) -> None:
        if self._feed is not None:
            self._selector.unregister(self._feed)
            self._feed.close()
            self._feed = None
        if self._delivery is not None:
            self._backlog.put_back(self._delivery)
            self._delivery = None

    def _last_words(self) -> None:
        """Give control what is left, as long as it takes it."""
        until = self._clock() + LAST_WORDS
        for customer in list(self._customers):
            self._leave(customer)
        self._report()
        while self._delivery is not None and self._clock() < until:
            for key, events in self._selector.select(until - self._clock()):
                key.data(events)
            self._report()
        if self._feed is not None:
            self._feed.close()
        self._recordings.close()
        self._selector.close()


def settle_collector() -> None:
    """Bodies are trees without cycles, and there are many: with the default thresholds they are walked for nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def run_comparer(
    index: int,
    launch: Launch,
    apply: Apply,
    commands: socket.socket,
    listener: socket.socket,
    feed_path: str,
    key: bytes,
) -> None:
    """Be comparer `index`: `listener` is its Unix socket, `key` masks values in examples. Returns at the end."""
    from shadowproxy.compare.engine import Engine

    settle_collector()
    log = open_log(f"{COMPARER}:{index}", launch.log_format)
    engine = Engine(apply.policy, key, time.monotonic)
    recordings = Recordings(log, time.monotonic)
    recordings.apply(apply.policy)
    comparer = Comparer(engine, recordings, listener, commands, feed_path, drain_timeout=launch.drain_timeout, log=log)
    comparer.run(apply.policy.sequence)
