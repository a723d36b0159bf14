"""The phases of a rollout and what leads from one to another: one table, from which the diagram and the tests are made.

      PENDING ──start──▶ RUNNING ──finish──▶ PROMOTED ──settle──▶ PENDING (the next rollout)
                          │   ▲                 │
        fail, rollback,   ▼   │ retry           ▼ rollback, recall
        recall:       ROLLED_BACK ◀─────────────┘

A pair that is not in the table is a mistake of the caller and raises. Nothing but `start`, `advance`, `finish` and
`retry` can give the candidate more users than it had, and a check that fails triggers none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from shadowproxy.model.rollout import ABORTED, PENDING, PHASES, PROMOTED, ROLLED_BACK, RUNNING

START: Final = "start"
ADVANCE: Final = "advance"
FINISH: Final = "finish"
FAIL: Final = "fail"
SUSPEND: Final = "suspend"
ABORT: Final = "abort"
ROLLBACK: Final = "rollback"
RETRY: Final = "retry"
NEW_VERSION: Final = "new_version"
SETTLE: Final = "settle"
RECALL: Final = "recall"
REPLACE: Final = "replace"

TRIGGERS: Final = {
    START: "somebody starts it",
    ADVANCE: "the present part is over, or somebody promotes: the next part begins",
    FINISH: "the last part is over, or somebody promotes to the end",
    FAIL: "a check fails and the plan says `on_fail: rollback`, a time runs out whose `on_timeout` is `rollback`, or a "
    "freeze begins that rolls back what is in flight",
    SUSPEND: "a check fails and the plan says `on_fail: pause`: weight 0, the attempt is kept",
    ABORT: "somebody aborts it",
    ROLLBACK: "somebody rolls it back, or its candidate is not in the configuration any more",
    RETRY: "somebody starts a new attempt",
    NEW_VERSION: "the candidate runs another version than before, or the configuration has another candidate",
    SETTLE: "the configuration's primary has the version that was promoted, its flags the variants",
    RECALL: "SIGUSR2 sent all users back to the primary",
    REPLACE: "the configuration has a rollout of another name",
}
"""Every trigger, and what it means."""


class Move(NamedTuple):
    """Where a trigger leads; `meaning` is for the page."""

    then: str
    meaning: str


TABLE: Final[dict[tuple[str, str], Move]] = {
    (PENDING, START): Move(RUNNING, "an attempt begins with the first part"),
    (PENDING, ABORT): Move(ABORTED, "it will not start; `retry` takes that back"),
    (PENDING, NEW_VERSION): Move(PENDING, "noted"),
    (PENDING, RECALL): Move(PENDING, "noted: all users are with the primary already"),
    (PENDING, REPLACE): Move(PENDING, "the new one waits instead"),
    (RUNNING, ADVANCE): Move(RUNNING, "its weight holds"),
    (RUNNING, FINISH): Move(PROMOTED, "weight 1, not leased any longer"),
    (RUNNING, FAIL): Move(ROLLED_BACK, "weight 0"),
    (RUNNING, SUSPEND): Move(RUNNING, "weight 0 and a hold, until somebody decides"),
    (RUNNING, ABORT): Move(ABORTED, "weight 0"),
    (RUNNING, ROLLBACK): Move(ROLLED_BACK, "weight 0"),
    (RUNNING, RETRY): Move(RUNNING, "only after `suspend`: a new attempt"),
    (RUNNING, NEW_VERSION): Move(RUNNING, "a new attempt from the first part"),
    (RUNNING, RECALL): Move(ROLLED_BACK, "weight 0"),
    (PROMOTED, ROLLBACK): Move(ROLLED_BACK, "weight 0, as long as the old version is there"),
    (PROMOTED, NEW_VERSION): Move(PROMOTED, "noted: users stay where they are"),
    (PROMOTED, SETTLE): Move(PENDING, "the split is not needed any longer; the next rollout waits"),
    (PROMOTED, RECALL): Move(ROLLED_BACK, "weight 0"),
    (ROLLED_BACK, RETRY): Move(RUNNING, "a new attempt, from the first stage or the one that is named"),
    (ROLLED_BACK, NEW_VERSION): Move(ROLLED_BACK, "noted: a person decides"),
    (ROLLED_BACK, RECALL): Move(ROLLED_BACK, "noted"),
    (ROLLED_BACK, REPLACE): Move(PENDING, "the new one waits"),
    (ABORTED, RETRY): Move(RUNNING, "a new attempt, from the first stage or the one that is named"),
    (ABORTED, NEW_VERSION): Move(ABORTED, "noted: a person decides"),
    (ABORTED, RECALL): Move(ABORTED, "noted"),
    (ABORTED, REPLACE): Move(PENDING, "the new one waits"),
}


class IllegalTransition(Exception):  # noqa: N818 - the name of the field
    """A trigger that does not belong to the phase: whoever sends it should have looked."""

    def __init__(self, phase: str, trigger: str) -> None:
        super().__init__(f"{trigger!r} does not apply to a rollout that is {phase!r}")
        self.phase = phase
        self.trigger = trigger


def moved(phase: str, trigger: str) -> str:
    """The phase after `trigger`. Raises IllegalTransition."""
    move = TABLE.get((phase, trigger))
    if move is None:
        raise IllegalTransition(phase, trigger)
    return move.then


def allows(phase: str, trigger: str) -> bool:
    return (phase, trigger) in TABLE


_HEAD: Final = """\
# The phases of a rollout

<!-- Made by `python -m shadowproxy.rollout.table`; a test says whether it is current. -->

What each phase means, holds and commands are in [rollouts.md](rollouts.md). This page is made from the table that the
code decides by, `shadowproxy/rollout/table.py`.
"""


def reference() -> str:
    """The whole page, Markdown."""
    return "\n\n".join((_HEAD.strip(), "\n".join(_diagram()), "\n".join(_triggers()), "\n".join(_pairs()))) + "\n"


def _diagram() -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {PENDING}"
    for phase in PHASES:
        for then in PHASES:
            triggers = [trigger for (at, trigger), move in TABLE.items() if at == phase and move.then == then]
            if triggers:
                yield f"    {phase} --> {then}: {', '.join(triggers)}"
    yield "```"


def _triggers() -> Iterator[str]:
    yield "| trigger | happens when |"
    yield "|---|---|"
    for trigger, meaning in TRIGGERS.items():
        yield f"| `{trigger}` | {meaning} |"


def _pairs() -> Iterator[str]:
    yield "Every pair; one that is empty is refused."
    yield ""
    yield "| | " + " | ".join(f"`{phase}`" for phase in PHASES) + " |"
    yield "|---" * (len(PHASES) + 1) + "|"
    for trigger in TRIGGERS:
        moves = (TABLE.get((phase, trigger)) for phase in PHASES)
        cells = (f"`{move.then}`: {move.meaning}" if move else "" for move in moves)
        yield f"| `{trigger}` | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    import sys

    sys.stdout.write(reference())
