"""What passes through leaves nothing behind: a gibibyte each way with the mirror on, and the tree stays as it was."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

from tests.e2e.harness import Proxy, eventually
from tests.e2e.ports import HOST
from tests.e2e.talk import holds, memory, request, settings, talk, tally, until_calm

Start = Callable[..., Proxy]
MIB = 1 << 20
GIB = 1 << 30
GROWTH = 48 * MIB
_BLOCK = memoryview(bytes(MIB))


class Bulk:
    """A server that takes any upload and answers GET with so many bytes, as fast as a blocking socket can."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.port = 0
        self.taken = 0
        """Bytes of request bodies."""

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @contextmanager
    def running(self) -> Generator[Bulk, None, None]:
        with socket.create_server((HOST, 0)) as listening:
            self.port = listening.getsockname()[1]
            threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
            yield self
            # Waking the thread that waits in accept: closing alone would leave it there.
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(listening.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while head := self._head(connection):
                length = 0
                for line in head.split(b"\r\n"):
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                self._take(connection, length)
                size = self.size if head.startswith(b"GET") else 0
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                for _ in range(size // MIB):
                    connection.sendall(_BLOCK)

    def _head(self, connection: socket.socket) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = connection.recv(1)
            if not piece:
                return b""
            head += piece
        return head

    def _take(self, connection: socket.socket, length: int) -> None:
        buffer = bytearray(MIB)
        while length:
            count = connection.recv_into(buffer, min(length, MIB))
            if not count:
                raise ConnectionError
            length -= count
            self.taken += count


class Peak:
    """The largest memory of the tree while it is watched."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._stop = threading.Event()
        self.bytes = 0

    @contextmanager
    def watched(self) -> Generator[Peak, None, None]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.bytes = max(self.bytes, memory(self._proxy))


def download(port: int, size: int) -> None:
    """GET everything and throw it away."""
    buffer = bytearray(MIB)
    with socket.create_connection((HOST, port), 20) as connection:
        connection.sendall(request("/down", Connection="close"))
        received = 0
        while count := connection.recv_into(buffer):
            received += count
    assert received > size


def upload(port: int, size: int) -> None:
    with talk(port) as line:
        line.sock.settimeout(20)
        line.send(request("/up", "POST", Content_Length=str(size)))
        for _ in range(size // MIB):
            line.sock.sendall(_BLOCK)
        assert line.reply(seconds=20).status == 200


@pytest.mark.parametrize("frozen", [False, True], ids=["candidate well", "candidate frozen"])
@until_calm
def test_a_gibibyte_down_and_one_up_pass_through_little_memory(proxies: Start, frozen: bool) -> None:
    size = GIB if not frozen else GIB // 4
    with Bulk(size).running() as primary, Bulk(size).running() as candidate, socket.create_server((HOST, 0)) as mute:
        other = f"http://{HOST}:{mute.getsockname()[1]}" if frozen else candidate.url
        shadow = {"methods": ["GET", "POST"], "timeout": "2s"}
        proxy = proxies(settings(primary.url, other, shadow=shadow), fresh=True)
        before = memory(proxy)
        with Peak(proxy).watched() as peak:
            download(proxy.port, size)
            upload(proxy.port, size)
        assert primary.taken == size
        assert peak.bytes - before < GROWTH, f"{(peak.bytes - before) / MIB:.0f} MiB more"
        assert candidate.taken == 0, "a body known to be too large is dropped beforehand"
        metrics = tally(proxy, eligible=2)
        dropped = metrics.of("shadowproxy_shadow_dropped_total", "reason")
        assert {reason: count for (reason,), count in dropped.items() if count}.get("max_body", 0) == 1


def test_many_waiting_connections_cost_little(proxies: Start) -> None:
    with Bulk(MIB).running() as primary:
        proxy = proxies(settings(primary.url), fresh=True)
        before = memory(proxy)
        lines = [socket.create_connection((HOST, proxy.port), 5) for _ in range(500)]
        try:
            eventually(lambda: proxy.metrics().total("shadowproxy_client_connections") == 500)
            assert memory(proxy) - before < 16 * MIB
        finally:
            for line in lines:
                line.close()
        eventually(lambda: proxy.metrics().total("shadowproxy_client_connections") == 0)


@until_calm
def test_repeated_traffic_does_not_grow_the_tree(proxies: Start) -> None:
    with Bulk(MIB).running() as primary, Bulk(MIB).running() as candidate:
        proxy = proxies(settings(primary.url, candidate.url), fresh=True)

        def round_of_requests() -> None:
            for _ in range(40):
                download(proxy.port, MIB)
            tally(proxy)

        round_of_requests()
        before = memory(proxy)
        for _ in range(3):
            round_of_requests()
        assert holds(lambda: memory(proxy) - before < 16 * MIB, 0.2)
