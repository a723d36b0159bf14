"""One line per event on standard error: JSON for machines, text for a terminal.

Law: a log line never waits. Standard error may be a pipe that nobody reads, or a terminal stopped with Ctrl-S; a line
that does not fit at once is dropped and counted, and the next line that does fit says how many were. Lines are kept
within PIPE_BUF (4,096 bytes, pipe(7)), so that those of several processes never mix and are never cut in the middle.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import time
import traceback
from collections.abc import Callable
from typing import Final

import msgspec

LINE: Final = 4096
_FIELD: Final = 1000
_TRACE: Final = 2400

Value = object
Renderer = Callable[[float, str, str, str, dict[str, Value]], bytes]


def _shorten(value: Value, limit: int = _FIELD) -> Value:
    if isinstance(value, str) and len(value) > limit:
        return "… " + value[-limit:]
    return value


def as_json(at: float, level: str, role: str, event: str, fields: dict[str, Value]) -> bytes:
    """One JSON object; `at` is Unix time in seconds and comes out in UTC, with milliseconds."""
    line = {"at": _utc(at), "level": level, "role": role, "event": event, **fields}
    return msgspec.json.encode(line, enc_hook=str) + b"\n"


def as_text(at: float, level: str, role: str, event: str, fields: dict[str, Value]) -> bytes:
    """`12:00:00.123 role: event key=value`, and the level where it is worth a look."""
    mark = "" if level == "info" else f"{level}: "
    rest = "".join(f" {key}={_plain(value)}" for key, value in fields.items())
    return f"{_utc(at)[11:23]} {role}: {mark}{event}{rest}\n".encode(errors="replace")


def _plain(value: Value) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value)


def _utc(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03d}Z"


class Log:
    """Writes events to one descriptor under the name of a role."""

    def __init__(self, role: str, render: Renderer, write: Callable[[bytes], bool]) -> None:
        self.role = role
        self.dropped = 0
        self._render = render
        self._write = write

    def named(self, role: str) -> Log:
        """The same log under another role's name."""
        return Log(role, self._render, self._write)

    def info(self, event: str, **fields: Value) -> None:
        self._line("info", event, fields)

    def warning(self, event: str, **fields: Value) -> None:
        self._line("warning", event, fields)

    def error(self, event: str, **fields: Value) -> None:
        self._line("error", event, fields)

    def crash(self, event: str, error: BaseException, **fields: Value) -> None:
        """An error with the end of its traceback."""
        trace = "".join(traceback.format_exception(error)).strip()
        self._line("error", event, {**fields, "error": str(error), "traceback": _shorten(trace, _TRACE)})

    def _line(self, level: str, event: str, fields: dict[str, Value]) -> None:
        if self.dropped:
            fields = {**fields, "lines_dropped": self.dropped}
        kept = {key: value if key == "traceback" else _shorten(value) for key, value in fields.items()}
        at = time.time()
        line = self._render(at, level, self.role, event, kept)
        if len(line) > LINE:
            line = self._render(at, level, self.role, event[:_FIELD], {"cut": True})
        self.dropped = 0 if self._write(line) else self.dropped + 1


class _Bridge(logging.Handler):
    """What rooms below this one and libraries say through `logging`, in our lines."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        event, error = record.getMessage(), record.exc_info[1] if record.exc_info else None
        if error is not None:
            self._log.crash(event, error, logger=record.name)
        elif record.levelno >= logging.ERROR:
            self._log.error(event, logger=record.name)
        elif record.levelno >= logging.WARNING:
            self._log.warning(event, logger=record.name)
        else:
            self._log.info(event, logger=record.name)


def capture_logging(log: Log) -> None:
    """Send what goes through `logging` to `log`, from INFO on: a handler of its own would wait where `log` does not."""
    logging.basicConfig(level=logging.INFO, handlers=[_Bridge(log)], force=True)


def open_log(role: str, style: str, fd: int = 2) -> Log:
    """A log on descriptor `fd`; `style` is `json`, `text` or `auto`: text where `fd` is a terminal."""
    text = style == "text" or (style == "auto" and os.isatty(fd))
    return Log(role, as_text if text else as_json, _writer(fd))


def _writer(fd: int) -> Callable[[bytes], bool]:
    """How to write to `fd` without ever waiting and without changing the description that others share with us."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        connection = socket.socket(fileno=os.dup(fd))
        return _attempt(lambda line: connection.send(line, socket.MSG_DONTWAIT))
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            fd = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:  # another user's terminal, or no /proc: rather a line that waits than none
            pass
    return _attempt(lambda line: os.write(fd, line))


def _attempt(send: Callable[[bytes], int]) -> Callable[[bytes], bool]:
    def write(line: bytes) -> bool:
        try:
            return send(line) == len(line)
        except OSError:
            return False

    return write
