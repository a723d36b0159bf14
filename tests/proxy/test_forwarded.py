"""What an upstream is told of the client: ours for strangers, extended for those who are trusted."""

from __future__ import annotations

import pytest

from tests.fakes.stage import Stage, policy

VIA = b"Via: 1.1 shadowproxy-0123456789ab\r\n"
HEAD = b"GET / HTTP/1.1\r\nHost: shop:8080\r\n"


def forwarded(request: bytes, trusted: bool = False, secure: bool = False) -> bytes:
    s = Stage(policy(trusted_proxies=("192.0.2.0/24",) if trusted else ()))
    s.client(secure).send(request)
    return s.at().take()


def test_a_stranger_is_described_by_us_alone() -> None:
    lies = b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nx-forwarded-host: evil\r\n"
    out = forwarded(HEAD + lies + b"X-Shadow-Request: candidate\r\n\r\n")
    assert out.count(b"X-Forwarded-For: 192.0.2.7\r\n") == 1
    assert b"X-Forwarded-Proto: http\r\nX-Forwarded-Host: shop:8080\r\n" + VIA in out
    assert b"1.2.3.4" not in out
    assert b"evil" not in out
    assert b"X-Shadow-Request" not in out
    assert b"X-Forwarded-Proto: https\r\n" in forwarded(HEAD + b"\r\n", secure=True)


def test_a_trusted_proxy_is_believed_and_extended() -> None:
    out = forwarded(HEAD + b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\r\n", trusted=True)
    assert out.count(b"X-Forwarded-For: 1.2.3.4, 192.0.2.7\r\n") == 1
    assert out.count(b"X-Forwarded-Proto") == 1
    assert b"X-Forwarded-Proto: https\r\n" in out
    assert b"X-Forwarded-Host: shop:8080\r\n" in out
    assert VIA in out
    out = forwarded(HEAD + b"X-Forwarded-Host: front\r\n\r\n", trusted=True)
    assert b"X-Forwarded-For: 192.0.2.7\r\n" in out
    assert b"X-Forwarded-Proto: http\r\n" in out
    assert out.count(b"X-Forwarded-Host") == 1


@pytest.mark.parametrize(
    "lines",
    [b"", b"X-Request-Id:\r\n", b"X-Request-Id: mine\r\n", b"Connection: x-request-id\r\nX-Request-Id: mine\r\n"],
)
def test_there_is_always_one_request_id(lines: bytes) -> None:
    out = forwarded(HEAD + lines + b"\r\n")
    assert out.lower().count(b"x-request-id:") == 1
    assert (b"X-Request-Id: mine\r\n" in out) is (b"mine" in lines)


def test_no_connection_option_takes_our_own_lines_away() -> None:
    out = forwarded(
        HEAD + b"Connection: via, x-forwarded-for, x-forwarded-proto, x-request-id, x-mine\r\nX-Mine: 1\r\n\r\n"
    )
    for name in (b"Via", b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Request-Id"):
        assert out.count(name + b": ") == 1
    assert b"X-Mine" not in out


def test_via_of_earlier_hops_stays() -> None:
    assert b"Via: 1.0 front\r\n" in forwarded(HEAD + b"Via: 1.0 front\r\n\r\n")


def test_an_upgrade_is_asked_for_again() -> None:
    out = forwarded(HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in out
    assert b"Upgrade" not in forwarded(HEAD + b"Upgrade: websocket\r\n\r\n")
