from __future__ import annotations

import io

import pytest

from shadowproxy.replay.progress import EVERY, EVERY_PLAIN, Progress, State, seconds, written

STATE = State(total=10_000, sent=1234, answered=1230, differ=12, failed=3, late=0.004, left=35.2)
LINE = "1,234/10,000 sent, 1,230 answered, 12 differ, 3 failed, late by 4 ms, 35 s left"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_state_is_one_line() -> None:
    assert written(STATE) == LINE
    assert written(State(5, 0, 0, 0, 0, None, None)) == "0/5 sent, 0 answered, 0 differ, 0 failed"


def test_on_a_terminal_the_line_changes_and_stays_at_the_end() -> None:
    stream = Terminal()
    progress = Progress(stream)
    assert progress.every == EVERY
    progress.show(STATE)
    progress.close(STATE)
    assert stream.getvalue() == f"\r\x1b[K{LINE}\r\x1b[K{LINE}\n"


def test_elsewhere_there_is_a_line_now_and_then() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    assert progress.every == EVERY_PLAIN
    progress.show(STATE)
    progress.close(STATE)
    assert stream.getvalue() == f"{LINE}\n{LINE}\n"


@pytest.mark.parametrize(
    ("value", "says"),
    [(0.0, "0 ms"), (0.0126, "13 ms"), (1.52, "1.5 s"), (10.4, "10 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s")],
)
def test_durations_for_people(value: float, says: str) -> None:
    assert seconds(value) == says
