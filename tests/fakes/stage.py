"""A worker's data plane on a fake loop: clients on one side, scripted origins on the other, no sockets in between."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import msgspec

from shadowproxy.channel import frame
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.model.pair import Answer
from shadowproxy.model.policy import (
    AccessLogPolicy,
    Endpoint,
    NoisePolicy,
    Policy,
    RoutePolicy,
    ServicePolicy,
    UpstreamPolicy,
    VersionPolicy,
)
from shadowproxy.model.terms import DROP_REASONS, LOSS_REASONS, OUTCOMES, RESAMPLE_RESULTS, VERDICTS
from shadowproxy.proxy.access_log import AccessLog
from shadowproxy.proxy.client import ClientConnection
from shadowproxy.proxy.site import Site
from shadowproxy.proxy.snapshot import Compiler
from shadowproxy.shadow.link import Link
from shadowproxy.shadow.pressure import Pressure
from shadowproxy.shadow.strata import Strata
from shadowproxy.upstream.deadlines import TICK, Deadlines
from tests.fakes.loop import FakeLoop
from tests.fakes.transport import FakeTransport

INSTANCE = "0123456789abcdef"
PORTS = {"primary": 1, "candidate": 2, "secondary": 3}
GET = b"GET /items/1 HTTP/1.1\r\nHost: shop.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 15:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello"


class Network(FakeLoop):
    """Connections to a port succeed at once unless `answers` says otherwise: an exception, or None for silence."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[object, list[FakeTransport]] = {}
        self.answers: dict[object, BaseException | None] = {}
        self.dialled: list[tuple[object, dict[str, Any]]] = []

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As of every fake loop, but a test may end while a connection is still being made."""
        if "exception" in context:
            super().call_exception_handler(context)

    async def _connect(
        self, factory: Callable[[], asyncio.BaseProtocol], where: object, options: dict[str, Any]
    ) -> Any:
        self.dialled.append((where, options))
        if where in self.answers:
            answer = self.answers[where]
            if answer is None:
                await self.create_future()
            else:
                raise answer
        protocol = factory()
        transport = FakeTransport(self, protocol)
        self.made.setdefault(where, []).append(transport)
        protocol.connection_made(transport)
        return transport, protocol

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        return await self._connect(factory, port, {"host": host, **options})

    async def create_unix_connection(self, factory: Any, path: Any = None, **options: Any) -> Any:
        return await self._connect(factory, path, options)

    def open(self, where: object) -> list[FakeTransport]:
        """The connections to `where` that neither side has ended."""
        return [t for t in self.made.get(where, []) if not t.closing]


def upstream(*ports: int, **settings: Any) -> UpstreamPolicy:
    endpoints = tuple(Endpoint(f"http://10.0.0.{p}:{p}", "http", f"10.0.0.{p}", p) for p in ports)
    return UpstreamPolicy(endpoints, **settings)


def policy(
    *arms: str,
    primary: UpstreamPolicy | None = None,
    route: RoutePolicy | None = None,
    noise: NoisePolicy | None = None,
    version: VersionPolicy | None = None,
    **rest: Any,
) -> Policy:
    """One service with a primary and these mirrored arms; `route` replaces the rules of all requests."""
    upstreams = {"primary": primary or upstream(1), **{arm: upstream(PORTS[arm]) for arm in arms}}
    other = route or RoutePolicy("other", 0)
    service = ServicePolicy(
        "default",
        0,
        upstreams,
        (),
        other,
        shadow=other.shadow,
        noise=noise or NoisePolicy(),
        version=version or VersionPolicy(),
    )
    return Policy((service,), 1, INSTANCE, **rest)


class Client:
    """One client's end: what it sends and what it was sent."""

    def __init__(self, stage: Stage, secure: bool = False) -> None:
        self.protocol = ClientConnection(stage.site, secure)
        self.transport = FakeTransport(stage.loop, self.protocol)
        self.received = b""
        with stage.loop.running():
            self.protocol.connection_made(self.transport)
        stage.loop.run()

    def send(self, data: bytes) -> Client:
        self.transport.feed(data)
        return self

    def take(self) -> bytes:
        data = self.transport.take()
        self.received += data
        return data

    @property
    def gone(self) -> bool:
        return self.transport.closing


