"""The isolation proof: whether slots are held out now (`model.slots`), and what is read at their edges.

Workers hold out by themselves; control leases the slots while a service is busy enough, and reads the histograms of the
primary's durations at six edges: those of the window in a held out slot and of the same one in the slots before and
after. A window begins once copies of the slot before have run out. What is read too late, or does not show what it is
to show, is thrown away. The clock is passed in; the data plane does nothing for this but count.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from math import inf
from operator import sub
from typing import Final, NamedTuple

from msgspec.structs import replace

from shadowproxy.control.estimate import LEAST_REQUESTS, Estimate, Windows, fewest
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.model import slots
from shadowproxy.model.policy import Policy, Registry, ServicePolicy
from shadowproxy.model.terms import CONFIGURED, MIRRORED_ARMS
from shadowproxy.model.totals import Isolation

BUSY: Final = 50.0
"""Requests/s of a service from which on slots are held out: fewer would say something after hours at best."""
STILL_BUSY: Final = 40.0
WATCHED: Final = 10.0
"""Seconds over which the rate is taken."""
EVERY: Final = 1.0
LEASE: Final = 3
"""Slots ahead that the lease covers: it is over some five seconds after control is."""
AHEAD: Final = 32
"""Slots that are looked through for the next one to measure."""
LATE: Final = 0.05
LEAK: Final = 0.02
"""Copies sent inside, as a share of those outside: more means that nothing was not what was mirrored."""

STARTING: Final = "starting"
SLOW: Final = "slow"
UNMIRRORED: Final = "unmirrored"
MEASURING: Final = "measuring"


class _Reading(NamedTuple):
    """One service at one moment, over all workers: the primary's durations so far, and the copies sent."""

    bins: tuple[int, ...]
    sent: int


class _Moment(NamedTuple):
    at: float
    requests: int
    sent: int


