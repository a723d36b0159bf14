"""Who a user is: headers, cookies and addresses as they come."""

from __future__ import annotations

import pytest

from shadowproxy.http1 import RequestHead, parse_request
from shadowproxy.model.policy import LimitsPolicy
from shadowproxy.proxy.forwarded import Peer
from shadowproxy.proxy.users import client_address, reader


def head(*lines: bytes) -> RequestHead:
    return parse_request(
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"%b\r\n" % line for line in lines) + b"\r\n", LimitsPolicy()
    )


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"X-User-Id: 17", b"17"),
        (b"x-user-id:\t17 ", b"17"),
        (b"X-User-Id: 17\r\nX-User-Id: 18", b"17"),
        (b"X-User-Id:", b""),
        (b"X-User: 17", b""),
        (b"X-User-Id: 17\r\nConnection: X-User-Id", b""),
    ],
)
def test_a_header(line: bytes, value: bytes) -> None:
    assert reader("X-User-ID", None)(head(line)) == value


@pytest.mark.parametrize(
    ("cookie", "value"),
    [
        (b"Cookie: uid=17", b"17"),
        (b"Cookie: a=b; uid=17; c=d", b"17"),
        (b"cookie:a=b;uid=17", b"17"),
        (b"Cookie: uid=17; uid=18", b"17"),
        (b"Cookie: uid=a=b==", b"a=b=="),
        (b'Cookie: uid="17"', b'"17"'),
        (b"Cookie: uid=", b""),
        (b"Cookie: xuid=17; uid2=18; UID=19", b""),
        (b"Cookie: a=uid=17", b""),
        (b"Cookie: a=b\r\nCookie: uid=17", b"17"),
        (b"X-Cookie: uid=17", b""),
    ],
)
def test_a_cookie(cookie: bytes, value: bytes) -> None:
    assert reader(None, "uid")(head(cookie)) == value


def test_a_cookies_name_is_no_pattern() -> None:
    assert reader(None, "u.d")(head(b"Cookie: uid=17; u.d=18")) == b"18"


def trusts(address: str) -> bool:
    return address.startswith(("10.", "fd"))


@pytest.mark.parametrize(
    ("forwarded_for", "address"),
    [
        (None, b"10.0.0.1"),
        (b"192.0.2.1", b"192.0.2.1"),
        (b"6.6.6.6, 192.0.2.1", b"192.0.2.1"),
        (b"6.6.6.6, 192.0.2.1 ,10.0.0.2", b"192.0.2.1"),
        (b"10.0.0.3, 10.0.0.2", b"10.0.0.3"),
        (b"192.0.2.1:4711", b"192.0.2.1"),
        (b"[2001:db8::1]:4711, 10.0.0.2:80", b"2001:db8::1"),
        (b"2001:db8::1", b"2001:db8::1"),
        (b"unknown", b"unknown"),
    ],
)
def test_the_address_that_trusted_proxies_saw_first(forwarded_for: bytes | None, address: bytes) -> None:
    assert client_address(Peer("10.0.0.1", False, True), forwarded_for, trusts) == address


def test_who_is_not_trusted_is_the_client_itself() -> None:
    assert client_address(Peer("192.0.2.9", False, False), b"192.0.2.1", trusts) == b"192.0.2.9"
    assert client_address(Peer("", False, False), b"192.0.2.1", trusts) == b""