class Stage:
    """The parts put together as a worker does. `tick` moves the clock; `comparer` is the link's other end."""

    def __init__(self, what: Policy | None = None, slots: int = 1) -> None:
        self.policy = what or policy()
        self.all_counters = Counters(slots)
        self.start(0)

    def start(self, slot: int) -> None:
        """A worker begins with this slot's counters, and with nothing else of the one before it."""
        self.loop = Network()
        with self.loop.running():
            self.counters = self.all_counters.block(slot)
            self.deadlines = Deadlines(self.loop.time())
            self.names: dict[str, tuple[str, ...]] = {}
            self.link = Link("/comparer")
            self.pressure = Pressure(1000)
            self.strata = Strata(self.counters, self.all_counters.control)
            self.compiler = Compiler(self.deadlines, self.names, self.counters, [self.link], self.pressure, self.strata)
            snapshot = self.compiler.compile(self.policy)
            self.log = AccessLog(AccessLogPolicy(), self.counters)
            self.site = Site(snapshot, self.deadlines, self.counters, INSTANCE, self.log)
            self.link.connect()
        self.loop.run()
        self.comparer = self.loop.made["/comparer"][-1]

    def apply(self, what: Policy) -> None:
        self.policy = what
        with self.loop.running():
            self.site.snapshot = self.compiler.compile(what)
        self.loop.run()

    def client(self, secure: bool = False) -> Client:
        return Client(self, secure)

    def origin(self, arm: str = "primary") -> Any:
        return self.site.snapshot.origins[f"default\n{arm}"]

    def arm(self, name: str = "candidate") -> Any:
        return next(arm for arm in self.site.snapshot.arms if arm.name == name)

    def at(self, arm: str = "primary") -> FakeTransport:
        """The newest connection to an arm."""
        return self.loop.made[PORTS[arm]][-1]

    def tick(self, seconds: float = TICK) -> None:
        """Let time pass as the worker does: deadlines, copies and waiting are looked at every tick."""
        end = self.loop.time() + seconds
        while self.loop.time() < end - 1e-9:
            self.loop.advance(min(TICK, end - self.loop.time()))
            with self.loop.running():
                self.deadlines.advance(self.loop.time())
                for arm in self.site.snapshot.arms:
                    arm.sweep(self.loop.time())
                for serving in self.site.snapshot.servings:
                    serving.tick(self.loop.time())
                self.site.snapshot.hear(self.all_counters.control, self.loop.time())
                for origin in (*self.site.snapshot.origins.values(), *self.site.snapshot.leaving):
                    origin.sweep()
                self.strata.tick(self.loop.time())
            self.loop.run()

    def verdict(
        self,
        pair_id: int,
        verdict: str = "match",
        kinds: tuple[str, ...] = (),
        second: str = "",
        second_kinds: tuple[str, ...] = (),
    ) -> None:
        """The comparer answers."""
        self.comparer.feed(frame(msgspec.msgpack.encode(Answer(pair_id, verdict, kinds, second, second_kinds))))

    def rejected(self, reason: str) -> int:
        return self.counters[at.REJECT_INDEX[reason]]

    def books(self, arm: str = "candidate", route: int = 0) -> dict[str, int]:
        """What is not zero: eligible, sampled_out, sent, in_flight, and every reason and verdict by its name."""
        row, m, words = at.route_row(route), at.MIRRORED_INDEX[arm], self.counters
        found = {
            "eligible": words[row + at.ELIGIBLE + m],
            "sampled_out": words[row + at.SAMPLED_OUT + m],
            "sent": words[row + at.SENT + m],
            "in_flight": words[row + at.IN_FLIGHT + m],
        }
        found |= {f"dropped:{r}": words[at.dropped_word(row, m, r)] for r in DROP_REASONS}
        found |= {f"lost:{r}": words[at.lost_word(row, m, r)] for r in LOSS_REASONS}
        found |= {v: words[at.compared_word(row, m, v)] for v in VERDICTS}
        return {name: value for name, value in found.items() if value}

    def outcomes(self, arm: str = "candidate", route: int = 0) -> dict[str, int]:
        """Settled pairs by who failed."""
        first = at.outcome_word(at.route_row(route), at.MIRRORED_INDEX[arm])
        return {name: n for i, name in enumerate(OUTCOMES) if (n := self.counters[first + i])}

    def resamples(self, route: int = 0) -> dict[str, int]:
        """What became of the questions put to the primary once more; what is not zero."""
        row = at.route_row(route)
        found = {result: self.counters[at.resample_word(row, result)] for result in RESAMPLE_RESULTS}
        return {result: value for result, value in found.items() if value}

    def triples(self, route: int = 0) -> int:
        return int(self.counters[at.route_row(route) + at.TRIPLES])

    def kinds(self, arm: str = "candidate", route: int = 0) -> dict[str, int]:
        row, m = at.route_row(route), at.MIRRORED_INDEX[arm]
        found = {kind: self.counters[at.mismatch_word(row, m, kind)] for kind in at.KIND_INDEX}
        return {kind: value for kind, value in found.items() if value}


def status(answer: bytes) -> int:
    """The status of the first response in `answer`, 0 without one."""
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(match[1]) if match else 0
