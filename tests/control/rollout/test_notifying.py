"""Each event reaches each receiver once, in order, signed; a receiver that is gone holds nobody up."""

from __future__ import annotations

import hashlib
import hmac

import aiohttp
import msgspec

from shadowproxy.control.rollout.notifying import MAX_AGE, MAX_WAITING, Delivery, Outbox, event_of
from shadowproxy.model.rollout import RUNNING, Notify, Plan
from shadowproxy.rollout.values import Entry, State
from tests.control.rollout.web import Posted, Reply, Settled, Web

ADVANCED = Entry("advanced", 5.0, "shadowproxy", "the bake is over")
STATE = State("shop", Plan("checkout-v2", ()), 2, RUNNING, weight=0.05, why="baking")


class World:
    def __init__(self, *hooks: Notify, reply: object = (200, b"")) -> None:
        self.web = Web(reply)  # type: ignore[arg-type]
        self.now = 5.0
        self.hooks = list(hooks)
        self.kept: dict[int, Delivery] = {}
        self.outbox = self.start()

    def start(self) -> Outbox:
        outbox = Outbox(self.web.session, lambda service: self.hooks, self._over, lambda: self.now, first_wait=0.0)
        outbox.send(self.kept.values())
        return outbox

    def _over(self, delivery: Delivery) -> None:
        del self.kept[delivery.number]

    def offer(self, *names: str, action: str = "advanced") -> None:
        for name in names:
            entry = msgspec.structs.replace(ADVANCED, action=action)
            deliveries = self.outbox.prepare(event_of(name, STATE, "first users", (entry,)))
            self.kept |= {delivery.number: delivery for delivery in deliveries}
            self.outbox.send(deliveries)

    def delivered(self, url: str = "") -> list[str]:
        return [each.headers["X-Shadowproxy-Delivery"] for each in self.web.posted if url in each.url]


async def test_an_event_says_where_the_rollout_is_and_what_happened() -> None:
    world = World(Notify("http://a/hook", "key"))
    world.offer("e-1")
    await Settled()
    (posted,) = world.web.posted
    assert posted.headers == {
        "Content-Type": "application/json",
        "X-Shadowproxy-Delivery": "e-1",
        "X-Shadowproxy-Signature": f"sha256={hmac.new(b'key', posted.data, hashlib.sha256).hexdigest()}",
    }
    assert msgspec.json.decode(posted.data) == {
        "id": "e-1",
        "key": "shop/checkout-v2/2",
        "at": 5.0,
        "service": "shop",
        "rollout": "checkout-v2",
        "attempt": 2,
        "phase": "running",
        "stage": "first users",
        "weight": 0.05,
        "why": "baking",
        "entries": [{"action": "advanced", "at": 5.0, "by": "shadowproxy", "why": "the bake is over", "what": {}}],
    }
    assert world.kept == {}


async def test_without_a_secret_nothing_is_signed_and_only_what_is_wanted_is_sent() -> None:
    world = World(Notify("http://a", events=("promoted", "rolled_back")), Notify("http://b"))
    world.offer("e-1")
    world.offer("e-2", action="promoted")
    await Settled()
    assert world.delivered("http://a") == ["e-2"]
    assert world.delivered("http://b") == ["e-1", "e-2"]
    assert all("X-Shadowproxy-Signature" not in each.headers for each in world.web.posted)


async def test_what_is_not_taken_is_sent_again_under_the_same_id_before_what_came_later() -> None:
    replies: list[Reply] = [(500, b""), aiohttp.ClientConnectionError("refused"), TimeoutError()]
    world = World(Notify("http://a"), reply=lambda posted: replies.pop(0) if replies else (200, b""))
    world.offer("e-1", "e-2")
    await Settled()
    assert world.delivered() == ["e-1"] * 4 + ["e-2"]


async def test_one_dead_receiver_holds_up_no_other() -> None:
    def reply(posted: Posted) -> Reply:
        return None if "dead" in posted.url else (200, b"")

    world = World(Notify("http://dead"), Notify("http://b"), reply=reply)
    world.offer("e-1", "e-2")
    await Settled()
    assert world.delivered("http://b") == ["e-1", "e-2"]
    assert world.outbox.waiting == 2
    world.outbox.stop()
    await Settled()


async def test_what_waits_outlives_the_process() -> None:
    world = World(Notify("http://a"), reply=None)
    world.offer("e-1", "e-2")
    await Settled()
    world.outbox.stop()
    await Settled()
    world.web.reply = (200, b"")
    world.outbox = world.start()
    world.offer("e-3")
    await Settled()
    assert world.delivered() == ["e-1", "e-1", "e-2", "e-3"]
    assert world.kept == {}


async def test_what_nobody_takes_is_given_up_when_it_is_old_or_too_much() -> None:
    world = World(Notify("http://a"), reply=None)
    world.offer(*(f"e-{n}" for n in range(MAX_WAITING + 5)))
    await Settled()
    assert len(world.kept) == world.outbox.waiting == MAX_WAITING
    world.outbox.stop()
    await Settled()
    world.now += MAX_AGE
    world.web.reply = (500, b"")
    world.outbox = world.start()
    for _ in range(MAX_WAITING // 10):
        await Settled()
    assert world.kept == {}


async def test_a_receiver_that_is_not_configured_any_more_gets_nothing() -> None:
    world = World(Notify("http://a"), reply=None)
    world.offer("e-1")
    world.outbox.stop()
    await Settled()
    world.hooks = []
    world.outbox = world.start()
    await Settled()
    assert (world.kept, world.web.posted) == ({}, [])
