"""Parts that ramp a flag: what they are, what counts in them, and how it is said."""

from __future__ import annotations

import pytest

from shadowproxy.model.flags import Overlay
from shadowproxy.model.rollout import APPROVE, CANARY, FLAG, PROGRESSIVE, SHADOW, SOAK, Bake, Plan, Stage
from shadowproxy.rollout import steps as parts
from shadowproxy.rollout.facts import Facts, PairCounts
from shadowproxy.rollout.flagged import carried, concerning, said_of
from shadowproxy.rollout.steps import has_users, steps

RAMP = Stage("new", FLAG, Bake(1.0), flag="new", variant="on", weights=(0.1, 1.0))
PLAN = Plan(
    "p",
    (
        Stage("mirror", SHADOW, sample=0.5),
        Stage("canary", CANARY, weights=(0.05,)),
        RAMP,
        Stage("soak", SOAK, Bake(5.0)),
        Stage("go", APPROVE),
        Stage("all", PROGRESSIVE, weights=(0.5, 1.0)),
    ),
)


def test_a_flag_part_keeps_the_arms_as_they_are_and_its_flag_stays() -> None:
    row = steps(PLAN)
    found = [(one.name, one.weight, [each.weight for each in one.flags], one.testing) for one in row]
    assert found == [
        ("mirror", 0.0, [], ""),
        ("canary", 0.05, [], ""),
        ("new 10%", 0.05, [0.1], "new"),
        ("new 100%", 0.05, [1.0], "new"),
        ("soak", 0.05, [1.0], "new"),
        ("go", 0.05, [1.0], "new"),
        ("all 50%", 0.5, [1.0], ""),
        ("all 100%", 1.0, [1.0], ""),
    ]
    assert [one.share for one in row] == [0.0, 0.05, 0.1, 1.0, 1.0, 1.0, 0.5, 1.0]
    assert [parts.tested_share(one) for one in row[2:4]] == [0.1, 1.0]
    assert not PLAN.is_of_flags
    assert Plan("p", (RAMP, Stage("go", APPROVE))).is_of_flags


def test_two_flags_are_laid_over_one_after_the_other() -> None:
    other = Stage("other", FLAG, flag="other", variant="b", weights=(0.5,))
    row = steps(Plan("p", (RAMP, other)))
    assert row[-1].flags == (Overlay("new", "on", 1.0), Overlay("other", "b", 0.5))
    assert carried(row[-1]) == "new=on and other=b"
    assert has_users(row[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("candidate 2% of 50, primary 1% of 60", "with new=on 2% of 50, without it 1% of 60"),
        ("needs about 9 more requests of the candidate", "needs about 9 more requests with new=on"),
        ("p95 of the candidate 5 ms in 9, primary 4 ms in 8", "p95 with new=on 5 ms in 9, without it 4 ms in 8"),
        ("nobody is left with the primary to compare with", "nobody is without it to compare with"),
        ("3 requests reached the candidate in 9 s", "3 requests came with new=on in 9 s"),
    ],
)
def test_what_is_said_of_arms_is_said_of_the_flag(words: str, said: str) -> None:
    assert said_of(steps(PLAN)[2], words) == said
    assert said_of(steps(PLAN)[1], words) == words


def test_copies_and_chosen_users_say_nothing_of_a_flag() -> None:
    facts = Facts(1.0, pairs=(PairCounts("other", 1),), compared=1, chosen=(2, 1))
    assert concerning(steps(PLAN)[1], facts) is facts
    about = concerning(steps(PLAN)[2], facts)
    assert (about.pairs, about.compared, about.chosen) == ((), 0, (0, 0))
