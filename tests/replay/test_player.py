"""When and in which order requests are sent, on a clock that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.capture import REQUEST, Record, encode_record
from shadowproxy.http1 import RequestHead
from shadowproxy.model.policy import LimitsPolicy
from shadowproxy.replay import player as module
from shadowproxy.replay.messages import Answer, Preparer, Request
from shadowproxy.replay.pacing import AtOnce, Even, Pace, Recorded
from shadowproxy.replay.player import Player
from shadowproxy.replay.recording import Entry, RecordingError
from tests.fakes.loop import FakeLoop

MS = 1_000_000


class Loop(FakeLoop):
    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As of every fake loop, but a test may end while the player still waits."""
        if "exception" in context:
            super().call_exception_handler(context)


class Tape:
    """A recording of (milliseconds, connection); the target of each request is its number."""

    def __init__(self, *requests: tuple[float, str]) -> None:
        self.entries = [
            Entry(int(at * MS), 0, number, 1, connection) for number, (at, connection) in enumerate(requests)
        ]
        self.answers: dict[int, bytes] = {}
        self.bad: set[int] = set()
        self.broken: set[int] = set()

    def request(self, entry: Entry) -> bytes:
        if entry.place in self.broken:
            raise RecordingError("gone")
        host = b"" if entry.place in self.bad else b"Host: a\r\n"
        return b"GET /%d HTTP/1.1\r\n%b\r\n" % (entry.place, host)

    def answer(self, entry: Entry) -> bytes | None:
        return self.answers.get(entry.place)


class Scene:
    """A player on a fake loop before a stage that keeps what it is sent until the test lets go of it."""

    def __init__(self, tape: Tape, pace: Pace | None = None, concurrency: int = 100, ask: bool = True) -> None:
        self.loop = Loop()
        self.room = True
        self.undecided = 0
        self.answers: list[Answer | None] = []
        self.sent: list[tuple[int, float]] = []
        self.open: dict[int, Callable[[str], None]] = {}
        self.hosts: set[bytes] = {b"a"}
        preparer = Preparer(LimitsPolicy(), {}, "i")
        with self.loop.running():
            self.player = Player(self, tape, preparer, pace or AtOnce(), concurrency, ask)  # type: ignore[arg-type]
        self.task = self.loop.spawn(self.player.run())

    def has_room(self) -> bool:
        return self.room

    def serves(self, head: RequestHead) -> bool:
        return head.host in self.hosts

    def send(self, request: Request, answer: Answer | None, latency: float, done: Callable[[str], None]) -> None:
        number = int(request.head.path[1:])
        self.sent.append((number, round((self.loop.time() - 1000.0) * 1000, 3)))
        self.open[number] = done
        self.answers.append(answer)

    def finish(self, number: int, failure: str = "") -> None:
        with self.loop.running():
            self.open.pop(number)(failure)
        self.loop.run()

    @property
    def order(self) -> list[int]:
        return [number for number, _ in self.sent]


def test_requests_leave_when_they_are_due_measured_from_the_start() -> None:
    scene = Scene(Tape((100, ""), (150, ""), (250, "")), Recorded(100 * MS, 1.0))
    scene.loop.advance(1.0)
    assert scene.sent == [(0, 0.0), (1, 50.0), (2, 150.0)]
    assert scene.player.lateness.most == pytest.approx(0.0, abs=1e-6)


def test_a_late_request_delays_no_other() -> None:
    tape = Tape(*((at, "") for at in range(0, 1000, 10)))
    scene = Scene(tape, Recorded(0, 1.0), concurrency=1)
    scene.loop.advance(0.5)
    assert scene.order == [0]
    for number in range(50):
        scene.finish(number)
    assert scene.order == list(range(51))
    scene.loop.advance(0.005)
    scene.finish(50)
    scene.loop.advance(0.005)
    assert scene.sent[-1] == (51, 510.0)
    assert scene.player.lateness.most == pytest.approx(0.49)
    assert scene.player.lateness.last == pytest.approx(0.0, abs=1e-6)


