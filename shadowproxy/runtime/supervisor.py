"""The supervisor: one thread, one selector, almost no imports. It decides nothing itself: `crew` says what to do about
processes, `probe` what to answer, `in_force` what policy everyone runs; here these meet signals and time.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Final

from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters, adopt
from shadowproxy.model.commands import Applied, Names, Paths, Publish, Ready, Reload, Templates, ToRole, ToSupervisor
from shadowproxy.model.flags import Evaluations, FlagsInForce
from shadowproxy.model.policy import Loaded
from shadowproxy.runtime.children import (
    COMPARER,
    CONTROL,
    WORKER,
    Action,
    CloseListeners,
    Fork,
    Kill,
    Note,
    Reclaim,
    Tell,
)
from shadowproxy.runtime.crew import Crew
from shadowproxy.runtime.in_force import InForce
from shadowproxy.runtime.links import Links
from shadowproxy.runtime.loading import Loading, Outcome, Request, start_loading
from shadowproxy.runtime.logs import Log
from shadowproxy.runtime.probe import Probe
from shadowproxy.runtime.processes import HANDLED, ending, fork, pair
from shadowproxy.runtime.roles import Roles, Setting, run_role
from shadowproxy.runtime.sockets import Sockets, address_of
from shadowproxy.runtime.splits_file import Splits, start_saving

STALE: Final = 5.0
"""Seconds without a heartbeat after which a worker counts as not ready."""
ECHO: Final = 0.2
"""Seconds within which the same signal again is no second one: it came to the process and to its group (`timeout`,
Ctrl-C below a shell that passes it on)."""
LONGEST_SLEEP: Final = 60.0
"""Seconds; the loop wakes for what is due, and otherwise hardly ever."""
_SHORT: Final = {WORKER: "w{}", COMPARER: "c{}", CONTROL: "ctl"}
"""Process names, within the 15 bytes of /proc/PID/comm: `shadowproxy:w0`."""


class Supervisor:
    """Owns the tree. `run` returns the exit code."""

    def __init__(
        self,
        *,
        options: dict[str, object],
        first: Outcome,
        loaded: Loaded,
        sockets: Sockets,
        roles: Roles,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        launch = loaded.launch
        # for life
        self._launch = launch
        self._key = first.key
        self._sockets = sockets
        self._roles = roles
        self._log = log
        self._clock = clock
        self._counters = Counters(2 * launch.workers)
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wakeup_sender = socket.socketpair()
        self._probe = Probe(sockets.probe, self._selector, self.unready, clock)
        self._links = Links(self._selector, self._hear, self._lost)
        self._in_force = InForce(
            first,
            loaded,
            options,
            tell=self._tell,
            load=self._load,
            save=self._save,
            selector=self._selector,
            words=self._counters.supervisor,
            log=log,
            clock=clock,
        )
        # what happens
        self._crew = Crew(launch.workers, launch.comparers, launch.drain_delay, launch.drain_timeout)
        self._announced = False
        self._exit_code = 0
        self._told_to_end: tuple[signal.Signals, float] | None = None

    def run(self) -> int:
        """Serve until told to end. Returns 0, or 128 + the number of a second SIGTERM or SIGINT."""
        words = self._counters.supervisor
        words[at.STARTED_AT] = words[at.LAST_RELOAD_AT] = int(time.time() * 1000)
        words[at.LAST_RELOAD_OK] = 1
        self._listen_to_signals()
        self._reap()  # the first reader of the configuration may have ended before anyone listened
        self._perform(self._crew.start(self._clock()))
        while not self._crew.over(self._clock()):
            due = min(self._crew.next_due(), self._probe.next_due(), self._in_force.next_due())
            for key, events in self._selector.select(min(max(0.0, due - self._clock()), LONGEST_SLEEP)):
                key.data(events)
            now = self._clock()
            self._perform(self._crew.tick(now))
            self._probe.expire(now)
            self._in_force.expire(now)
        self._in_force.cancel()
        self._sockets.remove_files()
        self._log.info("ended", exit_code=self._exit_code)
        return self._exit_code

    # Signals

    def _listen_to_signals(self) -> None:
        self._wakeup.setblocking(False)
        self._wakeup_sender.setblocking(False)
        for number in HANDLED:
            signal.signal(number, _note)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wakeup_sender.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._on_signals)

    def _on_signals(self, _events: int) -> None:
        received = {signal.Signals(number) for number in self._wakeup.recv(4096)}
        if signal.SIGCHLD in received:
            self._reap()
        for number in received & {signal.SIGTERM, signal.SIGINT}:
            self._end(number)
        if signal.SIGHUP in received:
            self._in_force.reload()
        if signal.SIGUSR1 in received:
            self._log.info("rolling restart of the workers")
            self._perform(self._crew.roll(self._clock()))
        if signal.SIGUSR2 in received:
            self._in_force.recall()

    def _end(self, number: signal.Signals) -> None:
        now = self._clock()
        if self._told_to_end is None:
            self._told_to_end = number, now
        elif self._told_to_end[0] == number and now - self._told_to_end[1] < ECHO:
            return
        if self._crew.draining:
            self._log.warning("ending at once: a second signal", signal=number.name)
            self._exit_code = 128 + number
            self._perform(self._crew.end_now(now))
        else:
            launch = self._launch
            self._log.info("draining", signal=number.name, delay=launch.drain_delay, timeout=launch.drain_timeout)
            self._perform(self._crew.drain(now))

    # Children

    def _perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Fork():
                    self._perform(self._fork(action))
                case Tell(pid, message):
                    self._links.tell([pid], message)
                case Kill(pid, why):
                    self._log.warning("killed", pid=pid, why=why)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                case Reclaim(block):
                    lost = adopt(self._counters.block(block), len(self._in_force.loaded.registry.routes))
                    if lost:
                        self._log.warning("copies in flight were lost with their worker", copies=lost)
                case CloseListeners():
                    self._sockets.close_serving()
                case Note(level, event, fields):
                    getattr(self._log, level)(event, **fields)

    def _fork(self, order: Fork) -> list[Action]:
        if order.restart:
            self._counters.supervisor[at.RESTARTS[order.role]] += 1
        log = self._log.named(f"{order.role}:{order.index}")
        title = _SHORT[order.role].format(order.index)
        policy, names = self._in_force.apply(), self._in_force.names
        flags = self._in_force.flags
        setting = Setting(self._launch, policy, names, self._counters, self._sockets, self._key, flags)
        try:
            ours, theirs = pair()
        except OSError as error:
            return self._crew.not_forked(order, str(error), self._clock())

        def body() -> None:
            self._disown()
            ours.close()
            run_role(self._roles, order, setting, theirs, log)

        try:
            pid = fork(title, log, body)
        except OSError as error:
            ours.close()
            return self._crew.not_forked(order, str(error), self._clock())
        finally:
            theirs.close()
        self._links.add(pid, ours)
        return self._crew.forked(order, pid, self._clock())

    def _disown(self) -> None:
        """In a child: close what is the supervisor's alone. Listening sockets are the role's to sort out."""
        self._selector.close()
        self._wakeup.close()
        self._wakeup_sender.close()
        self._probe.abandon()
        self._links.abandon()
        self._in_force.abandon()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._links.drop(pid)
            self._in_force.ended(pid, status, self._clock())
            self._perform(self._crew.died(pid, ending(status), self._clock()))

    def _lost(self, pid: int) -> None:
        self._crew.lost_touch(pid, self._clock())

    def _hear(self, pid: int, message: ToSupervisor) -> None:
        match message:
            case Ready():
                self._perform(self._crew.ready(pid, self._clock()))
                self._announce()
            case Applied(sequence, why) if why:
                self._counters.supervisor[at.LAST_RELOAD_OK] = 0
                self._log.error("policy not put in force", child=self._crew.name(pid), sequence=sequence, why=why)
            case Paths():
                self._links.offer(self._crew.pids(CONTROL), message)
            case Evaluations():
                self._links.tell(self._crew.pids(CONTROL), message)
            case Names() | Templates() | Reload() | Publish() | FlagsInForce():
                self._in_force.hear(message)

    def _tell(self, roles: tuple[str, ...], message: ToRole) -> None:
        self._links.tell(self._crew.pids(*roles), message)

    def _load(self, request: Request) -> Loading:
        roles, now = self._roles, self._clock()
        return start_loading(request, roles.read, roles.keep, self._log, disown=self._disown, now=now)

    def _save(self, splits: Splits) -> int:
        return start_saving(Path(self._launch.data_dir), splits, self._log, disown=self._disown)

    # Words

    def _announce(self) -> None:
        """Say once that everything serves, and where."""
        if self._announced or not all(self._crew.serving(WORKER, slot) for slot in range(self._launch.workers)):
            return
        self._announced = True
        sockets = self._sockets
        scheme = "https" if self._in_force.loaded.policy.tls else "http"
        listen = [address_of(listener, scheme) for listener in sockets.slots[0]]
        admin = address_of(sockets.admin, "https" if self._launch.admin.cert else "http")
        probe = address_of(sockets.probe, "http")
        metrics = {"metrics": address_of(sockets.metrics, "http")} if sockets.metrics else {}
        self._log.info("shadowproxy serves", listen=listen, admin=admin, probe=probe, **metrics)

    def unready(self) -> str:
        """Why `/readyz` has to say 503; empty if it has not."""
        if self._crew.draining:
            return "draining"
        now = self._clock()
        for slot in range(self._launch.workers):
            child = self._crew.serving(WORKER, slot)
            if child is None:
                return f"worker {slot} is starting"
            beat = self._counters.block(child.block)[at.HEARTBEAT] / 1000
            if now - beat > STALE:
                return f"worker {slot} has not been heard of for more than {STALE:g} s"
        return ""


def _note(_number: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor has the number already; a handler has to exist for it to be written."""
