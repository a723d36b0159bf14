"""Which requests are copied, what the copies look like, how many there may be; and after each the books balance."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e import wire
from tests.e2e.clients import send_raw
from tests.e2e.harness import Metrics, Proxy, books, eventually
from tests.e2e.ports import HOST, free_port
from tests.e2e.talk import ask, request, settings, talk, tally, until_calm
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer, answers, by_path, hangs

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]
SAME = answers(answer(b"same"))


def counts(metrics: Metrics, series: str, label: str, **labels: str) -> dict[str, float]:
    """A series by one of its labels, without zeros."""
    found: dict[str, float] = {}
    for (name, has), value in metrics.values.items():
        if name == f"shadowproxy_{series}_total" and labels.items() <= has and value:
            key = dict(has)[label]
            found[key] = found.get(key, 0) + value
    return found


def dropped(metrics: Metrics) -> dict[str, float]:
    return counts(metrics, "shadow_dropped", "reason")


def copies(upstream: RawUpstream) -> list[wire.Message]:
    return [m for data in upstream.connections for m in wire.requests(bytes(data))]


def ids(upstream: RawUpstream) -> set[bytes]:
    return {m.values(b"x-request-id")[0] for m in copies(upstream)}


def visit(proxy: Proxy, identities: list[str], **fields: str) -> None:
    """A GET with each of these ids, over one connection and in turns that no limit notices."""
    with talk(proxy.port) as line:
        for begin in range(0, len(identities), 10):
            turn = identities[begin : begin + 10]
            line.send(b"".join(request(X_Request_Id=one, **fields) for one in turn))
            for _ in turn:
                assert line.reply().status == 200


# Which.


@until_calm
def test_the_sample_is_a_share_of_the_ids_and_always_the_same_one(upstreams: Serve, proxies: Start) -> None:
    primary, first, second = upstreams(SAME), upstreams(SAME), upstreams(SAME)
    identities = [f"request-{number}" for number in range(2000)]
    all_of_it: dict[str, Any] = {"isolation": {"hold_out": "0%"}}
    small = proxies(settings(primary.url, first.url, shadow={"sample": "10%"}, **all_of_it))
    large = proxies(settings(primary.url, second.url, shadow={"sample": "30%"}, **all_of_it))
    for proxy in (small, large):
        visit(proxy, identities)
    metrics = tally(small, eligible=2000), tally(large, eligible=2000)
    for share, upstream, found in ((0.1, first, metrics[0]), (0.3, second, metrics[1])):
        sampled = 2000 - found.total("shadowproxy_shadow_sampled_out_total")
        assert abs(sampled - 2000 * share) < 4.5 * (2000 * share * (1 - share)) ** 0.5
        assert len(ids(upstream)) == sampled - sum(dropped(found).values())
    if not dropped(metrics[1]):
        assert ids(first) <= ids(second), "a larger sample only adds"
    before = ids(first)
    visit(small, identities)
    again = tally(small, eligible=4000)
    assert ids(first) == before or dropped(again)
    assert again.total("shadowproxy_shadow_sampled_out_total") == 2 * metrics[0].total(
        "shadowproxy_shadow_sampled_out_total"
    )


@until_calm
def test_nothing_and_everything_are_samples_too(upstreams: Serve, proxies: Start) -> None:
    routes = [
        {"name": "none", "match": {"path": "/none/*"}, "shadow": {"sample": "0%"}},
        {"name": "all", "match": {"path": "/all/*"}, "shadow": {"sample": "100%"}},
    ]
    primary, candidate = upstreams(SAME), upstreams(SAME)
    proxy = proxies(settings(primary.url, candidate.url, routes=routes, shadow={"sample": "50%"}))
    for number in range(20):
        ask(proxy.port, request(f"/none/{number}"))
        ask(proxy.port, request(f"/all/{number}"))
    metrics = tally(proxy, eligible=40)
    assert counts(metrics, "shadow_sampled_out", "route") == {"none": 20}
    assert {m.start[1].split(b"/")[1] for m in copies(candidate)} == {b"all"}


@until_calm
def test_only_the_methods_that_are_asked_for_are_copied(upstreams: Serve, proxies: Start) -> None:
    primary, candidate = upstreams(SAME), upstreams(SAME)
    routes = [{"name": "write", "match": {"path": "/write"}, "shadow": {"methods": ["PUT"]}}]
    proxy = proxies(settings(primary.url, candidate.url, routes=routes))
    for method in ("GET", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"):
        ask(proxy.port, request("/", method, b"" if method == "POST" else None))
        ask(proxy.port, request("/write", method, b"body"))
    metrics = tally(proxy, eligible=3)
    assert counts(metrics, "shadow_eligible", "route") == {"other": 2, "write": 1}
    assert sorted((m.start, m.body) for m in copies(candidate)) == [
        ((b"GET", b"/"), b""),
        ((b"OPTIONS", b"/"), b""),
        ((b"PUT", b"/write"), b"body"),
    ]


@pytest.mark.parametrize("chunked", [False, True])
@until_calm
def test_a_body_is_copied_exactly_or_not_at_all(upstreams: Serve, proxies: Start, chunked: bool) -> None:
    primary, candidate = upstreams(SAME), upstreams(SAME)
    proxy = proxies(settings(primary.url, candidate.url, shadow={"methods": ["POST"], "max_body": "64KiB"}))
    sizes = (0, 1, 1000, 65_536, 65_537, 300_000)
    for size in sizes:
        body = bytes(range(256)) * (size // 256) + b"a" * (size % 256)
        if chunked:
            pieces = [body[at : at + 5000] for at in range(0, size, 5000)]
            data = request("/", "POST", Transfer_Encoding="chunked", Expect="100-continue")
            data += b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nX-T: 1\r\n\r\n"
        else:
            data = request("/", "POST", body)
        assert ask(proxy.port, data).body == b"same"
        tally(proxy)
    metrics = tally(proxy, eligible=len(sizes))
    assert dropped(metrics) == {"max_body": 2}
    assert [len(m.body) for m in copies(primary)] == list(sizes)
    found = copies(candidate)
    assert [m.body for m in found] == [m.body for m in copies(primary)[:4]]
    for message in found:
        assert message.values(b"content-length") == [b"%d" % len(message.body)]
        assert not message.values(b"expect") + message.values(b"transfer-encoding") + message.values(b"trailer")
        assert not message.trailers


# How they look.


@until_calm
def test_header_rules_change_copies_and_nothing_else(upstreams: Serve, proxies: Start) -> None:
    arms = [upstreams(SAME) for _ in range(3)]
    rules: dict[str, Any] = {
        "candidate": {"remove": ["cookie", "X-Debug"], "set": {"Authorization": "Bearer other", "X-Arm": "candidate"}},
        "secondary": {"set": {"authorization": "Bearer third"}},
    }
    proxy = proxies(settings(*(arm.url for arm in arms), shadow={"headers": rules, "methods": ["GET", "POST"]}))
    mine = {"Authorization": "Bearer mine", "Cookie": "a=1", "X_Debug": "1", "X_Other": "2"}
    ask(proxy.port, request("/", **mine))
    ask(proxy.port, request("/", "POST", b"body", **mine))
    tally(proxy, eligible=4)
    for index in range(2):
        primary, candidate, secondary = (copies(arm)[index] for arm in arms)
        assert [m.values(b"authorization") for m in (primary, candidate, secondary)] == [
            [b"Bearer mine"],
            [b"Bearer other"],
            [b"Bearer third"],
        ]
        assert [m.values(b"cookie") for m in (primary, candidate, secondary)] == [[b"a=1"], [], [b"a=1"]]
        assert [m.values(b"x-debug") for m in (primary, candidate, secondary)] == [[b"1"], [], [b"1"]]
        assert [m.values(b"x-arm") for m in (primary, candidate, secondary)] == [[], [b"candidate"], []]
        assert [m.values(b"x-other") for m in (primary, candidate, secondary)] == [[b"2"]] * 3
        assert [m.values(b"x-shadow-request") for m in (primary, candidate, secondary)] == [
            [],
            [b"candidate"],
            [b"secondary"],
        ]
        assert primary.body == candidate.body == secondary.body


@until_calm
def test_both_mirrors_are_compared_and_counted_apart(upstreams: Serve, proxies: Start) -> None:
    primary, secondary = upstreams(SAME), upstreams(SAME)
    candidate = upstreams(answers(answer(b"other")))
    proxy = proxies(settings(primary.url, candidate.url, secondary.url))
    visit(proxy, [f"r{number}" for number in range(5)])
    metrics = tally(proxy, eligible=10)
    assert counts(metrics, "comparisons", "verdict", arm="candidate") == {"mismatch": 5}
    assert counts(metrics, "comparisons", "verdict", arm="secondary") == {"match": 5}


@until_calm
def test_a_secondary_alone_is_a_mirror_too(upstreams: Serve, proxies: Start) -> None:
    primary, secondary = upstreams(SAME), upstreams(SAME)
    proxy = proxies(settings(primary.url, None, secondary.url))
    visit(proxy, ["a", "b"])
    assert counts(tally(proxy, eligible=2), "comparisons", "arm") == {"secondary": 2}


@until_calm
def test_redirects_are_not_followed_and_cookies_not_kept(upstreams: Serve, proxies: Start) -> None:
    away = upstreams(SAME)
    moved = answer(b"", "302 Found", Location=f"{away.url}/away", Set_Cookie="session=secret")
    primary, candidate = upstreams(SAME), upstreams(answers(moved))
    proxy = proxies(settings(primary.url, candidate.url))
    with talk(proxy.port) as line:
        for _ in range(3):
            line.send(request())
            got = line.reply()
            assert (got.status, got.values(b"set-cookie"), got.values(b"location")) == (200, [], [])
    assert counts(tally(proxy, eligible=3), "mismatches", "kind")["status"] == 3
    assert away.received == b""
    assert not any(m.values(b"cookie") for m in copies(candidate) + copies(primary))


# How many.


@until_calm
def test_a_breaker_opens_and_lets_one_copy_a_second_through(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(SAME)
    port = free_port()
    shadow = {"breaker": {"failures": 5}}
    proxy = proxies(settings(primary.url, f"http://{HOST}:{port}", shadow=shadow))
    for number in range(5):
        visit(proxy, [f"r{number}"])
        tally(proxy)
    eventually(lambda: proxy.metrics().total("shadowproxy_breaker_open", arm="candidate") == 1, 2)
    begin, sent = time.monotonic(), 0
    while time.monotonic() - begin < 2.5:
        visit(proxy, ["again"])
        sent += 1
        time.sleep(0.02)
    metrics = tally(proxy, eligible=5 + sent)
    found = counts(metrics, "mismatches", "kind")
    assert 1 <= found["candidate_refused"] - 5 <= 3, "one probe a second"
    assert dropped(metrics)["breaker"] == sent - (found["candidate_refused"] - 5) - dropped(metrics).get("overload", 0)
    with RawUpstream(SAME, port=port).running():

        def closed() -> bool:
            visit(proxy, ["back"])
            return proxy.metrics().total("shadowproxy_breaker_open", arm="candidate") == 0

        eventually(closed, 5)
        before = tally(proxy).total("shadowproxy_comparisons_total", verdict="match")
        visit(proxy, [f"r{number}" for number in range(10)])
        assert tally(proxy).total("shadowproxy_comparisons_total", verdict="match") == before + 10


@until_calm
def test_an_error_is_an_answer_that_opens_no_breaker(upstreams: Serve, proxies: Start) -> None:
    primary, candidate = upstreams(SAME), upstreams(answers(answer(b"no", "500 Oh")))
    proxy = proxies(settings(primary.url, candidate.url, shadow={"breaker": {"failures": 2}}))
    visit(proxy, [f"r{number}" for number in range(10)])
    metrics = tally(proxy, eligible=10)
    assert counts(metrics, "comparisons", "verdict") == {"mismatch": 10}


@until_calm
def test_there_are_never_more_copies_under_way_than_allowed(upstreams: Serve, proxies: Start) -> None:
    primary, candidate = upstreams(SAME), upstreams(hangs())
    proxy = proxies(settings(primary.url, candidate.url, shadow={"max_in_flight": 3, "timeout": "1s"}))
    visit(proxy, [f"r{number}" for number in range(20)])
    assert proxy.metrics().total("shadowproxy_shadow_in_flight") == 3
    assert len(candidate.connections) == 3
    metrics = tally(proxy, eligible=20)
    assert dropped(metrics) == {"in_flight": 17}
    assert counts(metrics, "mismatches", "kind") == {"candidate_timeout": 3}


@until_calm
def test_a_copy_that_gets_no_connection_in_time_grows_too_old(upstreams: Serve, proxies: Start) -> None:
    primary, candidate = upstreams(SAME), upstreams(hangs())
    arm = {"urls": [candidate.url], "max_connections": 1, "max_wait": "10s"}
    proxy = proxies(settings(primary.url, arm, shadow={"max_age": "300ms", "timeout": "1s"}))
    visit(proxy, [f"r{number}" for number in range(5)])
    metrics = tally(proxy, eligible=5)
    assert dropped(metrics) == {"age": 4}
    assert counts(metrics, "mismatches", "kind") == {"candidate_timeout": 1}


@until_calm
def test_bytes_held_for_copies_are_bounded(upstreams: Serve, proxies: Start) -> None:
    primary, candidate = upstreams(SAME), upstreams(hangs())
    shadow = {
        "methods": ["POST"],
        "max_bytes": "200KiB",
        "max_body": "100KiB",
        "max_response": "100KiB",
        "timeout": "1s",
    }
    proxy = proxies(settings(primary.url, candidate.url, shadow=shadow))
    for _ in range(6):
        assert ask(proxy.port, request("/", "POST", b"a" * 60_000)).body == b"same"
    assert proxy.metrics().total("shadowproxy_held_bytes") <= 200 * 1024
    metrics = tally(proxy, eligible=6)
    assert dropped(metrics) == {"bytes": 3}
    eventually(lambda: proxy.metrics().total("shadowproxy_held_bytes") == 0, 3)
    assert ask(proxy.port, request("/", "POST", b"a" * 60_000)).body == b"same"
    assert dropped(tally(proxy, eligible=7)) == {"bytes": 3}


def after(seconds: float) -> Script:
    """The same answer, so late."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(seconds)
            await peer.send(answer(b"same"))

    return script


