"""Forking: the one place where a process of the supervisor becomes another one.

A child has its own end of a socket pair, the default signal handlers replaced by none (a terminal's Ctrl-C or a
service manager's SIGTERM reaches the whole group, and only the supervisor decides who ends when), and nothing open
that belongs to a sibling. It never returns into the supervisor's code: it ends in `os._exit`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shadowproxy.runtime.logs import Log

HANDLED: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCHLD,
)
CRASHED: Final = 70
"""Exit code of a child whose code raised (sysexits.h: EX_SOFTWARE)."""


def fork(title: str, log: Log, body: Callable[[], None]) -> int:
    """Run `body` in a child called `title` and return its pid. Raises OSError when there is no room for a process."""
    sys.stdout.flush()
    sys.stderr.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            _become(title, log, body)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _become(title: str, log: Log, body: Callable[[], None]) -> None:
    """What a child does instead of being the supervisor. Does not return."""
    code = CRASHED
    try:
        signal.set_wakeup_fd(-1)
        for number in HANDLED:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        with contextlib.suppress(OSError):  # no /proc: the name in `ps` is all that is lost
            Path("/proc/self/comm").write_text(f"shadowproxy:{title}"[:15])
        body()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else CRASHED
    except BaseException as error:
        log.crash("crashed", error)
    finally:
        os._exit(code)


def pair() -> tuple[socket.socket, socket.socket]:
    """The supervisor's end and the child's end of a connection. Raises OSError when descriptors are short."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def ending(status: int) -> str:
    """What `os.waitpid` says, for people: `exit code 0`, `signal 9`."""
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
