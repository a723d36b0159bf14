"""Ports that nobody else takes between choosing one and listening on it.

Each process that runs tests claims a block, below the range from which the kernel gives ports to clients, by an
abstract Unix socket that is its own until it ends. The ports of a block come in turn: one that was just let go is the
last to be chosen again.
"""

from __future__ import annotations

import functools
import itertools
import os
import socket
from collections.abc import Iterator

HOST = "127.0.0.1"
FIRST = 10_000
BLOCK = 200
BLOCKS = 110
"""The kernel's own range begins at 32768 (net.ipv4.ip_local_port_range)."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, each another one, for this process alone."""
    found = list(itertools.islice(filter(_is_free, itertools.islice(_turns(), BLOCK)), count))
    assert len(found) == count, f"the {BLOCK} ports of this process are in use"
    return found


def free_port() -> int:
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


@functools.cache
def _turns() -> Iterator[int]:
    first = FIRST + BLOCK * _claimed()[0]
    return itertools.cycle(range(first, first + BLOCK))


@functools.cache
def _claimed() -> tuple[int, socket.socket]:
    """The number of a block that nobody has, and the socket that keeps it so."""
    for number in (os.getpid() + step for step in range(BLOCKS)):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0shadowproxy-tests-ports-{number % BLOCKS}")
        except OSError:
            claim.close()
        else:
            return number % BLOCKS, claim
    raise OSError(f"{BLOCKS} processes run tests on this machine: no ports are left")