@pytest.mark.parametrize(("seconds", "in_time"), [(0.2, True), (1.2, False)])
@until_calm
def test_a_candidate_that_is_late_is_a_timeout_unless_the_primary_is_as_late(
    upstreams: Serve, proxies: Start, seconds: float, in_time: bool
) -> None:
    proxy = proxies(settings(upstreams(after(seconds)).url, upstreams(hangs()).url, shadow={"timeout": "600ms"}))
    assert ask(proxy.port, request()).body == b"same"
    metrics = tally(proxy, eligible=1)
    assert counts(metrics, "mismatches", "kind") == ({"candidate_timeout": 1} if in_time else {})
    assert counts(metrics, "shadow_lost", "reason") == ({} if in_time else {"primary_incomplete": 1})


@until_calm
def test_a_candidate_may_answer_before_the_primary(upstreams: Serve, proxies: Start) -> None:
    proxy = proxies(settings(upstreams(after(0.3)).url, upstreams(SAME).url))
    visit(proxy, ["a", "b"])
    assert counts(tally(proxy, eligible=2), "comparisons", "verdict") == {"match": 2}


@until_calm
def test_a_primary_that_fails_costs_the_verdict_and_is_no_mismatch(upstreams: Serve, proxies: Start) -> None:
    candidate = upstreams(SAME)
    proxy = proxies(settings(f"http://{HOST}:{free_port()}", candidate.url))
    assert ask(proxy.port, request()).status == 502
    metrics = tally(proxy, eligible=1)
    assert counts(metrics, "mismatches", "kind") == {}
    lost = counts(metrics, "shadow_lost", "reason")
    assert lost == {"primary_incomplete": 1}


