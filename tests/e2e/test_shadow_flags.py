"""A flag is tried on copies before any user sees it: on version 2, or on the primary's own instances."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import wire
from tests.e2e.flags import ON_OFF, change, section, written
from tests.e2e.harness import Proxy, eventually
from tests.e2e.talk import ask, request, settings, tally, until_calm
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]


async def shop(peer: Peer) -> None:
    """A price that the flag changes."""
    while True:
        head, _ = await peer.request()
        on = b"feature-flags: new-checkout" in head.lower() and b"new-checkout=?0" not in head
        body = json.dumps({"id": 7, "price": 9 if on else 10}).encode()
        await peer.send(answer(body, Content_Type="application/json"))


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    file = written(tmp_path / "flags.json", {"new-checkout": ON_OFF, "size": {**ON_OFF, "defaultVariant": "on"}})
    return {"flags": section(file), "shadow": {"flags": {"new-checkout": "on"}}, "noise": {"resample": "0%"}}


def told(upstream: RawUpstream) -> list[tuple[bool, list[bytes]]]:
    """Of each request whether it was a copy, and its flags."""
    return [
        (bool(message.values(b"x-shadow-request")), message.values(b"feature-flags"))
        for message in wire.requests(upstream.received)
    ]


@until_calm
def test_without_a_candidate_the_primarys_own_instances_get_the_copies(
    upstreams: Serve, proxies: Start, config: dict[str, Any]
) -> None:
    primary = upstreams(shop)
    proxy = proxies(settings(primary.url, **config))
    bodies = [json.loads(ask(proxy.port, request(f"/items/{n}")).body)["price"] for n in range(5)]
    tally(proxy, eligible=5)
    assert bodies == [10] * 5, "no user sees it"
    assert sorted(told(primary)) == [(False, [b"new-checkout=?0, size"])] * 5 + [(True, [b"new-checkout, size"])] * 5
    counted = proxy.metrics().of("shadowproxy_comparisons_total", "arm", "verdict")
    assert counted["candidate", "mismatch"] == 5
    [example, *_] = eventually(lambda: proxy.api("diffs")["items"])
    shown = proxy.api(f"diffs/{example['id']}")
    assert [each["field"] for each in shown["differences"]] == ["$.price"]
    assert "new-checkout, size" in json.dumps(shown)


@until_calm
def test_a_candidate_is_asked_with_the_flag_and_the_secondary_without(
    upstreams: Serve, proxies: Start, config: dict[str, Any]
) -> None:
    arms = [upstreams(shop) for _ in range(3)]
    proxy = proxies(settings(*(arm.url for arm in arms), **config))
    ask(proxy.port, request("/items/1"))
    tally(proxy, eligible=2)
    users = [b"new-checkout=?0, size"]
    assert [flags for arm in arms for _, flags in told(arm)] == [users, [b"new-checkout, size"], users]


@until_calm
def test_writes_are_copied_where_that_is_allowed_with_the_flag(
    upstreams: Serve, proxies: Start, config: dict[str, Any]
) -> None:
    primary = upstreams(shop)
    config["shadow"]["writes"] = "allow"
    config["routes"] = [{"name": "plain", "match": {"path": "/plain"}, "shadow": {"writes": "never"}}]
    proxy = proxies(settings(primary.url, **config))
    ask(proxy.port, request("/plain", "POST", b"{}"))
    ask(proxy.port, request("/orders", "POST", b"{}"))
    tally(proxy, eligible=1)
    assert [flags for is_copy, flags in told(primary) if is_copy] == [[b"new-checkout, size"]]


@until_calm
def test_a_killed_flag_is_not_shadowed_either(upstreams: Serve, proxies: Start, config: dict[str, Any]) -> None:
    primary = upstreams(shop)
    proxy = proxies(settings(primary.url, **config))
    assert change(proxy, "kill", flag="new-checkout", reason="it burns")["in_force"]
    ask(proxy.port, request("/items/1"))
    metrics = tally(proxy, eligible=1)
    assert {flags[0] for _, flags in told(primary)} == {b"new-checkout=?0, size"}
    assert metrics.total("shadowproxy_comparisons_total", verdict="match") == 1


def test_what_cannot_be_shadowed_is_said_at_the_start(proxies: Start, config: dict[str, Any]) -> None:
    config["shadow"]["flags"] = {"new-checkout": "maybe", "nope": "on"}
    with pytest.raises(RuntimeError, match="ended with 2") as ended:
        proxies(settings("http://127.0.0.1:1", **config))
    assert "shadow.flags names the flag 'nope', which is not there" in str(ended.value)
    assert "shadow.flags names the variant 'maybe' of new-checkout, which has on, off" in str(ended.value)
