"""What the values of a report mean, in phrases that every rendering shares. Nothing here is escaped. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from shadowproxy.evidence.ledger import OPEN
from shadowproxy.model.terms import PRIMARY, SECONDARY
from shadowproxy.model.totals import Interval
from shadowproxy.report.plain import ago, counts, duration, number, percent, plain, seconds
from shadowproxy.report.values import (
    Accepted,
    Cause,
    Change,
    Changes,
    FieldEvidence,
    Knowledge,
    PairedErrors,
    PairedLatency,
    Quantiles,
    Report,
    RouteReport,
    ServiceReport,
)

ACTIVE: Final = "active"
QUANTILES: Final = ("p50", "p95", "p99")

TREND: Final = 1.0
"""Ten to one: less is not worth a line of its own."""

_KEYS_NAMED: Final = 3
_UNITS: Final = {"s": 1.0, "ms": 1e3, "µs": 1e6}


def upstreams(service: ServiceReport) -> Iterator[tuple[str, str, str]]:
    """Each arm, its URLs, and the version that it is known to run, if any."""
    versions = service.knowledge.versions if service.knowledge else {}
    for arm, urls in service.upstreams.items():
        yield arm, ", ".join(urls), versions.get(arm, "")


def knowledge(known: Knowledge | None, now: float) -> str:
    """Where the knowledge of noise comes from, and what it says."""
    if known is None or not known.source:
        return "no second answers of the primary's version: whatever differs counts"
    if not known.is_alike:
        primary, secondary = (plain(known.versions.get(arm, "")) for arm in (PRIMARY, SECONDARY))
        return f"the secondary runs {secondary}, the primary {primary}: that tells no noise, whatever differs counts"
    source = "the secondary" if known.source == "secondary" else "asking the primary again"
    said = f"{number(known.answers, 'second answer')} from {source} in {duration(now - known.since)}"
    if known.answers < known.enough:
        return f"{said}; before {known.enough} whatever differs counts"
    untracked = f", {known.untracked:,} untracked" if known.untracked else ""
    beside = "".join(f"; the {arm} answers as {plain(', '.join(named))} too" for arm, named in known.beside.items())
    return (
        f"{said}: {number(known.regressed, 'field')} regressed, {known.noisy:,} noisy{untracked}"
        f" (false discoveries at most {known.fdr * 100:g}%){beside}"
    )


def evidence(found: FieldEvidence, now: float) -> str:
    """The paired bits, what they weigh, and what is missing."""
    bits = f"candidate alone {found.candidate_only:,}, second answer alone {found.second_only:,}, both {found.both:,}"
    bits += f", no second answer {found.spared:,}" if found.spared else ""
    bits += f", one that says nothing of it {found.missed:,}" if found.missed else ""
    since = f", since {ago(found.since, now)}" if found.since is not None else ""
    return f"{bits}; {weight(found.evidence, found.needed)}{since}{more(found.more) if found.state == OPEN else ''}"


def weight(evidence: float, needed: float) -> str:
    """An e-value and its threshold, both as log10."""
    return f"evidence 10^{evidence:.1f} (10^{needed:.1f} needed)"


def more(pairs: int | None) -> str:
    return f", needs about {number(pairs, 'more pair')}" if pairs else ""


def errors(found: PairedErrors) -> Iterator[str]:
    """The 2x2 table as sentences; what the primary alone failed stands apart."""
    table = f"candidate alone {found.candidate_only:,}, both {found.both:,}, neither {found.neither:,}"
    verdict = "the candidate fails more often, " if found.regressed else ""
    missing = "" if found.regressed else more(found.more)
    weighed = f"; {verdict}{weight(found.evidence, found.needed)}{missing}" if found.candidate_only else ""
    yield table + weighed
    if found.primary_only:
        yield primary_alone(found)
    if found.secondary:
        alone, both, neither = (found.secondary.get(name, 0) for name in ("shadow_only", "both", "neither"))
        worse = "; copies may fail for a reason of their own" if found.secondary_worse else ""
        if alone or both:
            yield f"secondary alone {alone:,}, both {both:,}, neither {neither:,}{worse}"


def anyone_failed(found: PairedErrors) -> bool:
    return bool(found.candidate_only or found.primary_only or found.both or found.secondary_worse)


def primary_alone(found: PairedErrors) -> str:
    worse = "; the primary fails more often" if found.primary_worse else ""
    return f"primary alone {found.primary_only:,}: no credit to the candidate{worse}"


def asides(route: RouteReport) -> Iterator[str]:
    """What is worth a line also of a route that otherwise gets but one.

    Failures of the primary, open trends, and why fewer pairs differ than were counted.
    """
    errors, paired = route.errors, route.paired
    if left := set_aside(route):
        yield left
    if errors and errors.primary_only:
        yield f"errors: {primary_alone(errors)}"
    if errors and errors.more and errors.evidence >= TREND:
        said = f"errors: candidate alone {errors.candidate_only:,}, primary alone {errors.primary_only:,}"
        yield f"{said}; {weight(errors.evidence, errors.needed)}{more(errors.more)}"
    if paired and paired.more and paired.evidence >= TREND:
        yield f"slower? {weight(paired.evidence, paired.needed)}{more(paired.more)}"


def latency(found: PairedLatency) -> str:
    """How sure it is that the candidate is slower, and what is missing."""
    missing = "" if found.slower else more(found.more)
    return f"{weight(found.evidence, found.needed)} in {number(found.pairs, 'pair')}{missing}"


Line = tuple[str, tuple[str, str, str]]
"""A name, and a value for each of QUANTILES."""

PAIRED: Final = "paired: candidate minus primary, of the same request"
CALIBRATED: Final = (
    f"{PAIRED}; baseline: a second answer of the primary's version minus primary; calibrated: paired less baseline"
)


def latency_lines(route: RouteReport) -> Iterator[Line]:
    """Each arm's quantiles, then the paired difference, with intervals where they are known."""
    for arm, values in route.latency.items():
        yield arm, _three(values)
    paired = route.paired
    if paired is None:
        if route.delta:
            yield "paired", _three(route.delta, sign=True)
        return
    for name, intervals in (
        ("paired", paired.quantiles),
        ("baseline", paired.baseline),
        ("calibrated", paired.calibrated),
    ):
        if intervals:
            p50, p95, p99 = (interval(intervals.get(quantile)) for quantile in QUANTILES)
            yield name, (p50, p95, p99)


