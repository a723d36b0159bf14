"""Law 1: whatever the mirrored arms do, clients and the primary see the same bytes at the same moments."""

from __future__ import annotations

import random

import pytest

from tests.fakes.stage import GET, Stage, status
from tests.laws.traffic import RESPONSES, Traffic, rules

ARMS = ("candidate", "secondary")
View = list[tuple[bytes, bool, bool, bool, bool]]


def seen_by_users_and_primary(stage: Stage, traffic: Traffic) -> View:
    """Everything that a client or the primary could notice so far."""
    ends = [client.transport for client in traffic.clients] + stage.loop.made.get(1, [])
    return [(bytes(t.written), t.is_reading(), t.eof_written, t.closing, t.aborted) for t in ends]


def script(stage: Stage, seed: int, side: random.Random | None) -> list[View]:
    """The same clients and the same primary each time; between their steps the mirrored arms do as `side` says."""
    traffic, chance = Traffic(stage, seed), random.Random(seed + 1)
    views = []
    for _ in range(120):
        roll = chance.random()
        if roll < 0.5:
            traffic.client_step()
        elif roll < 0.85:
            traffic.origin_step("primary", chance)
        elif roll < 0.88:
            traffic.dial_step("primary", chance)
        else:
            stage.tick(chance.choice((0.05, 0.5, 2.0)))
        while side is not None and side.random() < 0.5:
            step = side.random()
            if step < 0.7:
                traffic.origin_step(side.choice(ARMS), side)
            elif step < 0.85:
                traffic.dial_step(side.choice(ARMS), side)
            else:
                traffic.comparer_step(side)
        views.append(seen_by_users_and_primary(stage, traffic))
    return views


@pytest.mark.parametrize("seed", range(40))
def test_users_and_the_primary_notice_nothing_of_the_mirrored_arms(seed: int) -> None:
    alone = script(Stage(rules()), seed, None)
    for side in range(3):
        assert script(Stage(rules(*ARMS)), seed, random.Random(side)) == alone


@pytest.mark.parametrize("answer", RESPONSES)
@pytest.mark.parametrize("late", [False, True])
def test_no_answer_of_the_candidate_reaches_a_client(answer: bytes, late: bool) -> None:
    stage = Stage(rules("candidate", sample=1.0))
    client = stage.client().send(GET)
    if not late:
        stage.at("candidate").feed(answer.replace(b"hello", b"wrong"))
    stage.at().feed(RESPONSES[0])
    if late:
        stage.at("candidate").feed(answer.replace(b"hello", b"wrong"))
    stage.tick(5.0)
    got = client.take()
    assert status(got) == 200
    assert got.endswith(b"\r\n\r\nhello")
    assert b"wrong" not in got
    assert not client.gone