class _Trial:
    """A held out slot between its neighbours, and what was read at the edges of their windows so far."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        starts = [each * slots.SECONDS for each in (slot - 1, slot, slot + 1)]
        self.edges = [edge for start in starts for edge in (start + slots.DRAIN, start + slots.SECONDS)]
        self.readings: list[dict[str, _Reading]] = []

    @property
    def due(self) -> float:
        return self.edges[len(self.readings)]

    @property
    def over(self) -> bool:
        return len(self.readings) == len(self.edges)

    def sent(self, names: list[str]) -> tuple[int, int, int]:
        """Copies of these services in each window."""
        first, second, third = (
            sum(end[name].sent - start[name].sent for name in names) for start, end in self._windows()
        )
        return first, second, third

    def windows(self, name: str) -> Windows:
        first, second, third = (list(map(sub, end[name].bins, start[name].bins)) for start, end in self._windows())
        return first, second, third

    def _windows(self) -> Iterator[tuple[dict[str, _Reading], dict[str, _Reading]]]:
        return zip(self.readings[::2], self.readings[1::2], strict=True)


class _Measured:
    """One service that mirrors. Begins anew when its policy changes: then another thing is measured."""

    def __init__(self, policy: ServicePolicy) -> None:
        self.policy = policy
        self.lately: deque[_Moment] = deque()
        self.state = STARTING
        self.rate: float | None = None
        self.estimate = Estimate()
        self.since: float | None = None
        self.discarded: Counter[str] = Counter()

    def observe(self, now: float, reading: _Reading) -> None:
        """Note the rate of the last seconds, and what follows for the state."""
        lately = self.lately
        lately.append(_Moment(now, sum(reading.bins), reading.sent))
        if now - lately[0].at < WATCHED:
            return
        while len(lately) > 2 and now - lately[1].at >= WATCHED:
            lately.popleft()
        first, last = lately[0], lately[-1]
        self.rate = (last.requests - first.requests) / (last.at - first.at)
        if self.rate < (STILL_BUSY if self.state == MEASURING else BUSY):
            self.state = SLOW
        else:
            self.state = MEASURING if last.sent > first.sent else UNMIRRORED

    def take(self, windows: Windows, sent: tuple[int, int, int], wall: float) -> None:
        """The windows of one trial; `sent`: the copies of this service in each."""
        if fewest(windows) < LEAST_REQUESTS:
            self.discarded["few_requests"] += 1
        elif not (sent[0] and sent[2]):
            self.discarded["nothing_mirrored"] += 1
        else:
            if self.since is None:
                self.since = wall
            self.estimate.add(windows)

    def figures(self) -> Isolation:
        window = slots.SECONDS - slots.DRAIN
        return Isolation(
            state=self.state,
            hold_out=self.policy.isolation.hold_out,
            slot_seconds=slots.SECONDS,
            rate=self.rate,
            least_rate=BUSY,
            slots=self.estimate.count,
            discarded=dict(self.discarded),
            since=self.since,
            added=self.estimate.added(),
            more=self.estimate.more((self.rate or BUSY) * window),
        )


class IsolationProof:
    """One per control process, which forgets what it measured when it ends. `tick` when it says so."""

    def __init__(self, counters: Counters, policy: Policy, registry: Registry) -> None:
        self._counters = counters
        self._page = counters.control
        self._page[at.HOLD_OUT_LAST] = -1  # a lease of the control before
        self._measured: dict[str, _Measured] = {}
        self._trial: _Trial | None = None
        self._observe_at = -inf
        self.apply(policy, registry)

    def apply(self, policy: Policy, registry: Registry) -> None:
        """Measure what this policy mirrors. Services go on where only learned routes or what a rollout does changed."""
        self._epoch = policy.epoch
        self._sent_words = {
            service.name: [
                at.route_row(row) + at.SENT
                for key, row in registry.routes.items()
                if key.startswith(f"{service.name}\n")
            ]
            for service in policy.services
        }
        before, self._measured = self._measured, {}
        for service in policy.services:
            if service.isolation.hold_out and any(arm in service.upstreams for arm in MIRRORED_ARMS):
                configured = tuple(route for route in service.routes if route.origin == CONFIGURED)
                lasting = replace(service, routes=configured, split=None)
                known = before.get(service.name)
                goes_on = known is not None and known.policy == lasting
                self._measured[service.name] = known if known is not None and goes_on else _Measured(lasting)
        if self._measured != before:
            self._trial = None

    def figures(self) -> dict[str, Isolation]:
        """By service, of those that mirror and hold out."""
        return {name: measured.figures() for name, measured in self._measured.items()}

    def tick(self, now: float, wall: float) -> float:
        """Do what is due and return when to be called again. `now`: CLOCK_MONOTONIC, `wall`: Unix time, seconds."""
        if now >= self._observe_at:
            self._observe_at = now + EVERY
            for name, measured in self._measured.items():
                measured.observe(now, self._read(name))
            self._renew(now)
        if self._trial is None:
            self._trial = self._next_trial(now)
        trial = self._trial
        if trial is not None and now >= trial.due:
            self._measure(trial, now, wall)
        return min(self._observe_at, self._trial.due if self._trial is not None else inf)

    # -- the lease

    def _renew(self, now: float) -> None:
        page, slot = self._page, slots.slot_at(now)
        if any(measured.state == MEASURING for measured in self._measured.values()):
            if page[at.HOLD_OUT_LAST] < slot:
                page[at.HOLD_OUT_FIRST] = slot + 1  # first: no worker may take the slot that runs
            page[at.HOLD_OUT_LAST] = slot + LEASE
        elif page[at.HOLD_OUT_LAST] > slot:
            page[at.HOLD_OUT_LAST] = slot

    def _leased(self, slot: int) -> bool:
        return self._page[at.HOLD_OUT_FIRST] <= slot <= self._page[at.HOLD_OUT_LAST]

    # -- a trial

    def _next_trial(self, now: float) -> _Trial | None:
        """The next held out slot whose neighbour before it has not begun to be measured."""
        slot = slots.slot_at(now)
        if self._page[at.HOLD_OUT_LAST] < slot:
            return None
        begun = now > slot * slots.SECONDS + slots.DRAIN
        first = max(slot + (2 if begun else 1), self._page[at.HOLD_OUT_FIRST])
        share = max((measured.policy.isolation.hold_out for measured in self._measured.values()), default=0.0)
        candidates = range(first, first + AHEAD)
        return next((_Trial(each) for each in candidates if slots.held_out_from(self._epoch, each) < share), None)

    def _measure(self, trial: _Trial, now: float, wall: float) -> None:
        late = now > trial.due + LATE
        if not late:
            trial.readings.append({name: self._read(name) for name in self._measured})
        inside = len(trial.readings) > 2
        if late or (inside and not self._leased(trial.slot)):
            self._trial = None
            if self._leased(trial.slot):
                self._discard(trial, "late")
        elif trial.over:
            self._trial = None
            self._judge(trial, wall)

    def _judge(self, trial: _Trial, wall: float) -> None:
        names = self._held_out(trial)
        before, inside, after = trial.sent(names)
        if inside > LEAK * (before + after) / 2:
            self._discard(trial, "mirrored")
            return
        for name in names:
            self._measured[name].take(trial.windows(name), trial.sent([name]), wall)

    def _discard(self, trial: _Trial, reason: str) -> None:
        for name in self._held_out(trial):
            self._measured[name].discarded[reason] += 1

    def _held_out(self, trial: _Trial) -> list[str]:
        """The services that mirror nothing in this slot."""
        least = slots.held_out_from(self._epoch, trial.slot)
        return [name for name, measured in self._measured.items() if least < measured.policy.isolation.hold_out]

    def _read(self, name: str) -> _Reading:
        counters = self._counters
        fine = at.fine_word(self._measured[name].policy.index)
        sent = sum(sum(counters.totals(word, len(MIRRORED_ARMS))) for word in self._sent_words[name])
        return _Reading(tuple(counters.totals(fine, at.FINE_WORDS)), sent)
