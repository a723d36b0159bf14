"""What rollouts did to traffic last, on disk for the next start: `splits.json` in the data directory.

A promotion that is not in the configuration yet is nowhere else: who loses or deletes the file has version 1 serve
again, so nothing about it is silent. It is JSON for people to look at. The supervisor never writes it itself: a disk
may hang.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from shadowproxy.model.rollout import Split
from shadowproxy.runtime.files import UnreadableError, read_json, replace_file
from shadowproxy.runtime.logs import Log
from shadowproxy.runtime.processes import fork

FILE: Final = "splits.json"
MAX_BYTES: Final = 8 * 1024 * 1024
WITHIN: Final = 10.0
"""Seconds until a process that has not written is ended."""
RETRY: Final = 5.0
"""Seconds after which what could not be written is written again."""
NOT_KEPT: Final = "the splits of rollouts are not kept on disk: a restart would bring back those before"
_FOR_NOW: Final = "every user is served by the primary until a rollout says otherwise, also where one was promoted"

Splits = Mapping[str, Split]
"""By service."""


class Kept(Struct, frozen=True):
    services: dict[str, Split]
    version: int = 1

    def __post_init__(self) -> None:
        if self.version != 1:
            raise ValueError(f"its version is {self.version}, this is for 1")
        for service, split in self.services.items():
            if not 0 <= split.weight <= 1:
                raise ValueError(f"the weight of {service} is {split.weight:g}, not between 0 and 1")


def save(directory: Path, splits: Splits) -> None:
    """Replace what is kept; nothing is kept in no file. Raises OSError."""
    path = directory / FILE
    if not splits and not path.exists():
        return
    directory.mkdir(0o700, parents=True, exist_ok=True)
    replace_file(path, msgspec.json.format(msgspec.json.encode(Kept(dict(splits)))) + b"\n")


def restore(directory: Path) -> tuple[dict[str, Split], tuple[str, ...]]:
    """What was kept, and what went wrong: a file that cannot be understood is moved away, and there is no split."""
    try:
        kept = read_json(directory / FILE, Kept, MAX_BYTES)
    except UnreadableError as error:
        return {}, (f"{error}: the splits of rollouts are lost: {_FOR_NOW}",)
    return (kept.services if kept else {}), ()


def start_saving(directory: Path, splits: Splits, log: Log, *, disown: Callable[[], None]) -> int:
    """Fork a process that saves and ends with 0, and return its pid. Raises OSError."""
    log = log.named("splits")

    def body() -> None:
        disown()
        signal.alarm(int(WITHIN * 2))  # should the supervisor die meanwhile
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        try:
            save(directory, splits)
        except OSError as error:
            log.error(NOT_KEPT, error=str(error), again_in=RETRY)
            sys.exit(1)

    return fork("spl", log, body)


class SplitsFile:
    """Keeps the newest splits: one process that saves at a time, again and again until one succeeds.

    `start` begins one and returns its pid, or raises OSError. Times are seconds of one monotonic clock.
    """

    def __init__(self, start: Callable[[Splits], int], log: Log) -> None:
        self._start = start
        self._log = log
        self._newest: Splits = {}
        self._is_stale = False
        """Whether the process under way writes older ones."""
        self._pid = 0
        self._due = math.inf
        """When to begin, or, while a process is under way, when to end it."""

    def keep(self, splits: Splits, now: float) -> None:
        self._newest, self._is_stale = splits, True
        if not self._pid:
            self._begin(now)

    def next_due(self) -> float:
        return self._due

    def expire(self, now: float) -> None:
        if now < self._due:
            return
        if not self._pid:
            self._begin(now)
            return
        self._due = math.inf
        self._log.error(NOT_KEPT, error=f"writing takes longer than {WITHIN:g} s")
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def ended(self, pid: int, status: int, now: float) -> None:
        """A process ended, with what `os.waitpid` says of it."""
        if pid != self._pid:
            return
        self._pid = 0
        self._due = now + RETRY if status else math.inf
        if self._is_stale and not status:
            self._begin(now)

    def _begin(self, now: float) -> None:
        try:
            self._pid = self._start(self._newest)
        except OSError as error:
            self._log.error(NOT_KEPT, error=f"no process could be started to write: {error}", again_in=RETRY)
            self._due = now + RETRY
            return
        self._is_stale = False
        self._due = now + WITHIN
