"""Follow something that is asked for again and again: a picture redrawn in place on a terminal, else a line per change.

The picture is on the terminal's second screen, drawn from its top left without wrapping and cut to its height: whatever
size the terminal gets meanwhile, the next picture is right. The last one stays when it ends.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable
from time import monotonic, sleep
from typing import Final, Generic, TextIO, TypeVar

from shadowproxy.cli.client import ClientError

EVERY: Final = 1.0
"""Seconds between two questions: a tick of the rollout."""
_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""The second screen, no cursor, long lines are cut (xterm's control sequences, and everybody's since)."""
_LEAVE: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_END_OF_LINE: Final = "\x1b[K"
_BELOW: Final = "\x1b[J"

T = TypeVar("T")


class Screen(Generic[T]):
    """Pictures on a terminal, each over the one before. `note` stands below until there is a new picture."""

    def __init__(self, draw: Callable[[T, int, bool], Iterable[str]], stream: TextIO) -> None:
        """`draw` makes the lines of a picture, for a terminal of so many columns; True: of few words, for a low one."""
        self._draw = draw
        self._stream = stream
        self._lines: list[str] = []
        stream.write(_ENTER)

    def show(self, found: T) -> None:
        columns, rows = shutil.get_terminal_size()
        self._lines = list(self._draw(found, columns, False))
        if len(self._lines) > rows:
            self._lines = list(self._draw(found, columns, True))
        self._put([])

    def note(self, text: str) -> None:
        self._put(["", text])

    def close(self) -> None:
        self._stream.write(_LEAVE + "".join(f"{line}\n" for line in self._lines))
        self._stream.flush()

    def _put(self, more: list[str]) -> None:
        room = shutil.get_terminal_size().lines - len(more)
        lines = self._lines if len(self._lines) <= room else [line for line in self._lines if line]
        lines = [*lines[:room], *more]
        self._stream.write(_HOME + "\n".join(line + _END_OF_LINE for line in lines) + _BELOW)
        self._stream.flush()


class Lines(Generic[T]):
    """A line for everything that changes."""

    def __init__(self, tell: Callable[[T | None, T], Iterable[str]], stream: TextIO) -> None:
        self._tell = tell
        self._stream = stream
        self._before: T | None = None

    def show(self, found: T) -> None:
        for line in self._tell(self._before, found):
            self._stream.write(line + "\n")
        self._stream.flush()
        self._before = found

    def note(self, text: str) -> None:
        print(f"shadowproxy: {text}", file=sys.stderr)

    def close(self) -> None:
        self._stream.flush()


def wait(seconds: float) -> None:
    """Where nobody tells that something happened."""
    sleep(seconds)


def follow(
    ask: Callable[[], T],
    view: Screen[T] | Lines[T],
    is_over: Callable[[T], bool],
    pause: Callable[[float], None] = wait,
) -> T | None:
    """Show every answer until one is the last, or until somebody has seen enough; returns the newest one.

    Once there has been an answer, a proxy that gives none is asked on: it may be restarting. `pause` waits for so many
    seconds, or less if something happened meanwhile. Raises ClientError before.
    """
    found: T | None = None
    is_silent, heard = False, monotonic()
    try:
        while True:
            try:
                found = ask()
            except ClientError as error:
                if found is None:
                    raise
                if not is_silent or isinstance(view, Screen):
                    view.note(f"{error}; as it was {monotonic() - heard:.0f} s ago" if is_silent else str(error))
                is_silent = True
            else:
                view.show(found)
                is_silent, heard = False, monotonic()
                if is_over(found):
                    return found
            pause(EVERY)
    except KeyboardInterrupt:
        return found
    finally:
        view.close()
