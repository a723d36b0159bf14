"""Every decision comes out of the log as it was made, or it is said which does not."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from shadowproxy.model.rollout import Sticky
from shadowproxy.rollout.logged import Logged
from shadowproxy.rollout.replaying import replay
from tests.rollout.logs import PLAN, Log, logs, promoted
from tests.rollout.plans import plan

STICKY = replace(PLAN, sticky=Sticky(header="x-user"), on_fail="pause")


@pytest.mark.no_cover
@settings(max_examples=60, deadline=None)
@given(logs(PLAN) | logs(STICKY))
def test_whatever_happened_comes_out_again_bit_for_bit(log: Log) -> None:
    found = replay(log.items)
    assert found.mismatches == ()
    assert found.is_exact
    assert found.gaps == ()
    assert found.items == len(log.items)
    assert found.decisions == sum(len(item.entries) for item in log.items)


def test_a_replay_says_what_it_went_over() -> None:
    log = promoted(plan())
    found = replay(log.items)
    assert (found.since, found.until, found.items) == (log.items[0].at, log.state.at, len(log.items))
    assert found.decisions == 6


def at(log: Log, action: str) -> int:
    return next(i for i, item in enumerate(log.items) if any(each.action == action for each in item.entries))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"action": "held"}, "the log has `held` by shadowproxy (mirror is over"),
        ({"by": "eve"}, "the log has `advanced` by eve"),
        ({"why": "I say so"}, "(I say so); now it is `advanced` by shadowproxy (mirror is over"),
        ({"what": {}}, "the log has `advanced`"),
        (None, "the log has no decision; now it is `advanced` by shadowproxy"),
    ],
)
def test_a_decision_that_comes_out_otherwise_is_said(change: dict[str, Any] | None, said: str) -> None:
    log = promoted(plan())
    place = at(log, "advanced")
    item = log.items[place]
    entries = () if change is None else (replace(item.entries[0], **change),)
    log.items[place] = replace(item, entries=entries)
    found = replay(log.items)
    assert (found.is_exact, found.differing) == (False, 1)
    assert said in found.mismatches[0]
    assert f"(item {item.number}): " in found.mismatches[0]


def test_facts_that_were_changed_make_another_state() -> None:
    log = promoted(plan())
    log.items[30] = replace(log.items[30], cause=replace(log.items[30].cause, elapsed=2.0))
    (said,) = replay(log.items).mismatches
    assert said.endswith("(item 31): the state comes out otherwise: now it is running, step 1, 5%")


def test_a_command_that_would_be_refused_now_is_said() -> None:
    log = promoted(plan())
    place = at(log, "started")
    log.items.insert(place + 1, log.items[place])
    log.items[place] = replace(
        log.items[place], cause=replace(log.items[place].cause, command=_unknown(log.items[place]))
    )
    (said,) = replay(log.items).mismatches
    assert "the log has `started` by ana" in said
    assert "now it is refused, there is no command 'dance'" in said


def _unknown(item: Logged) -> Any:
    return replace(item.cause.command, action="dance")  # type: ignore[union-attr]


def test_after_a_mismatch_it_goes_on_with_the_next_state() -> None:
    log = Log(plan())
    log.order("start")
    log.tick(5)
    log.keep(log.state)
    log.tick(30)
    log.items[3] = replace(log.items[3], state=b"another")
    log.items[-2] = replace(log.items[-2], state=b"another")
    found = replay(log.items)
    assert [said.partition("(item ")[2].partition(")")[0] for said in found.mismatches] == ["4", "37"]


def test_a_state_that_was_set_is_a_gap() -> None:
    log = Log(plan())
    log.order("start")
    log.tick(5)
    log.keep(replace(log.state, weight=0.5))
    log.tick(5)
    found = replay(log.items)
    assert found.is_exact
    (said,) = found.gaps
    assert said.endswith("(item 8): the state was set, and what led to it was not kept")


def test_nothing_is_decided_in_the_order_of_a_set() -> None:
    script = (
        "from tests.rollout.logs import Log\nfrom tests.rollout.test_replaying import STICKY\n"
        "log = Log(STICKY); log.order('start'); log.tick(60); print([item.state.hex() for item in log.items])"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        )
        for seed in ("1", "2")
    ]
    assert said[0].stdout == said[1].stdout


# Another plan.
