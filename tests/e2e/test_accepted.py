"""Accepted differences with real processes: accepted by command, kept over a restart, and never hiding more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.harness import Proxy, eventually, get, settled
from tests.e2e.talk import settings
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer

Serve = Callable[[Script], RawUpstream]
ENOUGH = 50


def item(price: list[Any]) -> Script:
    """An item whose price is what stands in `price` at the moment."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            body = json.dumps({"name": "cup", "price": price[0]}).encode()
            await peer.send(answer(body, Content_Type="application/json"))

    return script


def command(proxy: Proxy, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "shadowproxy.cli", *arguments, "--admin", proxy.admin.removeprefix("http://")],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | {"USER": "ann"},
    )
    return done.returncode, done.stdout, done.stderr


def asked(proxy: Proxy, count: int, verdict: str) -> None:
    """Requests, each judged so."""
    before = settled(proxy)
    for _ in range(count):
        assert get(f"{proxy.url}/items/1")[0] == 200
    eligible = int(before.total("shadowproxy_shadow_eligible_total")) + count
    after = settled(proxy, eligible) - before
    assert after.total("shadowproxy_comparisons_total", verdict=verdict) == count


def service(proxy: Proxy) -> dict[str, Any]:
    found: dict[str, Any] = proxy.api("report")["services"][0]
    return found


def test_a_regression_is_accepted_kept_and_hides_nothing_else(upstreams: Serve, tmp_path: Path) -> None:
    price: list[Any] = [10.01]
    config = settings(
        upstreams(item([10.0])).url,
        upstreams(item(price)).url,
        accepted="accepted.yaml",
        isolation={"hold_out": "0%"},
        routes=[{"name": "item", "match": {"path": "/items/{id}"}}],
    )
    directory = tmp_path / "proxy"
    file = directory / "accepted.yaml"
    with Proxy.start(directory, config) as proxy:
        asked(proxy, ENOUGH, "mismatch")
        assert service(proxy)["exit_code"] == 1
        (cause,) = eventually(lambda: proxy.api("causes")["items"])
        why = ("--reason", "rounding is by design", "--expires", "30d", "--shape")
        code, out, err = command(proxy, "diffs", "accept", cause["id"], *why)
        assert (code, err) == (0, "")
        assert out.startswith(f"accepted in {file}, in force:\n  a-")
        assert "item $.price body_value number" in out

        asked(proxy, 10, "ignored")
        code, out, _ = command(proxy, "report", "-o", "markdown")
        assert code == 0, out
        assert "number: rounding is by design (ann, expires 20" in out
        assert proxy.metrics().total("shadowproxy_accepted_pairs_total", service="default") == 10
        (audit,) = proxy.api("audit")["items"]
        assert (audit["who"], audit["action"], audit["reason"]) == ("local", "diffs.accept", "rounding is by design")

        file.write_text(f"{file.read_text()}- {{route: item}}\n")
        os.kill(proxy.process.pid, signal.SIGHUP)
        eventually(lambda: not proxy.metrics().total("shadowproxy_config_last_reload_successful"))
        assert any("accepted.yaml:8:3: [1].field: is missing" in p for p in proxy.api("status")["reloads"]["problems"])
        asked(proxy, 5, "ignored")
        file.write_text(file.read_text().replace("- {route: item}\n", ""))

        price[0] = "10.01"
        asked(proxy, 3, "mismatch")
        found = eventually(lambda: (now := service(proxy))["causes"] and now)
        assert (found["exit_code"], found["mismatches"]) == (1, 3)
        assert found["causes"][0]["keys"] == [["$.price", "body_type"]]

    price[0] = 10.01
    with Proxy.start(directory, config) as proxy:
        asked(proxy, ENOUGH, "ignored")
        # Counts arrive with the comparer's reports, a few of them.
        found = eventually(lambda: (now := service(proxy))["accepted"][0]["pairs"] >= 15 + ENOUGH and now)
        assert (found["exit_code"], found["accepted"][0]["state"]) == (0, "active")
        assert found["accepted"][0]["pairs"] == 15 + ENOUGH
