"""The comparer's loop with an engine that does what a pair says, among workers and a control that come and go."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shadowproxy.channel import FrameReader, frame
from shadowproxy.model.commands import Applied, Apply, Quit, Ready, ToSupervisor
from shadowproxy.model.pair import (
    Aggregate,
    Answer,
    CapturedRequest,
    CapturedResponse,
    Example,
    Examples,
    FieldCount,
    Hello,
    Learned,
    Pair,
    Sightings,
)
from shadowproxy.model.policy import Policy, Registry
from shadowproxy.runtime import comparer as room
from shadowproxy.runtime.comparer import Comparer
from shadowproxy.runtime.logs import Log, as_json
from shadowproxy.runtime.recordings import Recordings

encode = msgspec.msgpack.encode


def pair(number: int, target: bytes = b"/", body: bytes = b"", answer: bool = True) -> Pair:
    response = CapturedResponse(200, [], body, 0.1)
    return Pair(
        number, "s", "r", "candidate", "q", 1.0, CapturedRequest(b"GET", target, []), response, None, answer=answer
    )


class Engine:
    """`/boom` raises; everything else is a mismatch in one field."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.pairs = 0
        self.policy = Policy(())
        self.gate = threading.Event()
        self.gate.set()

    def handle(self, pair: Pair) -> Answer | None:
        self.gate.wait(10)
        if pair.request.target == b"/boom":
            raise ZeroDivisionError("boom")
        self.order.append(pair.id)
        self.pairs += 1
        return Answer(pair.id, "mismatch", ("body_value",)) if pair.answer else None

    def harvest(self) -> tuple[Aggregate, list[Example]]:
        pairs, self.pairs = self.pairs, 0
        return Aggregate([FieldCount("s", "r", "$.a", "body_value", pairs)] if pairs else []), []

    def apply(self, policy: Policy) -> None:
        if policy.epoch == "bad":
            raise ValueError("no such field")
        self.policy = policy

    def sight(self, sightings: Sightings) -> None:
        pass

    def learn(self, learned: Learned) -> None:
        pass


class Peer:
    """The other end of a framed connection."""

    def __init__(self, connection: socket.socket, what: Any) -> None:
        self.connection = connection
        self.reader = FrameReader()
        self.decode = msgspec.msgpack.Decoder(what).decode
        self.heard: list[Any] = []
        connection.settimeout(10)

    def send(self, *messages: Any) -> None:
        self.connection.sendall(b"".join(frame(encode(message)) for message in messages))

    def hear(self, count: int = 1) -> list[Any]:
        """The next messages, or fewer at the end of the connection."""
        while len(self.heard) < count:
            data = self.connection.recv(65536)
            if not data:
                break
            messages = [self.decode(payload) for payload in self.reader.feed(data)]
            self.heard += [message for message in messages if not isinstance(message, Hello)]
        found, self.heard = self.heard[:count], self.heard[count:]
        return found


def flood(worker: Peer, what: Pair, count: int) -> int:
    """How many of `count` pairs could be sent until the other end took no more, or was gone."""
    for sent in range(count):
        try:
            worker.send(what)
        except (TimeoutError, ConnectionError):
            return sent
    return count


class Stage:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.engine = Engine()
        self.lines: list[bytes] = []
        self.listener = self.listen("comparer")
        self.feed_listener = self.listen("feed")
        ours, theirs = socket.socketpair()
        self.supervisor = Peer(ours, ToSupervisor)
        log = Log("comparer:0", as_json, lambda line: not self.lines.append(line))
        feed = str(directory / "feed")
        recordings = Recordings(log, time.monotonic)
        self.comparer = Comparer(self.engine, recordings, self.listener, theirs, feed, drain_timeout=0.2, log=log)
        self.thread = threading.Thread(target=self.comparer.run, args=(1,))
        self.theirs = theirs
        self.peers: list[Peer] = [self.supervisor]

    def listen(self, name: str) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.directory / name))
        listener.listen(16)
        listener.settimeout(10)
        return listener

    def worker(self) -> Peer:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.directory / "comparer"))
        self.peers.append(Peer(connection, Answer))
        return self.peers[-1]

    def control(self) -> Peer:
        self.peers.append(Peer(self.feed_listener.accept()[0], Aggregate | Examples | Hello))
        return self.peers[-1]

    def quit(self) -> None:
        self.supervisor.send(Quit())
        self.thread.join(10)
        assert not self.thread.is_alive()

    def close(self) -> None:
        self.engine.gate.set()
        if self.thread.is_alive():
            self.quit()
        for closing in (self.listener, self.feed_listener, self.theirs, *(peer.connection for peer in self.peers)):
            closing.close()


@pytest.fixture
def stage(tmp_path: Path) -> Generator[Stage, None, None]:
    stage = Stage(tmp_path)
    stage.thread.start()
    assert stage.supervisor.hear() == [Ready(1)]
    yield stage
    stage.close()


def test_every_pair_gets_its_answer_and_the_counts_reach_control(stage: Stage) -> None:
    worker = stage.worker()
    worker.send(*(pair(number) for number in range(100)))
    assert [answer.id for answer in worker.hear(100)] == list(range(100))
    control, counted = stage.control(), 0
    while counted < 100:
        (told,) = control.hear()
        counted += told.fields[0].pairs
    assert counted == 100


