"""The restart back-off and the phases of a drain, as tables."""

from __future__ import annotations

from shadowproxy.runtime.children import (
    COMPARER,
    CONTROL,
    LAST_DELAY,
    PHASES,
    ROLES,
    SETTLED_AFTER,
    WORKER,
    Child,
    Phase,
    Restarts,
)


def delays(*lives: float) -> list[float]:
    history, found = Restarts(), []
    for lived in lives:
        history, delay = history.after(lived)
        found.append(delay)
    return found


def test_the_first_three_restarts_are_immediate_and_then_the_delay_doubles() -> None:
    assert delays(*[0.0] * 7) == [0, 0, 0, 0.25, 0.5, 1.0, 2.0]


def test_the_delay_never_grows_beyond_its_limit() -> None:
    assert delays(*[0.0] * 2000)[-1] == LAST_DELAY


def test_a_long_life_forgives_earlier_deaths() -> None:
    assert delays(0, 0, 0, 0, SETTLED_AFTER, 0, 0, 0) == [0, 0, 0, 0.25, 0, 0, 0, 0.25]


def test_a_life_just_short_of_settling_does_not_forgive() -> None:
    assert delays(0, 0, 0, SETTLED_AFTER - 0.01) == [0, 0, 0, 0.25]


def test_every_phase_leads_to_the_end() -> None:
    for phase in Phase:
        for _ in Phase:
            phase = PHASES[phase].then
        assert phase is Phase.ENDED


def test_roles_end_in_the_order_in_which_what_they_hand_over_flows() -> None:
    assert [PHASES[phase].awaits for phase in Phase if PHASES[phase].awaits] == [WORKER, COMPARER, CONTROL]


def test_a_role_is_restarted_until_its_own_end_is_awaited() -> None:
    for role in ROLES:
        kept = [role in PHASES[phase].keeps for phase in Phase]
        awaited = [PHASES[phase].awaits for phase in Phase].index(role)
        assert kept == [True] * awaited + [False] * (len(kept) - awaited)


def test_a_child_is_called_by_its_role_and_index() -> None:
    assert Child(7, WORKER, 2, 2, 0.0).name == "worker:2"
