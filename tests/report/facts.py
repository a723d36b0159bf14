"""Facts for reports, made of the values that they take."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from shadowproxy.evidence.latency import splits
from shadowproxy.evidence.paired import PairedLedger
from shadowproxy.metrics.layout import DELTA_EDGES, DURATION_EDGES
from shadowproxy.model.policy import Endpoint, Policy, ServicePolicy, UpstreamPolicy
from shadowproxy.model.terms import CODES, DROP_REASONS, KINDS, LOSS_REASONS, OUTCOMES, QUANTILES, VERDICTS
from shadowproxy.model.totals import Distribution, MirrorTotals, RouteTotals
from shadowproxy.report import Facts

CURL = (
    "curl -sS -H 'Accept: application/json' -H 'User-Agent: a rather long one (X11; Linux)' 'http://127.0.0.1/items/1'"
)


def counts(words: Sequence[str], **given: int) -> dict[str, int]:
    return {word: given.get(word, 0) for word in words}


def distribution(edges: tuple[float, ...], values: Sequence[float]) -> Distribution:
    bins = [0] * (len(edges) + 1)
    for value in values:
        bins[bisect_left(edges, value)] += 1
    return Distribution(edges, tuple(bins), sum(values))


def mirror(
    delta: Sequence[float] = (),
    kinds: dict[str, int] | None = None,
    failed: tuple[int, int, int] = (0, 0, 0),
    usual: Sequence[float] = (0.01,),
    **verdicts: int,
) -> MirrorTotals:
    """`delta` are paired differences from durations that are `usual`, over and over; `failed` by `OUTCOMES`."""
    compared = sum(verdicts.values())
    alone, other, both = failed
    theirs = [usual[i % len(usual)] for i in range(len(delta))]
    split = splits([a + b for a, b in zip(theirs, delta, strict=True)], theirs) if delta else [(0, 0)] * 3
    return MirrorTotals(
        eligible=compared,
        sampled_out=0,
        sent=compared,
        in_flight=0,
        dropped=counts(DROP_REASONS),
        lost=counts(LOSS_REASONS),
        verdicts=counts(VERDICTS, **verdicts),
        mismatches=counts(KINDS, **(kinds or {})),
        delta=distribution(DELTA_EDGES, delta),
        outcomes=dict(zip(OUTCOMES, (compared - sum(failed), alone, other, both), strict=True)),
        judged=len(delta),
        splits=dict(zip(QUANTILES, split, strict=True)),
    )


def route(
    candidate: MirrorTotals | None, primary: Sequence[float] = (), name: str = "item", service: str = "shop"
) -> RouteTotals:
    asked = candidate.eligible if candidate else len(primary)
    return RouteTotals(
        service=service,
        route=name,
        codes={"primary": {**counts(CODES), "2xx": asked}, "candidate": {**counts(CODES), "2xx": asked}},
        durations={"primary": distribution(DURATION_EDGES, primary)},
        mirrors={"candidate": candidate} if candidate else {},
        fallbacks={},
    )


def service(name: str = "shop", arms: Sequence[str] = ("primary", "candidate")) -> ServicePolicy:
    return ServicePolicy(name, 0, {arm: UpstreamPolicy((Endpoint(f"http://{arm}:80"),)) for arm in arms})


def facts(*routes: RouteTotals, services: Sequence[ServicePolicy] = (), **changes: Any) -> Facts:
    """What control would say of these routes: their pairs are weighed."""
    ledger = PairedLedger(1000.0)
    ledger.observe(routes, 1000.0)
    values: dict[str, Any] = {
        "version": "1.2.3",
        "policy": Policy(tuple(services) or (service(),), sequence=4, epoch="e"),
        "started_at": 1000.0,
        "now": 1090.0,
        "routes": routes,
        "paired": ledger.evidence(),
    }
    return Facts(**{**values, **changes})
