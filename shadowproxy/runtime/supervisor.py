"""The supervisor: one thread, one selector, almost no imports. It decides nothing itself: `crew` says what to do about
processes, `probe` what to answer, and the configuration is read elsewhere; here these meet signals and time.
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

import msgspec

from shadowproxy.endpoints.routes import with_templates
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters, adopt
from shadowproxy.model.commands import Applied, Apply, Names, Paths, Publish, Ready, Reload, Templates, ToSupervisor
from shadowproxy.model.policy import Loaded, Policy, Registry
from shadowproxy.model.rollout import Split
from shadowproxy.model.terms import LEARNED
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
from shadowproxy.runtime.links import Links
from shadowproxy.runtime.loading import Loading, Outcome, Reloads, Request, start_loading
from shadowproxy.runtime.logs import Log
from shadowproxy.runtime.probe import Probe
from shadowproxy.runtime.processes import HANDLED, ending, fork, pair
from shadowproxy.runtime.roles import Roles, Setting, run_role
from shadowproxy.runtime.sockets import Sockets, address_of
from shadowproxy.runtime.splits import published, recalled, restored, splits
from shadowproxy.runtime.splits_file import Splits, SplitsFile, start_saving

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
        self._options = options
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
        self._reloads = Reloads(self._selector, self._start_loading, self._reloaded)
        self._splits_file = SplitsFile(self._start_saving, log)
        # what is in force
        self._loaded = loaded
        self._problems: tuple[str, ...] = ()
        self._names = Names(first.addresses)
        self._learned: dict[str, tuple[str, ...]] = {}
        """Templates that are to become routes: while the configuration is read, rows are given out there alone."""
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
            due = min(
                self._crew.next_due(),
                self._probe.next_due(),
                self._reloads.next_due(),
                self._splits_file.next_due(),
            )
            for key, events in self._selector.select(min(max(0.0, due - self._clock()), LONGEST_SLEEP)):
                key.data(events)
            now = self._clock()
            self._perform(self._crew.tick(now))
            self._probe.expire(now)
            self._reloads.expire(now)
            self._splits_file.expire(now)
        self._reloads.cancel()
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
            self._reloads.request()
        if signal.SIGUSR1 in received:
            self._log.info("rolling restart of the workers")
            self._perform(self._crew.roll(self._clock()))
        if signal.SIGUSR2 in received:
            self._recall()

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
                    lost = adopt(self._counters.block(block), len(self._loaded.registry.routes))
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
        setting = Setting(self._launch, self._apply(), self._names, self._counters, self._sockets, self._key)
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
        self._reloads.abandon()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._links.drop(pid)
            self._splits_file.ended(pid, status, self._clock())
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
            case Names(addresses):
                self._names = Names({**self._names.addresses, **addresses})
                self._links.tell(self._crew.pids(WORKER), self._names)
            case Paths():
                self._links.offer(self._crew.pids(CONTROL), message)
            case Templates(learned):
                for service, names in learned.items():
                    self._learned[service] = (*self._learned.get(service, ()), *names)
                self._make_routes()
            case Reload():
                self._reloads.request()
            case Publish(said):
                self._publish(said)

    # Configuration

    def _apply(self, reread: bool = True) -> Apply:
        return Apply(self._loaded.policy, self._loaded.registry, self._problems, reread)

    def _swap(self, policy: Policy, registry: Registry) -> None:
        """Put a policy in force everywhere that no configuration was read for."""
        policy = msgspec.structs.replace(policy, sequence=self._loaded.policy.sequence + 1)
        self._loaded = msgspec.structs.replace(self._loaded, policy=policy, registry=registry)
        self._links.tell(self._crew.pids(WORKER, COMPARER, CONTROL), self._apply(reread=False))

    def _make_routes(self) -> None:
        """Make routes of the templates that wait."""
        if not self._learned or self._reloads.under_way:
            return
        templates, self._learned = self._learned, {}
        before = self._loaded
        policy, registry, left_out = with_templates(before.policy, before.registry, templates, LEARNED, at.MAX_ROUTES)
        for service, count in left_out.items():
            self._log.warning("no place for learned templates: they stay in `other`", service=service, templates=count)
        if policy == before.policy:
            return
        self._swap(policy, registry)
        sequence = self._loaded.policy.sequence
        self._log.info("learned templates are routes now", sequence=sequence, templates=templates)

    def _publish(self, said: dict[str, Split | None]) -> None:
        """What control says of splits, in force at once: a reload under way takes them over when it ends."""
        policy, refused = published(self._loaded.policy, said)
        for why in refused:
            self._log.warning("split not put in force", why=why)
        if self._put_splits(policy):
            self._log.info("splits published", sequence=self._loaded.policy.sequence, services=sorted(said))

    def _recall(self) -> None:
        """Send every user back to the primary, whoever else is dead."""
        if self._put_splits(recalled(self._loaded.policy, time.time())):
            self._log.warning(
                "SIGUSR2: every user is served by the primary again",
                sequence=self._loaded.policy.sequence,
                services=sorted(splits(self._loaded.policy)),
            )
        else:
            self._log.warning("SIGUSR2: no rollout is under way, so nothing is done")

    def _take_over(self, loaded: Loaded) -> tuple[str, ...]:
        """A policy that was read, with the splits of now and after all that were put in force while it was read.

        Returns what is said of splits that it has no place for.
        """
        before = self._loaded.policy
        policy, dropped = restored(loaded.policy, splits(before))
        policy = msgspec.structs.replace(policy, sequence=before.sequence + 1)
        self._loaded = msgspec.structs.replace(loaded, policy=policy)
        if dropped:
            self._splits_file.keep(splits(policy), self._clock())
        return dropped

    def _put_splits(self, policy: Policy) -> bool:
        """Put a policy with other splits in force, then keep them. False: they are the same."""
        if policy == self._loaded.policy:
            return False
        self._swap(policy, self._loaded.registry)
        self._splits_file.keep(splits(policy), self._clock())
        return True

    def _start_saving(self, those: Splits) -> int:
        return start_saving(Path(self._launch.data_dir), those, self._log, self._disown)

    def _start_loading(self) -> Loading:
        policy, registry = self._loaded.policy, self._loaded.registry
        request = Request(self._options, policy.epoch, policy.sequence + 1, registry, self._loaded)
        return start_loading(
            request, self._roles.read, self._roles.keep, self._log, disown=self._disown, now=self._clock()
        )

    def _reloaded(self, outcome: Outcome) -> None:
        """Put a new policy in force everywhere, or say everywhere why the old one stays."""
        words = self._counters.supervisor
        words[at.LAST_RELOAD_AT] = int(time.time() * 1000)
        words[at.LAST_RELOAD_OK] = int(outcome.loaded is not None)
        self._problems = outcome.problems
        if outcome.loaded is None:
            words[at.RELOADS_FAILED] += 1
            for problem in outcome.problems:
                self._log.error("configuration not reloaded", problem=problem)
            self._links.tell(self._crew.pids(CONTROL), self._apply())
            self._make_routes()
            return
        words[at.RELOADS_OK] += 1
        dropped = self._take_over(outcome.loaded)
        kept = self._names.addresses
        self._names = Names(
            {n: outcome.addresses.get(n) or kept[n] for n in outcome.names if n in outcome.addresses or n in kept}
        )
        self._links.tell(self._crew.pids(WORKER), self._names)
        self._links.tell(self._crew.pids(WORKER, COMPARER, CONTROL), self._apply())
        for warning in (*outcome.warnings, *dropped):
            self._log.warning(warning)
        for key in outcome.restart:
            self._log.warning("needs a restart: the old value stays", key=key)
        self._log.info("configuration reloaded", sequence=self._loaded.policy.sequence, changed=outcome.changed)
        self._make_routes()

    # Words

    def _announce(self) -> None:
        """Say once that everything serves, and where."""
        if self._announced or not all(self._crew.serving(WORKER, slot) for slot in range(self._launch.workers)):
            return
        self._announced = True
        sockets = self._sockets
        scheme = "https" if self._loaded.policy.tls else "http"
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
