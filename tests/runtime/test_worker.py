"""What a worker says to its supervisor, and what it does with a policy that it cannot use."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from shadowproxy.channel import FrameReader
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.model.commands import Applied, Apply, Names, Paths, Ready, ToSupervisor
from shadowproxy.model.policy import (
    CertificatePolicy,
    Endpoint,
    Launch,
    Policy,
    Registry,
    ServicePolicy,
    UpstreamPolicy,
)
from shadowproxy.model.rollout import Split
from shadowproxy.runtime.worker import Worker, _Commands
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


UPSTREAM = UpstreamPolicy((Endpoint("http://127.0.0.1:1", host="127.0.0.1", port=1),))
SERVED = ServicePolicy("shop", 0, {"primary": UPSTREAM, "candidate": UPSTREAM}, split=Split("v2", weight=1.0))


async def test_a_policy_whose_certificates_cannot_be_used_sends_users_back_all_the_same() -> None:
    counters = Counters(1)
    before = Policy((SERVED,), sequence=1)
    worker = Worker(
        0, Launch(), Apply(before, Registry()), Names({}), counters.block(0), counters.control, comparers=["unused"]
    )
    replies: list[ToSupervisor] = []
    worker._reply = replies.append
    back = replace(before, sequence=2, services=(replace(SERVED, split=Split("v2", recalled=1000.0)),))
    broken = replace(back, tls=(CertificatePolicy("/nowhere.pem", "/nowhere.key"),))
    await worker._apply(Apply(broken, Registry()))
    assert worker.site.snapshot.policy == replace(back, sequence=1)
    [applied] = replies
    assert isinstance(applied, Applied)
    assert (applied.sequence, "No such file" in applied.why) == (2, True)
    assert counters.block(0)[at.SEQUENCE] == 0, "the policy as a whole is not in force"
