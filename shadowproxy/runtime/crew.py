"""Who runs, who replaces whom, who is told what: events and the time in, actions out. Pure.

A seat is a role and an index; a worker's index is its slot. A seat has at most one child that serves, one that starts
to replace it, and several that leave. Laws:

- a counter block has one writer: a slot owns two blocks, so that a successor never shares its predecessor's, and a
  block is handed on only after its writer's death and `Reclaim`;
- no slot's accept queue is left alone: when its worker dies the siblings adopt it until a replacement is ready;
- a child that was not told to leave and ends is replaced, while the phase keeps its role.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shadowproxy.model.commands import Adopt, Drain, Quit, StopAccepting, Yield
from shadowproxy.runtime.children import (
    COMPARER,
    CONTROL,
    PHASES,
    WORKER,
    Action,
    Child,
    CloseListeners,
    Fork,
    Kill,
    Note,
    Phase,
    Reclaim,
    Restarts,
    Standing,
    Tell,
)

START_WITHIN: Final = 30.0
"""Seconds a worker may take until it says Ready."""
GRACE: Final = 1.0
"""Seconds past the drain timeout after which a worker is killed."""
QUIT_WITHIN: Final = 5.0
"""Seconds comparers and control get to hand over what they hold, if the drain timeout leaves as many."""


_NO_DEATHS: Final = Restarts()


@dataclass(slots=True)
class _Seat:
    restarts: Restarts = _NO_DEATHS
    due: float = math.inf
    restart: bool = False


class Crew:
    """The children table of one supervisor. Times are seconds of one monotonic clock."""

    def __init__(self, workers: int, comparers: int, drain_delay: float, drain_timeout: float) -> None:
        self.workers = workers
        self.phase = Phase.SERVING
        self.children: dict[int, Child] = {}
        self._delay = drain_delay
        self._timeout = drain_timeout
        self._close_at = math.inf
        self._deadline = math.inf
        self._rolling: deque[int] = deque()
        self._orphans: set[int] = set()
        seats = [(WORKER, slot) for slot in range(workers)] + [(COMPARER, i) for i in range(comparers)] + [(CONTROL, 0)]
        self._seats = {seat: _Seat() for seat in seats}

    @property
    def draining(self) -> bool:
        return self.phase is not Phase.SERVING

    def serving(self, role: str, index: int) -> Child | None:
        """The child that does the work of a seat, if there is one."""
        return next(self._of(role, index, Standing.SERVING), None)

    def pids(self, *roles: str) -> list[int]:
        return [pid for pid, child in self.children.items() if child.role in roles]

    def name(self, pid: int) -> str:
        child = self.children.get(pid)
        return child.name if child else str(pid)

    def start(self, now: float) -> list[Action]:
        for seat in self._seats.values():
            seat.due = now
        return self.tick(now)

    def forked(self, order: Fork, pid: int, now: float) -> list[Action]:
        """The process for `order` runs."""
        child = Child(pid, order.role, order.index, order.block, born=now)
        if order.role == WORKER:
            child.has_to("become ready", now + START_WITHIN)
        self.children[pid] = child
        return [Tell(pid, Drain())] if self.phase is Phase.DELAYING and order.role == WORKER else []

    def not_forked(self, order: Fork, why: str, now: float) -> list[Action]:
        """The system refused a process for `order`: as if it had died at once."""
        note = Note("error", "no process could be started", {"child": f"{order.role}:{order.index}", "why": why})
        return [note, *self._vacated(order.role, order.index, 0.0, now)]

    def ready(self, pid: int, now: float) -> list[Action]:
        """The child said Ready: it takes its seat; whoever had it leaves the queues to it and ends."""
        child = self.children.get(pid)
        if child is None or child.standing is not Standing.STARTING:
            return []
        actions: list[Action] = []
        for predecessor in self._of(child.role, child.index, Standing.SERVING):
            actions += self._stop(predecessor, now, handover=True)
        child.standing = Standing.SERVING
        child.kill_at = math.inf
        if child.role == WORKER:
            if child.index in self._orphans:
                self._orphans.discard(child.index)
                actions += self._siblings(child, Yield(child.index))
            actions += [Tell(pid, Adopt(slot)) for slot in sorted(self._orphans)]
            if self._rolling and self._rolling[0] == child.index:
                self._rolling.popleft()
        return actions + self.tick(now)

    def died(self, pid: int, how: str, now: float) -> list[Action]:
        """The child's process ended; `how` is for people. Unknown pids (orphans that PID 1 inherits) are ignored."""
        child = self.children.pop(pid, None)
        if child is None:
            return []
        actions: list[Action] = [Reclaim(child.block)] if child.role == WORKER else []
        expected = child.standing is Standing.LEAVING
        fields: dict[str, object] = {"child": child.name, "pid": pid, "how": how}
        actions.append(Note("info" if expected else "error", "child ended", fields))
        if not expected:
            if child.role == WORKER and child.index not in self._orphans and not self.serving(WORKER, child.index):
                self._orphans.add(child.index)
                actions += self._siblings(child, Adopt(child.index))
            actions += self._vacated(child.role, child.index, now - child.born, now)
        return actions + self.tick(now)

    def lost_touch(self, pid: int, now: float) -> None:
        """Nothing can be told to this child any more. It is ending, or it has to: nobody may be beyond commands."""
        child = self.children.get(pid)
        if child is not None:
            child.has_to("end after its commands did", now + GRACE)

    def roll(self, now: float) -> list[Action]:
        """Replace every worker, slot after slot. A request while one is under way adds one more round, not many."""
        if self.draining:
            return []
        if len(self._rolling) <= self.workers:
            self._rolling.extend(range(self.workers))
        return self.tick(now)

    def drain(self, now: float) -> list[Action]:
        """Begin to end: accepting goes on for the delay, with `Connection: close`."""
        if self.draining:
            return []
        self.phase = Phase.DELAYING
        self._rolling.clear()
        self._close_at = now + self._delay
        return [*(Tell(pid, Drain()) for pid in self.pids(WORKER)), *self.tick(now)]

    def end_now(self, now: float) -> list[Action]:
        """End without any waiting."""
        self.phase = Phase.ENDED
        self._deadline = now + GRACE
        return [Kill(pid, "a second signal") for pid in self.children]

    def over(self, now: float) -> bool:
        """Nothing is left to do: all have ended, or those that were killed take too long about it."""
        return self.phase is Phase.ENDED and (not self.children or now >= self._deadline)

    def tick(self, now: float) -> list[Action]:
        """Everything that is due by `now`."""
        actions: list[Action] = []
        while self._phase_is_over(now):
            actions += self._enter(PHASES[self.phase].then, now)
        for (role, index), seat in self._seats.items():
            if seat.due <= now:
                seat.due = math.inf
                if role in PHASES[self.phase].keeps:
                    actions.append(Fork(role, index, self._free_block(role, index), seat.restart))
                    seat.restart = True
        actions += self._roll_on(now)
        for child in self.children.values():
            if child.kill_at <= now:
                child.kill_at = math.inf
                actions.append(Kill(child.pid, child.kill_why))
        return actions

    def next_due(self) -> float:
        """When `tick` has something to do again; infinity: only after an event."""
        times = [seat.due for seat in self._seats.values()] + [child.kill_at for child in self.children.values()]
        ends = {Phase.DELAYING: self._close_at, Phase.ENDED: self._deadline}
        return min([*times, ends.get(self.phase, math.inf)])

    def _of(self, role: str, index: int | None, *standings: Standing) -> Iterator[Child]:
        for child in self.children.values():
            if child.role == role and index in {None, child.index} and (not standings or child.standing in standings):
                yield child

    def _free_block(self, role: str, index: int) -> int:
        if role != WORKER:
            return -1
        used = {child.block for child in self._of(WORKER, index)}
        return next((block for block in (index, index + self.workers) if block not in used), -1)

    def _siblings(self, child: Child, message: Adopt | Yield) -> list[Action]:
        others = (other for other in self._of(WORKER, None, Standing.SERVING) if other.index != child.index)
        return [Tell(other.pid, message) for other in others]

    def _stop(self, child: Child, now: float, *, handover: bool) -> list[Action]:
        if child.standing is Standing.STARTING:
            child.kill_at = math.inf  # it need not become ready any more
        child.standing = Standing.LEAVING
        child.has_to("end", now + self._timeout + GRACE)
        if child.role != WORKER:
            return [Tell(child.pid, Quit())]
        drain: list[Action] = [Tell(child.pid, Drain())] if handover else []
        return [*drain, Tell(child.pid, StopAccepting(self._timeout, handover))]

    def _vacated(self, role: str, index: int, lived: float, now: float) -> list[Action]:
        """A child that should be there is not: its seat gets another one, unless it has one already."""
        if self.serving(role, index):
            self._rolling.clear()
            return [Note("error", "rolling restart given up: a successor did not start", {"slot": index})]
        if not any(self._of(role, index, Standing.STARTING)):
            seat = self._seats[role, index]
            seat.restarts, delay = seat.restarts.after(lived)
            seat.due = now + delay
        return []

    def _roll_on(self, now: float) -> list[Action]:
        """Start the successor of the next slot in the queue, as soon as one of the slot's blocks is free."""
        if not self._rolling:
            return []
        slot = self._rolling[0]
        starting = any(self._of(WORKER, slot, Standing.STARTING))
        block = self._free_block(WORKER, slot)
        if starting or block < 0 or self.serving(WORKER, slot) is None:
            return []
        return [Fork(WORKER, slot, block)]

    def _phase_is_over(self, now: float) -> bool:
        if self.phase is Phase.DELAYING:
            return now >= self._close_at
        awaited = PHASES[self.phase].awaits
        return awaited is not None and not any(self._of(awaited, None))

    def _enter(self, phase: Phase, now: float) -> list[Action]:
        self.phase = phase
        role = PHASES[phase].awaits
        actions: list[Action] = []
        if phase is Phase.CLOSING:
            self._deadline = now + self._timeout + GRACE
            actions.append(CloseListeners())
        for child in list(self._of(role, None, Standing.STARTING, Standing.SERVING)) if role else []:
            actions += self._stop(child, now, handover=False)
            if phase is not Phase.CLOSING:
                child.has_to("end", now + min(max(self._deadline - now, GRACE), QUIT_WITHIN))
        return actions
