"""The crew decides: played with invented pids and a clock that is a number."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.model.commands import Adopt, Drain, Quit, StopAccepting, Yield
from shadowproxy.runtime.children import (
    COMPARER,
    CONTROL,
    WORKER,
    Action,
    CloseListeners,
    Fork,
    Kill,
    Note,
    Phase,
    Reclaim,
    Standing,
    Tell,
)
from shadowproxy.runtime.crew import GRACE, QUIT_WITHIN, START_WITHIN, Crew

DELAY, TIMEOUT = 2.0, 30.0


class Play:
    """A crew and a driver that performs what it says: forks get the next pid, everything is written down."""

    def __init__(self, workers: int = 2, comparers: int = 1, delay: float = DELAY) -> None:
        self.crew = Crew(workers, comparers, delay, TIMEOUT)
        self.now = 100.0
        self.done: list[Action] = []
        self.reclaimed = 0
        self.next_pid = 1
        self.perform(self.crew.start(self.now))

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            self.done.append(action)
            if isinstance(action, Fork):
                writers = [c.block for c in self.crew.children.values() if c.role == WORKER]
                assert action.block not in writers, "a block has one writer"
                assert (action.block >= 0) == (action.role == WORKER)
                pid, self.next_pid = self.next_pid, self.next_pid + 1
                self.perform(self.crew.forked(action, pid, self.now))

    def news(self) -> list[Action]:
        """What was done since the last look, notes left out."""
        done, self.done = self.done, []
        return [action for action in done if not isinstance(action, Note)]

    def notes(self) -> list[str]:
        return [action.event for action in self.done if isinstance(action, Note)]

    def pid(self, role: str, index: int = 0, standing: Standing | None = None) -> int:
        found = [
            c.pid
            for c in self.crew.children.values()
            if (c.role, c.index) == (role, index) and standing in {None, c.standing}
        ]
        assert len(found) == 1, found
        return found[0]

    def ready(self, pid: int) -> None:
        self.perform(self.crew.ready(pid, self.now))

    def all_ready(self) -> None:
        for child in list(self.crew.children.values()):
            self.ready(child.pid)
        self.news()

    def dies(self, pid: int, how: str = "signal 9") -> None:
        self.perform(self.crew.died(pid, how, self.now))

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.crew.tick(self.now))


def serving(**how: int) -> Play:
    play = Play(**how)
    play.all_ready()
    return play


def test_a_start_forks_every_seat_with_the_slots_own_block() -> None:
    play = Play(workers=2, comparers=2)
    assert play.news() == [
        Fork(WORKER, 0, 0),
        Fork(WORKER, 1, 1),
        Fork(COMPARER, 0, -1),
        Fork(COMPARER, 1, -1),
        Fork(CONTROL, 0, -1),
    ]


def test_a_worker_serves_once_it_said_ready() -> None:
    play = Play()
    assert play.crew.serving(WORKER, 0) is None
    play.ready(play.pid(WORKER, 0))
    assert play.crew.serving(WORKER, 0) is not None


def test_a_dead_worker_is_replaced_at_once_on_its_block_and_its_queue_is_adopted_meanwhile() -> None:
    play = serving(workers=3)
    first, second, third = (play.pid(WORKER, slot) for slot in range(3))
    play.dies(second)
    assert play.news() == [
        Reclaim(1),
        Tell(first, Adopt(1)),
        Tell(third, Adopt(1)),
        Fork(WORKER, 1, 1, restart=True),
    ]
    play.ready(play.pid(WORKER, 1))
    assert play.news() == [Tell(first, Yield(1)), Tell(third, Yield(1))]


def test_a_replacement_that_becomes_ready_adopts_what_is_still_orphaned() -> None:
    play = serving(workers=3)
    play.dies(play.pid(WORKER, 0))
    play.dies(play.pid(WORKER, 1))
    play.news()
    replacement = play.pid(WORKER, 0)
    play.ready(replacement)
    assert play.news() == [Tell(play.pid(WORKER, 2), Yield(0)), Tell(replacement, Adopt(1))]


def test_a_second_death_before_ready_does_not_adopt_twice() -> None:
    play = serving()
    play.dies(play.pid(WORKER, 0))
    play.news()
    play.dies(play.pid(WORKER, 0))
    assert play.news() == [Reclaim(0), Fork(WORKER, 0, 0, restart=True)]


@pytest.mark.parametrize("role", [COMPARER, CONTROL])
def test_another_role_is_replaced_without_touching_blocks_or_queues(role: str) -> None:
    play = serving()
    play.dies(play.pid(role))
    assert play.news() == [Fork(role, 0, -1, restart=True)]


def test_restarts_are_spaced_out_after_three() -> None:
    play = serving()
    for _ in range(3):
        play.dies(play.pid(CONTROL))
        assert play.news() == [Fork(CONTROL, 0, -1, restart=True)]
    play.dies(play.pid(CONTROL))
    assert play.news() == []
    assert play.crew.next_due() == play.now + 0.25
    play.after(0.2)
    assert play.news() == []
    play.after(0.05)
    assert play.news() == [Fork(CONTROL, 0, -1, restart=True)]


def test_a_refused_fork_is_tried_again_later() -> None:
    crew = Crew(1, 0, DELAY, TIMEOUT)
    orders = [action for action in crew.start(0.0) if isinstance(action, Fork) and action.role == WORKER]
    for _ in range(4):
        assert [a.event for a in crew.not_forked(orders[0], "no memory", 0.0) if isinstance(a, Note)]
        orders = [action for action in crew.tick(crew.next_due()) if isinstance(action, Fork)]
        assert [order.role for order in orders] == [WORKER]


def test_a_worker_that_never_becomes_ready_is_killed_and_replaced() -> None:
    play = Play(workers=1)
    play.news()
    stuck = play.pid(WORKER)
    play.after(START_WITHIN)
    assert play.news() == [Kill(stuck, "did not become ready in time")]
    play.dies(stuck)
    assert play.news() == [Reclaim(0), Fork(WORKER, 0, 0, restart=True)]


def test_unknown_pids_are_nobodys_business() -> None:
    play = serving()
    play.dies(4711)
    play.ready(4711)
    assert play.news() == []
    play.crew.lost_touch(4711, 0.0)
    assert play.crew.name(4711) == "4711"
    assert play.crew.name(play.pid(WORKER, 0)) == "worker:0"


def test_a_child_beyond_commands_is_killed_soon() -> None:
    play = serving()
    deaf = play.pid(COMPARER)
    play.crew.lost_touch(deaf, play.now)
    assert play.news() == []
    play.after(GRACE)
    assert play.news() == [Kill(deaf, "did not end after its commands did in time")]


# Rolling restart.


def test_a_roll_goes_slot_by_slot_and_leaves_the_queue_to_the_successor() -> None:
    play = serving()
    first, second = play.pid(WORKER, 0), play.pid(WORKER, 1)
    play.perform(play.crew.roll(play.now))
    assert play.news() == [Fork(WORKER, 0, 2)]
    successor = play.pid(WORKER, 0, Standing.STARTING)
    play.ready(successor)
    assert play.news() == [
        Tell(first, Drain()),
        Tell(first, StopAccepting(TIMEOUT, handover=True)),
        Fork(WORKER, 1, 3),
    ]
    play.ready(play.pid(WORKER, 1, Standing.STARTING))
    assert play.news() == [Tell(second, Drain()), Tell(second, StopAccepting(TIMEOUT, handover=True))]
    play.dies(first, "exit code 0")
    play.dies(second, "exit code 0")
    assert play.news() == [Reclaim(0), Reclaim(1)]
    play.after(1000)
    assert play.news() == []


def test_the_spare_block_changes_sides_with_every_roll() -> None:
    play = serving(workers=1)
    for block in (1, 0, 1):
        play.perform(play.crew.roll(play.now))
        assert play.news() == [Fork(WORKER, 0, block)]
        predecessor = play.pid(WORKER, 0, Standing.SERVING)
        play.ready(play.pid(WORKER, 0, Standing.STARTING))
        play.dies(predecessor, "exit code 0")
        play.news()


def test_a_roll_waits_for_a_predecessor_that_still_writes_the_spare_block() -> None:
    play = serving(workers=1)
    play.perform(play.crew.roll(play.now))
    predecessor = play.pid(WORKER, 0, Standing.SERVING)
    play.ready(play.pid(WORKER, 0, Standing.STARTING))
    play.news()
    play.perform(play.crew.roll(play.now))
    assert play.news() == []
    play.after(TIMEOUT + GRACE)
    assert play.news() == [Kill(predecessor, "did not end in time")]
    play.dies(predecessor)
    assert play.news() == [Reclaim(0), Fork(WORKER, 0, 0)]


def test_rolls_asked_for_meanwhile_become_one_more_round() -> None:
    play = serving(workers=1)
    for _ in range(10):
        play.perform(play.crew.roll(play.now))
    rounds = 0
    while any(isinstance(action, Fork) for action in play.news()):
        rounds += 1
        predecessor = play.pid(WORKER, 0, Standing.SERVING)
        play.ready(play.pid(WORKER, 0, Standing.STARTING))
        play.dies(predecessor, "exit code 0")
    assert rounds == 2


def test_a_successor_that_fails_ends_the_roll_and_nothing_else() -> None:
    play = serving()
    play.perform(play.crew.roll(play.now))
    play.news()
    play.dies(play.pid(WORKER, 0, Standing.STARTING))
    assert "rolling restart given up: a successor did not start" in play.notes()
    assert play.news() == [Reclaim(2)]
    assert play.crew.serving(WORKER, 0) is not None
    play.after(1000)
    assert play.news() == []


def test_a_predecessor_that_dies_while_its_successor_starts_needs_no_other() -> None:
    play = serving()
    play.perform(play.crew.roll(play.now))
    play.news()
    play.dies(play.pid(WORKER, 0, Standing.SERVING))
    sibling = play.pid(WORKER, 1)
    assert play.news() == [Reclaim(0), Tell(sibling, Adopt(0))]
    play.ready(play.pid(WORKER, 0))
    assert play.news() == [Tell(sibling, Yield(0)), Fork(WORKER, 1, 3)]


def test_a_roll_passes_a_slot_whose_worker_is_being_replaced_anyway() -> None:
    play = serving(workers=1)
    play.dies(play.pid(WORKER))
    play.news()
    play.perform(play.crew.roll(play.now))
    assert play.news() == []
    play.ready(play.pid(WORKER))
    assert play.news() == []


# Drain.


def test_a_drain_says_close_then_stops_accepting_then_quits_in_order() -> None:
    play = serving(workers=1)
    worker, comparer, control = play.pid(WORKER), play.pid(COMPARER), play.pid(CONTROL)
    play.perform(play.crew.drain(play.now))
    assert play.crew.draining
    assert play.news() == [Tell(worker, Drain())]
    assert play.crew.next_due() == play.now + DELAY
    play.after(DELAY)
    assert play.news() == [CloseListeners(), Tell(worker, StopAccepting(TIMEOUT))]
    play.dies(worker, "exit code 0")
    assert play.news() == [Reclaim(0), Tell(comparer, Quit())]
    play.dies(comparer, "exit code 0")
    assert play.news() == [Tell(control, Quit())]
    assert not play.crew.over(play.now)
    play.dies(control, "exit code 0")
    assert play.crew.phase is Phase.ENDED
    assert play.crew.over(play.now)


def test_a_drain_without_delay_stops_accepting_at_once() -> None:
    play = serving(workers=1, delay=0)
    play.perform(play.crew.drain(play.now))
    worker = play.pid(WORKER)
    assert play.news() == [Tell(worker, Drain()), CloseListeners(), Tell(worker, StopAccepting(TIMEOUT))]


def test_workers_that_stay_past_the_timeout_are_killed_and_the_rest_gets_a_moment() -> None:
    play = serving(workers=1, delay=0)
    play.perform(play.crew.drain(play.now))
    play.news()
    play.after(TIMEOUT + GRACE)
    worker = play.pid(WORKER)
    assert play.news() == [Kill(worker, "did not end in time")]
    play.dies(worker)
    assert play.crew.next_due() == play.now + GRACE
    play.news()
    play.after(GRACE)
    assert play.news() == [Kill(play.pid(COMPARER), "did not end in time")]


def test_a_frozen_control_does_not_hold_the_end_for_the_whole_drain() -> None:
    play = serving(workers=1, delay=0)
    play.perform(play.crew.drain(play.now))
    play.dies(play.pid(WORKER), "exit code 0")
    play.dies(play.pid(COMPARER), "exit code 0")
    play.news()
    play.after(QUIT_WITHIN)
    assert play.news() == [Kill(play.pid(CONTROL), "did not end in time")]


def test_a_worker_that_dies_during_the_delay_is_replaced_by_one_that_drains() -> None:
    play = serving(workers=1)
    play.perform(play.crew.drain(play.now))
    play.news()
    play.dies(play.pid(WORKER))
    assert play.news() == [Reclaim(0), Fork(WORKER, 0, 0, restart=True), Tell(play.pid(WORKER), Drain())]


def test_a_worker_that_dies_while_closing_is_not_replaced_and_a_comparer_is() -> None:
    play = serving(workers=2, delay=0)
    play.perform(play.crew.drain(play.now))
    play.news()
    play.dies(play.pid(WORKER, 0))
    play.dies(play.pid(COMPARER))
    assert play.news() == [Reclaim(0), Fork(COMPARER, 0, -1, restart=True)]


def test_a_restart_that_falls_due_after_the_end_began_is_forgotten() -> None:
    play = serving(workers=2)
    for _ in range(4):
        play.dies(play.pid(WORKER, 0))
    play.perform(play.crew.drain(play.now))
    play.news()
    play.after(DELAY)
    assert Fork(WORKER, 0, 0, restart=True) not in play.news()
    assert play.crew.next_due() > play.now


def test_a_drain_gives_up_rolling() -> None:
    play = serving(workers=2)
    play.perform(play.crew.roll(play.now))
    play.perform(play.crew.drain(play.now))
    play.news()
    play.ready(play.pid(WORKER, 0, Standing.STARTING))
    assert not any(isinstance(action, Fork) for action in play.news())
    assert play.crew.roll(play.now) == []


def test_a_second_drain_is_the_same_drain() -> None:
    play = serving()
    play.perform(play.crew.drain(play.now))
    assert play.crew.drain(play.now) == []


def test_ending_now_kills_everybody_and_waits_only_a_moment() -> None:
    play = serving(workers=1)
    pids = set(play.crew.children)
    play.perform(play.crew.end_now(play.now))
    assert {action.pid for action in play.news() if isinstance(action, Kill)} == pids
    assert not play.crew.over(play.now)
    assert play.crew.over(play.crew.next_due())
    for pid in pids:
        play.dies(pid)
    assert play.crew.over(play.now)
    assert not any(isinstance(action, Fork) for action in play.news())


# Laws under any course of events.

EVENTS = st.lists(
    st.tuples(st.sampled_from(["dies", "ready", "roll", "drain", "wait", "deaf"]), st.integers(0, 50)), max_size=80
)


@given(workers=st.integers(1, 3), events=EVENTS)
def test_whatever_happens_blocks_have_one_writer_and_a_drain_ends(workers: int, events: list[tuple[str, int]]) -> None:
    play = Play(workers=workers)
    for event, number in events:
        pids = sorted(play.crew.children)
        pid = pids[number % len(pids)] if pids else 0
        match event:
            case "dies":
                play.dies(pid)
            case "ready":
                play.ready(pid)
            case "roll":
                play.perform(play.crew.roll(play.now))
            case "drain":
                play.perform(play.crew.drain(play.now))
            case "deaf":
                play.crew.lost_touch(pid, play.now)
            case "wait":
                play.after(number / 4)
        occupied = Counter((c.role, c.index) for c in play.crew.children.values() if c.standing is Standing.SERVING)
        assert not occupied or max(occupied.values()) == 1
    play.perform(play.crew.drain(play.now))
    for _ in range(100):
        for child in list(play.crew.children.values()):
            if child.standing is Standing.LEAVING:
                play.dies(child.pid, "exit code 0")
        if play.crew.over(play.now):
            break
        due = play.crew.next_due()
        assert due < math.inf, "nothing would ever end this"
        play.after(max(0.0, due - play.now))
    assert play.crew.over(play.now)
    assert not play.crew.children


def test_a_worker_told_to_leave_while_it_starts_gets_the_whole_drain() -> None:
    play = Play(workers=1, delay=0)
    play.now += START_WITHIN - 1
    play.perform(play.crew.drain(play.now))
    assert play.crew.children[play.pid(WORKER)].kill_at == play.now + TIMEOUT + GRACE
