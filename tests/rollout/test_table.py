from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from shadowproxy.model.rollout import PENDING, PHASES, ROLLED_BACK
from shadowproxy.rollout.table import TABLE, TRIGGERS, IllegalTransition, allows, moved, reference

PAIRS = list(product(PHASES, TRIGGERS))


@pytest.mark.parametrize(("phase", "trigger"), PAIRS)
def test_every_pair_is_defined_or_raises(phase: str, trigger: str) -> None:
    if (phase, trigger) in TABLE:
        assert allows(phase, trigger)
        assert moved(phase, trigger) in PHASES
    else:
        assert not allows(phase, trigger)
        with pytest.raises(IllegalTransition, match=f"{trigger!r} does not apply to a rollout that is {phase!r}"):
            moved(phase, trigger)


def test_the_table_names_nothing_else() -> None:
    assert set(TABLE) <= set(PAIRS)


def test_every_phase_can_be_reached_and_left() -> None:
    reached = {PENDING}
    for _ in PHASES:
        reached |= {move.then for (phase, _), move in TABLE.items() if phase in reached}
    assert reached == set(PHASES)
    assert {phase for (phase, _), move in TABLE.items() if move.then != phase} == set(PHASES)


def test_users_are_sent_back_from_wherever_there_are_any() -> None:
    assert {phase for phase in PHASES if moved(phase, "recall") == ROLLED_BACK} >= {"running", "promoted"}
    assert moved("running", "rollback") == moved("promoted", "rollback") == ROLLED_BACK


def test_the_page_is_made_from_the_table() -> None:
    written = Path(__file__).parents[2] / "docs" / "rollout-states.md"
    assert written.read_text() == reference(), "run: python -m shadowproxy.rollout.table > docs/rollout-states.md"
