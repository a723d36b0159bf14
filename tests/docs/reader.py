"""Who types what a document says: a shell with the machine to itself, as far as this machine permits.

In namespaces of its own it has every port and sees no other process. Where none may be made, as in an unprivileged
container, readers take turns: a lock is held while one has the ports of the documents, and its processes are a session.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

SECONDS: Final = 100
PORTS: Final = (8080, 9001, 9002, 9003, 9900, 9901)
_NAMESPACES: Final = ["--map-root-user"] * bool(os.geteuid()) + ["--net", "--pid", "--fork", "--kill-child"]
_ALONE: Final = ["unshare", *_NAMESPACES, "--mount-proc", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
_PRELUDE: Final = """\
set -o pipefail
until_ready() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done; return 1; }
first_cause() {
    shadowproxy diffs causes -o json | python -c 'import json, sys; print(json.load(sys.stdin)["items"][0]["id"])'
}
until_a_cause() { until_ready first_cause && ID=$(first_cause); }
"""
_BESIDE_OTHERS: Final = 'pgrep() { command pgrep -s 0 "$@"; }\n'


@functools.cache
def is_alone() -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run([*_ALONE, "true"], env=_environment(), capture_output=True, check=False).returncode == 0
    return False


def read(typed: str, desk: Path, alone: bool) -> tuple[str, int]:
    """What is said when `typed` is run in `desk`, by what runs in the background too, and how it ends."""
    (desk / "typed.sh").write_text(_PRELUDE + ("" if alone else _BESIDE_OTHERS) + typed)
    said, background = desk / "said.log", desk / "background.log"
    with said.open("wb") as file, contextlib.nullcontext() if alone else _in_turn():
        ended, lasting = os.pipe()
        reader = subprocess.Popen(
            [*(_ALONE if alone else []), "bash", "typed.sh"],
            cwd=desk,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lasting],
        )
        os.close(lasting)
        try:
            code = reader.wait(SECONDS)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            _end(reader.pid, ended)
            reader.wait()
    more = f"\nIn the background:\n{background.read_text()}" if background.exists() else ""
    return f"{said.read_text()}{more}" + (f"\nIt was not over after {SECONDS} s." if code == -1 else ""), code


def _environment() -> dict[str, str]:
    """That of somebody who has a name, and has installed shadowproxy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SHADOWPROXY", "COLUMNS"))}
    return kept | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin", "USER": "ann"}


@contextlib.contextmanager
def _in_turn() -> Iterator[None]:
    with (Path(tempfile.gettempdir()) / f"shadowproxy-documents-{os.geteuid()}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        taken = [port for port in PORTS if _is_taken(port)]
        if taken:
            pytest.skip(f"there is no network namespace to be had, and these ports are taken: {taken}")
        yield


def _is_taken(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def _end(group: int, ended: int) -> None:
    """Everything that a reader started: its session is a process group, and each has the other end of a pipe."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signum)
        if select.select([ended], [], [], 10.0)[0]:
            break
    os.close(ended)
