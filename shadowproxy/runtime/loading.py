"""Reading the configuration in a process of its own, so that its parser stays out of the supervisor's memory.

The child reads, resolves names and sends one `Outcome` through a pipe; then it keeps the policy on disk. Whatever
happens to it (a crash, a parser that hangs) is a failed reload and never more; a bad disk is not even that.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from shadowproxy.model.flags import FlagsInForce
from shadowproxy.model.policy import Loaded, Policy, Registry, without_splits
from shadowproxy.runtime.logs import Log
from shadowproxy.runtime.processes import fork

WITHIN: Final = 10.0
"""Seconds until a reader that has not answered is given up."""
_READ: Final = 1024 * 1024


class Outcome(Struct, frozen=True):
    """What one reading yields. Either `loaded` or `problems` is there.

    `addresses` are those of the host names that could be resolved, out of `names`. `restart` are the keys whose change
    needs a restart, `changed` what else differs from the policy before. `alarms` are warnings that somebody has to act
    on. `key` masks values in stored examples. `flags` are those of the start.
    """

    loaded: Loaded | None = None
    problems: tuple[str, ...] = ()
    addresses: dict[str, tuple[str, ...]] = {}
    names: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    key: bytes = b""
    flags: FlagsInForce = FlagsInForce()


class Request(Struct, frozen=True):
    """What to read: the options of the command line, and what is in force (`before` is None at the start)."""

    options: dict[str, object]
    epoch: str
    sequence: int
    registry: Registry
    before: Loaded | None = None


Reader = Callable[[Request], Outcome]
Keeper = Callable[[Loaded], None]


class Loading:
    """One reading under way. Poll `fileno()`; `read` gives the outcome once it is there."""

    def __init__(self, pid: int, pipe: int, deadline: float) -> None:
        self.pid = pid
        self.deadline = deadline
        self._pipe = pipe
        self._received = bytearray()

    def fileno(self) -> int:
        return self._pipe

    def read(self) -> Outcome | None:
        """The outcome if the reader is done, else None. Does not wait."""
        try:
            data = os.read(self._pipe, _READ)
        except BlockingIOError:
            return None
        self._received += data
        if data:
            return None
        try:
            return msgspec.msgpack.decode(self._received, type=Outcome)
        except msgspec.MsgspecError:
            return Outcome(problems=("the process that reads the configuration ended without an answer",))

    def give_up(self) -> Outcome:
        """End a reader that took too long."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return Outcome(problems=(f"reading the configuration took longer than {WITHIN:g} s",))

    def close(self) -> None:
        os.close(self._pipe)


def start_loading(
    request: Request, reader: Reader, keeper: Keeper, log: Log, *, disown: Callable[[], None], now: float
) -> Loading:
    """Fork a process that reads and then keeps. `disown` closes in it what is the supervisor's. Raises OSError."""
    log = log.named("loader")
    receiving, sending = os.pipe()

    def body() -> None:
        disown()
        os.close(receiving)
        signal.alarm(int(WITHIN * 2))  # should the supervisor die meanwhile
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        with os.fdopen(sending, "wb") as pipe:
            outcome = reader(request)
            pipe.write(msgspec.msgpack.encode(outcome))
        if outcome.loaded:
            try:
                keeper(outcome.loaded)
            except OSError as error:
                log.warning("the policy is not kept on disk", error=str(error))

    try:
        pid = fork("cfg", log, body)
    except OSError:
        os.close(receiving)
        raise
    finally:
        os.close(sending)
    os.set_blocking(receiving, False)
    return Loading(pid, receiving, now + WITHIN)


class Reloads:
    """Reloads asked for, one at a time: those asked for meanwhile become a single one afterwards."""

    def __init__(
        self, selector: selectors.BaseSelector, start: Callable[[], Loading], finished: Callable[[Outcome], None]
    ) -> None:
        self._selector = selector
        self._start = start
        self._finished = finished
        self._loading: Loading | None = None
        self._again = False

    @property
    def under_way(self) -> bool:
        return self._loading is not None

    def request(self) -> None:
        if self._loading:
            self._again = True
            return
        try:
            self._loading = self._start()
        except OSError as error:
            self._finished(Outcome(problems=(f"no process could be started to read the configuration: {error}",)))
            return
        self._selector.register(self._loading, selectors.EVENT_READ, self._readable)

    def next_due(self) -> float:
        return self._loading.deadline if self._loading else math.inf

    def expire(self, now: float) -> None:
        if self._loading and now >= self._loading.deadline:
            self._finish(self._loading, self._loading.give_up())

    def cancel(self) -> None:
        """End a reading under way, without an outcome."""
        if self._loading:
            self._loading.give_up()

    def abandon(self) -> None:
        """In a forked child: close the copy of the pipe."""
        if self._loading:
            self._loading.close()

    def _readable(self, _events: int) -> None:
        if self._loading and (outcome := self._loading.read()):
            self._finish(self._loading, outcome)

    def _finish(self, loading: Loading, outcome: Outcome) -> None:
        self._selector.unregister(loading)
        loading.close()
        self._loading = None
        self._finished(outcome)
        if self._again:
            self._again = False
            self.request()


def changes(before: Policy, after: Policy) -> tuple[str, ...]:
    """What differs between two policies, as short words: `services.checkout`, `limits`. Splits are not looked at."""
    before, after = without_splits(before), without_splits(after)
    found: list[str] = []
    old = {service.name: service for service in before.services}
    new = {service.name: service for service in after.services}
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            found.append(f"services.{name} (removed)")
        elif name not in old:
            found.append(f"services.{name} (added)")
        elif old[name] != new[name]:
            found.append(f"services.{name}")
    others = (field for field in Policy.__struct_fields__ if field not in {"services", "sequence", "epoch"})
    return (*found, *(field for field in others if getattr(before, field) != getattr(after, field)))