@until_calm
def test_an_upload_that_breaks_off_is_never_copied(upstreams: Serve, proxies: Start) -> None:
    primary, candidate = upstreams(SAME), upstreams(SAME)
    proxy = proxies(settings(primary.url, candidate.url, shadow={"methods": ["POST"]}))
    with talk(proxy.port) as line:
        line.send(request("/", "POST", Content_Length="100") + b"half")
        eventually(lambda: b"half" in primary.received)
    metrics = tally(proxy, eligible=1)
    assert dropped(metrics) == {"request_incomplete": 1}
    assert candidate.received == b""


@until_calm
def test_a_refused_request_is_not_copied(upstreams: Serve, proxies: Start) -> None:
    primary, candidate = upstreams(SAME), upstreams(SAME)
    proxy = proxies(settings(primary.url, candidate.url, limits={"body": "5B"}, shadow={"methods": ["GET", "POST"]}))
    send_raw(proxy.port, b"GET / HTTP/1.1\r\n\r\n")
    send_raw(proxy.port, request("/", "POST", b"too long"))
    data = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ntoo long\r\n0\r\n\r\n"
    send_raw(proxy.port, data)
    metrics = tally(proxy)
    assert dropped(metrics) in ({}, {"request_incomplete": 1})
    assert candidate.received == b""


