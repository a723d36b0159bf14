"""Bets on the pairs of each route: does the candidate fail more often, is it slower, on the very same requests?

The bits are counted by the workers; here they are only weighed, so that a control process that starts again knows them
at once. A *check* is one e-process of a route:

- `errors`: pairs in which only the candidate failed against pairs in which only the primary did.
- `primary`: the same the other way around. That the primary fails where the candidate works is worth a word; it is
  never a credit, so this e-process stands beside the first and is taken off nothing.
- `secondary`: as `errors`, for the secondary. If copies fail for a reason of their own, it shows here.
- p50, p95, p99: pairs that the quantile splits (`evidence.latency`). Slower is their average, never their product.

Bets begin anew every ten minutes with a share of the stake that was kept back (`evidence.coin`): what begins to go
wrong after a healthy day is found within minutes all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from shadowproxy.evidence import coin
from shadowproxy.evidence.ledger import RESTART_EVERY
from shadowproxy.model.terms import CANDIDATE, QUANTILES, SECONDARY
from shadowproxy.model.totals import MirrorTotals, RouteTotals

ERRORS: Final = "errors"
PRIMARY_ERRORS: Final = "primary"
SECONDARY_ERRORS: Final = "secondary"

Route = tuple[str, str]
"""Service and route."""


class Bets(Struct):
    """The bets of one check as logarithms after `restarts`, and the counts that they have seen."""

    bets: list[float]
    restarts: int
    ours: int = 0
    theirs: int = 0


class PairedLedger:
    """All checks of all routes. `since` and `now` are seconds of the same clock."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._restarts = 1
        self._checks: dict[Route, dict[str, Bets]] = {}

    def observe(self, rows: Iterable[RouteTotals], now: float) -> None:
        """Bet on what came since the last time. `rows` have the pairs since their evidence began."""
        self._restarts = max(self._restarts, 1 + int((now - self._since) / RESTART_EVERY))
        for row in rows:
            checks = self._checks.setdefault((row.service, row.route), {})
            for check, (ours, theirs) in _bits(row.mirrors):
                self._bet(checks, check, ours, theirs)

    def begin(self, service: str) -> None:
        """Its counts begin anew: what was bet on them is over."""
        self._checks = {route: checks for route, checks in self._checks.items() if route[0] != service}

    def evidence(self) -> dict[Route, dict[str, float]]:
        """By route and check the logarithm of the e-value."""
        return {
            route: {check: coin.log_e(bets.bets, bets.restarts) for check, bets in checks.items()}
            for route, checks in self._checks.items()
        }

    def _bet(self, checks: dict[str, Bets], check: str, ours: int, theirs: int) -> None:
        bets = checks.get(check)
        if bets is None:
            if not ours and not theirs:
                return
            bets = checks[check] = Bets(coin.new_bets(len(coin.LAMBDAS), self._restarts), self._restarts)
        if bets.restarts < self._restarts:
            bets.bets = coin.restarted(bets.bets, bets.restarts, self._restarts)
            bets.restarts = self._restarts
        bets.bets = coin.bet_on_pairs(bets.bets, ours - bets.ours, theirs - bets.theirs)
        bets.ours, bets.theirs = ours, theirs


def slower(checks: Mapping[str, float]) -> float:
    """The logarithm of the e-value of a slower candidate: the mean over the quantiles."""
    return coin.log_mean([checks.get(name, 0.0) for name in QUANTILES])


def _bits(mirrors: Mapping[str, MirrorTotals]) -> Iterator[tuple[str, tuple[int, int]]]:
    candidate, secondary = mirrors.get(CANDIDATE), mirrors.get(SECONDARY)
    if candidate is not None:
        alone, other = candidate.alone
        yield ERRORS, (alone, other)
        yield PRIMARY_ERRORS, (other, alone)
        yield from candidate.splits.items()
    if secondary is not None:
        yield SECONDARY_ERRORS, secondary.alone
