"""An open-loop load generator: requests leave when the schedule says, whether or not earlier ones have been answered.

Arrivals are Poisson at a fixed rate. A latency counts from the moment the request was *due*, so a proxy that stalls is
charged for every request that had to wait (no coordinated omission). h2load's --rps is not that: its clock starts when
it sends, and all of its clients send in step. One thread, epoll and a timerfd; it reports its own lateness as well.

`python -m benchmarks.openloop PORT --rate R --windows 1,5` prints one JSON object: percentiles per window, in ms.
"""

import argparse
import ctypes
import gc
import json
import os
import random
import re
import select
import socket
import struct
import time
from array import array
from collections import deque

from benchmarks.stats import percentile

CLOCK_MONOTONIC = 1
TFD_NONBLOCK = os.O_NONBLOCK
TFD_TIMER_ABSTIME = 1
LINGER = 2.0  # seconds that unanswered requests are waited for after the last window
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")
_libc = ctypes.CDLL(None, use_errno=True)


class Timer:
    """A timerfd: it wakes epoll to the microsecond, where epoll's own timeout counts whole milliseconds."""

    def __init__(self) -> None:
        self.fd: int = _libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def wake_at(self, when: float) -> None:
        seconds = int(when)
        setting = struct.pack("@qqqq", 0, 0, seconds, int((when - seconds) * 1e9) + 1)
        _libc.timerfd_settime(self.fd, TFD_TIMER_ABSTIME, setting, None)


class Connection:
    """One keep-alive connection with at most one request in flight, due at `due` (0.0: idle)."""

    __slots__ = ("due", "expected", "received", "sock")

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.due = 0.0
        self.received = b""
        self.expected = 0


class Window:
    """What was due within one stretch of time: latencies and the generator's own lateness, in seconds; errors."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.latencies = array("d")
        self.lags = array("d")
        self.errors = 0

    def summary(self) -> dict[str, float]:
        ordered = sorted(self.latencies)
        shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}
        result = {name: percentile(ordered, share) * 1e3 for name, share in shares.items()} if ordered else {}
        if self.lags:
            result["lag_p99_ms"] = percentile(sorted(self.lags), 0.99) * 1e3
        return {"seconds": self.seconds, "count": len(ordered), "errors": self.errors, **result}


class Generator:
    def __init__(self, port: int, path: str, rate: float, windows: list[float], connections: int, seed: int) -> None:
        self.port = port
        self.request = (
            f"GET {path} HTTP/1.1\r\nHost: item.example\r\nUser-Agent: openloop\r\nAccept: */*\r\n\r\n".encode()
        )
        self.windows = [Window(seconds) for seconds in windows]
        self.schedule = arrivals(rate, sum(windows), seed)
        self.epoll = select.epoll()
        self.timer = Timer()
        self.epoll.register(self.timer.fd, select.EPOLLIN)
        self.open: dict[int, Connection] = {}
        self.idle: deque[Connection] = deque()
        self.waiting: deque[float] = deque()
        for _ in range(connections):
            self.connect()

    def connect(self) -> None:
        try:
            connection = Connection(self.port)
        except OSError as error:
            raise SystemExit(f"openloop: no connection to 127.0.0.1:{self.port}: {error}") from None
        self.open[connection.sock.fileno()] = connection
        self.epoll.register(connection.sock.fileno(), select.EPOLLIN)
        self.idle.append(connection)

    def run(self) -> list[dict[str, float]]:
        gc.disable()
        self.start = time.monotonic() + 0.005
        schedule, count, position = self.schedule, len(self.schedule), 0
        finish = self.start + sum(window.seconds for window in self.windows) + LINGER
        outstanding = True
        while outstanding and (now := time.monotonic()) < finish:
            while position < count and self.start + schedule[position] <= now:
                due = self.start + schedule[position]
                position += 1
                self.window_of(due).lags.append(now - due)
                self.send(due)
            self.timer.wake_at(self.start + schedule[position] if position < count else finish)
            for fd, _ in self.epoll.poll():
                if fd != self.timer.fd:
                    self.receive(self.open[fd])
                else:
                    self.drain_timer()
            outstanding = position < count or len(self.idle) < len(self.open)
        self.give_up()
        return [window.summary() for window in self.windows]

    def drain_timer(self) -> None:
        try:
            os.read(self.timer.fd, 8)
        except BlockingIOError:  # re-armed since epoll saw it
            pass

    def window_of(self, due: float) -> Window:
        end = self.start
        for window in self.windows:
            end += window.seconds
            if due < end:
                return window
        return self.windows[-1]

    def send(self, due: float) -> None:
        if not self.idle:
            self.waiting.append(due)
            return
        connection = self.idle.popleft()
        connection.due = due
        try:
            connection.sock.send(self.request)
        except OSError:
            self.fail(connection)

    def receive(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.fail(connection)
            return
        connection.received += data
        if not connection.expected:
            head, ended, _ = connection.received.partition(b"\r\n\r\n")
            if not ended:
                return
            length = LENGTH.search(head + b"\r\n")
            if length is None:
                raise SystemExit("openloop: the answer has no Content-Length; it cannot be timed")
            connection.expected = len(head) + 4 + int(length[1])
        if len(connection.received) >= connection.expected:
            self.complete(connection)

    def complete(self, connection: Connection) -> None:
        window = self.window_of(connection.due)
        window.latencies.append(time.monotonic() - connection.due)
        if connection.received[8:10] != b" 2":
            window.errors += 1
        connection.received, connection.expected, connection.due = b"", 0, 0.0
        self.idle.append(connection)
        if self.waiting:
            self.send(self.waiting.popleft())

    def fail(self, connection: Connection) -> None:
        """A connection that ended: an error if a request was on it. A new one takes its place."""
        if connection.due:
            self.window_of(connection.due).errors += 1
        else:
            self.idle.remove(connection)
        self.epoll.unregister(connection.sock.fileno())
        del self.open[connection.sock.fileno()]
        connection.sock.close()
        self.connect()

    def give_up(self) -> None:
        """What is still unanswered counts as an error with the time it has waited."""
        now = time.monotonic()
        for due in [connection.due for connection in self.open.values() if connection.due] + list(self.waiting):
            window = self.window_of(due)
            window.errors += 1
            window.latencies.append(now - due)


def arrivals(rate: float, seconds: float, seed: int) -> "array[float]":
    """The moments of a Poisson process of `rate` per second, within `seconds`; the same for the same seed."""
    draw = random.Random(seed)
    moments = array("d")
    moment = draw.expovariate(rate)
    while moment < seconds:
        moments.append(moment)
        moment += draw.expovariate(rate)
    return moments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--path", default="/item")
    parser.add_argument("--rate", type=float, required=True, help="requests per second")
    parser.add_argument("--windows", required=True, help="seconds of each window, for example 1,5")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    windows = [float(seconds) for seconds in given.windows.split(",")]
    generator = Generator(given.port, given.path, given.rate, windows, given.connections, given.seed)
    print(json.dumps({"rate": given.rate, "windows": generator.run()}))


if __name__ == "__main__":
    main()
