"""The files that a comparer writes recorded exchanges to: one of each service, rotated, and bounded in all.

A file that cannot be written costs what was to be written, never more: it is said once and tried again every second.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shadowproxy.capture import ANSWER, REQUEST, Record, encode_record
from shadowproxy.capture.goreplay import SEPARATOR
from shadowproxy.capture.naming import age_of, older
from shadowproxy.model.pair import Exchange
from shadowproxy.model.policy import CapturePolicy, Policy
from shadowproxy.runtime.logs import Log

RETRY: Final = 1.0
_MODE: Final = 0o600
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK


class RotatingFile:
    """`path`, and up to `files` - 1 older ones beside it: `shop.gor`, `shop.1.gor`, `shop.2.gor`, the oldest last.

    No file is larger than `max_file`, and all together are no larger than `files` times that. Not for several threads.
    """

    def __init__(self, path: Path, max_file: int, files: int) -> None:
        self._path = path
        self._max_file = max_file
        self._files = files
        self._fd = -1

    def append(self, text: bytes) -> None:
        """Write `text`, no longer than `max_file`, whole or not at all. Raises OSError."""
        size = self._ready()
        if size and size + len(text) > self._max_file:
            self._rotate()
            size = self._ready()
        try:
            written = os.write(self._fd, text)
            if written < len(text):
                raise OSError(28, "the disk is full")
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, size)
            raise

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _ready(self) -> int:
        """The file is open, and is the one at its path; returns its size."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                mine, there = os.fstat(self._fd), self._path.stat()
                if (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
                    return there.st_size
            self.close()  # it was moved or removed
        return self._open()

    def _open(self) -> int:
        self._path.parent.mkdir(0o700, parents=True, exist_ok=True)
        self._fd = os.open(self._path, _FLAGS, _MODE)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise OSError(22, "it is no regular file")
        os.fchmod(self._fd, _MODE)
        self._prune()
        if status.st_size > self._max_file or not self._ends_well(status.st_size):
            self._rotate()  # what comes after half a record would be a part of it
            return self._open()
        return status.st_size

    def _ends_well(self, size: int) -> bool:
        return not size or os.pread(self._fd, len(SEPARATOR), size - len(SEPARATOR)) == SEPARATOR

    def _rotate(self) -> None:
        self.close()
        numbered = self._older()
        for number in sorted(numbered, reverse=True):
            numbered[number].replace(older(self._path, number + 1))
        self._path.replace(older(self._path, 1))
        self._prune()

    def _prune(self) -> None:
        """Remove the oldest, until there is room for one full file."""
        left = self._max_file * (self._files - 1)
        for number, path in sorted(self._older().items()):
            left -= path.stat().st_size
            if number >= self._files or left < 0:
                left = -1
                path.unlink()

    def _older(self) -> dict[int, Path]:
        ages = ((age_of(path, self._path), path) for path in self._path.parent.iterdir())
        return {age: path for age, path in ages if age is not None}


class _Recording:
    """One service's file."""

    def __init__(self, policy: CapturePolicy) -> None:
        self.policy = policy
        self.file = RotatingFile(Path(policy.path), policy.max_file, policy.files)
        self.broken = False
        self.retry_at = 0.0


class Recordings:
    """By service. `clock` gives monotonic seconds."""

    def __init__(self, log: Log, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._open: dict[str, _Recording] = {}

    def apply(self, policy: Policy) -> None:
        """Write where this policy says; a file whose rules did not change goes on."""
        before, self._open = self._open, {}
        for service in policy.services:
            if service.capture is not None:
                known = before.get(service.name)
                same = known is not None and known.policy == service.capture
                self._open[service.name] = before.pop(service.name) if same else _Recording(service.capture)
        for recording in before.values():
            recording.file.close()

    def write(self, exchange: Exchange, request: bytes, answer: bytes | None) -> str:
        """Append an exchange's redacted messages; why that could not be (of `CAPTURE_REASONS`), empty if it could."""
        recording = self._open.get(exchange.service)
        if recording is None:
            return "shutdown"  # it is not recorded any more
        text = _encoded(exchange, request, answer)
        if text is None:
            return "separator"
        if len(text) > recording.policy.max_file:
            return "max_file"
        if recording.broken and self._clock() < recording.retry_at:
            return "unwritable"
        return self._append(exchange.service, recording, text)

    def close(self) -> None:
        for recording in self._open.values():
            recording.file.close()

    def _append(self, service: str, recording: _Recording, text: bytes) -> str:
        path = recording.policy.path
        try:
            recording.file.append(text)
        except OSError as error:
            recording.retry_at = self._clock() + RETRY
            if not recording.broken:
                recording.broken = True
                self._log.error("a recording cannot be written", service=service, path=path, error=str(error))
            return "unwritable"
        if recording.broken:
            recording.broken = False
            self._log.info("a recording is written again", service=service, path=path)
        return ""


def _encoded(exchange: Exchange, request: bytes, answer: bytes | None) -> bytes | None:
    """Request and answer as records; None when they would not end where they end."""
    identity, at = f"{exchange.connection}-{exchange.id}", int(exchange.at * 1e9)
    records = [Record(REQUEST, identity, at, request, connection=exchange.connection)]
    if answer is not None and exchange.response is not None:
        records.append(Record(ANSWER, identity, at, answer, int(exchange.response.seconds * 1e9)))
    texts = [encode_record(record) for record in records]
    return None if None in texts else b"".join(text for text in texts if text is not None)
