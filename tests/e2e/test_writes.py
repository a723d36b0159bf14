"""Requests that write: mirrored where that is allowed, with a dry run's header, and at the primary each just once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e import wire
from tests.e2e.harness import Proxy, books
from tests.e2e.ports import HOST, free_port
from tests.e2e.talk import ask, request, settings, talk, tally, until_calm
from tests.e2e.upstreams import RawUpstream, Script, answer, answers, closes, hangs, resets

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]
METHODS = ("POST", "PUT", "PATCH", "DELETE")
GOOD = answer(b"stored")
ROUTES = [
    {
        "name": "checkout",
        "match": {"path": "/checkout/*"},
        "shadow": {"writes": "allow", "headers": {"candidate": {"set": {"X-Dry-Run": "true"}}}},
    }
]


def copies(upstream: RawUpstream) -> list[wire.Message]:
    return [message for data in upstream.connections for message in wire.requests(bytes(data))]


def ids(messages: list[wire.Message]) -> list[bytes]:
    return sorted(message.values(b"x-request-id")[0] for message in messages)


def write_all(proxy: Proxy, rounds: int = 3) -> list[bytes]:
    """Every method on one connection, with a length and in chunks; the ids of what was written, in order."""
    written = []
    with talk(proxy.port) as line:
        for turn in range(rounds):
            for method in METHODS:
                for chunked in (False, True):
                    identity = f"{method}-{turn}-{chunked}"
                    if chunked:
                        data = request("/checkout/1", method, Transfer_Encoding="chunked", X_Request_Id=identity)
                        data += b"4\r\nbody\r\n0\r\n\r\n"
                    else:
                        data = request("/checkout/1", method, b"body", X_Request_Id=identity)
                    line.send(data)
                    assert line.reply(method.encode()).body == b"stored"
                    written.append(identity.encode())
    return sorted(written)


@until_calm
def test_writes_are_copied_where_they_are_allowed_and_marked_for_the_candidate_alone(
    upstreams: Serve, proxies: Start
) -> None:
    primary, candidate = upstreams(answers(GOOD)), upstreams(answers(GOOD))
    proxy = proxies(settings(primary.url, candidate.url, routes=ROUTES, shadow={"writes": "never"}))
    written = write_all(proxy, rounds=1)
    for method in METHODS:
        assert ask(proxy.port, request("/elsewhere", method, b"body"), method.encode()).body == b"stored"
    metrics = tally(proxy, eligible=len(written))
    assert metrics.total("shadowproxy_comparisons_total", verdict="match", route="checkout") == len(written)
    found = copies(candidate)
    assert ids(found) == written
    assert {message.body for message in found} == {b"body"}
    assert {message.values(b"x-dry-run")[0] for message in found} == {b"true"}
    assert len(copies(primary)) == len(written) + len(METHODS)
    assert b"x-dry-run" not in primary.received.lower()
    by_name = {route["name"]: route["mirrored_methods"] for route in proxy.api("routes")}
    assert by_name == {
        "checkout": ["GET", "HEAD", "OPTIONS", *METHODS],
        "other": ["GET", "HEAD", "OPTIONS"],
    }


@pytest.mark.parametrize(
    "misbehaviour",
    [
        resets(),
        resets(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nst"),
        hangs(),
        closes(),
        closes(GOOD),
        answers(answer(b"no", "500 Internal Server Error")),
        None,
    ],
    ids=["resets", "resets in its answer", "hangs", "closes", "closes after its answer", "fails", "refuses"],
)
def test_the_primary_gets_each_write_once_whatever_the_candidate_does(
    upstreams: Serve, proxies: Start, misbehaviour: Script | None
) -> None:
    primary = upstreams(answers(GOOD))
    candidate = upstreams(misbehaviour) if misbehaviour else None
    url = candidate.url if candidate else f"http://{HOST}:{free_port()}"
    proxy = proxies(settings(primary.url, url, routes=ROUTES, shadow={"timeout": "700ms"}))
    written = write_all(proxy)
    books(proxy, eligible=len(written))
    messages = copies(primary)
    assert ids(messages) == written
    assert all(message.whole and message.body == b"body" for message in messages)
    assert b"x-dry-run" not in primary.received.lower()
    if candidate:
        found = copies(candidate)
        assert all(message.values(b"x-dry-run") == [b"true"] for message in found)
        once = [name for name in ids(found) if name.startswith((b"POST", b"PATCH"))]
        assert len(once) == len(set(once)), "what may not be repeated is not"
