"""TLS in front of the proxy and behind it: which certificate, who may come, what is verified, what a reload does."""

from __future__ import annotations

import signal
import ssl
import threading
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.e2e import wire
from tests.e2e.clients import curl
from tests.e2e.harness import Proxy, books, eventually
from tests.e2e.talk import ask, counted, rejected, request, settings, talk, tally, until_calm
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer, answers, echoes

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]


class Authority:
    """A CA whose certificates lie in files."""

    def __init__(self, root: Path) -> None:
        self.authority = trustme.CA()
        self._root = root
        self.ca = str(root / "ca.pem")
        self.authority.cert_pem.write_to_path(self.ca)

    def issue(self, name: str, *identities: str) -> dict[str, str]:
        """A certificate and its key: `name`.pem and `name`.key, replaced where they exist."""
        found = self.authority.issue_cert(*(identities or (name,)))
        cert, key = self._root / f"{name}.pem", self._root / f"{name}.key"
        key.write_bytes(found.private_key_pem.bytes())
        cert.write_bytes(b"".join(pem.bytes() for pem in found.cert_chain_pems))
        return {"cert": str(cert), "key": str(key)}

    def client(self, own: dict[str, str] | None = None) -> ssl.SSLContext:
        """What a client that trusts this CA uses, perhaps with a certificate of its own."""
        context = ssl.create_default_context(cafile=self.ca)
        if own:
            context.load_cert_chain(own["cert"], own["key"])
        return context

    def server(self, own: dict[str, str], ask_clients: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own["cert"], own["key"])
        if ask_clients:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def names(port: int, context: ssl.SSLContext, name: str) -> set[str]:
    """The names of the certificate that a client which asks for `name` is shown."""
    with talk(port, context=context, name=name) as line:
        assert isinstance(line.sock, ssl.SSLSocket)
        shown: Any = line.sock.getpeercert()
        return {value for _, value in shown["subjectAltName"]}


def shows(port: int, ca: Authority, name: str) -> bool:
    """Whether the certificate for localhost is the one that also names `name`."""
    return names(port, ca.client(), "localhost") == {"localhost", name}


# In front.


@until_calm
def test_https_is_served_and_said_so_to_the_upstream(upstreams: Serve, proxies: Start, ca: Authority) -> None:
    primary, candidate = upstreams(echoes), upstreams(echoes)
    proxy = proxies(settings(primary.url, candidate.url, tls=ca.issue("localhost")))
    reply = curl(f"https://localhost:{proxy.port}/a?b", "--cacert", ca.ca, "--http2", body=b"hello")
    assert (reply.status, b'"body": "hello"' in reply.body) == (200, True)
    (message,) = wire.requests(primary.received)
    assert message.values(b"x-forwarded-proto") == [b"https"]
    assert message.values(b"x-forwarded-for") == [b"127.0.0.1"]
    with talk(proxy.port, context=ca.client()) as line:
        for _ in range(3):
            line.send(request())
            assert line.reply().status == 200
    tally(proxy, eligible=3)


def test_alpn_says_http_1_1_and_a_client_of_http_2_alone_is_told_so(
    upstreams: Serve, proxies: Start, ca: Authority
) -> None:
    proxy = proxies(settings(upstreams(echoes).url, tls=ca.issue("localhost")))
    both, only = ca.client(), ca.client()
    both.set_alpn_protocols(["h2", "http/1.1"])
    only.set_alpn_protocols(["h2"])
    with talk(proxy.port, context=both) as line:
        assert isinstance(line.sock, ssl.SSLSocket)
        assert line.sock.selected_alpn_protocol() == "http/1.1"
    with talk(proxy.port, context=only) as line:
        assert isinstance(line.sock, ssl.SSLSocket)
        assert line.sock.selected_alpn_protocol() is None
        line.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert line.reply().status == 505
        assert line.rest() == b""
    counted(proxy, version=1)


def test_the_server_name_picks_the_certificate(upstreams: Serve, proxies: Start, ca: Authority) -> None:
    certificates = [
        ca.issue("first.example"),
        {**ca.issue("second.example"), "names": ["second.example"]},
        {**ca.issue("wild", "*.third.example"), "names": ["*.third.example"]},
    ]
    proxy = proxies(settings(upstreams(echoes).url, tls=certificates))
    client = ca.client()
    assert names(proxy.port, client, "first.example") == {"first.example"}
    assert names(proxy.port, client, "SECOND.example") == {"second.example"}
    assert names(proxy.port, client, "a.third.example") == {"*.third.example"}
    client.check_hostname = False
    assert names(proxy.port, client, "unknown.example") == {"first.example"}


def test_a_required_client_certificate_is_required(
    upstreams: Serve, proxies: Start, ca: Authority, tmp_path: Path
) -> None:
    proxy = proxies(settings(upstreams(echoes).url, tls={**ca.issue("localhost"), "client_ca": ca.ca}))
    assert ask(proxy.port, request(), context=ca.client(ca.issue("me@example.org"))).status == 200
    (tmp_path / "other").mkdir()
    for context in (ca.client(), ca.client(Authority(tmp_path / "other").issue("stranger"))):
        with pytest.raises((ssl.SSLError, AssertionError, OSError)):
            ask(proxy.port, request(), context=context)
    counted(proxy, tls_handshake=2)


