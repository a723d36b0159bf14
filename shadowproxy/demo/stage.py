"""Everything the demo starts: the backends and the real proxy, in a directory that goes away with them.

Children get process groups of their own, so that a Ctrl-C reaches the demo alone, which then stops them in order.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from shadowproxy.demo.backend import HOST
from shadowproxy.demo.shop import ROUTES

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 10.0
_ATTEMPTS: Final = 3
"""Another process may take a port between choosing it and listening on it; then others are chosen."""

_CONFIGURATION: Final = Template("""\
listen: $traffic
data_dir: ./data
admin: {listen: $admin}
probe: {listen: $probe}
drain: {timeout: 2s}
service: shop
upstreams:
  primary: {urls: [http://$one]}
  candidate: {urls: [http://$two]}
  # A second instance of version 1: what its answers show too is noise. No rule names the times and trace ids.
  secondary: {urls: [http://$again]}
version: {header: server}
isolation: {hold_out: 0%}
rollout:
  name: shop-v3
  # A minute in all: real bakes take hours, and tolerate less.
  checks:
    - {check: error_rate, max_relative: 50%, max_absolute: 1pp}
    - {check: latency_p95, max_relative: 100%, max_absolute: 100ms}
    - {check: regressed_fields}
  stages:
    - {name: mirror, shadow: {sample: 100%}, bake: {for: $bake, requests: 200}}
    - {name: first users, canary: {weight: 10%}, bake: {for: $bake, requests: 100}}
    - {name: ramp, progressive: {weights: [25%, 50%, 100%], holdback: 5%}, bake: {for: $bake, requests: 100}}
routes:
$routes
""")


class DemoError(Exception):
    """The demo cannot go on; the message is one line, `tail` the end of the log that says more."""

    def __init__(self, message: str, tail: str = "") -> None:
        super().__init__(message)
        self.tail = tail


@dataclass(frozen=True, slots=True)
class Backend:
    """A version of the shop that listens at `address`."""

    address: str
    child: subprocess.Popen[str]

    def tell(self, line: str) -> None:
        """Make it another version, or give it a fault. Raises DemoError."""
        try:
            assert self.child.stdin  # noqa: S101 - it was started with one
            self.child.stdin.write(f"{line}\n")
            self.child.stdin.flush()
        except OSError as error:
            raise DemoError(f"the shop at {self.address} has ended: {error}") from error


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything listens (`host:port`), and the files behind it."""

    traffic: str
    admin: str
    probe: str
    configuration: Path
    log: Path
    candidate: Backend

    def tail(self, lines: int = 12) -> str:
        """The end of the proxy's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def stage(bake: float = 6.0) -> Generator[Stage, None, None]:
    """Start the backends and the proxy, wait until it is ready, and stop everything at the end. Raises DemoError.

    `bake`: seconds that each part of the rollout takes at least.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shadowproxy-demo-")))
        backends = [stack.enter_context(_backend(version)) for version in (1, 2, 1)]
        yield stack.enter_context(_proxy(directory, backends, bake))


def configuration(traffic: str, admin: str, probe: str, one: str, two: str, again: str, bake: float = 6.0) -> str:
    """The demo's configuration as YAML: both versions, the first one twice, a route for each kind of page, a plan."""
    routes = "\n".join(
        f'  - {{name: {name}, match: {{path: "{path}"{_METHODS.get(name, "")}}}}}' for name, path in ROUTES
    )
    addresses = {"traffic": traffic, "admin": admin, "probe": probe, "one": one, "two": two, "again": again}
    return _CONFIGURATION.substitute(addresses, routes=routes, bake=f"{bake:g}s")


_METHODS: Final = {"checkout": ", methods: [POST]", "cart": ", methods: [POST]"}


@contextmanager
def _backend(version: int) -> Generator[Backend, None, None]:
    """One version of the shop."""
    command = [sys.executable, "-m", "shadowproxy.demo.backend", str(version)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as child:
        try:
            yield Backend(f"{HOST}:{_port(child, version)}", child)
        finally:
            _stop(child)


def _port(child: subprocess.Popen[str], version: int) -> int:
    """The port that a backend prints when it listens."""
    line = ""
    if child.stdout and select.select([child.stdout], [], [], START_SECONDS)[0]:
        line = child.stdout.readline()
    if not line:
        child.kill()
        raise DemoError(f"version {version} of the shop did not start", child.communicate()[1])
    return int(line)


@contextmanager
def _proxy(directory: Path, backends: Sequence[Backend], bake: float) -> Generator[Stage, None, None]:
    """The proxy, as a user would start it."""
    path = directory / "shadowproxy.yaml"
    command = [sys.executable, "-m", "shadowproxy.cli", "run", str(path)]
    for left in reversed(range(_ATTEMPTS)):
        traffic, admin, probe = _free_addresses(3)
        scene = Stage(traffic, admin, probe, path, directory / "proxy.log", backends[1])
        one, two, again = (each.address for each in backends)
        path.write_text(configuration(traffic, admin, probe, one, two, again, bake), encoding="utf-8")
        with (
            scene.log.open("wb") as output,
            subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, process_group=0) as child,
        ):
            try:
                if _ready(child, probe):
                    yield scene
                    return
                ended = child.poll() is not None
            finally:
                _stop(child)
        if not ended or not left:
            raise DemoError("the proxy did not come up; the end of its log:", scene.tail())


def _ready(child: subprocess.Popen[bytes], probe: str) -> bool:
    """Wait until the proxy says that it is ready; False when it ended or took too long."""
    deadline = time.monotonic() + START_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{probe}/readyz", timeout=1) as answer:
                if answer.status == 200:
                    return True
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.05)
    return False


def _free_addresses(count: int) -> list[str]:
    """Addresses that nobody listens on at this moment."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    addresses = [f"{HOST}:{taken.getsockname()[1]}" for taken in sockets]
    for taken in sockets:
        taken.close()
    return addresses


def _stop(child: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """End a child and wait for it; its whole process group where it does not end by itself."""
    if child.stdin:
        child.stdin.close()
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, 9)
        child.wait()
