"""Users split between two versions by real processes: who serves whom, and that nobody pays for a broken candidate."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from shadowproxy.model.rollout import Chosen, Sticky
from tests.e2e import publishing
from tests.e2e.harness import Metrics, Proxy, books, eventually
from tests.e2e.ports import HOST, free_port
from tests.e2e.publishing import say
from tests.e2e.rollouts import BLUE, GREEN, SERVED_BY, USER, Load, Version, users, versions
from tests.e2e.servers import Server, node
from tests.e2e.talk import Talk, request, settings, talk

PROGRAM = ("-P", str(Path(publishing.__file__)))
ALONE: Any = {"workers": 2, "shadow": {"sample": "0%"}, "endpoints": {"learn": False}}
"""Users and nothing else: no copies, no learned endpoints."""
NODE = """
  request.resume();
  request.on('end', () => { response.setHeader('x-served-by', '%s'); response.end('{"price": 7}'); });
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Proxy, Version, Version]]:
    """Two workers that do not mirror, in front of both versions."""
    with (
        versions() as (blue, green),
        Proxy.start(tmp_path_factory.mktemp("split"), settings(blue.url, green.url, **ALONE), program=PROGRAM) as proxy,
    ):
        yield proxy, blue, green


@contextmanager
def processes(directory: Path, **more: Any) -> Generator[tuple[Proxy, Server]]:
    """A proxy in front of two versions that are processes of their own; the second is yielded."""
    with ExitStack() as stack:
        blue, green = (stack.enter_context(node(directory / name, NODE % name)) for name in (BLUE, GREEN))
        config = settings(blue.url, green.url, **{**ALONE, **more})
        yield stack.enter_context(Proxy.start(directory / "proxy", config, program=PROGRAM)), green


def arm(line: Talk, **fields: str) -> str:
    """Who answers a GET."""
    line.send(request("/items/7", **fields))
    reply = line.reply()
    assert reply.status == 200
    return reply.values(SERVED_BY.encode())[0].decode()


