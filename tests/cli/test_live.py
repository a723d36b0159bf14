from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pytest

from shadowproxy.cli import live
from shadowproxy.cli.client import ClientError
from shadowproxy.cli.live import EVERY, Lines, Screen, follow


class Answers:
    """Says one after the other; an exception is raised."""

    def __init__(self, *answers: str | BaseException) -> None:
        self._answers = iter(answers)

    def __call__(self) -> str:
        answer = next(self._answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def changed(before: str | None, found: str) -> Iterator[str]:
    if found != before:
        yield f"now {found}"


def is_last(found: str) -> bool:
    return found == "end"


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were slept, had anybody slept."""
    waited: list[float] = []
    monkeypatch.setattr(live, "sleep", waited.append)
    return waited


def test_a_line_for_every_change_until_the_last_answer(waited: list[float]) -> None:
    out = io.StringIO()
    assert follow(Answers("a", "a", "b", "end"), Lines(changed, out), is_last) == "end"
    assert out.getvalue() == "now a\nnow b\nnow end\n"
    assert waited == [EVERY] * 3


def test_a_proxy_that_is_silent_for_a_while_is_asked_on_and_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    gone = ClientError("no admin API answers")
    out = io.StringIO()
    assert follow(Answers("a", gone, gone, "a", gone, "end"), Lines(changed, out), is_last) == "end"
    assert capsys.readouterr().err == "shadowproxy: no admin API answers\n" * 2
    assert out.getvalue() == "now a\nnow end\n"


def test_without_a_first_answer_there_is_nothing_to_follow() -> None:
    with pytest.raises(ClientError):
        follow(Answers(ClientError("no")), Lines(changed, io.StringIO()), is_last)


def test_whoever_has_seen_enough_may_go() -> None:
    assert follow(Answers("a", KeyboardInterrupt()), Lines(changed, io.StringIO()), is_last) == "a"
    assert follow(Answers(KeyboardInterrupt()), Lines(changed, io.StringIO()), is_last) is None


def test_pictures_are_drawn_over_each_other_and_the_last_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.shutil, "get_terminal_size", lambda: os.terminal_size((20, 3)))
    out = io.StringIO()
    screen: Screen[str] = Screen(lambda found, *_: [found, "2", "3", "4"], out)
    gone = ClientError("nobody answers")
    assert follow(Answers("a", gone, "end"), screen, is_last) == "end"
    enter, first, noted, last = out.getvalue().split("\x1b[H")
    assert enter == "\x1b[?1049h\x1b[?25l\x1b[?7l"
    assert first == "a\x1b[K\n2\x1b[K\n3\x1b[K\x1b[J"
    assert noted == "a\x1b[K\n\x1b[K\nnobody answers\x1b[K\x1b[J"
    assert last == "end\x1b[K\n2\x1b[K\n3\x1b[K\x1b[J\x1b[?7h\x1b[?25h\x1b[?1049lend\n2\n3\n4\n"


def test_a_picture_knows_how_wide_the_terminal_is_and_does_without_empty_lines_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = io.StringIO()
    screen: Screen[str] = Screen(lambda found, *size: [found, "", str(size), ""], out)
    low = "a\x1b[K\n(20, True)\x1b[K\x1b[J"
    for lines, drawn in ((4, "a\x1b[K\n\x1b[K\n(20, False)\x1b[K\n\x1b[K\x1b[J"), (3, low)):
        monkeypatch.setattr(live.shutil, "get_terminal_size", lambda lines=lines: os.terminal_size((20, lines)))
        screen.show("a")
        assert out.getvalue().endswith(f"\x1b[H{drawn}")
