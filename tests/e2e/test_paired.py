"""Latency and errors of the same requests, from real traffic to the report: what regressed, and what is no credit."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from shadowproxy.evidence.latency import stratum_size
from tests.e2e.harness import Proxy, books, eventually
from tests.e2e.talk import request, settings, talk, tally, until_calm
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]
ROUTES = ("flaky", "late", "calm", "broken")
OK, OOPS = answer(b"same"), answer(b"oops", "500 Oops")


def behaves(arm: str) -> Script:
    """As every arm does, but: /flaky/N fails at the candidate for one N in ten, /late is 40 ms later there (15 ms at
    the secondary), /broken fails at the primary for half of the N, in two ways.
    """

    async def script(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            _, route, last = head.split(b" ")[1].decode().split("/")
            number = int(last)
            if arm == "primary" and route == "broken" and number % 4 == 0:
                return
            if route == "late":
                await asyncio.sleep({"candidate": 0.04, "secondary": 0.015}.get(arm, 0.0))
            fails = (arm, route) == ("primary", "broken") and number % 4 == 1
            fails |= (arm, route) == ("candidate", "flaky") and number % 10 == 0
            await peer.send(OOPS if fails else OK)

    return script


def visit(proxy: Proxy, route: str, requests: int) -> None:
    """One after the other on one connection; what the proxy itself answers may end it."""
    number = 0
    while number < requests:
        with talk(proxy.port) as line:
            while number < requests:
                line.send(request(f"/{route}/{number}"))
                number += 1
                if line.reply().status == 502:
                    break


def report(proxy: Proxy, kind: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "shadowproxy.cli", "report", "--admin", proxy.admin.removeprefix("http://"), "-o", kind],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.returncode, done.stdout


@until_calm
def test_what_regressed_on_the_same_requests_is_named_and_a_failing_primary_is_no_credit(
    upstreams: Serve, proxies: Start
) -> None:
    arms = [upstreams(behaves(arm)).url for arm in ("primary", "candidate", "secondary")]
    routes = [{"name": name, "match": {"path": f"/{name}/*"}} for name in ROUTES]
    proxy = proxies(settings(*arms, routes=routes, isolation={"hold_out": "0%"}))
    for route, requests in (("flaky", 400), ("late", 64), ("calm", 64), ("broken", 64)):
        visit(proxy, route, requests)
    metrics = tally(proxy, eligible=2 * (400 + 64 * 3))

    def outcomes(route: str, arm: str = "candidate") -> dict[str, float]:
        found = metrics.of("shadowproxy_paired_outcomes_total", "route", "arm", "outcome")
        return {key[2]: n for key, n in found.items() if key[:2] == (route, arm) and n}

    assert outcomes("flaky") == {"neither": 360, "shadow_only": 40}
    assert outcomes("broken") == {"neither": 32, "primary_only": 32}
    assert outcomes("broken", "secondary") == {"neither": 32, "primary_only": 32}
    assert outcomes("calm") == {"neither": 64}
    # Half of what the primary failed at (the proxy's own 502) was no pair to compare, and counts all the same.
    assert metrics.total("shadowproxy_shadow_lost_total", route="broken", arm="candidate") == 16

    def found() -> dict[str, Any]:
        (service,) = proxy.api("report")["services"]
        routes = {each["name"]: each for each in service["routes"]}
        assert routes["late"]["slower"]
        return {"service": service, **routes}

    known = eventually(found, 5, "late counts as slower")
    flaky, late, broken, calm = (known[name] for name in ("flaky", "late", "broken", "calm"))
    assert (flaky["errors"]["candidate_only"], flaky["errors"]["regressed"]) == (40, True)
    assert not flaky["slower"]
    assert late["errors"]["regressed"] is False
    assert 0.02 < late["paired"]["quantiles"]["p50"]["lower"] <= late["paired"]["quantiles"]["p50"]["estimate"]
    assert late["paired"]["baseline"]["p50"]["estimate"] < late["paired"]["quantiles"]["p50"]["estimate"]
    assert 0.005 < late["paired"]["calibrated"]["p50"]["estimate"] < 0.05
    assert late["paired"]["why"] == late["slower_why"] != ""
    assert (broken["errors"]["primary_only"], broken["errors"]["primary_worse"]) == (32, True)
    assert (broken["errors"]["regressed"], broken["errors"]["secondary_worse"]) == (False, False)
    assert (calm["slower"], calm["errors"]["regressed"]) == (False, False)
    assert known["service"]["verdict"] == "fail"
    assert "fails more often on flaky; slower on late" in known["service"]["conclusion"]

    code, text = report(proxy, "text")
    said = " ".join(text.split())
    assert code == 1
    assert "candidate alone 40, both 0, neither 360; the candidate fails more often, evidence 10^" in said
    assert "primary alone 32: no credit to the candidate; the primary fails more often" in said
    assert "slower: p50 of the paired difference +" in said
    code, document = report(proxy, "json")
    assert (code, json.loads(document)["verdict"]) == (1, "fail")


def takes(seconds: float) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(seconds)
            await peer.send(OK)

    return script


def test_a_new_version_is_not_held_answerable_for_the_one_before(upstreams: Serve, proxies: Start) -> None:
    primary, slow, fixed = (upstreams(takes(seconds)).url for seconds in (0.0, 0.04, 0.0))
    proxy = proxies(
        settings(primary, slow, isolation={"hold_out": "0%"}, routes=[{"name": "x", "match": {"path": "/x/*"}}])
    )

    def latency() -> dict[str, Any]:
        (service,) = proxy.api("report")["services"]
        found: dict[str, Any] = service["routes"][0]["paired"] or {"pairs": 0, "slower": False}
        return found

    def weighed() -> float:
        return proxy.metrics().total("shadowproxy_paired_durations_total")

    def waiting() -> int:
        return int(latency()["pairs"] - weighed())

    visit(proxy, "x", 60)
    books(proxy)
    eventually(lambda: latency()["slower"] and waiting() < 20, 10)
    before = weighed()
    while waiting() < stratum_size(int(before)) - 1:  # one more, and these would be weighed
        visit(proxy, "x", 1)
        books(proxy)
    assert weighed() == before
    assert proxy.config is not None
    proxy.config.write_text(proxy.config.read_text().replace(slow, fixed))
    proxy.process.send_signal(signal.SIGHUP)
    eventually(lambda: latency()["pairs"] == 0, 10)
    time.sleep(2.5)  # control looks once a second, and then leaves out what comes within a second
    visit(proxy, "x", 30)
    eventually(lambda: weighed() >= before + 20, 10)
    found = latency()
    assert (found["pairs"], found["slower"]) == (30, False)
    assert found["evidence"] < 1