def test_a_rate_is_even_whatever_was_recorded() -> None:
    scene = Scene(Tape((0, ""), (0, ""), (9000, "")), Even(100.0))
    scene.loop.advance(1.0)
    assert scene.sent == [(0, 0.0), (1, 10.0), (2, 20.0)]


def test_requests_of_one_connection_follow_each_other() -> None:
    scene = Scene(Tape((0, "x"), (0, "y"), (0, "x"), (0, ""), (0, "x"), (0, "y")))
    assert scene.order == [0, 1, 3]
    scene.finish(0)
    assert scene.order == [0, 1, 3, 2]
    scene.finish(2)
    scene.finish(1)
    assert scene.order == [0, 1, 3, 2, 4, 5]


def test_no_more_are_under_way_than_wanted() -> None:
    scene = Scene(Tape(*((0, str(number % 3)) for number in range(30))), concurrency=2)
    while scene.open:
        assert len(scene.open) <= 2
        scene.finish(next(iter(scene.open)))
    assert sorted(scene.order) == list(range(30))


def test_without_room_nothing_is_begun_and_nothing_is_given_up() -> None:
    scene = Scene(Tape((0, ""), (0, "")), concurrency=10)
    assert scene.order == [0, 1]
    scene = Scene(Tape((0, ""), (0, ""), (5, "")), Recorded(0, 1.0))
    scene.room = False
    scene.loop.advance(0.1)
    assert scene.order == [0, 1]
    scene.room = True
    with scene.loop.running():
        scene.player.changed()
    scene.loop.run()
    assert scene.order == [0, 1, 2]


def test_the_end_waits_for_what_is_under_way_and_for_every_verdict() -> None:
    scene = Scene(Tape((0, "")))
    scene.undecided = 2
    scene.finish(0)
    assert not scene.task.done()
    scene.undecided = 0
    with scene.loop.running():
        scene.player.changed()
    scene.loop.run()
    assert scene.task.done()
    assert (scene.player.played.sent, scene.player.played.done) == (1, 1)


def test_verdicts_that_never_come_are_given_up_in_the_end() -> None:
    scene = Scene(Tape((0, "")))
    scene.undecided = 1
    scene.finish(0)
    scene.loop.advance(module.STUCK - 1)
    assert not scene.task.done()
    scene.loop.advance(2)
    assert scene.task.done()


def test_stopping_sends_nothing_more_and_finishes_what_is_under_way() -> None:
    scene = Scene(Tape((0, "x"), (0, "x"), (500, "")), Recorded(0, 1.0))
    with scene.loop.running():
        scene.player.stop()
    scene.loop.run()
    assert not scene.task.done()
    scene.finish(0)
    scene.loop.advance(1.0)
    assert scene.order == [0]
    assert scene.task.done()
    assert scene.player.played.stopped


def test_what_the_parser_refuses_is_counted_and_holds_up_nobody() -> None:
    tape = Tape((0, "x"), (0, "x"), (0, "x"), (0, ""))
    tape.bad = {0, 2}
    scene = Scene(tape)
    assert scene.order == [3, 1] or scene.order == [1, 3]
    scene.finish(1)
    scene.finish(3)
    assert scene.task.done()
    assert scene.player.played.refused == {"host": 2}
    assert scene.player.played.examples[0] == "request 1: host: an HTTP/1.1 request needs a Host field"


def test_what_does_not_belong_to_the_service_is_not_sent() -> None:
    scene = Scene(Tape((0, "")))
    assert scene.player.played.refused == {}
    tape = Tape((0, ""), (10, ""))
    scene = Scene(tape, Recorded(0, 1.0))
    scene.hosts = set()
    scene.loop.advance(1.0)
    assert scene.order == [0]
    assert scene.player.played.examples == ["request 2: no_service: a/1 does not belong to the service"]


