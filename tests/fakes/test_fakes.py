"""The fakes keep the promises that asyncio's originals make."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes import FakeLoop, connect


class Recorder(asyncio.Protocol):
    def __init__(self, keep_half_open: bool = False) -> None:
        self.seen: list[object] = []
        self._keep = keep_half_open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.seen.append("made")

    def data_received(self, data: bytes) -> None:
        self.seen.append(data)

    def eof_received(self) -> bool:
        self.seen.append("eof")
        return self._keep

    def pause_writing(self) -> None:
        self.seen.append("pause")

    def resume_writing(self) -> None:
        self.seen.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.seen.append(("lost", exc))


def test_timers_run_in_order_of_their_times_at_their_times() -> None:
    loop, seen = FakeLoop(now=0.0), []
    loop.call_later(2.0, lambda: seen.append(("b", loop.time())))
    loop.call_later(1.0, lambda: seen.append(("a", loop.time())))
    loop.call_later(1.0, lambda: loop.call_later(0.5, lambda: seen.append(("c", loop.time()))))
    loop.advance(1.75)
    assert seen == [("a", 1.0), ("c", 1.5)]
    assert loop.timers == [0.25]
    loop.advance(0.25)
    assert seen[-1] == ("b", 2.0)


def test_a_cancelled_timer_does_not_run() -> None:
    loop, seen = FakeLoop(), []
    loop.call_later(1.0, seen.append, 1).cancel()
    assert loop.timers == []
    loop.advance(5.0)
    assert seen == []


def test_what_a_callback_raises_reaches_the_test() -> None:
    loop = FakeLoop()
    loop.call_soon(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.run()


def test_tasks_and_timeouts_work() -> None:
    loop, seen = FakeLoop(), []

    async def work() -> None:
        future = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(3.0):
                await future
        except TimeoutError:
            seen.append(loop.time())

    task = loop.spawn(work())
    loop.advance(2.9)
    assert not task.done()
    loop.advance(0.2)
    assert task.done()
    assert seen == [1003.0]


def test_a_connection_is_lost_once_and_later() -> None:
    loop = FakeLoop()
    protocol, transport = connect(loop, Recorder())
    transport.write(b"x")
    transport.close()
    transport.abort()
    transport.write(b"y")
    assert protocol.seen == ["made"]
    loop.run()
    assert protocol.seen == ["made", ("lost", None)]
    assert transport.take() == b"x"
    assert transport.aborted


@pytest.mark.parametrize("keep", [True, False])
def test_the_end_of_input_closes_unless_the_protocol_says_otherwise(keep: bool) -> None:
    protocol, transport = connect(FakeLoop(), Recorder(keep))
    transport.feed(b"abc")
    transport.feed_eof()
    assert protocol.seen == ["made", b"abc", "eof", *([] if keep else [("lost", None)])]
    assert transport.is_closing() is not keep


def test_blocking_is_told_once_each_way() -> None:
    protocol, transport = connect(FakeLoop(), Recorder())
    transport.block()
    transport.block()
    transport.unblock()
    transport.unblock()
    assert protocol.seen == ["made", "pause", "resume"]


def test_feeding_a_paused_transport_is_a_mistake() -> None:
    _, transport = connect(FakeLoop(), Recorder())
    transport.pause_reading()
    assert not transport.is_reading()
    with pytest.raises(AssertionError, match="paused"):
        transport.feed(b"x")
    transport.resume_reading()
    transport.feed(b"x")


def test_a_broken_connection_carries_its_error() -> None:
    protocol, transport = connect(FakeLoop(), Recorder(), peername=("198.51.100.9", 1))
    error = ConnectionResetError()
    transport.lose(error)
    assert protocol.seen[-1] == ("lost", error)
    assert transport.get_extra_info("peername") == ("198.51.100.9", 1)
