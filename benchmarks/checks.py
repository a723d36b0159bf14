"""The bar: each requirement as a line of one table, with how it is read from the results. Pure.

A bar is met when the whole interval of its measured value lies within the limit, missed when all of it lies outside,
unclear in between, and not measured when there are no samples: no data is never a pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from benchmarks.law import FIRST_SECONDS, GROWTH, PREFIX, SUBJECT
from benchmarks.samples import Results
from benchmarks.stats import Interval, median_interval, ratio_interval

COMPARER = "comparer"
P99_FLOOR_MS = 1.0
P99_SHARE = 0.05


class Verdict(StrEnum):
    MET = "met"
    MISSED = "missed"
    UNCLEAR = "unclear"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Bar:
    """A requirement: `at_most` or `at_least` a limit that may depend on the results (a share of a baseline)."""

    name: str
    unit: str
    measure: Callable[[Results], Interval | None]
    at_most: Callable[[Results], float] | None = None
    at_least: Callable[[Results], float] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A bar judged. `distance` is from the median to the limit, as a share of the limit; negative: short of it."""

    name: str
    unit: str
    limit: str
    measured: Interval | None
    verdict: Verdict
    distance: float | None


def judge(bar: Bar, results: Results) -> Finding:
    """Hold one bar against the results."""
    at_most = bar.at_most is not None
    stated = bar.at_most or bar.at_least
    if stated is None:
        raise ValueError(f"the bar {bar.name!r} has no limit")
    limit = stated(results)
    words = f"{'≤' if at_most else '≥'} {limit:g}"
    measured = bar.measure(results)
    if measured is None:
        return Finding(bar.name, bar.unit, words, None, Verdict.NOT_MEASURED, None)
    # Written so that smaller is better in both cases.
    worst, best, centre = (
        (measured.high, measured.low, measured.median) if at_most else (-measured.low, -measured.high, -measured.median)
    )
    bound = limit if at_most else -limit
    verdict = Verdict.MET if worst <= bound else Verdict.MISSED if best > bound else Verdict.UNCLEAR
    return Finding(bar.name, bar.unit, words, measured, verdict, (bound - centre) / limit)


def judge_all(results: Results) -> list[Finding]:
    return [judge(bar, results) for bar in BARS]


def _cpu_ratio(case: str, peer: str) -> Callable[[Results], Interval | None]:
    return lambda results: _ratio(results, (case, SUBJECT, "cpu_us"), (case, peer, "cpu_us"))


def _ratio(results: Results, above: tuple[str, str, str], below: tuple[str, str, str]) -> Interval | None:
    numerators, denominators = results.values(*above), results.values(*below)
    return ratio_interval(numerators, denominators) if numerators and denominators else None


def _median(case: str, figure: str) -> Callable[[Results], Interval | None]:
    def measure(results: Results) -> Interval | None:
        values = results.values(case, SUBJECT, figure)
        return median_interval(values) if values else None

    return measure


def _fixed(limit: float) -> Callable[[Results], float]:
    return lambda _: limit


def _p99_allowance(state: str) -> Callable[[Results], float]:
    """1 ms or 5 % of what the p99 is with mirroring off, whichever is more."""

    def limit(results: Results) -> float:
        baseline = results.values(PREFIX + state, SUBJECT, "off_p99_ms")
        return round(max(P99_FLOOR_MS, P99_SHARE * median(baseline)), 3) if baseline else P99_FLOOR_MS

    return limit


def _law(state: str, words: str) -> Bar:
    return Bar(
        f"law 1: p99 at half of capacity, candidate {words}, against mirroring off",
        "ms",
        _median(PREFIX + state, "delta_p99_ms"),
        at_most=_p99_allowance(state),
    )


def _frozen_capacity(results: Results) -> Interval | None:
    return _ratio(results, ("frozen", SUBJECT, "rps"), ("forward", SUBJECT, "rps"))


def _cpu_bars(suffix: str, where: str) -> tuple[Bar, ...]:
    """The CPU bars at one load. The issue names no load: they are held at saturation and at the steady rate."""
    forward, mirror = f"forward{suffix}", f"mirror{suffix}"
    peers = (
        (forward, "haproxy", 2.0, "HAProxy's"),
        (forward, "envoy", 1.0, "Envoy's"),
        (forward, "traefik", 1.0, "Traefik's"),
        (forward, "caddy", 1.0, "Caddy's"),
        (mirror, "envoy", 0.5, "Envoy's"),
        (mirror, "nginx", 0.55, "nginx's"),
    )
    return tuple(
        Bar(
            f"{'forward only' if case == forward else 'mirror and compare'}: CPU per request over {name}, {where}",
            "x",
            _cpu_ratio(case, peer),
            at_most=_fixed(limit),
        )
        for case, peer, limit, name in peers
    )


def _comparer(results: Results) -> Interval | None:
    """The slowest of the differing pairs with a body of 2 KB."""
    rates = [
        sample.figures["pairs_per_second"]
        for sample in results.samples
        if sample.case == COMPARER and sample.contestant.startswith("2 KB,") and sample.figures["differences"]
    ]
    return median_interval([min(rates)]) if rates else None


BARS: tuple[Bar, ...] = (
    *_cpu_bars("", "at saturation"),
    *_cpu_bars(" steady", "at the steady rate"),
    Bar("mirror and compare: eligible compared", "", _median("mirror", "compared_share"), at_least=_fixed(0.95)),
    _law("live", "live"),
    _law(FIRST_SECONDS, "frozen, the first ten seconds"),
    _law("frozen", "frozen, after them"),
    _law("refusing", "refusing"),
    _law("slow", "10x slower"),
    Bar("law 1: memory growth in a minute of it", "MiB", _median(GROWTH, "growth_mib"), at_most=_fixed(32)),
    Bar("law 1: capacity with a frozen candidate over forward only", "x", _frozen_capacity, at_least=_fixed(0.9)),
    Bar(
        "one comparer, differing 2 KB JSON pairs",
        "pairs/s",
        _comparer,
        at_least=_fixed(8000),
    ),
    Bar("idle tree with one worker", "MiB", _median("mirror", "idle_mib"), at_most=_fixed(130)),
)
