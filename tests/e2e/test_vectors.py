"""Outside cases of HTTP/1.1, sent through the real proxy and observed at both ends.

What is refused in its head never reaches the upstream; what is refused in its body never reaches it complete; what is
emitted is strict. The cases are data that lies beside a checkout; without them these tests are skipped.
"""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import wire
from tests.e2e.clients import send_raw
from tests.e2e.harness import Proxy, eventually
from tests.e2e.ports import HOST
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer

VECTORS = Path(__file__).parents[3] / "shared" / "vectors"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason=f"no outside cases at {VECTORS}")
LOCAL = (b"CONNECT", b"TRACE")
"""Methods that the proxy answers itself."""
IN_HEAD = ("header-", "host-", "cl-", "te-", "target", "version", "request-line", "method", "obs-fold")
"""Categories of what is wrong in a head: nothing of such a request may reach the upstream."""


FENCE = b"GET /fence HTTP/1.1\r\nHost: a\r\n\r\n"


def vectors(name: str) -> list[dict[str, Any]]:
    return json.loads((VECTORS / name).read_text()) if VECTORS.is_dir() else []


async def one_each(peer: Peer) -> None:
    """One request a connection, so that what a case made the proxy send is easily told apart."""
    await peer.request()
    await peer.send(answer(b"ok", Connection="close"))


def exchange(port: int, data: bytes, replies: int, seconds: float) -> tuple[bytes, bool]:
    """What came back, and whether the other side closed; gives up once `replies` whole responses are there."""
    received, deadline = b"", time.monotonic() + seconds
    with closing(socket.create_connection((HOST, port), timeout=seconds)) as connection:
        try:
            connection.sendall(data)
            while time.monotonic() < deadline:
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                piece = connection.recv(65536)
                if not piece:
                    return received, True
                received += piece
                if 0 < replies <= received.count(b"\r\n\r\nok"):
                    return received, False
        except (ConnectionResetError, BrokenPipeError):
            return received, True
        except TimeoutError:
            pass
    return received, False


class RequestCase:
    """One vector's passage: what the upstream got and what the client got."""

    def __init__(self, vector: dict[str, Any], proxy: Proxy, upstream: RawUpstream) -> None:
        # What is left of the case before has arrived once a request sent after it is answered.
        assert exchange(proxy.port, FENCE, 1, 10.0)[0].endswith(b"ok")
        eventually(lambda: not upstream.busy, says="the upstream has seen the end of every request")
        # A connection may have been opened for an earlier case that was refused before it was used.
        used = [len(log) for log in upstream.connections]
        expected = vector["requests"] if vector["expect"] == "accept" and not vector["incomplete"] else 0
        raw = base64.b64decode(vector["raw_b64"])
        self.received, self.closed = exchange(proxy.port, raw, expected, 4.0)
        eventually(lambda: not upstream.busy, says="the upstream has seen the end of every request")
        used += [0] * (len(upstream.connections) - len(used))
        logs = [bytes(log[start:]) for log, start in zip(upstream.connections, used, strict=True)]
        self.forwarded = [message for log in logs if log for message in wire.requests(log)]
        self.whole = [message for message in self.forwarded if message.whole]
        self.statuses = [
            message.status for message in wire.responses(self.received, [m.start[0] for m in self.whole] + [b"GET"] * 9)
        ]
        self.refused = [status for status in self.statuses if status >= 400]


def judge(vector: dict[str, Any], case: RequestCase) -> str:
    """What is wrong, empty where nothing is."""
    if len(case.whole) > len([s for s in case.statuses if s >= 200]) and case.closed and not case.refused:
        return f"{len(case.whole)} requests forwarded, answers {case.statuses}"
    if not vector["hard"]:
        return ""
    bodies = [len(message.body) for message in case.whole]
    if vector["expect"] == "reject" or vector["incomplete"]:
        # The requests before the bad one, on the same connection, are in order.
        if len(case.whole) > vector["requests"]:
            return f"forwarded {len(case.whole)} whole requests, at most {vector['requests']} are in order"
        if vector["category"].startswith(IN_HEAD) and len(case.forwarded) > vector["requests"]:
            return "refused in its head, and yet a part of it was forwarded"
        if vector["expect"] == "reject" and not (case.refused or case.closed):
            return "neither refused nor closed"
        return ""
    if (case.refused and case.refused[0] in (405, 501)) or raw_method(vector) in LOCAL:
        return ""
    if len(case.whole) != vector["requests"]:
        return f"forwarded {len(case.whole)} of {vector['requests']} requests, answers {case.statuses}"
    if bodies != vector["body_bytes"]:
        return f"bodies of {bodies} bytes instead of {vector['body_bytes']}"
    return ""


def raw_method(vector: dict[str, Any]) -> bytes:
    return base64.b64decode(vector["raw_b64"]).lstrip().partition(b" ")[0]


def test_requests_at_both_ends(upstreams: Callable[[Script], RawUpstream], proxies: Callable[..., Proxy]) -> None:
    upstream = upstreams(one_each)
    proxy = proxies(
        {
            "upstreams": {"primary": {"urls": [upstream.url], "timeouts": {"first_byte": "2s"}}},
            "timeouts": {"head": "500ms", "idle": "500ms", "body_grace": "500ms"},
        }
    )
    wrong = []
    for vector in vectors("http1_requests.json"):
        try:
            problem = judge(vector, RequestCase(vector, proxy, upstream))
        except wire.StrictError as error:
            problem = f"not strict: {error}"
        if problem:
            wrong.append(f"{vector['id']} ({vector['title']}): {problem}")
    assert wrong == []


def test_responses_at_the_client(upstreams: Callable[[Script], RawUpstream], proxies: Callable[..., Proxy]) -> None:
    current = b""

    async def plays(peer: Peer) -> None:
        await peer.request()
        await peer.send(current)

    upstream = upstreams(plays)
    proxy = proxies({"upstreams": {"primary": {"urls": [upstream.url]}}})
    wrong = []
    for vector in vectors("http1_responses.json"):
        current = base64.b64decode(vector["raw_b64"])
        method = vector["request_method"].encode()
        request = method + b" / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        try:
            problem = judge_response(vector, wire.responses(send_raw(proxy.port, request), [method]))
        except wire.StrictError as error:
            problem = f"not strict: {error}"
        if problem:
            wrong.append(f"{vector['id']} ({vector['title']}): {problem}")
    assert wrong == []
    eventually(lambda: proxy.metrics().total("shadowproxy_upstream_connections", arm="primary") == 0)


def judge_response(vector: dict[str, Any], messages: list[wire.Message]) -> str:
    finals = [message for message in messages if message.status >= 200 or message.status in (0, 101)]
    if len(finals) > 1:
        return f"{len(finals)} responses to one request"
    if not vector["hard"]:
        return ""
    final = finals[0] if finals else None
    if vector["request_method"].encode() in LOCAL:
        return "" if final and final.status == 405 else f"{final} to a method that is refused"
    if vector["expect"] == "reject" or vector["complete"] is False:
        if final is None or final.status == 502 or not final.whole:
            return ""
        return f"a clean {final.status} with {len(final.body)} bytes"
    if final is None:
        return "no response"
    if final.status == 502 and vector["status"] == 101:
        return ""
    if final.status != vector["status"]:
        return f"{final.status} instead of {vector['status']}"
    if vector["body_bytes"] is not None and len(final.body) != vector["body_bytes"]:
        return f"{len(final.body)} bytes instead of {vector['body_bytes']}"
    return ""
