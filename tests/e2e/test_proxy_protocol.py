"""The PROXY protocol in front: the address of a client behind another proxy, in text or binary, however it comes."""

from __future__ import annotations

import ipaddress
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import wire
from tests.e2e.harness import Proxy, books, eventually
from tests.e2e.talk import counted, rejected, request, settings, talk
from tests.e2e.test_tls import Authority
from tests.e2e.upstreams import RawUpstream, Script, answer, answers

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command: int, family: int, payload: bytes) -> bytes:
    return SIGNATURE + struct.pack(">BBH", 0x20 | command, family, len(payload)) + payload


def v2_inet(source: str, more: bytes = b"") -> bytes:
    address = ipaddress.ip_address(source)
    wide = address.version == 6
    zero = b"\x00" * (16 if wide else 4)
    return v2(1, 0x21 if wide else 0x11, address.packed + zero + struct.pack(">HH", 4711, 80) + more)


HEADERS = {
    "v1": (b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n", b"203.0.113.7"),
    "v1 IPv6": (b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n", b"2001:db8::7"),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", b"127.0.0.1"),
    "v1 unknown, talkative": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", b"127.0.0.1"),
    "v2": (v2_inet("203.0.113.7"), b"203.0.113.7"),
    "v2 IPv6 with TLVs": (v2_inet("2001:db8::7", b"\x04\x00\x03abc" * 100), b"2001:db8::7"),
    "v2 local": (v2(0, 0, b""), b"127.0.0.1"),
    "v2 local with TLVs": (v2(0, 0, b"\x04\x00\x03abc"), b"127.0.0.1"),
    "v2 unix": (v2(1, 0x31, b"\x00" * 216), b"127.0.0.1"),
}
GARBAGE = [
    request(),
    b"PROXY TCP4 203.0.113.7 10.0.0.1 4711\r\n",
    b"PROXY TCP4 2001:db8::7 ::1 4711 80\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 x\r\n",
    b"PROXY TCP4 nonsense 10.0.0.1 4711 80\r\n",
    b"PROXY " + b"x" * 200,
    b"\x16\x03\x01\x02\x00",
    SIGNATURE + b"\x11\x11\x00\x0c" + b"\x00" * 12,
    SIGNATURE + b"\x22\x11\x00\x0c" + b"\x00" * 12,
    SIGNATURE + b"\x21\x11\xff\xff",
]


@pytest.fixture
def primary(upstreams: Serve) -> RawUpstream:
    return upstreams(answers(answer(b"x")))


@pytest.fixture
def proxy(proxies: Start, primary: RawUpstream) -> Proxy:
    return proxies(settings(primary.url, primary.url, proxy_protocol=True, timeouts={"head": "500ms"}))


def forwarded(primary: RawUpstream, target: str = "/") -> set[bytes]:
    """The client's address as the upstream was told it with requests for `target`, copies included."""
    messages = [m for m in wire.requests(primary.received) if m.start[1] == target.encode()]
    return {m.values(b"x-forwarded-for")[0] for m in messages}


def test_the_address_is_the_one_in_the_header(proxy: Proxy, primary: RawUpstream) -> None:

    for number, (name, (header, address)) in enumerate(HEADERS.items()):
        with talk(proxy.port) as line:
            line.send(header + request(f"/{number}"))
            assert line.reply().body == b"x", name
            line.send(request(f"/{number}"))
            assert line.reply().body == b"x", name
        books(proxy)
        assert forwarded(primary, f"/{number}") == {address}, name
    assert rejected(proxy.metrics()) == {}


def test_the_header_may_come_byte_by_byte(proxy: Proxy, primary: RawUpstream) -> None:
    for name in ("v1", "v2"):
        header, address = HEADERS[name]
        data = header + request(f"/{name}")
        with talk(proxy.port) as line:
            for index in range(len(data)):
                line.send(data[index : index + 1])
            assert line.reply().body == b"x"
        books(proxy)
        assert forwarded(primary, f"/{name}") == {address}


def test_what_is_no_header_is_closed_without_a_word_and_counted(proxy: Proxy, primary: RawUpstream) -> None:
    for garbage in GARBAGE:
        with talk(proxy.port) as line:
            line.send(garbage)
            assert line.rest(2) == b"", garbage
    counted(proxy, proxy_protocol=len(GARBAGE))
    assert primary.received == b""


def test_a_header_that_does_not_end_is_given_up(proxy: Proxy) -> None:
    begin = time.monotonic()
    with talk(proxy.port) as half, talk(proxy.port) as silent:
        half.send(b"PROXY TCP4 203.0")
        assert half.rest(3) == b""
        assert silent.rest(3) == b""
    assert 0.3 < time.monotonic() - begin < 2.5
    counted(proxy, proxy_protocol=2)


def test_a_check_that_only_connects_is_nobodys_fault(proxy: Proxy) -> None:
    for _ in range(3):
        with talk(proxy.port):
            pass
    with talk(proxy.port) as line:
        line.send(HEADERS["v1"][0] + request())
        assert line.reply().body == b"x"
    assert rejected(proxy.metrics()) == {}


def test_a_trusted_header_says_whose_forwarding_fields_are_believed(proxies: Start, primary: RawUpstream) -> None:
    proxy = proxies(settings(primary.url, proxy_protocol=True, trusted_proxies=["203.0.113.0/24"]))
    for source, address in (("203.0.113.7", b"9.9.9.9, 203.0.113.7"), ("198.51.100.7", b"198.51.100.7")):
        with talk(proxy.port) as line:
            line.send(v2_inet(source) + request(f"/{source}", X_Forwarded_For="9.9.9.9"))
            assert line.reply().body == b"x"
        assert forwarded(primary, f"/{source}") == {address}


@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_a_header_stands_in_front_of_tls_as_well(
    proxies: Start, primary: RawUpstream, tmp_path: Path, piece: int
) -> None:
    ca = Authority(tmp_path)
    proxy = proxies(settings(primary.url, proxy_protocol=True, tls=ca.issue("localhost")))
    with talk(proxy.port) as line:
        header = HEADERS["v2"][0]
        for start in range(0, len(header), piece):
            line.send(header[start : start + piece])
        with ca.client().wrap_socket(line.sock, server_hostname="localhost") as secure:
            secure.sendall(request())
            assert secure.recv(65536).endswith(b"x")
    assert forwarded(primary) == {b"203.0.113.7"}
    with talk(proxy.port) as line:
        line.send(HEADERS["v2"][0] + b"not a handshake at all")
        line.rest(3)
    counted(proxy, tls_handshake=1)


def test_the_limit_of_connections_counts_those_that_have_not_said_who_they_are(
    proxies: Start, primary: RawUpstream
) -> None:
    proxy = proxies(settings(primary.url, proxy_protocol=True, limits={"connections": 2}))
    with talk(proxy.port) as one, talk(proxy.port):
        with talk(proxy.port) as three:
            assert three.rest(2) == b""
        one.send(HEADERS["v1"][0] + request())
        assert one.reply().body == b"x"
    eventually(lambda: proxy.metrics().total("shadowproxy_client_connections") == 0)
    counted(proxy, connections=1)


def test_a_unix_listener_takes_a_header_too(proxies: Start, primary: RawUpstream, tmp_path: Path) -> None:
    here = tmp_path / "here.sock"
    proxies(settings(primary.url, listen=f"unix:{here}", proxy_protocol=True))
    with talk(here) as line:
        line.send(HEADERS["v1"][0] + request())
        assert line.reply().body == b"x"
    assert forwarded(primary) == {b"203.0.113.7"}
