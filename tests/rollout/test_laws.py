"""What holds whatever happens: any facts, any verdicts, any commands, in any order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shadowproxy.model.rollout import PASS, Bake, Check, Plan, Stage
from shadowproxy.rollout import analysis
from shadowproxy.rollout.chain import canonical
from shadowproxy.rollout.commands import obey
from shadowproxy.rollout.facts import Facts, ManualFreeze, RouteCounts
from shadowproxy.rollout.holds import WAITING
from shadowproxy.rollout.step import step
from shadowproxy.rollout.steps import steps
from shadowproxy.rollout.traffic import traffic
from shadowproxy.rollout.values import CheckResult, Command, State
from tests.rollout.plans import NOW, Run, facts, plan

SHORT = Bake(seconds=3.0, requests=10, timeout=40.0)
PLANS = [
    plan(
        Stage("mirror", "shadow", bake=SHORT),
        Stage("first", "canary", bake=SHORT, weights=(0.05,)),
        Stage("ramp", "progressive", bake=SHORT, weights=(0.1, 0.5, 1.0), holdback=0.02),
        Stage("soak", "soak", bake=SHORT),
        warmup=2.0,
        on_fail=on_fail,
        checks=(Check("error_rate", "error_rate"), Check("memory", "promql", max=1.0), Check("burn", "slow_burn")),
    )
    for on_fail in ("rollback", "pause")
]
PLANS.append(plan(Stage("swap", "blue_green", bake=replace(SHORT, on_timeout="advance")), PLANS[0].stages[3]))

RAMP = Stage("new", "flag", bake=SHORT, flag="new", variant="on", weights=(0.1, 1.0))
PLANS += [
    plan(RAMP, Stage("soak", "soak", bake=SHORT), warmup=2.0, checks=PLANS[0].checks),
    plan(
        Stage("first", "canary", bake=SHORT, weights=(0.05,)),
        RAMP,
        Stage("ramp", "progressive", bake=SHORT, weights=(0.5, 1.0)),
        on_fail="pause",
        checks=PLANS[0].checks,
    ),
]

verdicts = st.sampled_from(["pass"] * 8 + ["inconclusive", "fail"])
results = st.tuples(verdicts, verdicts, verdicts, st.sampled_from([""] * 12 + ["worse"]))
happenings = st.builds(
    Facts,
    at=st.just(0.0),
    elapsed=st.sampled_from([1.0] * 8 + [0.0, 0.5, 30.0, -3.0]),
    applied=st.sampled_from([True] * 9 + [False]),
    routes=st.sampled_from([(RouteCounts("item", (100, 100)),)] * 6 + [(), (RouteCounts("item", (90, 90), (60, 1)),)]),
    compared=st.sampled_from([100, 100, 100, 0]),
    identity=st.sampled_from([{"primary": "v1", "candidate": "v2"}] * 20 + [{}, {"candidate": "v3"}]),
    healthy=st.sampled_from([{}] * 12 + [{"primary": False}]),
    store=st.sampled_from([True] * 12 + [False]),
    candidate=st.sampled_from([""] * 20 + ["another", "gone"]),
    flags=st.sampled_from([""] * 20 + ["new was killed by eva"]),
    freezes=st.sampled_from([()] * 12 + [(ManualFreeze("f", "eva", "sale", -1e12),)]),
)
ticks = st.lists(st.tuples(happenings, results), min_size=1, max_size=60)
commands = st.builds(
    Command,
    action=st.sampled_from(["start", "approve", "pause", "resume", "promote", "abort", "rollback", "retry"]),
    who=st.sampled_from(["ana", "bob"]),
    reason=st.just("because"),
    at=st.just(NOW),
    full=st.booleans(),
    stage=st.sampled_from([None, "first", "swap"]),
)


@contextmanager
def said(verdicts: tuple[str, str, str, str]) -> Iterator[None]:
    """The analysis says so."""
    error_rate, memory, burn, harm = verdicts
    found = (
        CheckResult(
            "error_rate", "error_rate", "enforce", error_rate if harm == "" and error_rate != "fail" else "fail"
        ),
        CheckResult("memory", "promql", "enforce", memory),
        CheckResult("burn", "slow_burn", "enforce", burn),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis, "judge", lambda *_: found)
        patch.setattr(analysis, "overall", lambda *_: analysis.Harm(words=harm))
        yield


def running(chosen: Plan) -> State:
    run = Run()
    run.put(plan=chosen)
    run.do("start")
    return run.state


def laid(state: State) -> float:
    """The share of the users who get something of a flag."""
    split = traffic(state)
    return max((each.weight for each in split.flags), default=0.0) if split is not None else 0.0


def stored(state: State) -> State:
    return msgspec.msgpack.decode(canonical(state), type=State)


plans = st.sampled_from(PLANS)


@settings(max_examples=150, deadline=None)
@given(plans, ticks)
def test_no_facts_lead_from_a_failed_check_to_more_weight(chosen: Plan, happened: list) -> None:
    state, ceiling, flags = running(chosen), {}, {}
    for number, (got, verdicts) in enumerate(happened):
        with said(verdicts):
            state, _ = step(state, replace(got, at=NOW + number))
        if "fail" in verdicts[1:3] or verdicts[3]:
            ceiling.setdefault(state.attempt, state.weight)
            flags.setdefault(state.attempt, laid(state))
        assert state.weight <= ceiling.get(state.attempt, 1.0)
        assert laid(state) <= flags.get(state.attempt, 1.0)


@settings(max_examples=100, deadline=None)
@given(plans, ticks)
def test_the_weight_is_the_plans_and_what_is_held_does_not_bake(chosen: Plan, happened: list) -> None:
    state = running(chosen)
    for number, (got, verdicts) in enumerate(happened):
        before = state
        with said(verdicts):
            state, entries = step(state, replace(got, at=NOW + number))
        if state.phase == "running":
            assert state.weight in (0.0, steps(state.plan)[state.step].weight)
            split = traffic(state)
            assert split is not None
            assert split.leased
            assert split.weight == state.weight
        else:
            assert state.weight == (1.0 if state.phase == "promoted" and not state.plan.is_of_flags else 0.0)
            assert laid(state) in ({0.0, 1.0} if state.phase == "promoted" else {0.0})
        if (state.attempt, state.step) == (before.attempt, before.step):
            stopped = {hold.reason for hold in (*before.holds, *state.holds)} - WAITING
            assert state.progress.baked - before.progress.baked <= (0.0 if stopped else 5.0)
        assert (state.weight <= before.weight and laid(state) <= laid(before)) or entries


@settings(max_examples=100, deadline=None)
@given(plans, ticks, st.integers(0, 60))
def test_killed_between_any_two_ticks_it_goes_on_where_it_was(chosen: Plan, happened: list, killed: int) -> None:
    state = other = running(chosen)
    for number, (got, verdicts) in enumerate(happened):
        if number == killed:
            other = stored(other)
        with said(verdicts):
            state, entries = step(state, replace(got, at=NOW + number))
            other, again = step(other, replace(got, at=NOW + number))
        assert (canonical(state), entries) == (canonical(other), again)


@settings(max_examples=60, deadline=None)
@given(plans, ticks, st.lists(st.floats(-1e15, 1e15), min_size=60, max_size=60))
def test_a_clock_that_is_set_changes_nothing(chosen: Plan, happened: list, clock: list[float]) -> None:
    state = other = running(chosen)
    for number, (got, verdicts) in enumerate(happened):
        got = replace(got, freezes=())
        with said(verdicts):
            state, entries = step(state, replace(got, at=NOW + number))
            other, again = step(other, replace(got, at=clock[number]))
        assert (state.phase, state.step, state.weight) == (other.phase, other.step, other.weight)
        assert (state.progress.baked, state.progress.spent) == (other.progress.baked, other.progress.spent)
        assert [entry.action for entry in entries] == [entry.action for entry in again]


@settings(max_examples=150, deadline=None)
@given(plans, st.lists(st.one_of(commands, st.tuples(happenings, results)), max_size=60))
def test_whatever_is_asked_and_whatever_happens_users_can_go_back(chosen: Plan, happened: list) -> None:
    run = Run()
    run.put(plan=chosen)
    state = run.state
    for number, one in enumerate(happened):
        if isinstance(one, Command):
            answer = obey(state, one, facts(NOW + number))
            if isinstance(answer, tuple):
                assert answer[1] or answer[0].weight == state.weight
                state = answer[0]
        else:
            with said(one[1]):
                state, _ = step(state, replace(one[0], at=NOW + number))
        if state.phase in ("running", "promoted"):
            back = obey(state, Command("rollback", "ana", "", NOW), facts(store=False, applied=False))
            assert isinstance(back, tuple)
            assert (back[0].phase, back[0].weight, traffic(back[0])) == ("rolled_back", 0.0, None)
            called, _ = step(state, facts(recalled=NOW + number))
            assert (called.phase, called.weight) == ("rolled_back", 0.0)
        assert len(canonical(state)) < 50_000


def test_a_healthy_candidate_is_promoted_by_any_of_these_plans() -> None:
    for chosen in PLANS:
        state = running(chosen)
        for number in range(200):
            with said((PASS, PASS, PASS, "")):
                state, _ = step(state, facts(NOW + number))
        assert state.phase == "promoted"
