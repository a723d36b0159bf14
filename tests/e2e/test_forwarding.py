"""What arrives is what was sent: targets, fields, bodies; and what the proxy says of itself and of earlier hops."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable

import pytest

from tests.e2e import wire
from tests.e2e.clients import curl, node_fetch, send_raw
from tests.e2e.harness import Proxy
from tests.e2e.ports import HOST, free_port
from tests.e2e.talk import ask, counted, request, settings, talk, tally, until_calm
from tests.e2e.upstreams import RawUpstream, Script, answer, answers, by_path, echoes

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]
TRUST = {"trusted_proxies": [f"{HOST}/32"]}
OWN = {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"via", b"x-request-id"}


def sent(upstream: RawUpstream) -> wire.Message:
    """The only request that the upstream got."""
    (message,) = wire.requests(upstream.received)
    return message


@until_calm
def test_the_target_and_the_fields_arrive_as_they_were_sent(upstreams: Serve, proxies: Start) -> None:
    primary, candidate = upstreams(answers(answer())), upstreams(answers(answer()))
    proxy = proxies(settings(primary.url, candidate.url))
    target = "//a/../b/./%2e%2E/%c3%A4;p=1/x%20y?q=a+b&q=%3D&&empty=&q=a/../b??'\"|"
    lines = [
        b"hOsT: Shop.Example:8080",
        b"X-B: 2",
        b"x-a: 1",
        b"X-b: 3",
        b"Cookie: a=1; b=2",
        b"Cookie: c=3",
        b"Empty:",
        b"Accept: text/html , */*;q=0.1",
        b"X-Latin: caf\xe9",
        b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        b"tracestate: a=1,b=2",
        b"X-B: 2",
    ]
    send_raw(proxy.port, b"\r\n".join([f"GET {target} HTTP/1.1".encode(), *lines, b"Connection: close", b"", b""]))
    tally(proxy, eligible=1)
    for upstream in (primary, candidate):
        message = sent(upstream)
        assert message.start == (b"GET", target.encode())
        rows = bytes(upstream.received).split(b"\r\n")[1:-2]
        assert [row.replace(b": ", b":") for row in rows][: len(lines)] == [row.replace(b": ", b":") for row in lines]
        assert {name.lower() for name, _ in message.fields[len(lines) :]} - {b"x-shadow-request"} == OWN


def test_the_answer_arrives_as_it_was_sent(upstreams: Serve, proxies: Start) -> None:
    head = (
        b"HTTP/1.1 299 Rather  Fine\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nset-cookie: a=1\r\nServer: them\r\n"
        b'Set-Cookie: b=2; Path=/\r\nX-Latin: caf\xe9\r\nETag: W/"x"\r\nContent-Length: 3\r\n\r\n'
    )
    primary = upstreams(answers(head + b"abc"))
    proxy = proxies(settings(primary.url))
    with talk(proxy.port) as line:
        for _ in range(2):
            line.send(request())
            assert line.until(b"\r\n\r\n") == head
            assert line.until(b"abc") == b"abc"


@until_calm
def test_redirects_and_compressed_bodies_pass_untouched(upstreams: Serve, proxies: Start) -> None:
    packed = gzip.compress(b"hello" * 1000)
    pages = {
        "/go": answer(b"", "302 Found", Location="http://elsewhere.example/a?b=c"),
        "/gz": answer(packed, Content_Encoding="gzip", Vary="Accept-Encoding"),
    }
    primary, candidate = upstreams(by_path(pages)), upstreams(by_path(pages))
    proxy = proxies(settings(primary.url, candidate.url))
    moved = curl(proxy.url + "/go")
    assert (moved.status, moved.field("location")) == (302, "http://elsewhere.example/a?b=c")
    raw = curl(proxy.url + "/gz", "-H", "Accept-Encoding: gzip")
    assert (raw.body, raw.field("content-encoding"), raw.field("content-length")) == (packed, "gzip", str(len(packed)))
    assert node_fetch(proxy.url + "/gz")[0].body == b"hello" * 1000
    tally(proxy, eligible=3)
    assert [m.start[1] for m in wire.requests(candidate.received)] == [b"/go", b"/gz", b"/gz"]


def test_hop_by_hop_fields_end_here_on_both_ways(upstreams: Serve, proxies: Start) -> None:
    reply = answer(b"x", Connection="X-Secret, keep-alive", X_Secret="1", Keep_Alive="timeout=5", Proxy_Connection="x")
    primary = upstreams(answers(reply))
    proxy = proxies(settings(primary.url))
    got = ask(
        proxy.port,
        request(
            Connection="X-Mine, keep-alive, TE",
            X_Mine="1",
            Keep_Alive="5",
            Proxy_Connection="keep-alive",
            TE="gzip",
            Proxy_Authorization="secret",
        ),
    )
    assert {name.lower() for name, _ in got.fields} <= {b"date", b"content-length"}
    names = {name.lower() for name, _ in sent(primary).fields}
    assert not names & {b"x-mine", b"keep-alive", b"proxy-connection", b"te", b"connection"}


def test_the_connection_field_cannot_remove_what_the_proxy_says(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer()))
    proxy = proxies(settings(primary.url))
    names = "X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Via, X-Request-Id, Host, Content-Length, X-Own"
    ask(proxy.port, request("/", "POST", b"abc", Connection=names, X_Own="1", X_Request_Id="mine"))
    message = sent(primary)
    assert {name.lower() for name, _ in message.fields} >= OWN | {b"host"}
    assert message.values(b"x-own") == []
    assert message.values(b"x-request-id") == [b"mine"]
    assert (message.body, message.values(b"host")) == (b"abc", [b"shop"])


def test_a_stranger_is_not_believed_about_the_hops_before(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer()))
    proxy = proxies(settings(primary.url))
    ask(
        proxy.port,
        request(
            X_Forwarded_For="1.2.3.4",
            X_Forwarded_Proto="https",
            X_Forwarded_Host="evil",
            X_Shadow_Request="candidate",
            Via="1.1 theirs",
        ),
    )
    message = sent(primary)
    assert message.values(b"x-forwarded-for") == [HOST.encode()]
    assert message.values(b"x-forwarded-proto") == [b"http"]
    assert message.values(b"x-forwarded-host") == [b"shop"]
    assert message.values(b"x-shadow-request") == []
    via = message.values(b"via")
    assert via[0] == b"1.1 theirs"
    assert re.fullmatch(rb"1\.1 shadowproxy-[0-9a-f]{12}", via[1])


def test_a_trusted_proxy_is_believed_and_its_word_extended(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer()))
    proxy = proxies(settings(primary.url, **TRUST))
    ask(
        proxy.port,
        request(X_Forwarded_For="1.2.3.4, 10.0.0.1", X_Forwarded_Proto="https", X_Forwarded_Host="shop.example"),
    )
    message = sent(primary)
    assert message.values(b"x-forwarded-for") == [b"1.2.3.4, 10.0.0.1, " + HOST.encode()]
    assert message.values(b"x-forwarded-proto") == [b"https"]
    assert message.values(b"x-forwarded-host") == [b"shop.example"]


def test_a_trusted_proxy_that_says_nothing_is_described_like_any_other(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer()))
    proxy = proxies(settings(primary.url, **TRUST))
    ask(proxy.port, request())
    message = sent(primary)
    assert message.values(b"x-forwarded-for") == [HOST.encode()]
    assert message.values(b"x-forwarded-proto") == [b"http"]
    assert message.values(b"x-forwarded-host") == [b"shop"]


def test_several_forwarded_for_lines_become_one_list(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer()))
    proxy = proxies(settings(primary.url, **TRUST))
    lines = b"GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 1.1.1.1\r\nA: b\r\nx-forwarded-for: 2.2.2.2, 3.3.3.3\r\n"
    ask(proxy.port, lines + b"\r\n")
    assert sent(primary).values(b"x-forwarded-for") == [b"1.1.1.1, 2.2.2.2, 3.3.3.3, " + HOST.encode()]


@until_calm
def test_a_believed_copy_is_served_with_its_mark_and_never_mirrored(upstreams: Serve, proxies: Start) -> None:
    primary, candidate = upstreams(answers(answer())), upstreams(answers(answer()))
    proxy = proxies(settings(primary.url, candidate.url, **TRUST))
    assert ask(proxy.port, request(X_Shadow_Request="candidate")).status == 200
    assert sent(primary).values(b"x-shadow-request") == [b"candidate"]
    metrics = tally(proxy, eligible=0)
    assert metrics.total("shadowproxy_copies_received_total") == 1
    assert candidate.received == b""


@until_calm
def test_the_request_id_is_the_same_on_every_leg(upstreams: Serve, proxies: Start) -> None:
    arms = [upstreams(answers(answer())) for _ in range(3)]
    proxy = proxies(settings(*(arm.url for arm in arms)))
    ask(proxy.port, request(X_Request_Id="mine-1"))
    ask(proxy.port, request())
    ask(proxy.port, request())
    tally(proxy, eligible=6)
    ids = [[m.values(b"x-request-id") for m in wire.requests(arm.received)] for arm in arms]
    assert ids[0] == ids[1] == ids[2]
    assert ids[0][0] == [b"mine-1"]
    made = [values[0] for values in ids[0][1:]]
    assert len(set(made)) == 2
    assert all(re.fullmatch(rb"[0-9a-f]{32}", one) for one in made)
    assert [m.values(b"x-shadow-request") for m in wire.requests(arms[1].received)] == [[b"candidate"]] * 3
    assert [m.values(b"x-shadow-request") for m in wire.requests(arms[2].received)] == [[b"secondary"]] * 3


def test_an_answer_of_the_proxys_own_carries_the_request_id(proxies: Start) -> None:
    proxy = proxies(settings(f"http://{HOST}:{free_port()}"))
    got = ask(proxy.port, request(X_Request_Id="mine-2"))
    assert got.status == 502
    assert got.values(b"x-request-id") == [b"mine-2"]
    assert b"mine-2" in got.body
    assert got.values(b"connection") == [b"close"]
    counted(proxy, refused=1)


def test_a_loop_over_two_proxies_is_cut(proxies: Start) -> None:
    here, there = free_port(), free_port()
    first = proxies(settings(f"http://{HOST}:{there}", listen=f"{HOST}:{here}"))
    second = proxies(settings(f"http://{HOST}:{here}", listen=f"{HOST}:{there}"))
    assert ask(here, request()).status == 508
    counted(first, loop=1)
    counted(second)


def test_two_proxies_in_a_row_are_no_loop(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer()))
    inner = proxies(settings(primary.url, **TRUST))
    outer = proxies(settings(inner.url))
    assert ask(outer.port, request()).status == 200
    assert len(sent(primary).values(b"via")) == 2
    assert sent(primary).values(b"x-forwarded-for") == [f"{HOST}, {HOST}".encode()]


def test_absolute_form_becomes_origin_form_with_the_urls_host(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer()))
    proxy = proxies(settings(primary.url))
    ask(proxy.port, request("http://Other.Example:81/a?b=c"))
    message = sent(primary)
    assert message.start == (b"GET", b"/a?b=c")
    assert message.values(b"host") == [b"Other.Example:81"]


@pytest.mark.parametrize(("method", "status"), [("CONNECT", 405), ("TRACE", 405)])
def test_tunnels_and_traces_are_refused(upstreams: Serve, proxies: Start, method: str, status: int) -> None:
    primary = upstreams(answers(answer()))
    proxy = proxies(settings(primary.url))
    assert ask(proxy.port, request("shop:443" if method == "CONNECT" else "/", method)).status == status
    counted(proxy, method_refused=1)
    assert primary.received == b""


def test_http2_with_prior_knowledge_is_refused_cleanly(upstreams: Serve, proxies: Start) -> None:
    proxy = proxies(settings(upstreams(answers(answer())).url))
    with talk(proxy.port) as line:
        line.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        got = line.reply()
        assert got.status == 505
        assert line.rest() == b""
    counted(proxy, version=1)


def test_requests_find_their_service_and_their_route(upstreams: Serve, proxies: Start) -> None:
    arms = {name: upstreams(answers(answer(name.encode()))) for name in ("shop", "cart", "rest")}
    services = {
        "cart": {"match": {"host": "*.example", "path": "/cart"}, **settings(arms["cart"].url)},
        "shop": {"match": {"host": "shop.example"}, **settings(arms["shop"].url)},
        "rest": {
            "match": {"path": "/rest"},
            "routes": [{"name": "one", "match": {"path": "/rest/{id}", "methods": ["GET"]}}],
            **settings(arms["rest"].url),
        },
    }
    proxy = proxies({"services": services})
    for host, target, body in [
        ("shop.example", "/cart/1", b"cart"),
        ("SHOP.example:8080", "/carts", b"shop"),
        ("other", "/rest/1", b"rest"),
        ("other", "/rest/1/2", b"rest"),
    ]:
        assert ask(proxy.port, request(target, Host=host)).body == body
    assert ask(proxy.port, request("/elsewhere", Host="other")).status == 404
    counted(proxy, no_service=1)
    served = proxy.metrics().of("shadowproxy_requests_total", "service", "route")
    assert {row: count for row, count in served.items() if count} == {
        ("cart", "other"): 1,
        ("shop", "other"): 1,
        ("rest", "one"): 1,
        ("rest", "other"): 1,
    }


def test_bodies_and_methods_of_every_kind_arrive(upstreams: Serve, proxies: Start) -> None:
    proxy = proxies(settings(upstreams(echoes).url))
    for method in ("POST", "PUT", "PATCH", "DELETE", "PROPFIND"):
        reply = curl(proxy.url + "/x?y", "-X", method, body=b"a\r\n\r\n0\r\n\r\nb" * 100)
        document = json.loads(reply.body)
        assert (document["method"], document["body"]) == (method, "a\r\n\r\n0\r\n\r\nb" * 100)
    chunked = curl(proxy.url, "-H", "Transfer-Encoding: chunked", body=b"z" * 100_000)
    assert json.loads(chunked.body)["body"] == "z" * 100_000
