"""From counts to a report and its conclusion. Pure.

The conclusion: fewer than 50 compared pairs are not enough to say (3), and neither are differences that found no place
in the table of fields, where nothing else failed. Otherwise a regression (1) is any field in the list of regressed
ones; on a route of which nothing is known yet any pair of the candidate with the verdict `mismatch` (contract,
meaning 10), and so any field of which second answers say nothing; any exchange without a whole answer of the candidate;
and any route on which the candidate is slower or fails more often, by the evidence of its pairs (`report.paired`).
Else there is none (0).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from shadowproxy.evidence import CAPACITY
from shadowproxy.evidence.ledger import OPEN
from shadowproxy.model.pair import FieldCount
from shadowproxy.model.policy import Policy, ServicePolicy
from shadowproxy.model.terms import CANDIDATE, PRIMARY
from shadowproxy.model.totals import (
    ENOUGH_PAIRS,
    CauseTotal,
    Distribution,
    FieldExample,
    Isolation,
    MirrorTotals,
    RouteTotals,
)
from shadowproxy.report.causes import cause_of, worth_showing
from shadowproxy.report.knowing import Learned, evidence_of, is_known, knowledge_of, regressed_fields, untold_fields
from shadowproxy.report.paired import Paired, judge
from shadowproxy.report.values import (
    Accepted,
    Books,
    FieldEvidence,
    FieldReport,
    Knowledge,
    Quantiles,
    Report,
    RouteReport,
    ServiceReport,
    Shown,
)

PASS: Final = "pass"  # noqa: S105 - a verdict
FAIL: Final = "fail"
INCONCLUSIVE: Final = "inconclusive"
EXIT_CODES: Final = {PASS: 0, FAIL: 1, INCONCLUSIVE: 3}

MAX_FIELDS: Final = 100
"""Fields listed per route."""
NAMED: Final = 3
"""Regressed fields that the conclusion names."""


class Facts(Struct, frozen=True):
    """Everything a report is made from. Times are Unix times.

    `paired` are logarithms of e-values by service and route, then by check (`evidence.paired`).
    """

    version: str
    policy: Policy
    started_at: float
    now: float
    routes: Sequence[RouteTotals]
    fields: Sequence[FieldCount] = ()
    examples: Sequence[FieldExample] = ()
    incomparable: Mapping[tuple[str, str, str], int] = {}
    isolation: Mapping[str, Isolation] = {}
    causes: Sequence[CauseTotal] = ()
    """By impact."""
    cause_examples: Mapping[str, FieldExample] = {}
    notes: Sequence[str] = ()
    paired: Mapping[tuple[str, str], Mapping[str, float]] = {}
    learned: Mapping[str, Learned] = {}
    """By service."""
    accepted: Mapping[str, Sequence[Accepted]] = {}
    """By service, every entry."""
    covered: Mapping[str, int] = {}
    """By service, pairs of which an entry covered something."""
    excused: Mapping[tuple[str, str], int] = {}
    """By service and route, pairs with the verdict `mismatch` whose differences are accepted since."""


def build(facts: Facts, service: str | None = None) -> Report:
    """The report of all services, or of `service` alone, which must be one of the policy's."""
    services = [_service(facts, each) for each in facts.policy.services if service in {None, each.name}]
    verdict = overall([each.verdict for each in services])
    return Report(
        version=facts.version,
        epoch=facts.policy.epoch,
        policy=facts.policy.sequence,
        started_at=facts.started_at,
        generated_at=facts.now,
        services=services,
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        conclusion=concluded(services),
        notes=list(facts.notes),
    )


def overall(verdicts: Sequence[str]) -> str:
    """A failure anywhere fails; passing takes that everything passes."""
    if FAIL in verdicts:
        return FAIL
    return PASS if verdicts and all(verdict == PASS for verdict in verdicts) else INCONCLUSIVE


def concluded(services: Sequence[ServiceReport]) -> str:
    if len(services) == 1:
        return services[0].conclusion
    return "; ".join(f"{each.name}: {each.conclusion}" for each in services)


