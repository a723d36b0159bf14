"""Faults around the copies: resets, names, certificates, our own processes, disks and scrapes.

As in `test_faults`, by the numbers of the list: users receive what they receive without a candidate, byte for byte.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sqlite3
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import send_raw
from tests.e2e.harness import Metrics, Proxy, books, eventually
from tests.e2e.ports import HOST
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer, answers, hangs

DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
BODY = json.dumps({"id": 7, "name": "lamp", "price": {"cents": 1999}}).encode()
GOOD = answer(BODY, Content_Type="application/json", Date=DATE)
OTHER = answer(BODY.replace(b"1999", b"2099"), Content_Type="application/json", Date=DATE)

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]


def gets(count: int, path: str = "/items/{0}") -> bytes:
    """Requests one after another on one connection, the last of which ends it."""
    rows = [f"GET {path.format(i)} HTTP/1.1\r\nHost: shop\r\nX-Request-Id: r{i}\r\n" for i in range(count)]
    return "".join([row + "\r\n" for row in rows[:-1]] + [rows[-1] + "Connection: close\r\n\r\n"]).encode()


@pytest.fixture(scope="module")
def absent(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Proxy, RawUpstream], None, None]:
    with (
        RawUpstream(answers(GOOD)).running() as primary,
        Proxy.start(tmp_path_factory.mktemp("absent"), {"upstreams": {"primary": {"urls": [primary.url]}}}) as proxy,
    ):
        yield proxy, primary


class Trial:
    """`start` a proxy with this candidate, then `same`: users are sent what they are sent without one."""

    def __init__(self, start: Start, serve: Serve, absent: tuple[Proxy, RawUpstream]) -> None:
        self._start = start
        self._serve = serve
        self._alone, self._alone_primary = absent

    def start(self, candidate: str, primary: Script | None = None, **top: Any) -> Proxy:
        upstream = self._serve(primary or answers(GOOD))
        self._alone_primary.restart(primary or answers(GOOD))
        arms = {"primary": {"urls": [upstream.url]}, "candidate": {"urls": [candidate]}}
        # Time enough, or a busy machine makes pairs incomparable.
        self.proxy = self._start({"upstreams": arms, "compare": {"max_time": "5s"}, **top})
        return self.proxy

    def same(self, data: bytes) -> None:
        assert send_raw(self.proxy.port, data) == send_raw(self._alone.port, data)


@pytest.fixture
def trial(upstreams: Serve, proxies: Start, absent: tuple[Proxy, RawUpstream]) -> Trial:
    return Trial(proxies, upstreams, absent)


def counts(metrics: Metrics, series: str, label: str) -> dict[str, float]:
    return {word: count for (word,), count in metrics.of(f"shadowproxy_{series}_total", label).items() if count}


def roles(proxy: Proxy, *names: str) -> list[int]:
    comms = {pid: Path(f"/proc/{pid}/comm").read_text().strip().partition(":")[2] for pid in proxy.tree()}
    return [pid for pid, comm in comms.items() if comm.rstrip("0123456789") in names]


async def resets_at_once(peer: Peer) -> None:
    peer.reset()


def test_6_a_storm_of_resets_ends_in_rest_and_not_in_a_storm_of_connections(trial: Trial, upstreams: Serve) -> None:
    candidate = upstreams(resets_at_once)
    proxy = trial.start(candidate.url)
    for _ in range(20):
        trial.same(gets(25))
    metrics = books(proxy, eligible=500)
    assert set(counts(metrics, "mismatches", "kind")) <= {"candidate_error", "candidate_refused"}
    assert counts(metrics, "shadow_dropped", "reason").get("breaker", 0) > 250
    assert len(candidate.connections) < 100


def test_7_a_candidate_whose_name_has_no_address_is_refused(trial: Trial) -> None:
    proxy = trial.start("http://nowhere.invalid:80")
    trial.same(gets(10))
    metrics = books(proxy, eligible=10)
    assert set(counts(metrics, "mismatches", "kind")) <= {"candidate_refused"}


def test_8_a_candidate_whose_tls_fails_is_of_a_kind_of_its_own(trial: Trial, upstreams: Serve) -> None:
    async def speaks_no_tls(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.send(GOOD)

    proxy = trial.start(upstreams(speaks_no_tls).url.replace("http:", "https:"))
    trial.same(gets(10))
    metrics = books(proxy, eligible=10)
    assert set(counts(metrics, "mismatches", "kind")) == {"candidate_tls"}


def test_8_a_handshake_that_takes_for_ever_is_the_candidates_fault(trial: Trial, upstreams: Serve) -> None:
    proxy = trial.start(upstreams(hangs()).url.replace("http:", "https:"))
    trial.same(gets(10))
    metrics = books(proxy, eligible=10)
    assert set(counts(metrics, "mismatches", "kind")) == {"candidate_timeout"}


def test_12_comparers_that_die_cost_verdicts_alone(trial: Trial, upstreams: Serve) -> None:
    proxy = trial.start(upstreams(answers(OTHER)).url)
    for _ in range(5):
        for pid in roles(proxy, "c"):
            os.kill(pid, signal.SIGKILL)
        trial.same(gets(40))
    metrics = books(proxy, eligible=200)
    assert set(counts(metrics, "shadow_lost", "reason")) <= {"comparer_gone"}

    def compared() -> bool:
        send_raw(proxy.port, gets(1))
        return counts(proxy.metrics(), "comparisons", "verdict").get("mismatch", 0) > 0

    eventually(compared, says="the next comparer compares")


def test_18_a_primary_that_fails_is_no_merit_of_the_candidate(trial: Trial, upstreams: Serve) -> None:
    fails = answer(b"down", "503 Service Unavailable", Date=DATE)
    proxy = trial.start(upstreams(answers(GOOD)).url, primary=answers(fails))
    trial.same(gets(10))
    metrics = books(proxy, eligible=10)
    assert set(counts(metrics, "comparisons", "verdict")) <= {"mismatch"}
    assert metrics.total("shadowproxy_requests_total", arm="primary", code="5xx") == 10

    async def breaks_off(peer: Peer) -> None:
        await peer.request()
        await peer.send(GOOD[:-5])

    proxy = trial.start(upstreams(answers(GOOD)).url, primary=breaks_off)
    trial.same(gets(1))
    metrics = books(proxy, eligible=1)
    assert set(counts(metrics, "shadow_lost", "reason")) <= {"primary_incomplete"}
    assert counts(metrics, "comparisons", "verdict") == {}


def test_19_a_full_disk_costs_examples_and_nothing_else(trial: Trial, upstreams: Serve) -> None:
    proxy = trial.start(upstreams(answers(OTHER)).url)
    trial.same(gets(20))
    eventually(lambda: proxy.metrics().total("shadowproxy_store_examples") > 0, says="there is room as yet")
    for pid in proxy.tree():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, 0))  # every write that makes a file larger fails
    for _ in range(5):
        trial.same(gets(40))
    metrics = books(proxy, eligible=220)
    assert set(counts(metrics, "comparisons", "verdict")) == {"mismatch"}
    assert metrics.total("shadowproxy_process_restarts_total") == 0


def test_20_a_store_that_is_locked_holds_nobody_up(trial: Trial, upstreams: Serve) -> None:
    proxy = trial.start(upstreams(answers(OTHER)).url)
    trial.same(gets(1))
    (path,) = proxy.data.glob("examples.sqlite")
    locked = sqlite3.connect(path, isolation_level=None)
    locked.execute("BEGIN EXCLUSIVE")
    for _ in range(5):
        trial.same(gets(40))
    metrics = books(proxy, eligible=201)
    assert set(counts(metrics, "comparisons", "verdict")) == {"mismatch"}
    locked.close()


def test_21_scrapes_that_are_never_read_hold_nobody_up(trial: Trial, upstreams: Serve) -> None:
    proxy = trial.start(upstreams(answers(GOOD)).url)
    with ExitStack() as stack:
        for _ in range(50):
            scrape = stack.enter_context(socket.create_connection((HOST, proxy.admin_port)))
            scrape.sendall(b"GET /metrics HTTP/1.1\r\nHost: " + f"{HOST}:{proxy.admin_port}".encode() + b"\r\n\r\n")
        for _ in range(5):
            trial.same(gets(40))
    books(proxy, eligible=200)


def test_22_whatever_paths_and_fields_arrive_the_series_stay_few(trial: Trial, upstreams: Serve) -> None:
    turn = iter(range(10_000))

    async def new_fields(peer: Peer) -> None:
        while True:
            await peer.request()
            fields = {f"field{next(turn)}": index for index in range(20)}
            await peer.send(answer(json.dumps(fields).encode(), Content_Type="application/json", Date=DATE))

    proxy = trial.start(upstreams(new_fields).url)
    trial.same(gets(1))
    books(proxy)
    before = len(proxy.metrics().values)
    for turns in range(5):
        trial.same(gets(60, f"/{turns}/{{0}}?q={{0}}"))
    metrics = books(proxy, eligible=301)
    # The second where it took so long that the endpoint was learned meanwhile.
    assert {route for (route,) in metrics.of("shadowproxy_requests_total", "route")} <= {"other", "/{id}/{id}"}
    eventually(lambda: proxy.metrics().of("shadowproxy_field_mismatches_total", "field"))
    assert len(proxy.metrics().of("shadowproxy_field_mismatches_total", "field")) <= 101
    assert len(metrics.values) - before < 800
