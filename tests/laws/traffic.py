"""Random traffic over the fakes: what clients, origins and the comparer may do next, as named steps."""

from __future__ import annotations

import random
import re

import msgspec

from shadowproxy.channel import FrameReader
from shadowproxy.model.pair import Pair
from shadowproxy.model.policy import NoisePolicy, Policy, RoutePolicy, ShadowPolicy, UpstreamTimeouts
from tests.fakes.stage import PORTS, Client, Stage, policy, upstream
from tests.fakes.transport import FakeTransport

_METHOD = re.compile(rb"([A-Z]+) \S+ HTTP/1\.1\r\n")
DATE = b"Mon, 23 Nov 2026 15:00:00 GMT"

RESPONSES = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",
    b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more than was announced",
    b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60000,
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\npart",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    b"lo\r\n0\r\n\r\n",
    b"HTTP/1.1 2",
    b"SSH-2.0-nothing\r\n\r\n",
)
REQUESTS = (
    b"GET /items/1 HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\n\r\n",
    b"HEAD /items/1 HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\n\r\n",
    b"GET / HTTP/1.0\r\nX-Request-Id: %d\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nX-Request-Id: %d\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nX-Request-Id: %d\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\nContent-Length: 4\r\n\r\nbody",
    b"POST / HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\nContent-Length: 90000\r\n\r\n" + b"y" * 90000,
    b"POST / HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo",
    b"dy\r\n0\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\nConnection: close\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nX-Request-Id: 7\r\n\r\n",
    b"GET /%d HT",
    b"TP/1.1\r\nHost: a\r\nX-Request-Id: 9\r\n\r\n",
    b"nonsense %d\r\n\r\n",
)
SHADOW = ShadowPolicy(
    sample=0.9,
    methods=("GET", "HEAD", "OPTIONS", "POST"),
    max_body=64 * 1024,
    max_response=32 * 1024,
    max_in_flight=6,
    max_bytes=128 * 1024,
    timeout=3.0,
    breaker_failures=3,
)


def rules(*arms: str, first_byte: float = 4.0, sample: float = 0.9, resample: float = 0.0) -> Policy:
    """The policy that random traffic runs under, with or without mirrors."""
    primary = upstream(1, max_connections=4, max_waiting=2, timeouts=UpstreamTimeouts(first_byte=first_byte, idle=5.0))
    return policy(
        *arms,
        primary=primary,
        route=RoutePolicy("other", 0, shadow=msgspec.structs.replace(SHADOW, sample=sample)),
        noise=NoisePolicy(resample=resample),
    )


class Traffic:
    """Does one random step at a time to a stage. All randomness of clients and primary is in `random`."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        stage.site.date = DATE
        stage.site._id_prefix, stage.site._last_id = b"0" * 16, 0
        self.random = random.Random(seed)
        self.clients: list[Client] = []
        self.requests = 0
        self.pairs = FrameReader()
        self.outstanding: list[int] = []

    # Clients and primary: the same steps whatever the candidate does.

    def client_step(self) -> None:
        roll, kind = self.random.random(), self.random.choice(REQUESTS)
        pick = self.random.random()
        if roll < 0.15 or not self.clients:
            self.clients.append(self.stage.client())
        client = self.clients[int(pick * len(self.clients))]
        if roll < 0.85:
            self.requests += 1
            if client.transport.is_reading():
                client.send(kind % self.requests if b"%d" in kind else kind)
        elif roll < 0.9:
            client.transport.lose(ConnectionResetError())
        elif roll < 0.93:
            if client.transport.is_reading():
                client.transport.feed_eof()
        elif roll < 0.97:
            client.transport.block()
        else:
            client.transport.unblock()

    def origin_step(self, arm: str, chance: random.Random) -> None:
        roll, answer, cut = chance.random(), chance.choice(RESPONSES), chance.random()
        pick = chance.random()
        open_ones = self.stage.loop.open(PORTS[arm])
        if not open_ones:
            return
        transport = open_ones[int(pick * len(open_ones))]
        if roll < 0.75:
            self._answer(transport, answer if roll > 0.1 else answer[: int(cut * len(answer))])
        elif roll < 0.8:
            transport.lose(ConnectionResetError())
        elif roll < 0.88:
            transport.feed_eof()
        elif roll < 0.94:
            transport.block()
        else:
            transport.unblock()

    def _answer(self, transport: FakeTransport, answer: bytes) -> None:
        if not transport.is_reading() or not answer:
            return
        method = _METHOD.search(transport.written)
        if method is not None and method[1] == b"HEAD" and b"\r\n\r\n" in answer:
            answer = answer[: answer.index(b"\r\n\r\n") + 4]
        transport.feed(answer)

    def dial_step(self, arm: str, chance: random.Random) -> None:
        self.stage.loop.answers.pop(PORTS[arm], None)
        roll = chance.random()
        if roll < 0.2:
            self.stage.loop.answers[PORTS[arm]] = ConnectionRefusedError("refused")
        elif roll < 0.3:
            self.stage.loop.answers[PORTS[arm]] = None

    # The side path.

    def comparer_step(self, chance: random.Random) -> None:
        roll, stage = chance.random(), self.stage
        self.read_pairs()
        if roll < 0.8 and self.outstanding and not stage.comparer.closing:
            verdict = chance.choice(("match", "mismatch", "ignored", "noise", "incomparable"))
            pair = self.outstanding.pop(int(chance.random() * len(self.outstanding)))
            stage.verdict(pair, verdict, ("body_value",) if verdict == "mismatch" else ())
        elif roll < 0.85 and not stage.comparer.closing:
            stage.verdict(10**9, "match")
        elif roll < 0.9 and not stage.comparer.closing:
            stage.comparer.feed(b"\x00\x00\x00\x01\xc1")
        elif roll < 0.95:
            stage.comparer.lose(ConnectionResetError())
        else:
            return
        if stage.loop.made["/comparer"][-1] is not stage.comparer:
            stage.comparer, self.pairs, self.outstanding = stage.loop.made["/comparer"][-1], FrameReader(), []

    def read_pairs(self) -> None:
        for payload in self.pairs.feed(self.stage.comparer.take()):
            pair = msgspec.msgpack.decode(payload, type=Pair)
            if pair.answer:
                self.outstanding.append(pair.id)
