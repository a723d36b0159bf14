"""What a worker says to its supervisor: everything that matters, and the rest while it is read."""

from __future__ import annotations

import msgspec

from shadowproxy.channel import FrameReader
from shadowproxy.model.commands import Paths, Ready, ToSupervisor
from shadowproxy.runtime.worker import _Commands
from tests.fakes.loop import FakeLoop
from tests.fakes.transport import FakeTransport, connect

PATHS = Paths([("shop", b"/a")])


def said(transport: FakeTransport) -> list[ToSupervisor]:
    return [msgspec.msgpack.decode(payload, type=ToSupervisor) for payload in FrameReader().feed(transport.take())]


def test_what_may_be_lost_is_not_added_to_what_nobody_reads() -> None:
    commands, transport = connect(FakeLoop(), _Commands(lambda command: None, lambda: None))
    commands.offer(PATHS)
    transport.waiting = 1
    commands.offer(PATHS)
    commands.send(Ready(7))
    assert said(transport) == [PATHS, Ready(7)]
    transport.lose()
    commands.offer(PATHS)
    assert said(transport) == []
