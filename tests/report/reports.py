"""Reports with everything in them, made of the values that they take."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from shadowproxy.model.totals import Interval
from shadowproxy.report import Report, build
from shadowproxy.report.values import (
    Accepted,
    Cause,
    FieldEvidence,
    FieldReport,
    Knowledge,
    PairedErrors,
    PairedLatency,
    RouteReport,
    ServiceReport,
    Shown,
)
from tests.report.facts import CURL, facts, mirror, route, service

NOW = 1090.0


def shown(**changes: Any) -> Shown:
    return replace(Shown("3f2a9c", "1.5", '"1.5"', CURL), **changes)


def evidence(field: str = "$.price", state: str = "regressed", **changes: Any) -> FieldEvidence:
    values: dict[str, Any] = {
        "kind": "body_type",
        "candidate_only": 42,
        "second_only": 1,
        "both": 3,
        "spared": 0,
        "evidence": 9.25,
        "needed": 4.5,
        "more": 120 if state == "open" else None,
        "first_at": 1010.0,
        "last_at": 1085.0,
        "since": 1030.0 if state == "regressed" else None,
        "example": shown(),
    }
    return FieldEvidence(field=field, state=state, **{**values, **changes})


def cause(number: int = 1, **changes: Any) -> Cause:
    values: dict[str, Any] = {
        "id": f"c{number:04}",
        "route": "item",
        "keys": [("$.price", "body_type")],
        "primary_status": 200,
        "shadow_status": 200,
        "failure": "",
        "pairs": 100 - number,
        "share": 0.1,
        "first_at": 1010.0,
        "last_at": 1085.0,
        "words": "$.price changed from a number to a string.",
        "suggestion": 'compare:\n  tolerance: {"$.price": 0.01}',
        "example": shown(),
    }
    return Cause(**{**values, **changes})


def latency(**changes: Any) -> PairedLatency:
    intervals = {
        "p50": Interval(0.05, 0.048, 0.052),
        "p95": Interval(0.06, 0.055, 0.07),
        "p99": Interval(0.09, None, None),
    }
    values: dict[str, Any] = {
        "pairs": 1200,
        "quantiles": intervals,
        "baseline": {name: Interval(0.001, -0.001, 0.002) for name in intervals},
        "calibrated": intervals,
        "evidence": 12.0,
        "needed": 2.0,
        "slower": True,
        "why": "p50 of the paired difference +50 ms, primary p50 10 ms",
    }
    return PairedLatency(**{**values, **changes})


def errors(**changes: Any) -> PairedErrors:
    values: dict[str, Any] = {
        "neither": 1100,
        "candidate_only": 32,
        "primary_only": 4,
        "both": 3,
        "evidence": 6.5,
        "needed": 2.0,
        "regressed": True,
    }
    return PairedErrors(**{**values, **changes})


def knowledge(**changes: Any) -> Knowledge:
    values: dict[str, Any] = {
        "source": "secondary",
        "answers": 1200,
        "enough": 20,
        "fdr": 0.05,
        "since": 1000.0,
        "versions": {"primary": "v1", "candidate": "v2"},
        "regressed": 1,
        "noisy": 1,
    }
    return Knowledge(**{**values, **changes})


def accepted(state: str = "active", **changes: Any) -> Accepted:
    values: dict[str, Any] = {
        "id": f"a-{state}",
        "route": "item",
        "field": "$.currency",
        "kind": "body_value",
        "shape": "",
        "owner": "ann",
        "reason": "the new price list",
        "expires": "2026-12-01",
        "pairs": 0 if state == "dead" else 70,
        "last_at": None if state == "dead" else 1080.0,
    }
    return Accepted(state=state, **{**values, **changes})


def field(name: str, pairs: int = 42, **changes: Any) -> FieldReport:
    return replace(FieldReport(name, "body_type", pairs, pairs / 1200, shown()), **changes)


def routes() -> list[RouteReport]:
    """One with everything wrong, one where all is well."""
    whole = build(
        facts(route(mirror([0.05] * 60, match=1150, mismatch=50), [0.01] * 60), route(mirror(match=60), name="calm"))
    )
    busy, calm = whole.services[0].routes
    busy = replace(
        busy,
        second_answers=1200,
        failures=[FieldReport("", "candidate_timeout", 2, 2 / 1200, shown(id="77aa00", candidate=None))],
        fields=[field("$.price"), field("$.at", 800), field("$.sku", 3)],
        evidence=[evidence(), evidence("$.sku", "open", evidence=1.5), evidence("$.at", "noise", evidence=-3.0)],
        paired=latency(),
        errors=errors(),
    )
    return [busy, calm]


def full(**changes: Any) -> Report:
    """A report with something in every place."""
    return replace(of(rich()), **{"notes": ["the store is away"], **changes})


def rich(**changes: Any) -> ServiceReport:
    base = build(facts(route(mirror(match=60)), services=[service()])).services[0]
    values: dict[str, Any] = {
        "routes": routes(),
        "requests": 1260,
        "compared": 1260,
        "mismatches": 50,
        "verdict": "fail",
        "exit_code": 1,
        "conclusion": "regression: 1 field regressed on item",
        "knowledge": knowledge(),
        "causes": [
            cause(1),
            cause(2, keys=[], failure="candidate_timeout", shadow_status=None, words="", suggestion="", example=None),
        ],
        "causes_left_out": 7,
        "accepted": [accepted("active"), accepted("expired"), accepted("dead")],
        "covered": 77,
    }
    return replace(base, **{**values, **changes})


def of(*services: ServiceReport) -> Report:
    base = build(facts())
    worst = max(services, key=lambda each: each.exit_code == 1)
    conclusion = "; ".join(f"{each.name}: {each.conclusion}" for each in services)
    return replace(
        base,
        services=list(services),
        verdict=worst.verdict,
        exit_code=worst.exit_code,
        conclusion=services[0].conclusion if len(services) == 1 else conclusion,
    )
