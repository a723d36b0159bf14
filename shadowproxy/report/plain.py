"""Words and numbers as people read them. What comes from strangers is made printable: it cannot speak to a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

_TOKEN: Final = re.compile(r"""(?:-\w\s+)?(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""")


def plain(text: str) -> str:
    """`text` on one line, with everything that is not printable escaped."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def clip(text: str, width: int) -> str:
    text = plain(text[: width + 1])
    return text if len(text) <= width else text[: width - 1] + "…"


def clip_left(text: str, width: int) -> str:
    """Like `clip`, keeping the end: what tells two fields apart is their last part."""
    text = plain(text[-width - 1 :])
    return text if len(text) <= width else "…" + text[1 - width :]


def seconds(value: float, sign: bool = False) -> str:
    """Three significant digits: `950 µs`, `12.3 ms`, `1.20 s`."""
    size = abs(value)
    plus = "+" if sign and value > 0 else ""
    if size >= 1:
        return f"{plus}{value:.2f} s"
    if size >= 0.001:
        return f"{plus}{value * 1e3:.{1 if size < 0.1 else 0}f} ms"
    return f"{plus}{value * 1e6:.0f} µs"


def duration(value: float) -> str:
    """`45 s`, `12m 04s`, `3h 12m`, `5d 03h`."""
    whole = max(0, int(value))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def moment(at: float) -> str:
    """`2026-11-25T22:43:17Z` of a Unix time; of one that no calendar has, the beginning of all."""
    try:
        found = datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        found = datetime.fromtimestamp(0, UTC)
    return f"{found:%Y-%m-%dT%H:%M:%SZ}"


def ago(at: float, now: float) -> str:
    """How long before `now` something was; both Unix times."""
    return "just now" if now - at < 1 else f"{duration(now - at)} ago"


def percent(share: float) -> str:
    """`12.3%`; what is there but rounds to nothing is `<0.1%`."""
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def number(count: int, noun: str) -> str:
    """`1 pair`, `1,200 pairs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def counts(values: Mapping[str, int]) -> str:
    """`channel_full 2, shutdown 1`; nothing where there is nothing."""
    return ", ".join(f"{plain(word)} {n:,}" for word, n in values.items() if n)


def bracketed(values: Mapping[str, int]) -> str:
    """The same in brackets, with a space before; nothing where there is nothing."""
    return f" ({said})" if (said := counts(values)) else ""


def wrap_command(command: str, width: int) -> list[str]:
    """A shell command on lines that end in a backslash, cut between words only, so that it can be pasted."""
    lines: list[str] = []
    line = ""
    for word in map(plain, _TOKEN.findall(command) or [command]):
        if line and len(line) + 1 + len(word) > width - 2:
            lines.append(line + " \\")
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]
