"""Events out: what happened to a rollout, posted as JSON to the webhooks of its plan.

Each URL gets its events in their order, one at a time, and the same event under the same id until it has taken it
(`X-Shadowproxy-Delivery`), so that a receiver can tell a repetition. With a secret the body is signed
(`X-Shadowproxy-Signature: sha256=HMAC`, as GitHub's webhooks are). What waits is bounded, and is kept with the decision
that it tells: a receiver that is gone for a night hears of it in the morning.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

import aiohttp
import msgspec
from msgspec import Struct

from shadowproxy.model.rollout import Notify
from shadowproxy.rollout.values import Entry, State
from shadowproxy.upstream.tasks import spawn

WITHIN: Final = 10.0
"""Seconds for a receiver to answer."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 300.0
"""Seconds between two tries; each wait is twice the one before."""
MAX_AGE: Final = 3 * 86400.0
"""Seconds after which an event that nobody took is given up."""
MAX_WAITING: Final = 500
"""Events that wait for one URL; beyond, the oldest are given up."""

SIGNATURE: Final = "X-Shadowproxy-Signature"
DELIVERY: Final = "X-Shadowproxy-Delivery"

log = logging.getLogger(__name__)

_encode: Final = msgspec.json.Encoder().encode


class Event(Struct, frozen=True):
    """What a receiver gets: where the rollout is now, and what just happened."""

    id: str
    """Of the event: it is the same each time it is sent."""
    key: str
    """Of the attempt."""
    at: float
    service: str
    rollout: str
    """The rollout's name."""
    attempt: int
    """The attempt, counted from 1."""
    phase: str
    """`pending`, `running`, `promoted`, `rolled_back` or `aborted`."""
    stage: str
    """The present stage by name."""
    weight: float
    """The share of the users that the candidate serves now."""
    why: str
    """The last decision in a sentence."""
    entries: tuple[Entry, ...]
    """What was decided, in order."""


class Delivery(Struct, frozen=True):
    """One event for one URL, until it is taken."""

    number: int
    service: str
    url: str
    event: Event


def event_of(name: str, state: State, stage: str, entries: tuple[Entry, ...]) -> Event:
    """`name` is unique, `stage` the name of the present one."""
    plan = state.plan
    key = f"{state.service}/{plan.name}/{state.attempt}"
    at = entries[-1].at
    weight, why = state.weight, state.why
    return Event(name, key, at, state.service, plan.name, state.attempt, state.phase, stage, weight, why, entries)


class Outbox:
    """Deliveries are prepared, so that they can be kept with the decision, and sent once that is made.

    `hooks` gives the webhooks of a service as they are now; `over` hears of each delivery that is taken or given up.
    """

    def __init__(
        self,
        session: Callable[[], aiohttp.ClientSession],
        hooks: Callable[[str], Iterable[Notify]],
        over: Callable[[Delivery], None],
        clock: Callable[[], float],
        first_wait: float = FIRST_WAIT,
    ) -> None:
        self._session = session
        self._hooks = hooks
        self._over = over
        self._clock = clock
        self._first_wait = first_wait
        self._waiting: dict[str, list[Delivery]] = {}
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._next = 1

    def prepare(self, event: Event) -> tuple[Delivery, ...]:
        """What is to be sent of it, to every webhook that wants it."""
        actions = {entry.action for entry in event.entries}
        wanted = [hook for hook in self._hooks(event.service) if not hook.events or actions & set(hook.events)]
        first, self._next = self._next, self._next + len(wanted)
        return tuple(Delivery(first + n, event.service, hook.url, event) for n, hook in enumerate(wanted))

    def send(self, deliveries: Iterable[Delivery]) -> None:
        """Deliver these from the side, also what the process before had not delivered. Nobody waits for a receiver."""
        for delivery in sorted(deliveries, key=lambda each: each.number):
            self._enqueue(delivery)

    def stop(self) -> None:
        """What has not been taken waits for the next process."""
        for task in self._sending.values():
            task.cancel()

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _enqueue(self, delivery: Delivery) -> None:
        self._next = max(self._next, delivery.number + 1)
        queue = self._waiting.setdefault(delivery.url, [])
        queue.append(delivery)
        if len(queue) > MAX_WAITING:
            self._give_up(queue.pop(0), f"more than {MAX_WAITING} wait")
        if delivery.url not in self._sending:
            self._sending[delivery.url] = spawn(self._send_all(delivery.url))

    async def _send_all(self, url: str) -> None:
        queue, wait = self._waiting[url], self._first_wait
        try:
            while queue:
                delivery = queue[0]
                why = await self._send(delivery)
                if why and self._clock() - delivery.event.at < MAX_AGE:
                    if wait == self._first_wait:
                        log.warning("an event for %s was not taken and is sent again: %s", url, why)
                    await asyncio.sleep(wait)
                    wait = min(2 * wait, LONGEST_WAIT)
                    continue
                if queue and queue[0] is delivery:  # it may have been given up meanwhile
                    del queue[0]
                    self._give_up(delivery, why) if why else self._over(delivery)
                wait = self._first_wait
        finally:
            del self._sending[url]

    async def _send(self, delivery: Delivery) -> str:
        """Why it was not taken; empty if it was, or if nobody wants it any more."""
        hook = next((each for each in self._hooks(delivery.service) if each.url == delivery.url), None)
        if hook is None:
            return ""
        body = _encode(delivery.event)
        try:
            async with (
                asyncio.timeout(WITHIN),
                self._session().post(
                    hook.url, data=body, headers=_headers(delivery, hook.secret, body), allow_redirects=False
                ) as answer,
            ):
                return "" if 200 <= answer.status < 300 else f"it answered {answer.status}"
        except TimeoutError:
            return f"no answer within {WITHIN:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return str(error)

    def _give_up(self, delivery: Delivery, why: str) -> None:
        log.warning("an event for %s is given up: %s", delivery.url, why)
        self._over(delivery)


def _headers(delivery: Delivery, secret: str, body: bytes) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", DELIVERY: delivery.event.id}
    if secret:
        headers[SIGNATURE] = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
    return headers
