"""Traffic as a shop sees it: a plan made from a seed, and users on keep-alive connections who carry it out on time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

USERS: Final = 50_000
"""Many enough that a split by user is one by chance."""
CONNECTIONS: Final = 24
"""More than requests are ever under way at the demo's rate, so that the schedule is kept."""

_WEIGHTS: Final = {
    "GET /catalog": 10,
    "GET /items/{}": 28,
    "HEAD /items/{}": 2,
    "GET /users/{}": 16,
    "GET /users/{}/recommendations": 10,
    "GET /prices/{}": 18,
    "GET /orders/{}": 11,
    "POST /orders": 3,
    "POST /carts/{}/items": 2,
}
_AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "ShopApp/7.3 (Android 14)",
)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    agent: str
    body: bytes = b""
    user: int = 0
    """Sent as X-User-Id; 0 sends none."""

    def encode(self, host: str) -> bytes:
        head = (
            f"{self.method} {self.target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {self.agent}\r\n"
            "Accept: application/json\r\nAccept-Language: en, de;q=0.7\r\n"
        )
        if self.user:
            head += f"X-User-Id: {self.user}\r\n"
        if self.body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n"
        return head.encode("ascii") + b"\r\n" + self.body


@dataclass(slots=True)
class Outcome:
    """What users got. `servers` counts the Server field, which tells whose answer it was."""

    statuses: Counter[int] = field(default_factory=Counter)
    servers: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    """Requests without a whole answer."""

    @property
    def answered(self) -> int:
        return sum(self.statuses.values())


def plan(count: int, seed: int = 1) -> list[Request]:
    """`count` requests; few ids are popular and most are rare, as in a shop. The same seed gives the same plan."""
    random, shoppers = Random(seed), Random(-seed - 1)
    lines = random.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()), k=count)
    requests = []
    for line in lines:
        method, target = line.split(" ")
        # A third of the views go to twenty ids, the rest spreads evenly.
        identity = random.randint(1, 20) if random.random() < 0.35 else random.randint(1, 4000)
        query = random.choice(("", "", "?ref=mail", "?lang=de&ref=home"))
        body = b'{"sku":%d,"quantity":%d}' % (identity, random.randint(1, 3)) if method == "POST" else b""
        agent, user = random.choice(_AGENTS), shoppers.randint(1, USERS)
        requests.append(Request(method, target.format(identity) + query, agent, body, user))
    return requests


def _never() -> bool:
    return False


async def drive(
    requests: list[Request],
    host: str,
    port: int,
    seconds: float,
    tell: Callable[[int], None],
    ended: Callable[[], bool] = _never,
    outcome: Outcome | None = None,
) -> Outcome:
    """Send `requests` evenly over `seconds`, or until it has `ended`; `tell` hears how many were answered.

    Counts in `outcome`, which it returns, or in one of its own. Never raises for a broken answer.
    """
    loop = asyncio.get_running_loop()
    outcome = Outcome() if outcome is None else outcome
    schedule = enumerate(requests)
    begin, step = loop.time(), seconds / max(1, len(requests))

    async def user() -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for index, request in schedule:
            await asyncio.sleep(begin + index * step - loop.time())
            if ended():
                break
            try:
                connection = connection or await asyncio.open_connection(host, port)
                keep = await _exchange(connection, request, f"{host}:{port}", outcome)
            except (OSError, EOFError, ValueError):
                outcome.broken += 1
                keep = False
            if connection and not keep:
                connection[1].close()
                connection = None
            tell(outcome.answered + outcome.broken)
        if connection:
            connection[1].close()

    async with asyncio.TaskGroup() as users:
        for _ in range(min(CONNECTIONS, len(requests))):
            users.create_task(user())
    return outcome


async def _exchange(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: Request, host: str, outcome: Outcome
) -> bool:
    """One request and its whole answer; whether the connection may be used again.

    Raises OSError, EOFError or ValueError where the answer is not whole.
    """
    reader, writer = connection
    writer.write(request.encode(host))
    head = await reader.readuntil(b"\r\n\r\n")
    line, *rest = head.decode("latin-1").splitlines()
    fields = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rest if row)}
    if request.method != "HEAD":
        await reader.readexactly(int(fields.get("content-length", "")))
    outcome.statuses[int(line.split(" ")[1])] += 1
    outcome.servers[fields.get("server", "")] += 1
    return fields.get("connection", "").lower() != "close"