def test_recorded_answers_are_the_primarys_where_it_is_not_asked() -> None:
    tape = Tape((0, ""), (0, ""), (0, ""))
    tape.answers = {0: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1: b"nonsense"}
    scene = Scene(tape, ask=False)
    assert [answer.body if answer else None for answer in scene.answers] == [b"ok", None, None]
    assert scene.player.played.unrecorded == 2
    assert scene.player.played.unusable == {"malformed": 1}
    asked = Scene(tape, ask=True)
    assert asked.answers == [None] * 3
    assert asked.player.played.unrecorded == 0


def test_failures_of_the_primary_are_counted_by_reason() -> None:
    scene = Scene(Tape((0, ""), (0, "")))
    scene.finish(0, "refused")
    scene.finish(1)
    assert scene.player.played.unanswered == {"refused": 1}


@pytest.mark.parametrize("connection", ["", "x"])
def test_a_recording_that_cannot_be_read_any_more_ends_the_replay(connection: str) -> None:
    tape = Tape((0, connection), (0, connection), (0, connection))
    tape.broken = {1}
    scene = Scene(tape)
    scene.finish(0)
    assert isinstance(scene.task.exception(), RecordingError)
    assert scene.order == [0]


def test_how_late_it_is_while_it_waits() -> None:
    scene = Scene(Tape((0, ""), (100, ""), (200, "")), Recorded(0, 1.0), concurrency=1)
    scene.loop.advance(0.05)
    assert scene.player.late == 0.0
    scene.loop.advance(0.55)
    assert scene.player.late == pytest.approx(0.5)
    assert scene.player.left(0.1) == pytest.approx(0.6)
    for number in range(3):
        scene.finish(number)
    assert scene.player.late == scene.player.lateness.last == pytest.approx(0.4)


def test_how_long_it_will_take_yet() -> None:
    scene = Scene(Tape((0, ""), (100, ""), (1000, "")), Recorded(0, 2.0))
    assert scene.player.is_paced
    assert scene.player.left(0.1) == pytest.approx(0.4)
    scene = Scene(Tape((0, ""), (0, ""), (0, ""), (0, "")))
    assert not scene.player.is_paced
    assert scene.player.left(1.0) is None
    scene.finish(0)
    assert scene.player.left(1.0) == pytest.approx(3.0)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from(["", "a", "b"])), min_size=1, max_size=12),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_every_request_is_sent_once_and_in_order_within_its_connection(
    requests: list[tuple[int, str]], concurrency: int, random: object
) -> None:
    tape = Tape(*sorted(requests, key=lambda each: each[0]))
    scene = Scene(tape, Recorded(tape.entries[0].at, 1.0), concurrency)
    while not scene.task.done():
        assert len(scene.open) <= concurrency
        under_way = [tape.entries[number].connection for number in scene.open]
        assert all(under_way.count(each) == 1 for each in under_way if each)
        if scene.open and random.random() < 0.7:  # type: ignore[attr-defined]
            scene.finish(random.choice(sorted(scene.open)))  # type: ignore[attr-defined]
        else:
            scene.loop.advance(0.01)
    assert sorted(scene.order) == list(range(len(requests)))
    for name in ("a", "b"):
        numbers = [number for number in scene.order if tape.entries[number].connection == name]
        assert numbers == sorted(numbers)
    assert all(at >= tape.entries[n].at / MS - tape.entries[0].at / MS - 1e-3 for n, at in scene.sent)


def test_a_recording_on_disk_is_played(tmp_path: Path) -> None:
    from shadowproxy.replay.recording import Recording

    path = tmp_path / "a.gor"
    path.write_bytes(encode_record(Record(REQUEST, "r", 5, b"GET /0 HTTP/1.1\r\nHost: a\r\n\r\n")) or b"")
    recording = Recording.read([str(path)])
    scene = Scene(recording)  # type: ignore[arg-type]
    assert scene.order == [0]
    recording.close()
    assert isinstance(scene.task, asyncio.Task)
    scene.finish(0)
