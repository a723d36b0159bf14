"""How far the traffic is."""

from __future__ import annotations

import io

from shadowproxy.demo.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO) -> str:
    progress = Progress(100, stream)
    for done in range(1, 101):
        progress(done)
    progress.close()
    return stream.getvalue()


def test_a_terminal_gets_a_bar() -> None:
    text = shown(Terminal())
    assert text.count("\r") == 40
    assert text.endswith(f"\r[{'#' * 40}] 100/100 requests\n")


def test_a_file_gets_four_lines() -> None:
    assert shown(io.StringIO()) == "25/100 requests\n50/100 requests\n75/100 requests\n100/100 requests\n"
