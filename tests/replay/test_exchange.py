"""One request through the data plane's own parts, on a fake loop."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shadowproxy.channel import FrameReader, frame
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.model.pair import Answer as Verdict
from shadowproxy.model.policy import LimitsPolicy
from shadowproxy.model.terms import DROP_REASONS, LOSS_REASONS, VERDICTS
from shadowproxy.replay import plane as module
from shadowproxy.replay.messages import Preparer
from shadowproxy.replay.plane import Plane
from shadowproxy.replay.rules import Targets, replay_policy
from shadowproxy.upstream.deadlines import TICK
from tests.fakes.stage import Network
from tests.fakes.transport import FakeTransport

GET = b"GET /items/1 HTTP/1.1\r\nHost: shop.example\r\nX-Request-Id: r1\r\n\r\n"
POST = GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
OTHER = OK.replace(b"hello", b"world")
PRIMARY, CANDIDATE, SECONDARY = 1, 2, 3


class Scene:
    def __init__(self, ask: bool = True, methods: tuple[str, ...] = ("GET", "POST"), secondary: bool = False) -> None:
        targets = Targets(
            "http://127.0.0.1:2", "http://127.0.0.1:1" if ask else None, "http://127.0.0.1:3" if secondary else None
        )
        policy = replay_policy(targets, None, None, methods, "recorded", {}).policy
        self.loop = Network()
        counters = Counters(1)
        self.words = counters.block(0)
        self.changes = 0
        with self.loop.running():
            self.plane = Plane(policy, {}, self.words, counters.control, ["/comparer"], ask)
        self.plane.on_change = self._changed
        task = self.loop.spawn(self.plane.start())
        assert task.done()
        self.preparer = Preparer(LimitsPolicy(), {}, "i")
        self.done: list[str] = []

    def _changed(self) -> None:
        self.changes += 1

    def send(self, payload: bytes = GET, recorded: bytes | None = None, latency: float = 0.01) -> None:
        request = self.preparer.request(payload)
        answer = self.preparer.answer(recorded, request.head.method) if recorded is not None else None
        with self.loop.running():
            self.plane.send(request, answer, latency, self.done.append)
        self.loop.run()

    def at(self, port: int) -> FakeTransport:
        return self.loop.made[port][-1]

    def feed(self, port: int, data: bytes) -> None:
        self.at(port).feed(data)
        self.loop.run()

    def verdict(self, verdict: str, *kinds: str) -> None:
        answer = Verdict(1, verdict, kinds)
        self.loop.made["/comparer"][-1].feed(frame(msgspec.msgpack.encode(answer)))

    def pairs(self) -> list[Any]:
        frames = FrameReader().feed(self.loop.made["/comparer"][-1].take())
        return [msgspec.msgpack.decode(each) for each in frames]

    def tick(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.loop.advance(TICK)

    def books(self, arm: str = "candidate") -> dict[str, int]:
        row, m, words = at.route_row(0), at.MIRRORED_INDEX[arm], self.words
        found = {f"dropped:{r}": words[at.dropped_word(row, m, r)] for r in DROP_REASONS}
        found |= {f"lost:{r}": words[at.lost_word(row, m, r)] for r in LOSS_REASONS}
        found |= {v: words[at.compared_word(row, m, v)] for v in VERDICTS}
        return {name: value for name, value in found.items() if value}

    def codes(self) -> list[int]:
        row = at.requests_word(at.route_row(0), at.ARM_INDEX["primary"], 0)
        return list(self.words[row : row + 6])


def test_both_are_asked_and_equal_answers_match() -> None:
    scene = Scene()
    scene.send()
    assert scene.at(PRIMARY).take() == GET
    assert scene.at(CANDIDATE).take() == GET[:-2] + b"X-Shadow-Request: candidate\r\n\r\n"
    scene.feed(PRIMARY, OK)
    assert scene.done == []
    scene.feed(CANDIDATE, OK)
    assert scene.done == [""]
    assert scene.books() == {"match": 1}
    assert scene.codes() == [0, 1, 0, 0, 0, 0]


def test_the_end_comes_with_the_last_of_both_whoever_that_is() -> None:
    scene = Scene(secondary=True)
    scene.send(POST)
    for port in (CANDIDATE, SECONDARY):
        assert scene.at(port).take().endswith(b"abc")
        scene.feed(port, OK)
    assert scene.done == []
    scene.feed(PRIMARY, OK[:-2])
    assert scene.done == []
    scene.feed(PRIMARY, OK[-2:])
    assert scene.done == [""]
    assert scene.books() == scene.books("secondary") == {"match": 1}


def test_unequal_answers_wait_for_a_verdict() -> None:
    scene = Scene()
    scene.send()
    scene.feed(PRIMARY, OK)
    scene.feed(CANDIDATE, OTHER)
    assert scene.done == [""]
    assert scene.plane.undecided == 1
    scene.verdict("mismatch", "body_bytes")
    assert scene.plane.undecided == 0
    assert scene.changes == 1
    assert scene.books() == {"mismatch": 1}


def test_a_recorded_answer_takes_the_primarys_place() -> None:
    scene = Scene(ask=False)
    scene.send(recorded=OTHER)
    assert PRIMARY not in scene.loop.made
    scene.feed(CANDIDATE, OK)
    assert scene.done == [""]
    (pair,) = scene.pairs()
    assert b"world" in msgspec.msgpack.encode(pair)
    assert scene.codes() == [0, 1, 0, 0, 0, 0]
    deltas = at.delta_word(at.route_row(0), 0)
    assert not any(scene.words[deltas : deltas + at.DELTA_WORDS])


def test_a_recorded_answer_that_breaks_off_is_truncated() -> None:
    scene = Scene(ask=False)
    scene.send(recorded=OK[:-2])
    scene.feed(CANDIDATE, OK[:-2] + b"lo")
    assert scene.plane.undecided == 1


def test_without_a_recorded_answer_there_is_nothing_to_compare() -> None:
    scene = Scene(ask=False)
    scene.send()
    scene.feed(CANDIDATE, OK)
    assert scene.done == [""]
    assert scene.books() == {"lost:primary_incomplete": 1}


@pytest.mark.parametrize("port", [PRIMARY, CANDIDATE])
def test_a_write_that_met_a_closing_connection_is_sent_again(port: int) -> None:
    scene = Scene()
    scene.send(POST)
    scene.feed(PRIMARY, OK)
    scene.feed(CANDIDATE, OK)
    scene.send(POST)
    first = scene.at(port)
    first.lose()
    scene.loop.run()
    assert scene.at(port) is not first
    assert scene.at(port).take().endswith(b"abc")
    scene.feed(PRIMARY, OK)
    scene.feed(CANDIDATE, OK)
    assert scene.done == ["", ""]
    assert scene.books() == {"match": 2}


def test_a_candidate_that_dies_of_a_write_is_found_out() -> None:
    scene = Scene()
    scene.send(POST)
    scene.feed(PRIMARY, OK)
    scene.feed(CANDIDATE, OK)
    scene.send(POST)
    scene.feed(PRIMARY, OK)
    for _ in range(2):
        scene.at(CANDIDATE).lose()
        scene.loop.run()
    assert scene.books() == {"match": 1, "mismatch": 1}


def test_a_primary_without_an_answer_is_named() -> None:
    scene = Scene()
    scene.loop.answers[PRIMARY] = ConnectionRefusedError()
    scene.send()
    scene.feed(CANDIDATE, OK)
    assert scene.done == ["refused"]
    assert scene.books() == {"lost:primary_incomplete": 1}
    assert scene.codes() == [0, 0, 0, 0, 0, 1]


def test_a_primary_that_never_ends_is_given_up_when_a_copy_would_be() -> None:
    scene = Scene()
    scene.send()
    scene.feed(CANDIDATE, OK)
    for _ in range(12):
        if scene.done:
            break
        scene.feed(PRIMARY, b"HTTP/1.1 200 OK\r\n\r\n" if scene.at(PRIMARY).take() else b"data: x\n\n")
        scene.tick(1.0)
    assert scene.done == ["total_timeout"]
    assert scene.at(PRIMARY).closing


def test_a_switch_of_protocols_that_nobody_asked_for_is_malformed() -> None:
    scene = Scene()
    scene.send()
    scene.feed(CANDIDATE, OK)
    scene.feed(PRIMARY, b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
    assert scene.done == ["malformed"]


def test_interim_answers_are_passed_over() -> None:
    scene = Scene()
    scene.send()
    scene.feed(PRIMARY, b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
    scene.feed(CANDIDATE, OK)
    assert scene.done == [""]


def test_a_request_that_no_mirror_takes_is_the_primarys_alone() -> None:
    scene = Scene(methods=("GET",))
    scene.send(POST)
    scene.feed(PRIMARY, OK)
    assert scene.done == [""]
    assert CANDIDATE not in scene.loop.made


def test_a_hanging_candidate_is_a_timeout_and_no_reason_of_ours() -> None:
    scene = Scene()
    for _ in range(3):
        scene.send()
        scene.feed(PRIMARY, OK)
    scene.tick(11.0)
    assert scene.done == [""] * 3
    assert scene.books() == {"mismatch": 3}


def test_room_is_bounded_by_pairs_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    assert scene.plane.has_room()
    scene.send()
    scene.feed(PRIMARY, OK)
    scene.feed(CANDIDATE, OTHER)
    assert scene.plane.has_room()
    monkeypatch.setattr(module, "MAX_PAIRS", 1)
    assert not scene.plane.has_room()
    monkeypatch.setattr(module, "MAX_PAIRS", 10)
    monkeypatch.setattr(module, "MAX_HELD", 10)
    assert not scene.plane.has_room()
    scene.verdict("match")
    assert scene.plane.has_room()
    scene.send(POST * 1)
    monkeypatch.setattr(module, "MAX_HELD", 3)
    assert not scene.plane.has_room()


def test_what_has_no_verdict_at_the_end_is_lost() -> None:
    scene = Scene()
    scene.send()
    scene.feed(PRIMARY, OK)
    scene.feed(CANDIDATE, OTHER)
    scene.send()
    with scene.loop.running():
        scene.plane.close()
    assert scene.books() == {"lost:shutdown": 2}
    assert scene.loop.timers == [] or min(scene.loop.timers) > 1


def test_the_service_says_what_belongs_to_it() -> None:
    assert Scene().plane.serves(Preparer(LimitsPolicy(), {}, "i").request(GET).head)
