"""The documents, and what in them can be tried: blocks of commands, configurations, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        ROOT / "benchmarks" / "README.md",
    ]
    if path.name != "CHANGELOG.md"
)
COMMANDS: Final = {"sh", "bash", "console", "shell"}
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SAID: Final = re.compile(r"<!-- (runs|exits|stage|yaml): (.*?) -->")


@dataclass(frozen=True)
class Block:
    """`line`: of its first command. `said`: what the comments right before it say of it."""

    document: Path
    line: int
    language: str
    text: str
    said: dict[str, str]

    @property
    def place(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        found.append(Block(document, line, match[1], match[2], _before(text[: match.start()])))
    return found


def stage(document: Path) -> str:
    """The name of the stage on which a document's commands are run; none if it needs none."""
    found = re.search(r"<!-- stage: (\w+) -->", document.read_text(encoding="utf-8"))
    return found[1] if found else ""


def _before(text: str) -> dict[str, str]:
    said: dict[str, str] = {}
    for line in reversed(text.rstrip("\n").splitlines()):
        match = _SAID.fullmatch(line.strip())
        if match is None:
            break
        said[match[1]] = match[2]
    return said