def _service(facts: Facts, policy: ServicePolicy) -> ServiceReport:
    learned = facts.learned.get(policy.name)
    remembered = {route for route, *_ in learned.ledger.rows} if learned is not None else set()
    here = [totals for totals in facts.routes if totals.service == policy.name]
    counted = [totals for totals in here if totals.any or totals.route in remembered]
    paired = judge(counted, facts.paired, policy.noise.fdr)
    routes = [_route(facts, totals, paired.get(totals.route, (None, None))) for totals in counted]
    routes.sort(key=lambda route: (-route.mismatches, not route.slower, -route.requests, route.name))
    compared = sum(_decided(route.verdicts.get(CANDIDATE, {})) for route in routes)
    mismatches = sum(route.mismatches for route in routes)
    knowledge = knowledge_of(learned, facts.now) if learned is not None else None
    verdict, conclusion = _judge(policy, routes, compared, knowledge)
    causes = [row for row in facts.causes if row.service == policy.name and row.pairs]
    shown = worth_showing(causes)
    return ServiceReport(
        name=policy.name,
        upstreams={arm: [endpoint.url for endpoint in each.endpoints] for arm, each in policy.upstreams.items()},
        requests=sum(route.requests for route in routes),
        compared=compared,
        mismatches=mismatches,
        routes=routes,
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        conclusion=conclusion,
        isolation=facts.isolation.get(policy.name),
        causes=[cause_of(row, compared, facts.cause_examples.get(row.id)) for row in shown],
        causes_left_out=len(causes) - len(shown),
        knowledge=knowledge,
        accepted=list(facts.accepted.get(policy.name, ())),
        covered=facts.covered.get(policy.name, 0),
    )


def _decided(verdicts: Mapping[str, int]) -> int:
    """Pairs that say something: no data is never a pass (design, law 5)."""
    return sum(verdicts.values()) - verdicts.get("incomparable", 0)


def _judge(
    policy: ServicePolicy, routes: Sequence[RouteReport], compared: int, knowledge: Knowledge | None
) -> tuple[str, str]:
    if CANDIDATE not in policy.upstreams:
        return INCONCLUSIVE, "no candidate is configured: there is nothing to compare"
    if compared < ENOUGH_PAIRS:
        return INCONCLUSIVE, f"not enough to say: {compared} compared pairs, {ENOUGH_PAIRS} are needed"
    known = [route for route in routes if is_known(knowledge, route.second_answers)]
    unknown = [route for route in routes if route not in known]
    found = [*_regressed(known), *_untold(known), *_differing(unknown, compared, len(routes))]
    failures = sum(each.pairs for route in known for each in route.failures)
    if failures:
        found.append(f"{failures:,} times the candidate gave no whole answer")
    failing = [route.name for route in routes if route.errors and route.errors.regressed]
    if failing:
        found.append(f"fails more often on {', '.join(failing)}")
    slower = [route.name for route in routes if route.slower]
    if slower:
        found.append(f"slower on {', '.join(slower)}")
    if found:
        return FAIL, f"regression: {'; '.join(found)}"
    if knowledge is not None and known and knowledge.untracked:
        return INCONCLUSIVE, (
            f"cannot say: {knowledge.untracked:,} differences are in fields beyond the {CAPACITY:,} that are followed"
        )
    undecided = sum(each.state == OPEN for route in known for each in route.evidence)
    rest = f"; {undecided:,} {'field is' if undecided == 1 else 'fields are'} not decided yet" if undecided else ""
    return PASS, f"no regression in {compared:,} compared pairs{rest}"


def _regressed(routes: Sequence[RouteReport]) -> Iterator[str]:
    fields = [(route.name, each) for route in routes for each in regressed_fields(route)]
    if fields:
        yield f"{len(fields):,} {'field' if len(fields) == 1 else 'fields'} regressed: {_named(fields)}"


