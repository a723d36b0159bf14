"""One pair in, one verdict out: failure, status, header fields, body, in this order.

Pairs that differ only by nature are a `match`, those that differ only where rules of the user allow it `ignored`.
A difference that was proven stands, even when a limit then ended the comparison: `incomparable` is for pairs of
which nothing is known to differ.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from shadowproxy.compare.bodies import BodyComparer
from shadowproxy.compare.findings import Findings
from shadowproxy.compare.heads import compare_heads
from shadowproxy.compare.limits import Deadline, IncomparableError
from shadowproxy.compare.rules import RouteRules
from shadowproxy.model.pair import Pair

FAILURE: Final = "response"
"""The field of a shadow exchange that gave no whole response; its kind says how it failed."""


class Comparison(Struct, frozen=True):
    """`verdict` is one of `VERDICTS`; `reason` says why a pair is incomparable, and is empty otherwise."""

    verdict: str
    found: Findings
    reason: str = ""


def compare(pair: Pair, rules: RouteRules, deadline: Deadline) -> Comparison:
    """The verdict on `pair` under the rules of its route."""
    found = Findings(rules.policy.recorded)
    if pair.failure is not None or pair.shadow is None:
        status = pair.shadow.status if pair.shadow is not None else None
        found.add(FAILURE, pair.failure or "candidate_error", pair.primary.status, status)
        return Comparison("mismatch", found)
    reason = ""
    try:
        compare_heads(pair.request.method, pair.primary, pair.shadow, rules.ignored, found)
        BodyComparer(rules, deadline, found).compare(pair.primary, pair.shadow)
    except IncomparableError as limit:
        reason = limit.reason
    if found.counted:
        return Comparison("mismatch", found)
    if reason:
        return Comparison("incomparable", found, reason)
    return Comparison("ignored" if found.ruled else "match", found)