def test_a_copy_for_the_examples_alone_gets_no_answer(stage: Stage) -> None:
    worker = stage.worker()
    worker.send(pair(1, answer=False), pair(2))
    assert worker.hear() == [Answer(2, "mismatch", ("body_value",))]


def test_a_pair_that_raises_is_incomparable_and_said_once(stage: Stage) -> None:
    worker = stage.worker()
    worker.send(pair(1, b"/boom"), pair(2, b"/boom"), pair(3, b"/boom", answer=False), pair(4))
    assert worker.hear(3) == [
        Answer(1, "incomparable"),
        Answer(2, "incomparable"),
        Answer(4, "mismatch", ("body_value",)),
    ]
    assert len([line for line in stage.lines if b"pair not compared" in line]) == 1


def test_workers_take_turns(stage: Stage) -> None:
    blocker, first, second = stage.worker(), stage.worker(), stage.worker()
    for worker in (first, second):
        worker.send(pair(5000))
        worker.hear()
    stage.engine.order.clear()
    stage.engine.gate.clear()
    blocker.send(pair(6000))
    first.send(*(pair(number) for number in range(200)))
    second.send(*(pair(1000 + number) for number in range(200)))
    stage.engine.gate.set()
    first.hear(200)
    second.hear(200)
    assert max(stage.engine.order.index(first) for first in (0, 1000)) < 200, "nobody waits until the other is done"


def test_a_worker_with_more_than_can_be_compared_is_not_read_from(stage: Stage) -> None:
    stage.engine.gate.clear()
    worker = stage.worker()
    worker.connection.settimeout(0.5)
    assert flood(worker, pair(0, body=b"x" * 1024 * 1024), 64) < 16


def test_a_worker_that_takes_no_answers_is_disconnected(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "ANSWERS", 10_000)
    deaf, good = stage.worker(), stage.worker()
    deaf.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    assert flood(deaf, pair(1), 200_000) < 200_000
    good.send(pair(7))
    assert [answer.id for answer in good.hear()] == [7]


def test_a_slow_reader_gets_every_answer(stage: Stage) -> None:
    worker = stage.worker()
    worker.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    worker.send(*(pair(number) for number in range(3000)))
    assert [answer.id for answer in worker.hear(3000)] == list(range(3000))


def test_nonsense_from_a_worker_ends_its_connection_alone(stage: Stage) -> None:
    bad, good = stage.worker(), stage.worker()
    bad.connection.sendall(frame(b"\xc1 nonsense"))
    assert bad.hear() == []
    good.send(pair(1))
    assert len(good.hear()) == 1


def test_pairs_of_a_worker_that_has_gone_are_not_compared(stage: Stage) -> None:
    stage.engine.gate.clear()
    worker, other = stage.worker(), stage.worker()
    worker.send(*(pair(number) for number in range(500)))
    worker.connection.close()
    other.send(pair(1000))
    stage.engine.gate.set()
    assert len(other.hear()) == 1
    assert len(stage.engine.order) < 500


def test_counts_wait_for_a_control_that_is_away(stage: Stage) -> None:
    control = stage.control()
    control.connection.close()
    stage.feed_listener.close()
    (stage.directory / "feed").unlink()
    worker = stage.worker()
    for number in range(20):
        worker.send(pair(number))
        worker.hear()
    stage.feed_listener = stage.listen("feed")
    (told,) = stage.control().hear()
    assert sum(count.pairs for count in told.fields) >= 19, "at most what was on its way to the one that died is lost"


def test_a_policy_is_applied_and_a_bad_one_refused(stage: Stage) -> None:
    stage.supervisor.send(Apply(Policy((), sequence=2), Registry()))
    assert stage.supervisor.hear() == [Applied(2)]
    stage.supervisor.send(Apply(Policy((), sequence=3, epoch="bad"), Registry()))
    assert stage.supervisor.hear() == [Applied(3, "ValueError: no such field")]
    assert stage.engine.policy.sequence == 2


def test_the_last_counts_reach_control_before_the_end(stage: Stage) -> None:
    control, worker = stage.control(), stage.worker()
    worker.send(*(pair(number) for number in range(10)))
    worker.hear(10)
    stage.quit()
    told = control.hear(100)
    assert sum(count.pairs for message in told for count in message.fields) == 10


def test_without_a_supervisor_it_stays_until_the_workers_are_gone(stage: Stage) -> None:
    worker = stage.worker()
    worker.send(pair(1))
    worker.hear()
    stage.supervisor.connection.close()
    worker.send(pair(2))
    assert len(worker.hear()) == 1
    worker.connection.close()
    stage.thread.join(5)
    assert not stage.thread.is_alive()


def test_without_a_supervisor_it_stays_no_longer_than_a_drain(stage: Stage) -> None:
    worker = stage.worker()
    worker.send(pair(1))
    worker.hear()
    stage.supervisor.connection.close()
    stage.thread.join(5)
    assert not stage.thread.is_alive()
