"""Rollouts go on, hold and go back with real processes that are killed, stopped and locked out under them."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Proxy, eventually
from tests.e2e.ports import HOST, free_port
from tests.e2e.prometheus import exporter, prometheus
from tests.e2e.rollouts import BLUE, GREEN, Load, Operator, RefusedError, Version, rollout_settings, users, versions

RATE = 100.0
MIRROR = {"name": "mirror", "shadow": {"sample": "100%"}, "bake": {"for": "3s", "requests": 20}}
FIRST = {"name": "first users", "canary": {"weight": "20%"}, "bake": {"for": "3s", "requests": 20}}
HALF = {"name": "half", "canary": {"weight": "50%"}, "bake": {"for": "3s", "requests": 20}}
FOREVER = {"name": "first users", "canary": {"weight": "50%"}, "bake": {"for": "1h"}}
ERRORS = [{"check": "error_rate"}]
KEY = "a secret of the test"


@dataclass
class Running:
    proxy: Proxy
    operator: Operator
    load: Load

    def pid(self, role: str) -> int:
        """Of `ctl` or `c0`."""
        found = [
            pid for pid in self.proxy.tree() if Path(f"/proc/{pid}/comm").read_text().strip() == f"shadowproxy:{role}"
        ]
        assert len(found) == 1, found
        return found[0]

    def kill_control(self) -> None:
        """And wait for another one that answers."""
        before = self.pid("ctl")
        os.kill(before, signal.SIGKILL)
        eventually(lambda: self.pid("ctl") != before and self.operator.status())

    def reaches(self, weight: float) -> None:
        self.operator.until(
            lambda now: now["weight"] == weight and not any(h["reason"] == "applying" for h in now["holds"])
        )

    def until_served(self, arm: str) -> None:
        """Until nobody else serves."""

        def alone() -> bool:
            since = time.monotonic() - 0.5
            return set(self.load.served(since)) == {arm}

        eventually(alone)


@contextmanager
def running(
    directory: Path, stages: list[dict[str, Any]], checks: Any = ERRORS, **plan: Any
) -> Generator[tuple[Running, Version], None, None]:
    """A rollout that was started, among users."""
    with versions() as (blue, green):
        config = rollout_settings(blue, green, stages=stages, checks=checks, **plan)
        with Proxy.start(directory / "proxy", config) as proxy, users(proxy.port, RATE, connections=8) as load:
            operator = Operator(proxy)
            operator.act("start")
            yield Running(proxy, operator, load), green
        assert not load.failures()


@contextmanager
def locked(proxy: Proxy) -> Generator[None, None, None]:
    """Nobody else can write the audit."""
    with sqlite3.connect(proxy.data / "audit.sqlite", timeout=10, isolation_level=None) as database:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            database.execute("ROLLBACK")
    database.close()


def reasons(status: dict[str, Any]) -> set[str]:
    return {hold["reason"] for hold in status["holds"]}


def test_control_is_killed_in_each_stage_and_the_rollout_goes_on(tmp_path: Path) -> None:
    with running(tmp_path, [MIRROR, FIRST, HALF]) as (run, _):
        for stage in ("mirror", "first users", "half"):
            before = run.operator.until(lambda now, name=stage: now["stage"] == name and now["bake"]["seconds"] >= 1)
            run.kill_control()
            after = run.operator.status()
            assert after["attempt"] == 1
            same_stage = after["stage"] == before["stage"]
            assert not same_stage or after["bake"]["seconds"] >= before["bake"]["seconds"], "no bake time is lost"
            assert not same_stage or after["bake"]["requests"] >= before["bake"]["requests"]
        status = run.operator.until_phase("promoted")
        assert [each["number"] for each in status["earlier"]] == []
        run.until_served(GREEN)
        assert run.load.flips() == []


def test_control_that_is_gone_for_good_takes_the_users_back_when_the_lease_is_over(tmp_path: Path) -> None:
    with running(tmp_path, [FOREVER], lease="5s") as (run, _):
        run.reaches(0.5)
        eventually(lambda: run.load.share(time.monotonic() - 1) > 0.3)
        control = run.pid("ctl")
        os.kill(control, signal.SIGSTOP)
        run.until_served(BLUE)
        os.kill(control, signal.SIGCONT)
        eventually(lambda: run.load.share(time.monotonic() - 1) > 0.3)


def test_a_store_that_cannot_be_written_holds_and_keeps_nobody_from_going_back(tmp_path: Path) -> None:
    with running(tmp_path, [FIRST, HALF]) as (run, _):
        run.reaches(0.2)
        with locked(run.proxy):
            run.operator.until(lambda now: "store" in reasons(now))
            until = time.monotonic() + 5
            while time.monotonic() < until:
                assert run.operator.status()["weight"] == 0.2
                time.sleep(0.2)
            with pytest.raises(RefusedError, match="audit cannot be written"):
                run.operator.act("promote")
            began = time.monotonic()
            run.operator.act("rollback")
            back = began + 1.0
            eventually(lambda: time.monotonic() > back + 1)
            assert set(run.load.served(back)) == {BLUE}
        assert run.operator.status()["phase"] == "rolled_back"
        eventually(lambda: "rolled_back" in [entry["action"] for entry in run.proxy.api("audit")["items"]])


def test_control_that_is_killed_before_a_rollback_was_written_does_not_undo_it(tmp_path: Path) -> None:
    with running(tmp_path, [FOREVER]) as (run, _):
        run.reaches(0.5)
        with locked(run.proxy):
            run.operator.until(lambda now: "store" in reasons(now))
            run.operator.act("abort")
            run.until_served(BLUE)
            os.kill(run.pid("ctl"), signal.SIGKILL)
        status = run.operator.until_phase("rolled_back")
        assert "had been sent back before" in status["why"]
        run.until_served(BLUE)


def test_users_are_back_within_a_second_with_the_comparer_and_the_store_dead(tmp_path: Path) -> None:
    with running(tmp_path, [FOREVER]) as (run, _):
        run.reaches(0.5)
        eventually(lambda: run.load.share(time.monotonic() - 1) > 0.3)
        comparer = run.pid("c0")
        os.kill(comparer, signal.SIGSTOP)
        with locked(run.proxy):
            began = time.monotonic()
            answered = run.operator.act("abort")
            assert answered["phase"] == "aborted"
            eventually(lambda: time.monotonic() > began + 2.0)
            assert set(run.load.served(began + 1.0)) == {BLUE}
        os.kill(comparer, signal.SIGCONT)


def reload(proxy: Proxy, **upstreams: Version) -> None:
    """The configuration has these upstreams."""
    assert proxy.config is not None
    config = json.loads(proxy.config.read_text())
    urls = {arm: {"urls": [version.url]} for arm, version in upstreams.items()}
    proxy.config.write_text(json.dumps({**config, "upstreams": urls}))
    before = proxy.api("status")["reloads"]["succeeded"]
    proxy.process.send_signal(signal.SIGHUP)
    eventually(lambda: proxy.api("status")["reloads"]["succeeded"] > before)


@pytest.mark.parametrize("is_settled", [True, False])
def test_who_comes_after_a_promotion_gets_none_of_its_users(tmp_path: Path, is_settled: bool) -> None:
    with versions() as (_, third), running(tmp_path, [FOREVER]) as (run, green):
        third.version = "3.0"
        run.operator.act("promote", full=True)
        run.until_served(GREEN)
        blue = json.loads((tmp_path / "proxy" / "shadowproxy.yaml").read_text())["upstreams"]["primary"]["urls"]
        primary = green if is_settled else Version(BLUE, "1.0", port=int(blue[0].rpartition(":")[2]))
        reload(run.proxy, primary=primary, candidate=third)
        status = run.operator.until(lambda now: now["phase"] != "promoted")
        assert (status["phase"], status["weight"]) == ("pending" if is_settled else "rolled_back", 0.0)
        eventually(lambda: third.requests["copies"] > 50)
        assert third.requests["users"] == 0


def test_a_prometheus_that_is_stopped_holds_and_one_that_is_back_lets_go(tmp_path: Path) -> None:
    checks = [
        *ERRORS,
        {"name": "memory", "promql": "max(memory)", "max": 500, "step": "1s", "timeout": "1s"},
    ]
    with exporter() as exported, prometheus(tmp_path, f"{HOST}:{exported.port}") as metrics:
        exported.set(candidate="100")
        with running(tmp_path, [MIRROR, FIRST], checks, prometheus=metrics.url) as (run, _):
            run.operator.until(lambda now: any(c["name"] == "memory" and c["verdict"] == "pass" for c in now["checks"]))
            metrics.process.send_signal(signal.SIGSTOP)
            held = run.operator.until(lambda now: any("did not answer" in hold["detail"] for hold in now["holds"]), 20)
            assert held["phase"] == "running"
            assert reasons(held) == {"inconclusive"}
            metrics.process.send_signal(signal.SIGCONT)
            run.operator.until_phase("promoted")


def test_a_limit_that_prometheus_shows_to_be_passed_sends_users_back(tmp_path: Path) -> None:
    checks = [*ERRORS, {"name": "memory", "promql": "max(memory)", "max": 500, "step": "1s", "timeout": "1s"}]
    with exporter() as exported, prometheus(tmp_path, f"{HOST}:{exported.port}") as metrics:
        exported.set(candidate="100")
        with running(tmp_path, [FOREVER], checks, prometheus=metrics.url) as (run, _):
            run.reaches(0.5)
            exported.set(candidate="900")
            status = run.operator.until_phase("rolled_back")
            assert "memory" in status["why"]
            run.until_served(BLUE)


# Events.


@dataclass
class Receiver:
    """Takes events while `status` is 200."""

    port: int
    status: int = 503
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@contextmanager
def receiver() -> Generator[Receiver, None, None]:
    taken = Receiver(free_port())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if taken.status == 200:
                taken.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(taken.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((HOST, taken.port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield taken
        finally:
            server.shutdown()
            thread.join()


def test_events_come_once_in_order_and_signed_though_nobody_took_them_at_first(tmp_path: Path) -> None:
    with receiver() as taken:
        notify = {"webhook": f"http://{HOST}:{taken.port}/events", "secret": KEY}
        with running(tmp_path, [FOREVER], notify=notify) as (run, _):
            run.reaches(0.5)
            run.operator.act("pause")
            run.kill_control()
            taken.status = 200
            run.operator.act("abort")
            eventually(lambda: "aborted" in [entry["action"] for event in taken.events for entry in event["entries"]])
        actions = [entry["action"] for event in taken.events for entry in event["entries"]]
        assert [action for action in actions if action in {"started", "paused", "aborted"}] == [
            "started",
            "paused",
            "aborted",
        ]
        assert {event["key"] for event in taken.events} == {"default/v2/1"}
        names = [headers["x-shadowproxy-delivery"] for headers, _ in taken.got]
        assert len(names) == len(set(names))
        for headers, body in taken.got:
            signed = hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
            assert headers["x-shadowproxy-signature"] == f"sha256={signed}"


def test_a_gate_that_says_no_keeps_the_rollout_where_it_is(tmp_path: Path) -> None:
    with receiver() as gate:
        checks = [
            *ERRORS,
            {"name": "load", "webhook": f"http://{HOST}:{gate.port}/", "interval": "1s", "confirm": True},
        ]
        with running(tmp_path, [FIRST, HALF], checks) as (run, _):
            run.operator.until(lambda now: "gate" in reasons(now) and now["bake"]["seconds"] >= 3)
            gate.status = 200
            run.operator.until_phase("promoted")
        assert {event["stage"] for event in gate.events} == {"first users", "half"}
