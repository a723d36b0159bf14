"""Noise and regressions, told apart with real processes: a secondary, resamples, versions, restarts."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from shadowproxy.report import Report
from shadowproxy.report.judging import DEFAULT, judge
from tests.e2e.harness import Proxy, eventually, get, settled
from tests.e2e.servers import Server, node

NOISY = """
  const id = Number(request.url.split('/').pop());
  response.setHeader('content-type', 'application/json');
  response.setHeader('x-app-version', VERSION);
  const body = {id, at: String(process.hrtime.bigint()), trace: require('crypto').randomUUID(), price: 100 + id};
  BREAK
  response.end(JSON.stringify(body));
"""
ONCE_IN_FOUR = "if (id % 4 === 0) body.price = 1;"
GARBAGE = "body.trace = 'N/A';"


def version(name: str, fault: str = "") -> str:
    return NOISY.replace("VERSION", json.dumps(name)).replace("BREAK", fault)


@pytest.fixture
def serve(tmp_path: Path) -> Generator[Callable[..., Server], None, None]:
    with ExitStack() as stack:
        count = 0

        def start(name: str, fault: str = "") -> Server:
            nonlocal count
            count += 1
            return stack.enter_context(node(tmp_path / f"node{count}", version(name, fault)))

        yield start


def ask(proxy: Proxy, pairs: int) -> int:
    """Ask for items in a row until so many more pairs were compared: a busy machine sheds some. Returns how many."""
    before = compared(proxy)
    with httpx.Client(base_url=proxy.url) as client:
        for number in itertools.count():
            assert client.get(f"/items/{number}").status_code == 200
            if number % 20 == 19 and compared(proxy) - before >= pairs:
                break
    settled(proxy)
    return compared(proxy) - before


def compared(proxy: Proxy) -> int:
    return int(proxy.metrics().total("shadowproxy_comparisons_total", arm="candidate"))


def report(proxy: Proxy) -> Any:
    status, body = get(f"{proxy.admin}/api/v1/report")
    assert status == 200
    (service,) = json.loads(body)["services"]
    return service


def states(proxy: Proxy) -> dict[tuple[str, str], str]:
    return {(row["field"], row["kind"]): row["state"] for route in report(proxy)["routes"] for row in route["evidence"]}


def assert_passes(proxy: Proxy) -> None:
    """By every word but latency: on a busy machine one of three processes may truly be slower."""
    status, body = get(f"{proxy.admin}/api/v1/report")
    assert status == 200
    found = judge(msgspec.json.decode(body, type=Report), [word for word in DEFAULT if word != "latency"])
    assert found.exit_code == 0, found.conclusion


def service(primary: Server, candidate: Server, secondary: Server | None = None, **more: Any) -> dict[str, Any]:
    upstreams = {"primary": {"urls": [primary.url]}, "candidate": {"urls": [candidate.url]}}
    if secondary is not None:
        upstreams["secondary"] = {"urls": [secondary.url]}
    return {
        "upstreams": upstreams,
        "version": {"header": "x-app-version"},
        "routes": [{"name": "item", "match": {"path": "/items/{id}"}}],
        **more,
    }


def test_with_a_secondary_noise_passes_and_a_regression_is_named(
    proxies: Callable[..., Proxy], serve: Callable[..., Server]
) -> None:
    proxy = proxies(service(serve("v1"), serve("v2", ONCE_IN_FOUR), serve("v1")))
    pairs = ask(proxy, 200)
    eventually(lambda: states(proxy).get(("$.price", "body_value")) == "regressed")
    eventually(lambda: report(proxy)["knowledge"]["versions"])  # they are looked at once a second
    found = report(proxy)
    assert states(proxy) == {
        ("$.price", "body_value"): "regressed",
        ("$.at", "body_value"): "noise",
        ("$.trace", "body_value"): "noise",
    }
    assert (found["verdict"], found["exit_code"]) == ("fail", 1)
    assert "$.price" in found["conclusion"]
    assert found["knowledge"]["source"] == "secondary"
    assert found["knowledge"]["versions"] == {"primary": "v1", "candidate": "v2", "secondary": "v1"}
    verdicts = found["routes"][0]["verdicts"]["candidate"]
    assert verdicts["mismatch"] + verdicts["noise"] == pairs
    assert pairs / 5 < verdicts["mismatch"] < pairs / 3
    metrics = proxy.metrics()
    assert metrics.total("shadowproxy_second_answers_total") == pairs
    assert metrics.total("shadowproxy_regressed_fields") == 1
    assert metrics.total("shadowproxy_comparisons_total", arm="secondary") == pairs


def test_with_a_secondary_pure_noise_is_no_regression(
    proxies: Callable[..., Proxy], serve: Callable[..., Server]
) -> None:
    proxy = proxies(service(serve("v1"), serve("v2"), serve("v1")))
    pairs = ask(proxy, 120)
    eventually(lambda: states(proxy) and set(states(proxy).values()) == {"noise"})
    found = report(proxy)
    assert found["routes"][0]["verdicts"]["candidate"]["noise"] == pairs
    assert_passes(proxy)


def test_garbage_in_a_field_that_always_differs_is_found(
    proxies: Callable[..., Proxy], serve: Callable[..., Server]
) -> None:
    proxy = proxies(service(serve("v1"), serve("v2", GARBAGE), serve("v1")))
    ask(proxy, 120)
    eventually(lambda: states(proxy).get(("$.trace", "body_shape")) == "regressed")
    assert states(proxy)["$.at", "body_value"] == "noise"
    assert report(proxy)["exit_code"] == 1


def test_without_a_secondary_the_primary_is_asked_again_and_what_it_taught_outlives_the_proxy(
    proxies: Callable[..., Proxy], serve: Callable[..., Server]
) -> None:
    primary = serve("v1")
    config = service(primary, serve("v2"), noise={"resample": "50%"})
    proxy = proxies(config)
    pairs = ask(proxy, 200)
    eventually(lambda: states(proxy) and set(states(proxy).values()) == {"noise"})
    metrics = proxy.metrics()
    answers = metrics.total("shadowproxy_resamples_total", result="compared")
    assert pairs / 4 < answers < pairs * 3 / 4
    sent = metrics.total("shadowproxy_resamples_total", result="sent")
    assert sent == answers + metrics.total("shadowproxy_resamples_total", result="wasted")
    assert metrics.total("shadowproxy_shadow_sent_total") == pairs
    assert_passes(proxy)
    before = eventually(lambda: known if (known := report(proxy)["knowledge"])["answers"] == answers else None)
    proxy.stop()

    again = proxies({**config, "data_dir": str(proxy.data)})
    eventually(lambda: report(again)["knowledge"]["answers"] == answers)
    assert report(again)["knowledge"]["since"] == before["since"]
    assert set(states(again).values()) == {"noise"}, "it is shown before anything was asked"
    ask(again, 60)
    assert report(again)["routes"][0]["verdicts"]["candidate"]["mismatch"] < 5, "nothing had to be learned again"


def test_a_new_version_of_the_candidate_begins_the_evidence_anew_and_keeps_the_noise(
    proxies: Callable[..., Proxy], serve: Callable[..., Server]
) -> None:
    primary, secondary = serve("v1"), serve("v1")
    proxy = proxies(service(primary, serve("v2", ONCE_IN_FOUR), secondary))
    ask(proxy, 120)
    eventually(lambda: states(proxy).get(("$.price", "body_value")) == "regressed")
    began = report(proxy)["knowledge"]["since"]
    assert proxy.config is not None
    document = json.loads(proxy.config.read_text())
    document["upstreams"]["candidate"] = {"urls": [serve("v3").url]}
    proxy.config.write_text(json.dumps(document))
    proxy.process.send_signal(signal.SIGHUP)

    def asked_for_a_new_ledger() -> bool:
        ask(proxy, 10)
        return bool(report(proxy)["knowledge"]["since"] > began)

    eventually(asked_for_a_new_ledger)
    ask(proxy, 60)
    eventually(lambda: report(proxy)["knowledge"]["versions"]["candidate"] == "v3")
    assert "$.price" not in {field for field, _ in states(proxy)}
    assert report(proxy)["knowledge"]["regressed"] == 0


def test_a_secondary_that_runs_the_candidates_version_excuses_nothing(
    proxies: Callable[..., Proxy], serve: Callable[..., Server]
) -> None:
    """The versions are asked for. The secondary shows the same fault as the candidate."""
    asked = "if (request.url === '/version') { response.end(JSON.stringify({version: VERSION})); return; }"
    arms = [
        serve(name, fault + asked.replace("VERSION", json.dumps(name)))
        for name, fault in (("v1", ""), *2 * [("v2", ONCE_IN_FOUR)])
    ]
    proxy = proxies(service(*arms, version={"get": "/version"}))
    eventually(
        lambda: report(proxy)["knowledge"]["versions"] == {"primary": "v1", "candidate": "v2", "secondary": "v2"}
    )
    eventually(lambda: report(proxy)["knowledge"]["is_alike"] is False)
    eventually(lambda: ask(proxy, 60) and report(proxy)["compared"] >= 50)
    found = report(proxy)
    assert (found["exit_code"], found["knowledge"]["answers"], found["routes"][0]["evidence"]) == (1, 0, [])
    assert found["routes"][0]["verdicts"]["candidate"]["noise"] <= 20, "until the comparers had heard"
    status, text = get(f"{proxy.admin}/api/v1/report?format=text")
    assert status == 200
    assert b"the secondary runs v2, the primary v1" in text
