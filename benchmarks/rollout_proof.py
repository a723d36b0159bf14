"""How rarely a healthy release is taken back and how soon a bad one is: the tables of docs/evidence.md.

Run: `python -m benchmarks.rollout_proof`. The releases are those of `tests/rollout`, with more runs and more looks;
seeds are fixed. It takes some minutes of one processor, `--runs 200` a tenth of that.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from math import inf
from random import Random
from statistics import median

from benchmarks.machine import processor
from shadowproxy.model.rollout import Check
from tests.evidence import wandering
from tests.rollout import alarms, releases
from tests.rollout.alarms import EXACT, LATENCIES, USUAL, plan

LOOKS = 120
"""In an hour: every 30 seconds."""
Release = Callable[[int, Random], Iterator[releases.Moment]]
RELEASES: tuple[tuple[str, Release], ...] = (
    ("both arms fail 1 %", releases.equal),
    ("both drift between 0.2 and 5 %", releases.drifting),
    ("the weight ramps from 1 to 50 %", releases.ramping),
    ("weight and errors of both rise together", releases.simpson),
)


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3g} %"


def share(runs: int, alarm: Callable[[int], bool]) -> str:
    """Of so many releases those in which the alarm was ever given."""
    return percent(sum(alarm(seed) for seed in range(runs)), runs)


def table(title: str, columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    print(f"| {' | '.join((title, *columns))} |\n|{'---|' * (len(columns) + 1)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def of_release(release: Release, runs: int) -> tuple[str, ...]:
    def alarm(seed: int, check: Check) -> bool:
        return alarms.of_errors(release(LOOKS, Random(-seed)), seed, plan(check)) is not None

    return (
        *(share(runs, partial(alarm, check=check)) for check in (EXACT, USUAL)),
        f"z-test {share(min(runs, 500), lambda seed: alarms.of_ztest(release(LOOKS, Random(-seed)), seed))}",
    )


def healthy(runs: int) -> Iterator[tuple[str, ...]]:
    for name, release in RELEASES:
        yield name, *of_release(release, runs)
    exact, usual = plan(EXACT), plan(USUAL)
    edge = share(runs, lambda seed: alarms.of_errors(releases.edge(LOOKS, Random()), seed, usual) is not None)
    yield "the candidate fails as much more as tolerated", "", edge, ""
    keys, few = plan(EXACT, sticky=True), max(runs // 4, 1)
    by_request = share(min(runs, 500), lambda seed: alarms.of_their_requests(seed, exact))
    once = share(runs, lambda seed: alarms.of_users(seed, keys, ticks=60))
    yield (
        "200 sticky users, busy as Zipf says, one in twenty with failures of its own",
        once,
        "",
        f"by request {by_request}",
    )
    again = share(few, lambda seed: alarms.of_users(seed, keys, epochs=4))
    yield "the same in four epochs", again, "", ""
    both = plan(EXACT, Check("latency_p95", "latency_p95"))
    yield "60,000 mirrored pairs, errors and p95", share(few, lambda seed: alarms.of_pairs(seed, both, 60)), "", ""
    draw = Random(0)
    shape = sorted(int(200 + draw.expovariate(0.05)) for _ in range(300))
    slower = share(few, lambda seed: alarms.of_latencies(seed, plan(*LATENCIES), shape, 60))
    yield "p50 and p99, both arms get slower by and by", slower, "", ""


def guards(runs: int) -> Iterator[tuple[str, ...]]:
    yield "the split is the configured one", share(runs, lambda seed: alarms.of_split(seed, 0.1, 60)), ""
    for phi in (0.0, 0.5, 0.8, 0.95):
        yield f"no slope, autocorrelation {phi}", *of_series(phi, runs)


def of_series(phi: float, runs: int) -> tuple[str, str]:
    """Four hours of points each minute, in blocks of ten; the other test looks at an hour of them."""
    long, short = (partial(wandering.wandering, n=n, phi=phi) for n in (240, 60))
    ours = share(runs, lambda seed: wandering.alarm(long(Random(seed)), 10.0, seed) is not None)
    theirs = share(min(runs, 500), lambda seed: wandering.kendall(short(Random(seed))))
    return ours, f"Mann and Kendall's test {theirs}"


def minutes(runs: int, check: Check, weight: float, primary: float, candidate: float) -> str:
    found = [
        alarms.of_errors(releases.steady(360, weight, 1000, primary, candidate), seed, plan(check), 10.0)
        for seed in range(runs)
    ]
    late = sorted(inf if at is None else at / 60.0 for at in found)
    return spread(late, "min")


def spread(values: list[float], unit: str, most: str = "") -> str:
    """The median, and in brackets what nine of ten took; `most` is said of what was not found."""
    ranked = sorted(values)
    shown = [f"{x:,.0f}" if x >= 100 else f"{x:.2g}" for x in (median(ranked), ranked[int(0.9 * len(ranked))])]
    return f"not within {most}" if median(ranked) == inf else f"{shown[0]} ({shown[1]}) {unit}"


def harm(runs: int) -> Iterator[tuple[str, ...]]:
    for name, weight, primary, candidate in (
        ("1 → 2 % of errors at 10 %", 0.1, 0.01, 0.02),
        ("1 → 5 % at 10 %", 0.1, 0.01, 0.05),
        ("0.1 → 1 % at 5 %", 0.05, 0.001, 0.01),
    ):
        yield name, *(minutes(runs, check, weight, primary, candidate) for check in (EXACT, USUAL))
    for shared in (0.0, 0.5, 0.8, 0.9):
        name = f"1 → 2 % in mirrored pairs, {percent(shared, 1)} of the primary's failures in common"
        rates = (0.01, 0.02)
        yield (
            name,
            *(
                spread([alarms.pairs_until(seed, plan(check), rates, shared) for seed in range(runs)], "pairs")
                for check in (EXACT, USUAL)
            ),
        )
    few = max(runs // 4, 1)
    for hours, name in (
        (24, "1 → 2 % after a healthy day (5 %, 200 a second)"),
        (29, "the same in an old epoch: five hours later"),
    ):
        late = ([alarms.minutes_late(s, plan(check), hours) for s in range(few)] for check in (EXACT, USUAL))
        yield name, *(spread(each, "min", "200 min") for each in late)
    for name, kind, times, part in (
        ("2 % of the answers take ten times as long: p99, at 20 %", "latency_p99", 10.0, 0.02),
        ("all take half as long again: p50", "latency_p50", 1.5, 1.0),
    ):
        checks = Check(kind, kind, max_relative=0.0, max_absolute=0.0), Check(kind, kind)
        yield name, *(spread([alarms.seconds_slow(s, each, times, part) for s in range(few)], "s") for each in checks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="healthy releases of each kind; the rest follows")
    runs = parser.parse_args().runs
    began = time.process_time()
    columns = ("no tolerance", "usual tolerance", "rules not to be used")
    table(f"healthy, an hour, {LOOKS} looks: ever taken back (at most 1 %)", columns, healthy(runs))
    table("healthy: ever held", ("at most 0.1 % and 1 %", "rules not to be used"), guards(runs))
    table("harm: until it is found", columns[:2], harm(max(runs // 20, 10)))
    print(
        f"`python -m benchmarks.rollout_proof --runs {runs}` on {processor()}, {os.cpu_count()} cores,"
        f" Python {platform.python_version()}, {time.process_time() - began:.0f} s of processor time."
    )


if __name__ == "__main__":
    main()
