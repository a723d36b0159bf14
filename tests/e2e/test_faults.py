"""Whatever the candidate does, users receive what they receive without one, byte for byte, and the books balance.

The numbers are those of the list of shadow faults that the product promises to survive.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any

import brotli
import pytest
import zstandard

from tests.e2e import wire
from tests.e2e.clients import send_raw
from tests.e2e.harness import Metrics, Proxy, books, eventually, undisturbed
from tests.e2e.ports import HOST, free_port
from tests.e2e.talk import memory
from tests.e2e.upstreams import (
    Peer,
    RawUpstream,
    Script,
    answer,
    answers,
    closes,
    drips,
    floods,
    hangs,
    resets,
)

DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
MIB = 1 << 20
BODY = json.dumps({"id": 7, "name": "lamp", "tags": ["a", "b"], "price": {"cents": 1999}}).encode()
GOOD = answer(BODY, Content_Type="application/json", Date=DATE)
REQUESTS = 12

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]


def get(index: int, last: bool, path: str = "/items/7") -> bytes:
    close = "Connection: close\r\n" if last else ""
    return f"GET {path} HTTP/1.1\r\nHost: shop\r\nX-Request-Id: r{index}\r\n{close}\r\n".encode()


def gets(count: int = REQUESTS) -> bytes:
    """Requests one after another on one connection, the last of which ends it."""
    return b"".join(get(index, index == count - 1) for index in range(count))


def post(body: bytes) -> bytes:
    head = f"POST /uploads HTTP/1.1\r\nHost: shop\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def config(primary: str, candidate: str | None, **shadow: Any) -> dict[str, Any]:
    upstreams = {"primary": {"urls": [primary]}}
    if candidate:
        upstreams["candidate"] = {"urls": [candidate]}
    return {"upstreams": upstreams, **({"shadow": shadow} if candidate and shadow else {})}


@pytest.fixture(scope="module")
def absent(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Proxy, RawUpstream], None, None]:
    """A proxy without a candidate, and its primary, whose script each trial sets."""
    with (
        RawUpstream(answers(GOOD)).running() as primary,
        Proxy.start(tmp_path_factory.mktemp("absent"), config(primary.url, None)) as proxy,
    ):
        yield proxy, primary


class Trial:
    """One primary, served with a candidate and without: what users receive must be the same."""

    def __init__(self, start: Start, serve: Serve, absent: tuple[Proxy, RawUpstream]) -> None:
        self._start = start
        self._serve = serve
        self._absent = absent

    def run(
        self,
        misbehaviour: Script,
        *,
        primary: Script | None = None,
        data: bytes | None = None,
        fresh: bool = False,
        **shadow: Any,
    ) -> tuple[Proxy, RawUpstream]:
        """Send `data` through both proxies; the one with the candidate, still running, and the candidate."""
        data = gets() if data is None else data
        alone, alone_primary = self._absent
        alone_primary.restart(primary or answers(GOOD))
        upstream, candidate = self._serve(primary or answers(GOOD)), self._serve(misbehaviour)
        mirrored = self._start(config(upstream.url, candidate.url, **shadow), fresh=fresh)
        assert send_raw(mirrored.port, data) == send_raw(alone.port, data)
        return mirrored, candidate


@pytest.fixture
def trial(upstreams: Serve, proxies: Start, absent: tuple[Proxy, RawUpstream]) -> Trial:
    return Trial(proxies, upstreams, absent)


def kinds(metrics: Metrics) -> dict[str, float]:
    return {kind: count for (kind,), count in metrics.of("shadowproxy_mismatches_total", "kind").items() if count}


def verdicts(metrics: Metrics) -> dict[str, float]:
    found = metrics.of("shadowproxy_comparisons_total", "verdict")
    return {verdict: count for (verdict,), count in found.items() if count}


def dropped(metrics: Metrics) -> dict[str, float]:
    found = metrics.of("shadowproxy_shadow_dropped_total", "reason")
    return {reason: count for (reason,), count in found.items() if count}


def mirrored(metrics: Metrics) -> float:
    """Eligible copies but those that a worker under pressure gave up, which a busy machine may bring about."""
    return metrics.total("shadowproxy_shadow_eligible_total") - dropped(metrics).get("overload", 0)


def test_1_a_candidate_that_hangs_is_late_and_bounded(trial: Trial) -> None:
    begin = time.monotonic()
    proxy, _ = trial.run(hangs(), timeout="1500ms", max_in_flight=4)
    assert time.monotonic() - begin < 10
    metrics = books(proxy, eligible=REQUESTS)
    assert kinds(metrics) == {"candidate_timeout": 4}
    assert dropped(metrics)["in_flight"] == mirrored(metrics) - 4


def test_2_a_slow_drip_meets_the_deadline_too(trial: Trial) -> None:
    proxy, _ = trial.run(drips(GOOD, 0.1), timeout="1s")
    metrics = books(proxy, eligible=REQUESTS)
    assert kinds(metrics) == {"candidate_timeout": mirrored(metrics)}


@pytest.mark.parametrize(
    "half",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n" + BODY,
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"id"\r\n',
    ],
)
def test_3_a_body_that_breaks_off_is_not_compared_as_if_whole(trial: Trial, half: bytes) -> None:
    proxy, _ = trial.run(closes(half))
    metrics = books(proxy, eligible=REQUESTS)
    assert kinds(metrics) == {"candidate_truncated": mirrored(metrics)}


def test_4_an_endless_body_is_read_to_the_cap_and_no_further(trial: Trial) -> None:
    proxy, candidate = trial.run(floods(10_000 * MIB), fresh=True)
    metrics = books(proxy, eligible=REQUESTS)
    before = memory(proxy)
    for turn in range(2, 5):
        send_raw(proxy.port, gets())
        metrics = books(proxy, eligible=turn * REQUESTS)
    assert memory(proxy) - before < 32 * MIB
    assert candidate.sent_whole == 0
    assert metrics.total("shadowproxy_comparisons_total") > 0
    assert set(dropped(metrics)) <= {"bytes", "overload"}


def test_5_a_full_accept_queue_opens_the_breaker_and_a_probe_closes_it(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(GOOD))
    with ExitStack() as full:
        address = full.enter_context(socket.create_server((HOST, free_port()), backlog=0)).getsockname()
        for _ in range(8):
            filler = full.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        settings = config(primary.url, f"http://{HOST}:{address[1]}", breaker={"failures": 3})
        settings["upstreams"]["candidate"]["timeouts"] = {"connect": "200ms"}
        proxy = proxies(settings)
        replies = send_raw(proxy.port, gets())
        assert [m.body for m in wire.responses(replies, [b"GET"] * REQUESTS)] == [BODY] * REQUESTS
        metrics = books(proxy, eligible=REQUESTS)
        assert set(kinds(metrics)) <= {"candidate_timeout", "candidate_refused"}
        eventually(lambda: proxy.metrics().total("shadowproxy_breaker_open", arm="candidate") == 1)
        send_raw(proxy.port, gets())
        assert dropped(books(proxy, eligible=2 * REQUESTS)).get("breaker", 0) > 0
    with RawUpstream(answers(GOOD), port=address[1]).running():

        def recovered() -> bool:
            send_raw(proxy.port, gets(1))
            return verdicts(proxy.metrics()).get("match", 0) > 0

        eventually(recovered, says="the probe finds the candidate well again")
        eventually(lambda: proxy.metrics().total("shadowproxy_breaker_open", arm="candidate") == 0)
    books(proxy)


@pytest.mark.parametrize(
    ("junk", "found"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + GOOD, "match"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x00\x01", "mismatch"),
        (b"HTTP/1.1 199 Odd\r\n\r\n" * 2000 + GOOD, None),
    ],
)
def test_9_interim_and_upgrade_junk_reaches_nobody(trial: Trial, junk: bytes, found: str | None) -> None:
    proxy, _ = trial.run(answers(junk), timeout="2s")
    metrics = books(proxy, eligible=REQUESTS)
    assert metrics.total("shadowproxy_comparisons_total") == mirrored(metrics)
    assert found is None or verdicts(metrics) == {found: mirrored(metrics)}


@pytest.mark.parametrize(
    "junk",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 20x OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"\x00" * 100_000,
    ],
)
def test_10_a_malformed_answer_has_a_kind_of_its_own(trial: Trial, junk: bytes) -> None:
    proxy, _ = trial.run(closes(junk))
    metrics = books(proxy, eligible=REQUESTS)
    assert kinds(metrics) == {"candidate_malformed": mirrored(metrics)}


def test_11_what_follows_a_whole_answer_never_becomes_the_next(trial: Trial) -> None:
    smuggled = answer(b'{"id":"smuggled"}', Content_Type="application/json")
    proxy, candidate = trial.run(answers(GOOD + smuggled))
    metrics = books(proxy, eligible=REQUESTS)
    assert set(verdicts(metrics)) == {"match"}
    assert len(candidate.connections) == mirrored(metrics)


DEEP = b"[" * 50_000 + b"]" * 50_000
WIDE = b"{" + b",".join(b'"k%d":%d' % (i, i) for i in range(100_000)) + b"}"
HUGE = b'{"n":' + b"9" * 1_000_000 + b"}"


@pytest.mark.parametrize(("name", "body"), [("deep", DEEP), ("wide", WIDE), ("huge number", HUGE)])
def test_13_14_hostile_json_is_incomparable_and_cheap(trial: Trial, name: str, body: bytes) -> None:
    mine = answer(body, Content_Type="application/json", Date=DATE)
    theirs = answer(body[:-1] + b" " + body[-1:], Content_Type="application/json", Date=DATE)
    proxy, _ = trial.run(answers(theirs), primary=answers(mine), data=gets(3))
    _, metrics = undisturbed(proxy, 3, lambda: send_raw(proxy.port, gets(3)))
    assert metrics.total("shadowproxy_comparisons_total") == 3
    if name == "deep":
        assert verdicts(metrics) == {"incomparable": 3}
    assert proxy.metrics().total("shadowproxy_process_restarts_total") == 0


BOMB = b"\x00" * (200 * MIB)


def bombs() -> dict[str, bytes]:
    return {
        "gzip": gzip.compress(BOMB, 9),
        "br": brotli.compress(BOMB, quality=5, lgwin=22),
        "zstd": zstandard.ZstdCompressor(level=3).compress(BOMB),
    }


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_15_a_compression_bomb_does_not_go_off(trial: Trial, coding: str) -> None:
    bomb = answer(bombs()[coding], Content_Type="application/json", Content_Encoding=coding, Date=DATE)
    proxy, _ = trial.run(answers(bomb), fresh=True)
    before = memory(proxy)
    send_raw(proxy.port, gets())
    metrics = books(proxy, eligible=2 * REQUESTS)
    assert verdicts(metrics).get("incomparable", 0) + verdicts(metrics).get("mismatch", 0) == mirrored(metrics)
    assert memory(proxy) - before < 48 * MIB


def test_23_a_large_upload_reaches_the_primary_and_its_missing_copy_is_reported(trial: Trial) -> None:
    body = bytes(range(256)) * (5 * MIB // 256)

    async def measures(peer: Peer) -> None:
        _, received = await peer.request()
        await peer.send(answer(b"%d %d" % (len(received), received == body), Date=DATE))

    proxy, candidate = trial.run(answers(GOOD), primary=measures, data=post(body), methods=["GET", "POST"])
    metrics = books(proxy, eligible=1)
    assert dropped(metrics) == {"max_body": 1}
    assert candidate.received == b""


def test_23_a_small_upload_is_mirrored_whole_where_that_is_asked_for(trial: Trial) -> None:
    body = b"sku=7&quantity=2" * 1000
    proxy, candidate = trial.run(answers(GOOD), data=post(body), methods=["GET", "POST"])
    _, metrics = undisturbed(proxy, 1, lambda: send_raw(proxy.port, post(body)))
    assert verdicts(metrics) == {"match": 1}
    copy = wire.requests(candidate.received)[0]
    assert copy.whole
    assert copy.body == body
    assert copy.values(b"content-length") == [b"%d" % len(body)]


def test_24_what_writes_is_not_mirrored_unless_asked_for(trial: Trial) -> None:
    proxy, candidate = trial.run(answers(GOOD), data=post(b"sku=7"))
    metrics = books(proxy)
    assert metrics.total("shadowproxy_requests_total", arm="primary") == 1
    assert metrics.total("shadowproxy_shadow_eligible_total") == 0
    assert candidate.received == b""


def test_24_a_copy_is_marked_and_a_loop_is_cut(trial: Trial, upstreams: Serve, proxies: Start) -> None:
    proxy, candidate = trial.run(answers(GOOD))
    books(proxy, eligible=REQUESTS)
    copies = wire.requests(candidate.received)
    assert {copy.values(b"x-shadow-request")[0] for copy in copies} == {b"candidate"}
    assert sorted(copy.values(b"x-request-id")[0] for copy in copies) == sorted(
        b"r%d" % index for index in range(REQUESTS)
    )
    via = copies[0].values(b"via")[0]
    looped = b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nVia: " + via + b"\r\n\r\n"
    assert wire.responses(send_raw(proxy.port, looped), [b"GET"])[0].status == 508


def test_24_a_copy_is_believed_from_trusted_peers_only(upstreams: Serve, proxies: Start) -> None:
    primary, candidate = upstreams(answers(GOOD)), upstreams(answers(GOOD))
    copy = b"GET / HTTP/1.1\r\nHost: shop\r\nX-Shadow-Request: candidate\r\nConnection: close\r\n\r\n"
    distrusting = proxies(config(primary.url, candidate.url))
    send_raw(distrusting.port, copy)
    books(distrusting, eligible=1)
    assert b"x-shadow-request" not in primary.received.lower()
    trusting = proxies(config(primary.url, candidate.url) | {"trusted_proxies": [f"{HOST}/32"]})
    assert wire.responses(send_raw(trusting.port, copy), [b"GET"])[0].status == 200
    assert trusting.metrics().total("shadowproxy_shadow_eligible_total") == 0


def test_a_candidate_that_resets_every_connection_changes_nothing(trial: Trial) -> None:
    proxy, _ = trial.run(resets())
    metrics = books(proxy, eligible=REQUESTS)
    assert set(kinds(metrics)) == {"candidate_error"}


def test_users_do_not_wait_for_the_candidate(upstreams: Serve, proxies: Start) -> None:
    async def half_a_response_then_sleep(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(re.split(rb"(?<=:20)", GOOD)[0])
            await asyncio.sleep(30)

    primary, candidate = upstreams(answers(GOOD)), upstreams(half_a_response_then_sleep)
    proxy = proxies(config(primary.url, candidate.url, timeout="5s"))
    begin = time.monotonic()
    for _ in range(3):
        send_raw(proxy.port, gets())
    assert time.monotonic() - begin < 4