def burst(port: int, number: int, lines: int = 10, **fields: str) -> Counter[str]:
    """Who answers these requests, sent back to back over some connections."""
    found: Counter[str] = Counter()
    with ExitStack() as stack:
        for each in [stack.enter_context(talk(port)) for _ in range(lines)]:
            each.send(request("/items/7", **fields) * 10)
            for _ in range(number // lines):
                found[each.reply().values(SERVED_BY.encode())[0].decode()] += 1
                each.send(request("/items/7", **fields))
    return found


def fallbacks(metrics: Metrics) -> dict[str, float]:
    found = metrics.of("shadowproxy_fallbacks_total", "reason")
    return {reason: count for (reason,), count in found.items() if count}


# -- shares


def test_any_weight_is_met_at_the_backends_and_0_and_1_are_exact(running: tuple[Proxy, Version, Version]) -> None:
    proxy, blue, green = running
    for weight in (0.0, 0.05, 0.5, 1.0):
        say(proxy, weight=weight, leased=False)
        before = {each.name: each.requests["users"] for each in (blue, green)}
        found = burst(proxy.port, 2000)
        n = sum(found.values())
        assert n == 2000
        assert abs(found[GREEN] - weight * n) <= 4.5 * math.sqrt(n * weight * (1 - weight))
        for each in (blue, green):
            assert each.requests["users"] - before[each.name] >= found[each.name]


def test_every_worker_follows_within_a_second(running: tuple[Proxy, Version, Version]) -> None:
    proxy, _, _ = running
    taken = [say(proxy, weight=weight, leased=False) for weight in (0.1, 0.2, 0.3)]
    assert min(taken) < 1.0  # whatever else the machine does


@pytest.mark.parametrize("by", ["header", "cookie", "client_ip"])
def test_a_user_who_was_served_by_the_candidate_stays_while_the_weight_rises(
    running: tuple[Proxy, Version, Version], by: str
) -> None:
    proxy, _, _ = running
    sticky = Sticky(**({by: "uid"} if by != "client_ip" else {"header": "x-none", "fallback": by}))

    def visit(user: int) -> str:
        address = f"127.0.1.{user}" if by == "client_ip" else "127.0.0.1"
        with socket.create_connection((HOST, proxy.port), 5, (address, 0)) as sock:
            return arm(Talk(sock), **({"uid": f"u{user}"} if by == "header" else {"Cookie": f"a=b; uid=u{user}"}))

    before: set[int] = set()
    for weight in (0.05, 0.3, 0.7, 1.0):
        say(proxy, weight=weight, leased=False, sticky=sticky)
        rounds = [{user for user in range(1, 61) if visit(user) == GREEN} for _ in range(2)]
        assert rounds[0] == rounds[1]
        assert before <= rounds[0]
        before = rounds[0]
    assert len(before) == 60


def test_chosen_users_come_first(running: tuple[Proxy, Version, Version]) -> None:
    proxy, _, _ = running
    rules = (Chosen(header="x-canary"), Chosen(cookie="preview", value="green"))
    for weight, others in ((0.0, BLUE), (1.0, GREEN)):
        say(proxy, weight=weight, leased=False, chosen=rules)
        with talk(proxy.port) as line:
            assert {arm(line, X_Canary="always") for _ in range(5)} == {GREEN}
            assert {arm(line, X_Canary="never") for _ in range(5)} == {BLUE}
            assert {arm(line, Cookie="a=b;preview=green") for _ in range(5)} == {GREEN}
            assert {arm(line, Cookie="preview=red") for _ in range(5)} == {others}


def test_no_request_is_lost_while_weights_change(running: tuple[Proxy, Version, Version]) -> None:
    proxy, _, _ = running
    say(proxy, weight=0.0, leased=False, sticky=Sticky(header=USER))
    with users(proxy.port, rate=200) as load:
        for weight in (0.1, 0.5, 0.9, 1.0):
            say(proxy, weight=weight, leased=False, sticky=Sticky(header=USER))
            eventually(lambda: load.served()[GREEN] > 50)
        say(proxy, weight=0.0, leased=False, sticky=Sticky(header=USER))
        back = time.monotonic()
        eventually(lambda: load.served(back)[BLUE] > 50)
        assert load.served(back)[GREEN] == 0
        rising = Load(0, 0, 0, [visit for visit in load.visits if visit.at < back - 1.0])
    assert not load.failures()
    assert not rising.flips()


def test_a_lease_that_nobody_renews_sends_everybody_back(running: tuple[Proxy, Version, Version]) -> None:
    proxy, _, _ = running
    say(proxy, weight=1.0)
    with talk(proxy.port) as line:
        assert arm(line) == GREEN
        before = proxy.metrics()
        wanted = proxy.data / publishing.WANTED
        wanted.rename(proxy.data / "unwanted.json")
        eventually(lambda: arm(line) == BLUE, publishing.LEASE + 5)
        assert fallbacks(proxy.metrics() - before)["lease_expired"] >= 1
        (proxy.data / "unwanted.json").rename(wanted)
        eventually(lambda: arm(line) == GREEN)


# -- mirroring


def test_users_of_the_primary_are_mirrored_still_and_the_books_balance(tmp_path: Path) -> None:
    with versions() as (blue, green):
        config = settings(blue.url, green.url, endpoints={"learn": False})
        with Proxy.start(tmp_path, config, program=PROGRAM) as proxy:
            say(proxy, weight=0.5, leased=False)
            found: Counter[str] = Counter()
            with talk(proxy.port) as line:
                for _ in range(200):
                    found[arm(line)] += 1
            metrics = books(proxy, found[BLUE])
            sent = metrics.total("shadowproxy_shadow_sent_total")
            assert green.requests == {"users": found[GREEN], "copies": sent}
            assert metrics.total("shadowproxy_requests_total", arm="primary") == found[BLUE]
            assert metrics.total("shadowproxy_requests_total", arm="candidate") == found[GREEN] + sent


# -- a broken candidate


def test_a_candidate_that_refuses_costs_nobody_an_answer(tmp_path: Path) -> None:
    with versions() as (blue, _):
        config = settings(blue.url, f"http://{HOST}:{free_port()}", **{**ALONE, "workers": 1})
        with Proxy.start(tmp_path, config, program=PROGRAM) as proxy:
            say(proxy, weight=1.0, leased=False)
            with talk(proxy.port) as line:
                assert {arm(line) for _ in range(50)} == {BLUE}
                line.send(request("/orders", "POST", b"{}"))
                assert line.reply(b"POST").status == 200
            found = fallbacks(proxy.metrics())
            assert sum(found.values()) == 51
            assert found["refused"] >= 5
            assert found["breaker"] >= 30


def test_a_candidate_that_dies_under_load_costs_nobody_an_answer(tmp_path: Path) -> None:
    with processes(tmp_path) as (proxy, green):
        say(proxy, weight=0.5, leased=False)
        with users(proxy.port, rate=200) as load:
            eventually(lambda: load.served()[GREEN] > 50)
            died = time.monotonic()
            green.process.kill()
            eventually(lambda: load.served(died)[BLUE] > 200)
        assert not load.failures()
        assert load.served(died + 1.0)[GREEN] == 0
        assert fallbacks(proxy.metrics())["breaker"] > 0


def test_a_candidate_that_freezes_loses_its_users_within_about_a_second(tmp_path: Path) -> None:
    with processes(tmp_path) as (proxy, green):
        say(proxy, weight=0.5, leased=False)
        with users(proxy.port, rate=200, connections=32) as load:
            eventually(lambda: load.served()[GREEN] > 50)
            froze = time.monotonic()
            os.kill(green.process.pid, signal.SIGSTOP)
            eventually(lambda: load.served(froze + 2.0)[BLUE] > 100)
            os.kill(green.process.pid, signal.SIGCONT)
            thawed = time.monotonic()
            eventually(lambda: load.served(thawed)[GREEN] > 50)
        assert not load.failures()
        waits = sorted(visit.seconds for visit in load.visits if froze - 1.0 < visit.at < thawed)
        assert waits[-1] < 5.0
        found = fallbacks(proxy.metrics())
        assert found["timeout"] >= 5
        assert found["breaker"] > 0


def test_few_users_of_a_frozen_candidate_are_known_by_the_copies_that_wait_with_them(tmp_path: Path) -> None:
    with processes(tmp_path, workers=1, shadow={"sample": "100%"}) as (proxy, green):
        say(proxy, weight=0.1, leased=False)
        with users(proxy.port, rate=30) as load:
            eventually(lambda: load.served()[GREEN] > 5)
            froze = time.monotonic()
            os.kill(green.process.pid, signal.SIGSTOP)
            eventually(lambda: load.served(froze)[BLUE] > 150)
            os.kill(green.process.pid, signal.SIGCONT)
        assert not load.failures()
        assert max(visit.seconds for visit in load.visits if visit.at > froze - 1.0) < 5.0
        assert fallbacks(proxy.metrics())["breaker"] > 0


# -- at the start


def test_a_promotion_is_in_force_from_the_first_request(tmp_path: Path) -> None:
    with versions() as (blue, green):
        data = tmp_path / "data"
        data.mkdir()
        split = {"rollout": "v2", "weight": 1.0, "leased": False}
        (data / "splits.json").write_text(json.dumps({"services": {"default": split}, "version": 1}))
        with Proxy.start(tmp_path, settings(blue.url, green.url)) as proxy, talk(proxy.port) as line:
            assert arm(line) == GREEN
            assert proxy.metrics().total("shadowproxy_shadow_eligible_total") == 0
