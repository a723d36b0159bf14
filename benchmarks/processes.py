"""Processes that the benchmark starts: pinned, in sessions of their own, ended by id, and dead when the benchmark is.

Readings of a process tree come from /proc: CPU in seconds with the children that ended counted, memory as PSS in MiB.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

PR_SET_PDEATHSIG = 1
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOP_GRACE = 8.0
START_LIMIT = 15.0
POLL = 0.02
_libc = ctypes.CDLL(None, use_errno=True)


class NotStartedError(Exception):
    """A process that ended, or never listened; says which and what it printed."""


@contextlib.contextmanager
def running(
    argv: Sequence[str],
    cpus: frozenset[int],
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `argv` on `cpus` with its output in `log`; the whole group is ended on the way out, stopped or not."""

    def prepare() -> None:
        os.sched_setaffinity(0, cpus)
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=prepare,  # noqa: PLW1509  # only syscalls, and the benchmark's parent has one thread
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the group (and SIGCONT, it may be frozen), SIGKILL to what is left of it after the grace."""
    group = process.pid
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        os.killpg(group, signal.SIGCONT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_GRACE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    process.wait()


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now, each another one."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def free_port() -> int:
    """A port nobody listens on now."""
    return free_ports(1)[0]


def wait_until_answers(process: subprocess.Popen[bytes], port: int, log: Path, path: str = "/item") -> None:
    """Return when a GET answers 200. Raises NotStartedError, with the end of the log, if that does not come to be."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotStartedError(f"{process.args!r} ended with {process.returncode}: {_tail(log)}")
        connection = HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(POLL)
    raise NotStartedError(
        f"{process.args!r} did not answer GET {path} with 200 within {START_LIMIT:.0f} s: {_tail(log)}"
    )


def _tail(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").splitlines()[-6:]) or "it printed nothing"


def tree(root: int) -> list[int]:
    """The process ids of `root` and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of the tree so far, with the time of children that ended and were waited for.

    A child's time moves from its own count to its parent's when it ends, so differences of two readings stay right.
    """
    return sum(sum(map(int, fields[11:15])) for pid in tree(root) if (fields := _stat(pid))) / TICKS_PER_SECOND


def pss_mib(root: int) -> float:
    """Proportional set size of the tree."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def freeze(root: int) -> None:
    """SIGSTOP the whole tree."""
    for pid in tree(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (the third): the name before them may hold spaces and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
