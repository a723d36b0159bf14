"""Endpoints that nobody configured become routes while the proxy runs; a scanner's do not; a restart knows them."""

from __future__ import annotations

import http.client
import json
import random
import re
import signal
import threading
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e import impatient
from tests.e2e.harness import HOST, Proxy, books, eventually
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer

Serve = Callable[[Script], RawUpstream]
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
KNOWN = re.compile(rf"/(users/[0-9]+(/orders/{UUID})?|products/[a-z-]+|health|static/app\.[0-9a-f]+\.js|docs/[0-9]+)")
SLUGS = [f"{a}-{b}" for a in ("red", "blue", "old", "new", "big", "raw") for b in ("shoe", "hat", "car", "pen", "cup")]
LEARNED = {"/users/{id}", "/users/{id}/orders/{uuid}", "/products/{name}", "/health", "/static/{file}"}


def shop(price: int) -> Script:
    """Knows its pages and nothing else; an order costs `price`."""

    async def script(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            path = head.split(b" ")[1].decode()
            if not KNOWN.fullmatch(path):
                await peer.send(answer(b"no such page", "404 Not Found"))
            else:
                body = {"price": price} if "/orders/" in path else {}
                await peer.send(answer(json.dumps(body).encode(), Content_Type="application/json"))

    return script


def page(draw: random.Random) -> str:
    user = f"/users/{draw.randrange(10**6)}"
    return draw.choice(
        (
            user,
            f"{user}/orders/{uuid.UUID(int=draw.getrandbits(128))}",
            f"/products/{draw.choice(SLUGS)}",
            "/health",
            f"/static/app.{draw.getrandbits(32):08x}.js",
        )
    )


def ask(port: int, paths: list[str]) -> set[int]:
    """The statuses of these requests, one after the other on one connection."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    statuses = set()
    try:
        for path in paths:
            connection.request("GET", path)
            reply = connection.getresponse()
            reply.read()
            statuses.add(reply.status)
    finally:
        connection.close()
    return statuses


@contextmanager
def users(port: int) -> Generator[None, None, None]:
    """Somebody who goes on asking for pages."""
    ended = threading.Event()
    draw = random.Random(7)

    def go() -> None:
        while not ended.wait(0.02):
            ask(port, [page(draw) for _ in range(10)])

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def routes(proxy: Proxy) -> dict[str, str]:
    """Every route with its origin."""
    return {route["name"]: route["origin"] for route in proxy.api("routes")}


def settings(primary: str, candidate: str, data: Path, **more: Any) -> dict[str, Any]:
    upstreams = {"primary": {"urls": [primary]}, "candidate": {"urls": [candidate]}}
    return {"upstreams": upstreams, "data_dir": str(data), **more}


def reload(proxy: Proxy, config: dict[str, Any]) -> None:
    assert proxy.config is not None
    written = json.loads(proxy.config.read_text())
    proxy.config.write_text(json.dumps({**written, **config}))
    reloads = proxy.api("status")["reloads"]["succeeded"]
    proxy.process.send_signal(signal.SIGHUP)
    eventually(lambda: proxy.api("status")["reloads"]["succeeded"] > reloads)


def test_endpoints_are_learned_from_traffic_and_known_after_a_restart(upstreams: Serve, tmp_path: Path) -> None:
    primary, candidate = upstreams(shop(7)), upstreams(shop(8))
    config = settings(primary.url, candidate.url, tmp_path / "data")
    kept = tmp_path / "data" / "templates.json"
    draw = random.Random(1)
    with Proxy.start(tmp_path / "first", config, program=("-P", str(Path(impatient.__file__)))) as proxy:
        with users(proxy.port):
            scanned = [f"/{draw.getrandbits(48):x}{end}" for end in ("", "/admin", ".php", "/1") for _ in range(500)]
            assert ask(proxy.port, scanned) == {404}
            eventually(lambda: routes(proxy).keys() >= LEARNED, 30)
            eventually(lambda: proxy.metrics().total("shadowproxy_requests_total", route="/users/{id}") > 5)
        assert routes(proxy) == {**dict.fromkeys(LEARNED, "learned"), "other": "configured"}
        metrics = books(proxy)
        counted = {route for (route,) in metrics.of("shadowproxy_requests_total", "route")}
        assert counted == {*LEARNED, "other"}
        assert metrics.total("shadowproxy_requests_total", route="other", arm="primary", code="4xx") == len(scanned)
        assert metrics.total("shadowproxy_templates", origin="learned") == len(LEARNED)
        found = eventually(lambda: proxy.api("diffs?route=/users/%7Bid%7D/orders/%7Buuid%7D")["items"])
        assert {item["field"] for item in found} == {"$.price"}

        # A configured route wins, and a policy that is read again knows what was learned.
        reload(proxy, {"routes": [{"name": "user", "match": {"path": "/users/{id}"}}]})
        assert routes(proxy) == {
            **dict.fromkeys(LEARNED - {"/users/{id}"}, "learned"),
            "user": "configured",
            "other": "configured",
        }
        before = books(proxy)
        ask(proxy.port, ["/users/1", "/products/red-shoe", "/nothing"])
        counted = books(proxy) - before
        assert {route for (route,), n in counted.of("shadowproxy_requests_total", "route").items() if n} == {
            "user",
            "/products/{name}",
            "other",
        }
        eventually(lambda: set(json.loads(kept.read_text())["services"]["default"]) == LEARNED - {"/users/{id}"})

    with Proxy.start(tmp_path / "second", config) as proxy:
        assert ask(proxy.port, ["/products/red-shoe", "/health"]) == {200}
        counted = books(proxy).of("shadowproxy_requests_total", "route")
        assert {route for (route,), n in counted.items() if n} == {"/products/{name}", "/health"}
        reload(proxy, {"endpoints": {"learn": False}})
        assert routes(proxy) == {"other": "configured"}
        eventually(lambda: json.loads(kept.read_text())["services"] == {})


def test_an_openapi_file_names_what_it_describes_and_is_read_again(upstreams: Serve, tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text("openapi: 3.0.0\npaths:\n  '/users/{userId}':\n    get: {}\n")
    primary, candidate = upstreams(shop(7)), upstreams(shop(7))
    endpoints = {"openapi": str(tmp_path / "api.yaml"), "learn": False}
    config = settings(primary.url, candidate.url, tmp_path / "data", endpoints=endpoints)
    with Proxy.start(tmp_path / "proxy", config) as proxy:
        assert routes(proxy) == {"/users/{userId}": "openapi", "other": "configured"}
        (tmp_path / "api.yaml").write_text('{"swagger": "2.0", "basePath": "/docs", "paths": {"/{page}": {}}}')
        reload(proxy, {})
        assert routes(proxy) == {"/docs/{page}": "openapi", "other": "configured"}
        ask(proxy.port, ["/users/1", "/docs/2", "/docs/2/3"])
        counted = books(proxy, 3).of("shadowproxy_requests_total", "route", "arm")
        assert counted["/docs/{page}", "primary"] == 1
        assert counted["other", "primary"] == 2
