"""Parts that ramp a flag: what counts as evidence there, and how it is said. Pure.

There "candidate" is who has the flag's variant by the rollout, and "primary" who has it not, both on one arm.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from shadowproxy.model.rollout import Step
from shadowproxy.rollout.facts import Facts

_WORDS: Final = (
    (re.compile(r"\bnobody is left with the primary\b"), "nobody is without it"),
    (re.compile(r"\bmore than the primary\b"), "more than without it"),
    (re.compile(r"\breached the candidate\b"), "came with {}"),
    (re.compile(r"\bof the candidate\b"), "with {}"),
    (re.compile(r"\bof the primary\b"), "without it"),
    (re.compile(r"\b(?:the )?candidate\b"), "with {}"),
    (re.compile(r"\b(?:the )?primary\b"), "without it"),
)


def carried(step: Step) -> str:
    """What users have, in words: `new-checkout=on and banner=winter`."""
    return " and ".join(f"{each.flag}={each.variant}" for each in step.flags)


def said_of(step: Step, words: str) -> str:
    """A sentence about candidate and primary as it is said of a part."""
    overlay = step.overlay
    if overlay is None:
        return words
    tested = f"{overlay.flag}={overlay.variant}"
    for pattern, instead in _WORDS:
        words = pattern.sub(instead.format(tested).replace("\\", "\\\\"), words)
    return words


def concerning(step: Step, facts: Facts) -> Facts:
    """Without what says nothing of a flag: a request and its copy both have it, or neither has."""
    return replace(facts, pairs=(), compared=0, chosen=(0, 0)) if step.testing else facts
