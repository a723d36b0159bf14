"""PromQL checks: scraped values against limits. A value that is not there says nothing.

What is scraped depends on what was scraped before, and no bet could be fair: a limit is the operator's own word, and is
broken by `IN_A_ROW` values one after the other. A missing, empty, late or failing answer is inconclusive.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Final

from msgspec.structs import replace

from shadowproxy.model.rollout import FAIL, INCONCLUSIVE, PASS, Check
from shadowproxy.rollout.facts import Answer
from shadowproxy.rollout.ledger import Scraped
from shadowproxy.rollout.phrases import percent, span

IN_A_ROW: Final = 3
"""Values that break a limit, and values without which a check does not pass."""
LATE: Final = 4
"""Steps after which a value is too old to say how it is now."""


def values(check: Check, answer: Answer) -> Iterator[tuple[float, float, float | None]]:
    """(time, candidate, primary) of what can be compared."""
    primary = dict(answer.primary)
    for at, value in answer.candidate:
        beside = primary.get(at) if check.against else None
        if isfinite(value) and (not check.against or (beside is not None and isfinite(beside))):
            yield at, float(value), None if beside is None else float(beside)  # as they are when read again


def scraped(before: Scraped, check: Check, answer: Answer) -> Scraped:
    """After one answer."""
    if answer.why:
        return replace(before, why=answer.why)
    now = replace(before, why="")
    for at, value, beside in values(check, answer):
        if at > now.at:
            over = now.over + 1 if _is_over(check, value, beside) else 0
            now = Scraped(at, value, beside, now.values + 1, over)
    if now.at == before.at:
        return replace(before, why="no data: no value that can be compared")
    return now


def _is_over(check: Check, value: float, beside: float | None) -> bool:
    if check.max is not None and value > check.max:
        return True
    limit = _beside(check, beside)
    return limit is not None and value > limit


def _beside(check: Check, primary: float | None) -> float | None:
    """What is tolerated beside the primary's value; None: anything."""
    if primary is None or (check.max_relative is None and check.max_absolute is None):
        return None
    return primary + abs(primary) * (check.max_relative or 0.0) + (check.max_absolute or 0.0)


def verdict(check: Check, seen: Scraped | None, now: float) -> tuple[str, str]:
    """What its limits say, and in words."""
    if seen is None or not seen.values:
        return INCONCLUSIVE, (seen.why if seen else "") or "no answer yet"
    if seen.why:
        return INCONCLUSIVE, seen.why
    if now - seen.at > LATE * check.step:
        return INCONCLUSIVE, f"late: the newest value is {span(now - seen.at)} old"
    words = f"candidate {seen.candidate:.4g}" + (f", primary {seen.primary:.4g}" if seen.primary is not None else "")
    words += "".join(f", {limit}" for limit in _limits(check))
    if seen.over >= IN_A_ROW:
        return FAIL, f"{words}; over it {seen.over} times in a row: fails"
    if seen.over:
        return INCONCLUSIVE, f"{words}; over it {seen.over} of {IN_A_ROW} times in a row"
    if seen.values < IN_A_ROW:
        return INCONCLUSIVE, f"{words}; {seen.values} of {IN_A_ROW} values"
    return PASS, f"{words}: passes"


def _limits(check: Check) -> Iterator[str]:
    if check.max is not None:
        yield f"at most {check.max:.4g} allowed"
    if check.max_relative is not None:
        yield f"{percent(check.max_relative)} more than the primary allowed"
    if check.max_absolute is not None:
        yield f"{check.max_absolute:.4g} more than the primary allowed"
