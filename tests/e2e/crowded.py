"""The admin listener of a proxy after a bad day: 5,000 causes, a day of charts, of audit and of a rollout."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from msgspec.structs import replace

from shadowproxy.admin.api import application
from shadowproxy.admin.status import status
from shadowproxy.control.causes import CauseBook
from shadowproxy.control.state import State
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.reading import routes
from shadowproxy.model.pair import CauseCount, Example
from shadowproxy.model.policy import Bind, Launch, RoutePolicy, ServicePolicy
from shadowproxy.store.rows import summary
from tests.admin.conftest import MemoryStore
from tests.admin.rollouts import Rollouts, with_flags, with_rollout
from tests.e2e.ports import free_ports
from tests.metrics.world import World, upstream
from tests.store.examples import example

SERVICES = ("shop", "mail", "search", "cart", "login")
CAUSES = 1_000
"""Of each service: as many as there can be."""
ROUTES = 40
DAY = 86_400


@dataclass(frozen=True)
class Crowd:
    """How much there is beside the causes."""

    entries: int = 3_000
    """Of the audit."""
    step: int = 5
    """Seconds of the day that is charted, at once."""


def crowded(directory: Path, crowd: Crowd) -> State:
    """A state with all of it."""
    world, now = World(), time.time()
    names = world.registry
    services = [*world.policy.services]
    for name in SERVICES[2:]:
        arms = {"primary": upstream("http://10.0.0.1:81"), "candidate": upstream("http://10.0.0.2:82")}
        services.append(
            ServicePolicy(name, names.service(name), arms, (), RoutePolicy("other", names.route(name, "other")))
        )
    policy = with_flags(with_rollout(replace(world.policy, services=tuple(services)), "shop"), directory)
    world.mirrored(100_000, mismatches=40_000)
    world.counters.supervisor[at.STARTED_AT] = int((now - DAY) * 1000)
    store = MemoryStore()
    store.offer([_example(number, now) for number in range(500)])
    state = State(Launch(workers=1, data_dir=str(directory)), policy, names, world.counters, store)
    _fill_causes(state.causes, now)
    for second in range(0, DAY, crowd.step):
        world.mirrored(30 + second % 17, mismatches=second % 3)
        state.series.tick(now - DAY + second, routes(world.counters, names, policy), {"shop": second / DAY})
    for number in range(crowd.entries):
        who = f"colleague {number % 7}"
        state.audit.append(
            now - DAY + number * DAY / crowd.entries, who, "flags.set", "shop", {"number": number}, "as we said"
        )
    state.rollouts = Rollouts(policy)
    return state


def _fill_causes(book: CauseBook, now: float) -> None:
    for service in SERVICES:
        book.add(
            CauseCount(
                service,
                f"route {number % ROUTES}",
                "candidate",
                f"c-{service}{number:04}",
                ((f"$.field{number}", "body_missing"),),
                200,
                200,
                "",
                pairs=CAUSES - number,
                first_at=now - DAY,
                last_at=now - number,
                example=f"ex{number % 500:05}",
                size=2_000,
                words=f"$.field{number} is missing.",
            )
            for number in range(CAUSES)
        )


def _example(number: int, now: float) -> Example:
    return example(number, at=now - number)


@contextmanager
def serving(directory: Path, crowd: Crowd = Crowd()) -> Generator[str, None, None]:
    """The address of such a listener, which tells its followers the status and an example every second."""
    state = crowded(directory, crowd)
    (port,) = free_ports(1)
    ready, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        await state.flags.look()
        runner = web.AppRunner(application(state, Bind("127.0.0.1", port)), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        ready.set()
        number = 0
        while not ended.is_set():
            await asyncio.sleep(0.2)
            number += 1
            if number % 5 == 0:
                state.watchers.tell("status", status(state, time.monotonic(), time.time()))
                state.watchers.tell("example", summary(_example(number, time.time())))
        state.watchers.end()
        state.flags.watchers.end()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(60)
        yield f"http://127.0.0.1:{port}"
    finally:
        ended.set()
        thread.join(20)
