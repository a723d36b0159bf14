"""A conversation over one connection, byte by byte, and the configurations and requests that most tests need."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec

from tests.e2e import wire
from tests.e2e.harness import Metrics, Proxy, books, eventually
from tests.e2e.ports import HOST

DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
Upstream = str | dict[str, Any]
P = ParamSpec("P")


def settings(
    primary: Upstream, candidate: Upstream | None = None, secondary: Upstream | None = None, /, **top: Any
) -> dict[str, Any]:
    """A configuration with these upstreams, each a URL or a whole section, and these keys at its top level."""
    arms = {"primary": primary, "candidate": candidate, "secondary": secondary}
    return {
        "upstreams": {arm: {"urls": [up]} if isinstance(up, str) else up for arm, up in arms.items() if up is not None},
        **top,
    }


def request(target: str = "/", method: str = "GET", body: bytes | None = None, /, **more: str) -> bytes:
    """A whole request; underscores in the names of `more` become hyphens."""
    fields = {"Host": "shop", **{name.replace("_", "-"): value for name, value in more.items()}}
    if body is not None:
        fields["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + (body or b"")


class Talk:
    """One client connection. `received` is all that has come; `ended` says how it ended: fin, reset, or not yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""
        self.ended = ""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read(self, seconds: float = 5.0) -> bytes:
        """The next piece; nothing at the end. Raises TimeoutError."""
        self.sock.settimeout(max(0.01, seconds))
        try:
            piece = self.sock.recv(262_144)
        except (ConnectionResetError, ssl.SSLEOFError):
            piece, self.ended = b"", "reset"
        if not piece and not self.ended:
            self.ended = "fin"
        self.received += piece
        return piece

    def until(self, mark: bytes, seconds: float = 5.0) -> bytes:
        """Everything up to and with the next `mark`, taken off `received`."""
        deadline = time.monotonic() + seconds
        while mark not in self.received:
            assert self.read(deadline - time.monotonic()), f"ended before {mark!r}: {self.received[-200:]!r}"
        found, _, self.received = self.received.partition(mark)
        return found + mark

    def rest(self, seconds: float = 10.0) -> bytes:
        """Everything that is left, to the end of the connection."""
        deadline = time.monotonic() + seconds
        while self.read(deadline - time.monotonic()):
            pass
        found, self.received = self.received, b""
        return found

    def head(self, seconds: float = 5.0) -> wire.Message:
        """The next response's head."""
        return wire.responses(self.until(b"\r\n\r\n", seconds), [b"HEAD"])[0]

    def reply(self, method: bytes = b"GET", seconds: float = 5.0) -> wire.Message:
        """The next whole final response that has a length, or chunks."""
        deadline = time.monotonic() + seconds
        while not (found := wire.first(self.received, method)):
            assert self.read(deadline - time.monotonic()), f"ended in mid-response: {self.received[-200:]!r}"
        message, self.received = found
        return message


@contextmanager
def talk(
    where: int | str | Path,
    *,
    host: str = HOST,
    context: ssl.SSLContext | None = None,
    name: str = "localhost",
    buffer: int = 0,
) -> Generator[Talk, None, None]:
    """Connect to a port, or to a Unix socket's path; with `context` over TLS. `buffer`: bytes the client can hold."""
    family = socket.AF_UNIX if not isinstance(where, int) else socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.settimeout(5.0)
        sock.connect((host, where) if isinstance(where, int) else str(where))
        if context is None:
            yield Talk(sock)
        else:
            with context.wrap_socket(sock, server_hostname=name) as secure:
                yield Talk(secure)


def ask(where: int | str | Path, data: bytes, method: bytes = b"GET", **how: Any) -> wire.Message:
    """The final answer to one request on a connection of its own."""
    with talk(where, **how) as line:
        line.send(data)
        return line.reply(method)


def rejected(metrics: Metrics) -> dict[str, float]:
    """What the proxy answered itself, by reason."""
    found = metrics.of("shadowproxy_rejected_requests_total", "reason")
    return {reason: count for (reason,), count in found.items() if count}


def counted(proxy: Proxy, **reasons: int) -> None:
    """These, and no other, are the requests that were refused."""

    def same() -> bool:
        found = rejected(proxy.metrics())
        assert found == reasons, found
        return True

    eventually(same, 5)


def holds(question: Callable[[], bool], seconds: float) -> bool:
    """Whether `question` stays true all this time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not question():
            return False
        time.sleep(0.02)
    return True


class DisturbedError(AssertionError):
    """Copies were shed for want of processor time: what the others come to cannot be told beforehand."""


def tally(proxy: Proxy, eligible: int | None = None) -> Metrics:
    """The balanced books of a proxy that shed nothing. Raises DisturbedError where it did."""
    metrics = books(proxy, eligible)
    if shed := metrics.total("shadowproxy_shadow_dropped_total", reason="overload"):
        raise DisturbedError(f"{shed:g} copies shed: the machine is too busy")
    return metrics


def until_calm(test: Callable[P, None]) -> Callable[P, None]:
    """Run a test that counts copies again where others kept the machine so busy that some were shed."""

    @functools.wraps(test)
    def again(*args: P.args, **kwargs: P.kwargs) -> None:
        for _ in range(4):
            with contextlib.suppress(DisturbedError):
                return test(*args, **kwargs)
        return test(*args, **kwargs)

    return again


def stalls(count: Callable[[], int], seconds: float = 0.3) -> bool:
    """Whether a count that has begun stays the same for so long."""
    before = count()
    return before > 0 and holds(lambda: count() == before, seconds)


def memory(proxy: Proxy) -> int:
    """What the whole tree holds for itself, bytes: proportional set size without the pages of files.

    Of those other trees have their share, which comes and goes with them. The proxy has to be `fresh`: a fork's pages
    become its own one by one as it touches them.
    """
    assert isinstance(proxy.process, subprocess.Popen), "start it fresh"
    total = 0
    for pid in proxy.tree():
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        sizes = dict(line.split()[:2] for line in rollup.splitlines()[1:])
        total += 1024 * (int(sizes["Pss_Anon:"]) + int(sizes["Pss_Shmem:"]))
    return total
