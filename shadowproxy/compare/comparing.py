"""One pair in, one verdict out: failure, status, header fields, body, in this order.

Pairs that differ only by nature are a `match`, those that differ only where rules of the user allow it, or in what is
accepted, `ignored`.
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
    """What was found, and what ended the comparing early: empty if nothing did."""

    found: Findings
    limit: str = ""

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`."""
        found = self.found
        if found.counted:
            return "mismatch"
        if self.limit:
            return "incomparable"
        if found.noise:
            return "noise"
        return "ignored" if found.ruled or found.accepted else "match"

    @property
    def reason(self) -> str:
        """Why the pair is incomparable; empty if it is not."""
        return self.limit if self.verdict == "incomparable" else ""


def compare(pair: Pair, rules: RouteRules, deadline: Deadline, *, every: bool = False) -> Comparison:
    """The verdict on `pair` under the rules of its route. `every`: all values that differ are kept, not the first."""
    found = Findings(rules.policy.recorded, every=every)
    if pair.failure is not None or pair.shadow is None:
        status = pair.shadow.status if pair.shadow is not None else None
        found.add(FAILURE, pair.failure or "candidate_error", pair.primary.status, status)
        return Comparison(found)
    limit = ""
    try:
        compare_heads(pair.request.method, pair.primary, pair.shadow, rules.ignored, found, rules.by_nature)
        BodyComparer(rules, deadline, found).compare(pair.primary, pair.shadow)
    except IncomparableError as error:
        limit = error.reason
    return Comparison(found, limit)
