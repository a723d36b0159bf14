"""The comparers of a replay: processes of their own, as live, each with a nurse that starts it again when it dies.

They are forked before there are threads or a loop. What they say goes to the feed, which the caller listens on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import Final

import msgspec

from shadowproxy.channel import frame
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.model.commands import Apply, Quit
from shadowproxy.model.policy import Loaded
from shadowproxy.runtime.children import COMPARER
from shadowproxy.runtime.comparer import run_comparer
from shadowproxy.runtime.logs import Log
from shadowproxy.runtime.processes import ending, fork, pair
from shadowproxy.runtime.sockets import listen_unix, private_directory, remove_directory

_PRIVATE: Final = 0o600
_PAUSE: Final = 0.1
"""Seconds between a comparer's death and the next start."""
_POLL: Final = 0.02
_STOP: Final = 5.0
"""Seconds for the nurses to end."""


class Comparers:
    """`paths` are where workers connect, `feed` listens for what comparers report."""

    def __init__(self, loaded: Loaded, data_dir: Path, key: bytes, counters: Counters, log: Log) -> None:
        """Raises BindError where no place for the sockets can be written, and OSError."""
        self._directory = private_directory(data_dir)
        self.paths: list[str] = []
        self._restarts = counters.supervisor
        self._commands: list[socket.socket] = []
        self._nurses: list[int] = []
        self.feed = listen_unix(self._directory / "feed", _PRIVATE)
        apply = Apply(loaded.policy, loaded.registry)
        for index in range(loaded.launch.comparers):
            path = self._directory / f"{COMPARER}{index}"
            listener = listen_unix(path, _PRIVATE)
            mine, theirs = pair()
            self._commands.append(mine)
            self.paths.append(str(path))
            self._nurses.append(self._fork(index, loaded, apply, theirs, listener, key, log))
            theirs.close()
            listener.close()

    def _fork(
        self,
        index: int,
        loaded: Loaded,
        apply: Apply,
        commands: socket.socket,
        listener: socket.socket,
        key: bytes,
        log: Log,
    ) -> int:
        feed_path = str(self._directory / "feed")

        def compare() -> None:
            run_comparer(index, loaded.launch, apply, commands, listener, feed_path, key)

        def nurse() -> None:
            self.feed.close()
            for command in self._commands:
                command.close()  # so that a comparer hears when the replay is gone
            while status := os.waitpid(fork(f"c{index}", log, compare), 0)[1]:
                self._restarts[at.RESTARTS[COMPARER]] += 1  # of what it had not reported yet the report speaks
                log.error("a comparer died and is started again", how=ending(status))
                time.sleep(_PAUSE)

        return fork(f"n{index}", log, nurse)

    async def quit(self, seconds: float) -> None:
        """Let them report what is left and end, for at most `seconds`."""
        for command in self._commands:
            with contextlib.suppress(OSError):
                command.sendall(frame(msgspec.msgpack.encode(Quit())))
        for _ in range(round(seconds / _POLL)):
            if not self._reap():
                break
            await asyncio.sleep(_POLL)
        await asyncio.sleep(_POLL)  # what they said last is heard in the loop's next turns

    def close(self) -> None:
        """Stop whoever is still there, and take the sockets off the disk."""
        for command in self._commands:
            command.close()
        until = time.monotonic() + _STOP
        while self._reap() and time.monotonic() < until:
            time.sleep(_POLL)
        for nurse in self._nurses:
            os.kill(nurse, signal.SIGKILL)
            os.waitpid(nurse, 0)
        self.feed.close()
        remove_directory(self._directory)

    def _reap(self) -> bool:
        """Whether any nurse is still there."""
        self._nurses = [nurse for nurse in self._nurses if os.waitpid(nurse, os.WNOHANG)[0] == 0]
        return bool(self._nurses)
