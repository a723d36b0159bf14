"""Deadlines are never early and at most a tick late, whatever they were set to before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.upstream.deadlines import NEVER, TICK, Deadlines, Timer


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.deadlines = Deadlines(now)
        self.fired: list[tuple[str, float]] = []

    def timer(self, name: str = "t") -> Timer:
        return Timer(lambda: self.fired.append((name, self.deadlines.now)))

    def arm(self, timer: Timer, seconds: float) -> None:
        self.deadlines.arm(timer, self.deadlines.now + seconds)

    def run(self, seconds: float, step: float = TICK) -> None:
        end = self.deadlines.now + seconds
        while self.deadlines.now < end - 1e-9:
            self.deadlines.advance(min(end, self.deadlines.now + step))


@given(seconds=st.floats(0, 20), start=st.floats(0, 1e6))
def test_a_deadline_is_never_early_and_at_most_a_tick_late(seconds: float, start: float) -> None:
    clock = Clock(start)
    clock.arm(clock.timer(), seconds)
    clock.run(21.0)
    assert len(clock.fired) == 1
    assert start + seconds <= clock.fired[0][1] <= start + seconds + 2 * TICK + 1e-6


@given(st.lists(st.tuples(st.floats(0, 3), st.none() | st.floats(0, 10)), max_size=20), st.floats(0.01, 5))
def test_the_last_setting_counts_whatever_came_before(moves: list[tuple[float, float | None]], step: float) -> None:
    clock = Clock()
    timer = clock.timer()
    due = NEVER
    for wait, seconds in moves:
        before = len(clock.fired)
        clock.run(wait, step)
        if len(clock.fired) > before:
            assert len(clock.fired) == before + 1
            assert due <= clock.fired[-1][1]
            due = NEVER
        elif due < NEVER:
            assert clock.deadlines.now < due + TICK + 1e-9
        if seconds is None:
            timer.at = due = NEVER
        else:
            clock.arm(timer, seconds)
            due = clock.deadlines.now + seconds
    before = len(clock.fired)
    clock.run(20.0)
    assert len(clock.fired) == before + (due < NEVER)


def test_many_timers_go_off_in_the_order_of_their_ticks_after_a_jump_of_the_clock() -> None:
    clock = Clock()
    for i in (5, 3, 9, 1):
        clock.arm(clock.timer(str(i)), i)
    clock.deadlines.advance(clock.deadlines.now + 3600)
    assert [name for name, _ in clock.fired] == ["1", "3", "5", "9"]


def test_a_clock_that_goes_back_makes_nothing_go_off_twice() -> None:
    clock = Clock()
    clock.arm(clock.timer(), 1.0)
    clock.run(2.0)
    clock.deadlines.advance(1000.5)
    clock.run(5.0)
    assert len(clock.fired) == 1


def test_an_action_may_set_its_own_timer_and_others() -> None:
    clock = Clock()
    again = Timer(lambda: clock.arm(again, 1.0) if clock.fired.append(("again", clock.deadlines.now)) is None else None)
    clock.arm(again, 1.0)
    clock.run(3.5)
    assert len(clock.fired) == 3


def test_what_an_action_sets_for_now_goes_off_at_the_next_tick_even_after_a_jump() -> None:
    clock = Clock()
    second = clock.timer("second")
    first = Timer(lambda: clock.deadlines.arm(second, 1000.0))
    clock.arm(first, 1.0)
    clock.deadlines.advance(1010.0)
    assert clock.fired == []
    clock.run(TICK * 2)
    assert [name for name, _ in clock.fired] == ["second"]


def test_a_timer_set_earlier_is_left_alone_by_its_old_place() -> None:
    clock = Clock()
    timer = clock.timer()
    clock.arm(timer, 5.0)
    clock.arm(timer, 1.0)
    clock.run(2.0)
    clock.arm(timer, 20.0)
    clock.run(10.0)
    assert len(clock.fired) == 1


def test_an_action_that_fails_costs_no_other_timer_its_next_deadline() -> None:
    clock = Clock()

    def fail() -> None:
        raise RuntimeError

    neighbour = clock.timer()
    clock.arm(Timer(fail), 1.0)
    clock.arm(neighbour, 1.0)
    try:
        clock.run(2.0)
    except RuntimeError:
        clock.run(1.0)
    clock.arm(neighbour, 1.0)
    clock.run(2.0)
    assert len(clock.fired) == 1


def test_a_dropped_timer_never_goes_off_and_keeps_nobody() -> None:
    clock = Clock()
    timer = clock.timer()
    clock.arm(timer, 1.0)
    timer.drop()
    clock.run(2.0)
    assert clock.fired == []
    clock.arm(timer, 1.0)  # whoever does so late calls nobody
    clock.run(2.0)
    assert clock.fired == []
