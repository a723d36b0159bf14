"""PROXY headers, versions 1 and 2, for any split, and nothing that only looks like one."""

from __future__ import annotations

import struct

import pytest

from shadowproxy.runtime.proxy_protocol import SIGNATURE, ProxyHeaderError, parse


def binary(command: int, family: int, body: bytes, version: int = 2) -> bytes:
    return SIGNATURE + struct.pack(">BBH", version << 4 | command, family, len(body)) + body


INET = bytes([203, 0, 113, 9, 10, 0, 0, 1]) + struct.pack(">HH", 1234, 80)
INET6 = bytes(15) + b"\x01" + bytes(16) + struct.pack(">HH", 1234, 80)
SOUND = [
    (b"PROXY TCP4 203.0.113.9 10.0.0.1 1234 80\r\n", "203.0.113.9"),
    (b"PROXY TCP6 2001:db8::1 ::1 1234 80\r\n", "2001:db8::1"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    (binary(1, 0x11, INET), "203.0.113.9"),
    (binary(1, 0x21, INET6), "::1"),
    (binary(1, 0x11, INET + b"\x03\x00\x04abcd"), "203.0.113.9"),
    (binary(0, 0x00, b""), None),
    (binary(0, 0x11, INET), None),
    (binary(1, 0x00, b"junk"), None),
    (binary(1, 0x31, bytes(216)), None),
]


@pytest.mark.parametrize(("header", "address"), SOUND)
def test_a_sound_header_is_known_once_it_is_whole_and_what_follows_is_left(header: bytes, address: str | None) -> None:
    for cut in range(1, len(header)):
        assert parse(header[:cut]) is None
    assert parse(header) == (len(header), address)
    assert parse(header + b"GET / HTTP/1.1\r\n") == (len(header), address)


@pytest.mark.parametrize(
    "header",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01",
        b"PROXY\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 1234\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 a b\r\n",
        b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
        b"PROXY TCP6 203.0.113.9 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 nonsense 10.0.0.1 1 2\r\n",
        b"PROXY UDP4 203.0.113.9 10.0.0.1 1 2\r\n",
        b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
        b"PROXY TCP4 " + b"1" * 100,
        binary(1, 0x11, INET, version=1),
        binary(2, 0x11, INET),
        binary(1, 0x11, INET[:11]),
        binary(1, 0x21, INET6[:35]),
        SIGNATURE + struct.pack(">BBH", 0x21, 0x11, 5000),
    ],
)
def test_anything_else_is_refused(header: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        parse(header)