def _untold(routes: Sequence[RouteReport]) -> Iterator[str]:
    fields = [(route.name, each) for route in routes for each in untold_fields(route)]
    if fields:
        which = "a field that differs" if len(fields) == 1 else f"{len(fields):,} fields that differ"
        yield f"second answers say nothing of {which}: {_named(fields)}"


def _named(fields: Sequence[tuple[str, FieldEvidence]]) -> str:
    named = ", ".join(f"{each.field} ({each.kind}) on {route}" for route, each in fields[:NAMED])
    return f"{named} and {len(fields) - NAMED:,} more" if len(fields) > NAMED else named


def _differing(routes: Sequence[RouteReport], compared: int, every: int) -> Iterator[str]:
    """Of routes on which nothing is known of noise."""
    mismatches = sum(route.mismatches for route in routes)
    if mismatches:
        where = sum(bool(route.mismatches) for route in routes)
        yield (
            f"{mismatches:,} of {compared:,} pairs differ ({mismatches / compared:.1%})"
            f" on {where} of {every} {'route' if every == 1 else 'routes'}"
        )


def _route(facts: Facts, totals: RouteTotals, paired: Paired) -> RouteReport:
    candidate = totals.mirrors.get(CANDIDATE)
    decided = _decided(candidate.verdicts) if candidate else 0
    examples = {
        (each.field, each.kind): Shown(each.id, each.primary, each.shadow, each.curl)
        for each in facts.examples
        if each.service == totals.service and each.route == totals.route
    }
    errors, latency = paired
    excused = facts.excused.get((totals.service, totals.route), 0)
    kinds = _positive(candidate.mismatches) if candidate else {}
    learned = facts.learned.get(totals.service)
    return RouteReport(
        name=totals.route,
        requests=sum(totals.codes.get(PRIMARY, {}).values()),
        codes={arm: _positive(codes) for arm, codes in totals.codes.items()},
        books={arm: _books(mirror) for arm, mirror in totals.mirrors.items()},
        verdicts={arm: mirror.verdicts for arm, mirror in totals.mirrors.items()},
        kinds=kinds,
        failures=[
            FieldReport("", kind, pairs, _share(pairs, decided), examples.get(("", kind)))
            for kind, pairs in kinds.items()
            if kind.startswith("candidate_")
        ],
        fields=[
            FieldReport(
                each.field, each.kind, each.pairs, _share(each.pairs, decided), examples.get((each.field, each.kind))
            )
            for each in sorted(facts.fields, key=lambda each: (-each.pairs, each.field, each.kind))
            if each.service == totals.service and each.route == totals.route
        ][:MAX_FIELDS],
        incomparable={
            reason: pairs
            for (service, route, reason), pairs in facts.incomparable.items()
            if service == totals.service and route == totals.route
        },
        latency={arm: found for arm, values in totals.durations.items() if (found := quantiles(values))},
        delta=quantiles(candidate.delta) if candidate else None,
        slower=latency is not None and latency.slower,
        slower_why=latency.why if latency else "",
        mismatches=max(0, candidate.verdicts["mismatch"] - excused) if candidate else 0,
        excused=excused,
        earlier=candidate.earlier if candidate else 0,
        paired=latency,
        errors=errors,
        second_answers=learned.ledger.triples.get(totals.route, 0) if learned else 0,
        evidence=evidence_of(learned, totals.route, examples, facts.now) if learned else [],
    )


def _books(mirror: MirrorTotals) -> Books:
    return Books(
        eligible=mirror.eligible,
        sampled_out=mirror.sampled_out,
        dropped=_positive(mirror.dropped),
        sent=mirror.sent,
        compared=mirror.compared,
        lost=_positive(mirror.lost),
        in_flight=mirror.in_flight,
        unaccounted=mirror.unaccounted,
    )


def quantiles(values: Distribution) -> Quantiles | None:
    """p50, p95 and p99, or None without values."""
    count = values.count
    return Quantiles(count, *(values.quantile(q) or 0.0 for q in (0.5, 0.95, 0.99))) if count else None


def _positive(counts: Mapping[str, int]) -> dict[str, int]:
    return {word: n for word, n in counts.items() if n}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
