"""The channel to a comparer: bounded, each pair counted once whatever breaks, and nobody believes garbage."""

from __future__ import annotations

import msgspec
import pytest

from shadowproxy.channel import FrameReader, frame
from shadowproxy.metrics import layout as at
from shadowproxy.model.pair import CapturedRequest, CapturedResponse, Pair
from shadowproxy.shadow.link import MAX_OUTSTANDING
from tests.fakes.stage import Stage, policy


class Scene(Stage):
    def __init__(self) -> None:
        super().__init__(policy("candidate"))
        self.mirror = self.site.snapshot.services[0].table.find(b"GET", b"/", b"").mirrors[0]

    def offer(self, answer: bool = True, body: bytes = b"") -> str | None:
        response = CapturedResponse(200, [], body, 0.1)
        request = CapturedRequest(b"GET", b"/", [])
        pair = Pair(self.link.next_id(), "s", "r", "candidate", "id", 0.0, request, response, response, None, answer)
        if answer:
            self.mirror.count_sent()
        with self.loop.running():
            reason = self.link.offer(self.mirror, pair)
        if answer and reason is not None:
            self.mirror.count_lost(reason)
        return reason

    def sent(self) -> list[Pair]:
        return [msgspec.msgpack.decode(f, type=Pair) for f in FrameReader().feed(self.comparer.take())]


def test_a_pair_crosses_whole_and_its_verdict_is_counted_when_it_comes() -> None:
    scene = Scene()
    assert scene.offer(body=b"\x00body") is None
    (pair,) = scene.sent()
    assert pair.primary.body == b"\x00body"
    assert (scene.link.outstanding, scene.books()["in_flight"]) == (1, 1)
    scene.verdict(pair.id, "mismatch", ("status", "body_value"))
    assert scene.books() == {"eligible": 1, "sent": 1, "mismatch": 1}
    assert scene.kinds() == {"status": 1, "body_value": 1}
    assert scene.link.outstanding == 0


def test_answers_may_come_out_of_order_and_twice() -> None:
    scene = Scene()
    for _ in range(3):
        scene.offer()
    for pair_id in (3, 1, 1, 99, 2, 3):
        scene.verdict(pair_id, "ignored")
    assert scene.books() == {"eligible": 3, "sent": 3, "ignored": 3}


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff\xff",
        frame(b"\xc1"),
        frame(msgspec.msgpack.encode([1, "excellent", []])),
        frame(msgspec.msgpack.encode([1, "mismatch", ["nonsense"]])),
        frame(msgspec.msgpack.encode({"id": 1})),
    ],
)
def test_garbage_ends_the_connection_and_what_was_outstanding_is_lost(garbage: bytes) -> None:
    scene = Scene()
    scene.offer()
    scene.comparer.feed(garbage)
    assert scene.comparer.aborted
    assert scene.books() == {"eligible": 1, "sent": 1, "lost:comparer_gone": 1}


def test_a_broken_channel_loses_what_is_outstanding_and_is_made_anew() -> None:
    scene = Scene()
    scene.offer()
    scene.loop.answers["/comparer"] = ConnectionRefusedError()
    scene.comparer.lose(ConnectionResetError())
    assert scene.books()["lost:comparer_gone"] == 1
    assert scene.offer() == "comparer_gone"
    assert not scene.link.has_time
    del scene.loop.answers["/comparer"]
    scene.loop.advance(0.1)
    assert scene.loop.made["/comparer"][-1] is not scene.comparer
    assert scene.offer() is None


def test_too_many_or_too_large_pairs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    for _ in range(MAX_OUTSTANDING):
        assert scene.offer() is None
    assert scene.offer() == "channel_full"
    assert scene.link.outstanding == MAX_OUTSTANDING
    scene.verdict(1)
    assert scene.offer() is None
    scene = Scene()
    monkeypatch.setattr(scene.link, "max_bytes", 1000)
    assert scene.offer(body=b"x" * 1000) is None
    assert scene.offer() == "channel_full"
    scene.verdict(1)
    assert scene.offer() is None


def test_examples_go_only_while_the_channel_is_idle_and_expect_no_answer() -> None:
    scene = Scene()
    assert scene.link.has_time
    assert scene.offer(answer=False) is None
    assert scene.link.outstanding == 0
    scene.comparer.waiting = 64 * 1024 * 1024
    assert scene.offer(answer=False) == "channel_full"
    for _ in range(16):
        scene.offer()
    assert not scene.link.has_time


def test_at_the_end_what_has_no_verdict_is_lost_to_the_shutdown() -> None:
    scene = Scene()
    scene.offer()
    scene.link.close()
    scene.loop.run()
    assert scene.books() == {"eligible": 1, "sent": 1, "lost:shutdown": 1}
    scene.loop.advance(5.0)
    assert len(scene.loop.made["/comparer"]) == 1


def test_a_link_that_never_was_connected_can_be_closed() -> None:
    scene = Scene()
    scene.comparer.lose(None)
    scene.loop.answers["/comparer"] = ConnectionRefusedError()
    scene.comparer.lose(None)
    scene.link.close()
    assert scene.counters[at.EXAMPLES_SKIPPED] == 0