@until_calm
def test_large_equal_responses_match_and_larger_ones_are_incomparable(upstreams: Serve, proxies: Start) -> None:
    pages = {"/fits": answer(b"a" * 100_000), "/large": answer(b"a" * 300_000)}
    primary, candidate = upstreams(by_path(pages)), upstreams(by_path(pages))
    proxy = proxies(settings(primary.url, candidate.url, shadow={"max_response": "200KiB"}))
    assert len(ask(proxy.port, request("/fits")).body) == 100_000
    assert len(ask(proxy.port, request("/large")).body) == 300_000
    metrics = tally(proxy, eligible=2)
    assert counts(metrics, "comparisons", "verdict") == {"match": 1, "incomparable": 1}


@until_calm
def test_a_reload_changes_the_rules_at_once_and_the_books_go_on(upstreams: Serve, proxies: Start) -> None:
    primary, candidate = upstreams(SAME), upstreams(SAME)
    proxy = proxies(settings(primary.url, candidate.url))
    visit(proxy, ["a", "b"])
    tally(proxy, eligible=2)
    assert proxy.config is not None
    text = proxy.config.read_text()
    proxy.config.write_text(text.replace("{", '{"shadow": {"sample": "0%"},', 1))
    proxy.process.send_signal(signal.SIGHUP)
    eventually(lambda: proxy.metrics().total("shadowproxy_config_reloads_total", result="success") == 1, 10)
    visit(proxy, ["c", "d", "e"])
    metrics = tally(proxy, eligible=5)
    assert metrics.total("shadowproxy_shadow_sampled_out_total") == 3


def test_under_many_clients_at_once_the_books_balance(upstreams: Serve, proxies: Start) -> None:
    primary, candidate = upstreams(SAME), upstreams(answers(answer(b"same"), answer(b"other"), answer(b"same")))
    proxy = proxies(settings(primary.url, candidate.url, candidate.url, shadow={"sample": "60%", "max_in_flight": 4}))
    with ExitStack() as stack:
        lines = [stack.enter_context(talk(proxy.port)) for _ in range(20)]
        for _ in range(5):
            for line in lines:
                line.send(request() * 4)
            for line in lines:
                assert [line.reply().status for _ in range(4)] == [200] * 4
    books(proxy, eligible=800)
