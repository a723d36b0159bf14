"""The main job, end to end: real clients, real servers, two versions, and what was found about them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.clients import Reply, curl, node_fetch
from tests.e2e.harness import Proxy, eventually, undisturbed
from tests.e2e.servers import Server, nginx, node

ITEMS = {f"/items/{i}": json.dumps({"id": i, "price": 100 + i, "tags": ["a", "b"]}) for i in range(1, 6)}
NODE = """
  const id = Number(request.url.split('/').pop());
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({tags: ['a', 'b'], id, price: id === 3 ? '103' : 100 + id}));
"""
EACH = 5


@pytest.fixture
def primary(tmp_path: Path) -> Generator[Server, None, None]:
    with nginx(tmp_path / "nginx", ITEMS) as server:
        yield server


@pytest.fixture
def candidate(tmp_path: Path) -> Generator[Server, None, None]:
    with node(tmp_path / "node", NODE) as server:
        yield server


@pytest.fixture
def config(primary: Server, candidate: Server) -> dict[str, Any]:
    return {
        "service": "shop",
        "upstreams": {"primary": {"urls": [primary.url]}, "candidate": {"urls": [candidate.url]}},
        "compare": {"ignore": ["header:server", "header:etag", "header:last-modified", "header:accept-ranges"]},
        "routes": [{"name": "item", "match": {"path": "/items/{id}"}}],
    }


@pytest.fixture
def proxy(proxies: Callable[..., Proxy], config: dict[str, Any]) -> Proxy:
    return proxies(config, fresh=True)


def with_curl(url: str) -> list[Reply]:
    return [curl(f"{url}/items/{i}") for i in range(1, EACH + 1)]


def with_httpx(url: str) -> list[Reply]:
    with httpx.Client(base_url=url) as client:
        replies = [client.get(f"/items/{i}") for i in range(1, EACH + 1)]
    return [Reply(reply.status_code, list(reply.headers.items()), reply.content) for reply in replies]


def with_node(url: str) -> list[Reply]:
    return [node_fetch(f"{url}/items/{i}")[0] for i in range(1, EACH + 1)]


@pytest.mark.parametrize("client", [with_curl, with_httpx, with_node])
def test_a_client_is_served_by_the_primary_and_every_answer_is_compared(
    client: Callable[[str], list[Reply]], proxy: Proxy, primary: Server
) -> None:
    through, metrics = undisturbed(proxy, EACH, lambda: client(proxy.url))
    direct = client(primary.url)
    assert [(reply.status, reply.body) for reply in through] == [(reply.status, reply.body) for reply in direct]
    assert [reply.field("etag") for reply in through] == [reply.field("etag") for reply in direct]

    item = {"service": "shop", "route": "item"}
    assert metrics.total("shadowproxy_requests_total", arm="primary", code="2xx", **item) == EACH
    assert metrics.total("shadowproxy_requests_total", arm="candidate", code="2xx", **item) == EACH
    verdicts = metrics.of("shadowproxy_comparisons_total", "verdict")
    assert {verdict: count for (verdict,), count in verdicts.items() if count} == {"ignored": EACH - 1, "mismatch": 1}
    assert metrics.total("shadowproxy_mismatches_total", kind="body_type", **item) == 1
    assert metrics.total("shadowproxy_request_duration_seconds_count", arm="primary", **item) == EACH
    assert metrics.total("shadowproxy_latency_delta_seconds_count", **item) == EACH
    eventually(lambda: proxy.metrics().total("shadowproxy_field_mismatches_total", field="$.price", **item) >= 1)
    assert proxy.metrics().total("shadowproxy_field_mismatches_total", kind="body_value", **item) == 0


def shadowproxy(proxy: Proxy, *arguments: str) -> subprocess.CompletedProcess[str]:
    address = proxy.admin.removeprefix("http://")
    return subprocess.run(
        [sys.executable, "-m", "shadowproxy.cli", *arguments, "--admin", address],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_report_and_the_examples_say_what_differs(
    proxy: Proxy, proxies: Callable[..., Proxy], config: dict[str, Any]
) -> None:
    def ask() -> None:
        with httpx.Client(base_url=proxy.url) as client:
            for index in range(12 * EACH):
                client.get(f"/items/{1 + index % EACH}", headers={"Authorization": "Bearer very-secret"})

    undisturbed(proxy, 12 * EACH, ask)
    eventually(lambda: proxy.metrics().total("shadowproxy_field_mismatches_total", field="$.price") >= 12)

    text = shadowproxy(proxy, "report")
    assert text.returncode == 1, text.stderr
    assert "item" in text.stdout
    assert "$.price" in text.stdout
    assert "curl" in text.stdout

    report: Any = json.loads(shadowproxy(proxy, "report", "-o", "json").stdout)
    assert "$.price" in json.dumps(report)
    assert shadowproxy(proxy, "report", "-o", "markdown").stdout.startswith("#")
    assert "changes" not in text.stdout
    assert report["services"][0]["changes"]["pairs"] == 0
    page = shadowproxy(proxy, "report", "-o", "html", "--fail-on", "latency")
    assert page.returncode == 0, page.stderr
    assert "&quot;price&quot;: <mark>&quot;103&quot;</mark>" in page.stdout
    assert shadowproxy(proxy, "report", "-o", "junit").stdout.count("<failure ") == 1

    (cause,) = report["services"][0]["causes"]
    assert (cause["keys"], cause["share"]) == ([["$.price", "body_type"]], 0.2)
    assert cause["pairs"] == report["services"][0]["mismatches"]
    assert cause["words"] == "$.price is a string instead of an integer."
    told = shadowproxy(proxy, "diffs", "show", cause["id"][:8]).stdout
    assert '"price": 103,' in told
    assert '"price": "103"' in told
    assert f"{proxy.url}/items/3" in told
    assert cause["id"] in shadowproxy(proxy, "diffs", "causes", "--route", "item").stdout
    assert cause["id"] in text.stdout

    shown = shadowproxy(proxy, "diffs", "list", "-o", "json")
    assert shown.returncode == 0, shown.stderr
    assert "$.price" in shown.stdout
    assert "very-secret" not in shown.stdout + text.stdout + page.stdout
    for path in proxy.data.rglob("*"):
        assert not path.is_file() or b"very-secret" not in path.read_bytes(), path

    proxy.stop()
    again = proxies({**config, "data_dir": str(proxy.data)})
    changes = again.api("report")["services"][0]["changes"]["items"]
    assert {"counts began anew", "fail → inconclusive"} <= {each["says"] for each in changes}
    known = again.api(f"causes/{cause['id']}")
    assert (known["cause"]["pairs"], known["cause"]["before"]) == (0, cause["pairs"])
    assert known["cause"]["first_at"] == cause["first_at"]
    assert json.loads(known["example"]["shadow_body"])["price"] == "103"


def test_without_a_configuration_the_options_are_enough(
    proxies: Callable[..., Proxy], primary: Server, candidate: Server
) -> None:
    proxy = proxies(options=("--primary", primary.url, "--candidate", candidate.url), fresh=True)
    replies, metrics = undisturbed(proxy, EACH, lambda: with_curl(proxy.url))
    assert [reply.body for reply in replies] == [body.encode() for body in ITEMS.values()]
    assert metrics.total("shadowproxy_comparisons_total", service="default") == EACH


def test_alone_the_primary_makes_a_plain_reverse_proxy(proxies: Callable[..., Proxy], primary: Server) -> None:
    proxy = proxies({"upstreams": {"primary": {"urls": [primary.url]}}})
    assert curl(f"{proxy.url}/items/2").body == ITEMS["/items/2"].encode()
    assert curl(f"{proxy.url}/nowhere").status == 404
    assert proxy.metrics().total("shadowproxy_shadow_eligible_total") == 0