def latency_legend(route: RouteReport) -> str:
    if route.paired and route.paired.calibrated:
        return CALIBRATED
    return PAIRED if route.paired or route.delta else ""


def _three(values: Quantiles, sign: bool = False) -> tuple[str, str, str]:
    return seconds(values.p50, sign), seconds(values.p95, sign), seconds(values.p99, sign)


def interval(found: Interval | None) -> str:
    """`+50.0 ms [+48.0, +52.0]`, bounds in the unit of the estimate; what is not bounded is a question mark."""
    if found is None:
        return "?"
    estimate = seconds(found.estimate, sign=True)
    if found.lower is None and found.upper is None:
        return estimate
    unit = estimate.split()[1]
    lower, upper = (_bound(bound, unit) for bound in (found.lower, found.upper))
    return f"{estimate} [{lower}, {upper}]"


def _bound(value: float | None, unit: str) -> str:
    if value is None:
        return "?"
    value *= _UNITS[unit]
    return f"{value:+.{0 if abs(value) >= 100 else 1 if unit != 's' else 2}f}"


def keys(cause: Cause, most: int = _KEYS_NAMED) -> str:
    """What the mismatches of a cause have in common, in short."""
    if not cause.keys:
        return cause.failure or "too many to be told apart"
    named = ", ".join(f"{field} {kind}" for field, kind in cause.keys[:most])
    left = len(cause.keys[most:]) + cause.left_out
    if cause.mixed:
        return f"{named} and others that vary"
    return f"{named} and {left:,} more" if left > 0 else named


def statuses(cause: Cause) -> str:
    if cause.failure:
        return "no response"
    if not cause.keys:
        return "any status"
    return f"{cause.primary_status} → {'no response' if cause.shadow_status is None else cause.shadow_status}"


def seen(cause: Cause, now: float) -> str:
    if cause.first_at is None or cause.last_at is None:
        return "when is not known"
    return f"first {ago(cause.first_at, now)}, last {last(cause, now)}"


def last(cause: Cause, now: float) -> str:
    return "" if cause.last_at is None else ago(cause.last_at, now)


def impact(cause: Cause) -> str:
    before = f" ({cause.before:,} before this start)" if cause.before else ""
    return f"{number(cause.pairs, 'pair')}{before}, {percent(cause.share)}"


def suggestion(cause: Cause, width: int) -> Iterator[str]:
    """Lines that can be pasted: a comment is broken between words, configuration is not."""
    for line in cause.suggestion.splitlines():
        if line.startswith("# ") and len(line) > width:
            yield from textwrap.wrap(
                plain(line), width, subsequent_indent="# ", break_on_hyphens=False, break_long_words=False
            )
        else:
            yield plain(line)


def accepted(service: ServiceReport) -> str:
    """How many there are in each state, and what they covered."""
    states: dict[str, int] = {}
    for entry in service.accepted:
        states[entry.state] = states.get(entry.state, 0) + 1
    return f"{counts(states)}; {number(service.covered, 'pair')} covered"


def set_aside(route: RouteReport) -> str:
    """Mismatches that were counted before somebody accepted what differs, and pairs of earlier versions."""
    accepted = f"{number(route.excused, 'pair')} of the mismatches accepted since" if route.excused else ""
    earlier = f"{number(route.earlier, 'pair')} of an earlier version left out" if route.earlier else ""
    return "; ".join(filter(None, (accepted, earlier)))


def is_due(entry: Accepted) -> bool:
    """Whether someone has to look at it: it is expired or dead."""
    return entry.state != ACTIVE


def entry(found: Accepted, now: float) -> str:
    """One entry of the accepted differences: what it covers, whose it is, until when."""
    what = " ".join(filter(None, (found.route, found.field, found.kind, found.shape)))
    until = f", expires {found.expires}" if found.expires else ""
    last = f", last {ago(found.last_at, now)}" if found.last_at is not None else ""
    return f"{what}: {found.reason} ({found.owner}{until}); {number(found.pairs, 'pair')}{last}"


def changes(found: Changes, now: float) -> str:
    """Since when, and between which verdicts."""
    verdicts = found.before if found.before == found.after else f"{found.before} → {found.after}"
    restart = " after a restart" if found.restarted else ""
    nothing = "" if found.items else "nothing changed; "
    return f"since {ago(found.since, now)}: {nothing}{verdicts}, {number(found.pairs, 'pair')} compared{restart}"


def change(found: Change) -> str:
    return f"{found.about}{f' on {found.route}' if found.route else ''}: {found.says}"


def age(report: Report) -> str:
    return duration(report.generated_at - report.started_at)
