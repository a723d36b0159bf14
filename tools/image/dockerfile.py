"""Reads the part of the Dockerfile language that ours uses. What it does not know is an error, never skipped."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import Final

SETTINGS: Final = {"LABEL", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
STEPS: Final = {"RUN", "COPY", "WORKDIR", "ENV"}


class DockerfileError(Exception):
    """What stands in the file and is not understood."""


@dataclass(frozen=True)
class Step:
    """One instruction that changes files or the environment of those after it."""

    word: str
    text: str


@dataclass
class Stage:
    base: str
    name: str
    steps: list[Step] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    """The last of each, as written."""

    def argv(self, word: str) -> list[str]:
        """The exec form of ENTRYPOINT, CMD or HEALTHCHECK. Raises DockerfileError for the shell form."""
        text = self.settings[word].partition("CMD")[2] if word == "HEALTHCHECK" else self.settings[word]
        try:
            found = json.loads(text)
        except ValueError:
            raise DockerfileError(f"{word} {text}: the exec form is a JSON array") from None
        return [str(each) for each in found]

    def environment(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for step in self.steps:
            if step.word == "ENV":
                found.update(variables(step.text))
        return found


def stages(text: str) -> list[Stage]:
    """Raises DockerfileError."""
    found: list[Stage] = []
    for word, rest in _instructions(text):
        if word == "FROM":
            parts = rest.split()
            found.append(Stage(parts[0], parts[2] if len(parts) == 3 else ""))
        elif word in STEPS:
            found[-1].steps.append(Step(word, rest))
        elif word in SETTINGS:
            found[-1].settings[word] = rest
        else:
            raise DockerfileError(f"{word}: not an instruction that is known here")
    return found


def variables(text: str) -> dict[str, str]:
    """Of ENV NAME=value …"""
    return dict(each.split("=", 1) for each in shlex.split(text))  # type: ignore[misc]


def copied(text: str) -> tuple[dict[str, str], list[str], str]:
    """Of COPY: the options, the sources and the destination."""
    words = text.split()
    options = dict(re.fullmatch(r"--([a-z]+)=(.+)", word).groups() for word in words if word.startswith("--"))  # type: ignore[union-attr]
    plain = [word for word in words if not word.startswith("--")]
    return options, plain[:-1], plain[-1]


def _instructions(text: str) -> list[tuple[str, str]]:
    found = []
    logical = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line.endswith("\\"):
            logical += line[:-1] + " "
            continue
        word, _, rest = (logical + line).strip().partition(" ")
        found.append((word.upper(), rest.strip()))
        logical = ""
    return found
