"""Starts of `shadowproxy` that cost a tenth: a process that has imported everything forks one for each.

    child = fork("shadowproxy.cli", ["run", "shadowproxy.yaml"], cwd=directory, env=os.environ, output=log)

Most of a start's processor time is imports, and the tests start hundreds of trees. What runs in a fork is the command
line with its arguments as users type them; only `os.execv`, by which `shadowproxy run` makes way for the supervisor,
is a call, and a worker may be later than elsewhere before it sheds copies. Where one of these or memory is what a test
is about it starts an interpreter of its own (`Proxy.start(fresh=True)`).

The fork's parent ends at once, so that it becomes a child of the tests' process, which collects orphans
(PR_SET_CHILD_SUBREAPER) and can wait for it as for any other.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from shadowproxy.shadow import pressure

_SUBREAPER = 36
_PREPARED = (
    "coverage",
    "shadowproxy.cli.main",
    "shadowproxy.config.loading",
    "shadowproxy.runtime.comparer",
    "shadowproxy.runtime.control",
    "shadowproxy.runtime.main",
    "shadowproxy.runtime.supervisor",
    "shadowproxy.runtime.worker",
)
_MEASURED = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")


class Child:
    """A forked command, with what the tests use of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._collect(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self._collect(0 if deadline is None else os.WNOHANG)) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"pid {self.pid}", timeout or 0)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _collect(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def fork(module: str, arguments: list[str], *, cwd: Path, env: Mapping[str, str], output: BinaryIO) -> Child:
    """`python -m module` with these arguments, in a process group of its own, writing to `output`."""
    nursery = _nursery()
    order = json.dumps({"module": module, "arguments": arguments, "cwd": str(cwd), "env": dict(env)}).encode()
    with _LOCK:
        socket.send_fds(nursery, [len(order).to_bytes(4, "big")], [output.fileno()])
        nursery.sendall(order)
        # The fork is ours once the process between has ended, which the nursery says with one more byte.
        reply = nursery.recv(5, socket.MSG_WAITALL)
        if len(reply) < 5:
            raise ConnectionError("the nursery has ended")
        return Child(int.from_bytes(reply[:4], "big"))


_LOCK = threading.Lock()


@functools.cache
def _nursery() -> socket.socket:
    """The connection to the nursery of this process, started on first use."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    ours, theirs = socket.socketpair()
    with theirs:
        # Coverage, where it is measured, begins in each fork as it does in each interpreter.
        env = {name: value for name, value in os.environ.items() if name not in _MEASURED}
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), cwd=Path(__file__).parents[2], env=env)

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(connection: socket.socket) -> None:
    """Fork for each order until nobody can give one any more."""
    while True:
        size, descriptors, _, _ = socket.recv_fds(connection, 4, 1)
        if not size:
            return
        order = json.loads(connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
        between = os.fork()
        if between == 0:
            if (pid := os.fork()) == 0:
                _be(descriptors[0], connection, **order)
            connection.sendall(pid.to_bytes(4, "big"))
            os._exit(0)
        os.close(descriptors[0])
        os.waitpid(between, 0)
        connection.sendall(b"\0")


def _be(
    output: int, connection: socket.socket, module: str, arguments: list[str], cwd: str, env: dict[str, str]
) -> None:
    """Become the command; does not return."""
    code: object = 1
    try:
        connection.close()
        os.setpgid(0, 0)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.close(output)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        _measure()
        os.execv = _become
        _run(module, arguments)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    for file in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            file.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _measure() -> None:
    """Start coverage as an interpreter's start would, without what it would do once more in each process of the tree.

    Its patch of `_exit` goes round that of the parent, which would save again what the parent had measured so far; and
    which files nobody has run is for the tests' own process to find out.
    """
    import coverage
    from coverage.inorout import InOrOut

    InOrOut.find_possibly_unexecuted_files = lambda _: ()  # type: ignore[assignment]
    os.register_at_fork(after_in_child=functools.partial(setattr, os, "_exit", os._exit))
    coverage.process_startup()


def _become(_: str, command: list[str]) -> None:
    """Instead of `os.execv`: the module that would be run by a new interpreter is run here."""
    at = command.index("-m") + 1
    _run(command[at], command[at + 1 :])


def _run(module: str, arguments: list[str]) -> None:
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    for module in _PREPARED:
        importlib.import_module(module)
    # Of a worker whose loop is late: on two cores full of tests it is, and then copies are shed that tests count.
    pressure.LAG_HIGH = 5.0  # type: ignore[misc]
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        _serve(orders)
