"""The shop by itself, for trying the proxy by hand: two versions that listen, and users who shop through a proxy.

Nothing here starts a proxy: that is for whoever tries it. Ends on SIGINT and SIGTERM.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

import uvloop

from shadowproxy.demo.backend import Shop, ShopConnection
from shadowproxy.demo.stage import DemoError
from shadowproxy.demo.traffic import Outcome, drive, plan
from shadowproxy.demo.walk import by_server
from shadowproxy.model.policy import Bind

ROUND_SECONDS: Final = 5.0
"""Between two lines about what users got."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the versions listen and where users shop. `again`: version 1 once more, for a secondary."""

    primary: Bind
    candidate: Bind
    users: Bind
    again: Bind | None = None
    rate: int = 100
    """Requests a second, of all users together."""
    deployed: int = 2
    """Which version the candidate is at first."""


def run(places: Places, tell: Callable[[str], None]) -> None:
    """Serve and shop until a signal. Raises DemoError where an address is taken."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(places, tell))


async def _serve(places: Places, tell: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    servers = []
    try:
        for version, place in ((1, places.primary), (places.deployed, places.candidate), (1, places.again)):
            if place:
                servers.append(await _listen(version, place))
                tell(f"version {version} of the shop: http://{place}")
        tell(f"its users, {places.rate} requests a second: http://{places.users}; Ctrl-C ends it")
        async with asyncio.TaskGroup() as group:
            users = group.create_task(_shop(places, tell))
            await ended.wait()
            users.cancel()
    finally:
        for server in servers:
            server.close()


async def _listen(version: int, place: Bind) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    random, shop = Random(), Shop(version)
    try:
        return await loop.create_server(lambda: ShopConnection(shop, random), place.host, place.port)
    except OSError as error:
        what = os.strerror(error.errno).lower() if error.errno else str(error)
        raise DemoError(f"version {version} cannot listen at {place}: {what}") from None


async def _shop(places: Places, tell: Callable[[str], None]) -> None:
    """Rounds of traffic, each with a line about what came of it."""
    seed = 0
    while True:
        seed += 1
        requests = plan(int(places.rate * ROUND_SECONDS), seed)
        outcome = await drive(requests, places.users.host, places.users.port, ROUND_SECONDS, lambda _: None)
        tell(said(outcome, str(places.users)))


def said(outcome: Outcome, address: str) -> str:
    """A round in a line: `500 answers: 450 by shop/1, 50 by shop/3; 12 of them 5xx`."""
    if not outcome.answered:
        return f"nobody answers at {address} yet"
    line = f"{outcome.answered:,} answers: {by_server(outcome)}"
    kinds = Counter(status // 100 for status in outcome.statuses.elements())
    if kinds[5]:
        line += f"; {kinds[5]:,} of them 5xx"
    return f"{line}; {outcome.broken:,} without a whole one" if outcome.broken else line