def test_an_optional_client_certificate_is_checked_where_there_is_one(
    upstreams: Serve, proxies: Start, ca: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other").issue("stranger")
    tls = {**ca.issue("localhost"), "client_ca": ca.ca, "client_required": False}
    proxy = proxies(settings(upstreams(echoes).url, tls=tls))
    assert ask(proxy.port, request(), context=ca.client()).status == 200
    assert ask(proxy.port, request(), context=ca.client(ca.issue("me"))).status == 200
    with pytest.raises((ssl.SSLError, AssertionError, OSError)):
        ask(proxy.port, request(), context=ca.client(stranger))


def test_old_versions_and_other_protocols_get_no_handshake(upstreams: Serve, proxies: Start, ca: Authority) -> None:
    proxy = proxies(settings(upstreams(echoes).url, tls=ca.issue("localhost"), timeouts={"tls": "300ms"}))
    old = ca.client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.raises(ssl.SSLError), talk(proxy.port, context=old):
        pass
    with talk(proxy.port) as plain:
        plain.send(request())
        assert b"HTTP" not in plain.rest()
    with talk(proxy.port) as silent:
        assert silent.rest(3) == b""
    counted(proxy, tls_handshake=3)
    assert ask(proxy.port, request(), context=ca.client()).status == 200


def test_a_refused_upload_over_tls_still_reads_its_answer(upstreams: Serve, proxies: Start, ca: Authority) -> None:
    proxy = proxies(settings(upstreams(echoes).url, tls=ca.issue("localhost"), limits={"body": "1KiB"}))
    with talk(proxy.port, context=ca.client()) as line:
        line.send(request("/", "POST", b"a" * (20 << 20)))
        assert line.reply().status == 413
        assert line.rest() == b""
        assert line.ended == "fin"


def test_a_large_body_passes_both_ways_over_tls(upstreams: Serve, proxies: Start, ca: Authority) -> None:
    async def back(peer: Peer) -> None:
        _, body = await peer.request()
        await peer.send(answer(body))

    body = bytes(range(256)) * (4 << 12)
    primary = RawUpstream(back, context=ca.server(ca.issue("127.0.0.1")))
    with primary.running():
        proxy = proxies(settings({"urls": [primary.url], "tls": {"ca": ca.ca}}, tls=ca.issue("localhost")))
        assert ask(proxy.port, request("/", "POST", body), context=ca.client()).body == body


def reload(proxy: Proxy) -> None:
    before = proxy.metrics().total("shadowproxy_config_reloads_total")
    proxy.process.send_signal(signal.SIGHUP)
    eventually(lambda: proxy.metrics().total("shadowproxy_config_reloads_total") > before, 10)


def test_a_replaced_certificate_is_shown_after_a_reload_and_nobody_notices(
    upstreams: Serve, proxies: Start, ca: Authority
) -> None:
    certificate = ca.issue("here", "localhost", "old.example")
    proxy = proxies(settings(upstreams(answers(answer(b"x"))).url, tls=certificate))
    stop, failures, served = threading.Event(), [], [0]

    def visits() -> None:
        while not stop.is_set():
            try:
                assert ask(proxy.port, request(), context=ca.client()).body == b"x"
                served[0] += 1
            except (OSError, AssertionError) as error:
                failures.append(error)

    visitor = threading.Thread(target=visits)
    with talk(proxy.port, context=ca.client()) as kept:
        kept.send(request())
        assert kept.reply().body == b"x"
        visitor.start()
        for turn in ("new.example", "newer.example", "newest.example"):
            ca.issue("here", "localhost", turn)
            reload(proxy)
            eventually(partial(shows, proxy.port, ca, turn))
            kept.send(request())
            assert kept.reply().body == b"x"
        stop.set()
        visitor.join()
    assert failures == []
    assert served[0] > 3
    assert rejected(proxy.metrics()) == {}


def test_a_certificate_that_cannot_be_used_changes_nothing(upstreams: Serve, proxies: Start, ca: Authority) -> None:
    certificate = ca.issue("here", "localhost", "old.example")
    proxy = proxies(settings(upstreams(echoes).url, tls=certificate))
    Path(certificate["cert"]).write_text("no certificate")
    reload(proxy)
    assert names(proxy.port, ca.client(), "localhost") == {"localhost", "old.example"}
    assert proxy.metrics().total("shadowproxy_config_reloads_total", result="failure") == 1
    ca.issue("here", "localhost", "new.example")
    reload(proxy)
    eventually(lambda: "new.example" in names(proxy.port, ca.client(), "localhost"))


# Behind.


def test_an_upstream_is_verified_by_its_authority_and_its_name(proxies: Start, ca: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    with RawUpstream(answers(answer(b"x")), context=ca.server(ca.issue("127.0.0.1"))).running() as good:
        by_ip = proxies(settings({"urls": [good.url], "tls": {"ca": ca.ca}}))
        assert ask(by_ip.port, request()).body == b"x"
        (message,) = wire.requests(good.received)
        assert message.values(b"host") == [b"shop"]
        for tls in ({}, {"ca": other.ca}, {"ca": ca.ca, "server_name": "shop.example"}):
            proxy = proxies(settings({"urls": [good.url], "tls": tls}))
            got = ask(proxy.port, request())
            assert (got.status, b"502 Bad Gateway: tls" in got.body) == (502, True)
            counted(proxy, tls=1)
        trusting = proxies(settings({"urls": [good.url], "tls": {"verify": False}}))
        assert ask(trusting.port, request()).body == b"x"


def test_an_upstream_of_another_name_is_asked_for_by_that_name(proxies: Start, ca: Authority) -> None:
    with RawUpstream(answers(answer(b"x")), context=ca.server(ca.issue("shop.example"))).running() as upstream:
        proxy = proxies(settings({"urls": [upstream.url], "tls": {"ca": ca.ca, "server_name": "shop.example"}}))
        assert ask(proxy.port, request()).body == b"x"


def test_an_upstream_that_asks_for_a_certificate_gets_one(proxies: Start, ca: Authority) -> None:
    context = ca.server(ca.issue("127.0.0.1"), ask_clients=True)
    with RawUpstream(answers(answer(b"x")), context=context).running() as upstream:
        proxy = proxies(settings({"urls": [upstream.url], "tls": {"ca": ca.ca, **ca.issue("proxy")}}))
        assert ask(proxy.port, request()).body == b"x"
        without = proxies(settings({"urls": [upstream.url], "tls": {"ca": ca.ca}}))
        assert ask(without.port, request()).status == 502


@until_calm
def test_a_candidate_that_cannot_be_verified_is_a_mismatch_of_its_own(
    upstreams: Serve, proxies: Start, ca: Authority
) -> None:
    primary = upstreams(answers(answer(b"x")))
    with RawUpstream(answers(answer(b"x")), context=ca.server(ca.issue("127.0.0.1"))).running() as candidate:
        proxy = proxies(settings(primary.url, candidate.url))
        for _ in range(5):
            assert ask(proxy.port, request()).body == b"x"
        metrics = tally(proxy, eligible=5)
        assert metrics.total("shadowproxy_mismatches_total", kind="candidate_tls") == 5
        assert metrics.total("shadowproxy_mismatches_total") == 5
        assert candidate.received == b""


def test_a_truncated_body_over_tls_is_no_clean_end(proxies: Start, ca: Authority) -> None:
    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        peer.reset()

    with RawUpstream(cut, context=ca.server(ca.issue("127.0.0.1"))).running() as upstream:
        proxy = proxies(settings({"urls": [upstream.url], "tls": {"ca": ca.ca}}))
        with talk(proxy.port) as line:
            line.send(request())
            assert not line.rest().endswith(b"0\r\n\r\n")


# Sockets of other families.


def test_unix_sockets_serve_on_both_sides(proxies: Start, tmp_path: Path) -> None:
    with RawUpstream(answers(answer(b"x")), path=str(tmp_path / "up.sock")).running() as upstream:
        here = tmp_path / "here.sock"
        listen = [f"unix:{here}", "127.0.0.1:0"]
        proxy = proxies(settings(upstream.url, upstream.url, listen=listen, trusted_proxies=["unix"]))
        assert ask(here, request(X_Forwarded_For="9.9.9.9", X_Shadow_Request="candidate")).body == b"x"
        assert ask(here, request(X_Forwarded_For="9.9.9.9")).body == b"x"
        books(proxy, eligible=1)
        first = wire.requests(upstream.received)[0]
        assert first.values(b"x-forwarded-for") == [b"9.9.9.9"]
        assert first.values(b"x-shadow-request") == [b"candidate"]


def test_unix_peers_are_not_believed_unasked(proxies: Start, upstreams: Serve, tmp_path: Path) -> None:
    primary, here = upstreams(answers(answer(b"x"))), tmp_path / "here.sock"
    proxies(settings(primary.url, listen=f"unix:{here}"))
    assert ask(here, request(X_Forwarded_For="9.9.9.9")).body == b"x"
    assert wire.requests(primary.received)[0].values(b"x-forwarded-for") == []


def test_ipv6_is_listened_on_and_said(proxies: Start, upstreams: Serve) -> None:
    primary = upstreams(answers(answer(b"x")))
    proxy = proxies(settings(primary.url, listen="[::1]:0"), ready=False)
    eventually(lambda: "serves" in proxy.tail())
    port = int(proxy.tail().partition("http://[::1]:")[2].partition('"')[0])
    assert ask(port, request(), host="::1").body == b"x"
    assert wire.requests(primary.received)[0].values(b"x-forwarded-for") == [b"::1"]
