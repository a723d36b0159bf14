"""The PROXY protocol, versions 1 and 2 (HAProxy's specification), in front of HTTP and of TLS.

The header is read from the socket before asyncio gets it: exactly the header's bytes are taken, so that a TLS
handshake behind it starts where it should. A connection without a sound header is closed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_MAX: Final = 107
_V2_FIXED: Final = 16
_V2_MAX: Final = 4096
_ADDRESSES: Final = {0x11: (4, 12), 0x21: (16, 36)}
"""Bytes of an address, and of both with their ports, for TCP over IPv4 and IPv6."""


class ProxyHeaderError(Exception):
    """What came is no PROXY header."""


def parse(data: bytes) -> tuple[int, str | None] | None:
    """(length of the header, address of the client, None for LOCAL or UNKNOWN); None: more bytes are needed.

    Raises ProxyHeaderError.
    """
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return _parse_v2(data) if len(data) >= _V2_FIXED else None
    if data[:6] == b"PROXY "[: len(data)]:
        return _parse_v1(data)
    raise ProxyHeaderError("neither PROXY nor the binary signature")


def _parse_v1(data: bytes) -> tuple[int, str | None] | None:
    end = data.find(b"\r\n", 0, _V1_MAX)
    if end < 0:
        if len(data) >= _V1_MAX:
            raise ProxyHeaderError("a version 1 header has at most 107 bytes")
        return None
    words = data[:end].decode("ascii", "replace").split(" ")
    if words[1:2] == ["UNKNOWN"]:
        return end + 2, None
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6") or not all(word.isdigit() for word in words[4:]):
        raise ProxyHeaderError("PROXY, TCP4 or TCP6, two addresses and two ports are expected")
    return end + 2, _address(words[2], 4 if words[1] == "TCP4" else 6)


def _parse_v2(data: bytes) -> tuple[int, str | None] | None:
    command, family, size = struct.unpack(">BBH", data[12:16])
    if command >> 4 != 2 or command & 0xF > 1 or size > _V2_MAX:
        raise ProxyHeaderError("version 2, LOCAL or PROXY, and at most 4096 bytes are expected")
    end = _V2_FIXED + size
    if len(data) < end:
        return None
    if command & 0xF == 0:
        return end, None
    if family not in _ADDRESSES:
        return end, None
    length, needed = _ADDRESSES[family]
    if size < needed:
        raise ProxyHeaderError(f"two addresses and two ports of this family have {needed} bytes")
    return end, str(ipaddress.ip_address(data[_V2_FIXED : _V2_FIXED + length]))


def _address(text: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise ProxyHeaderError(f"no address: {text[:40]!r}") from error
    if address.version != version:
        raise ProxyHeaderError(f"{text} is not of the family that the header names")
    return str(address)


async def read_header(accepted: socket.socket) -> str | None:
    """Takes the header's bytes from a fresh connection and not one more; the client's address as `parse` gives it.

    Raises ProxyHeaderError for anything but a header, ConnectionResetError where nothing came at all.
    """
    data = b""
    while True:
        await _readable(accepted)
        peeked = accepted.recv(_V2_FIXED + _V2_MAX, socket.MSG_PEEK)
        if not peeked:
            raise ProxyHeaderError("the connection ended within the header") if data else ConnectionResetError
        found = parse(data + peeked)
        if found is not None:
            accepted.recv(found[0] - len(data))
            return found[1]
        data += accepted.recv(len(peeked))  # all of it belongs to the header, which goes on


async def _readable(accepted: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    descriptor = accepted.fileno()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, wake)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
