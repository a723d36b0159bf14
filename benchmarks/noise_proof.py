"""Which fields regressed: this product and Diffy's rule, shown the same simulated requests, as in docs/evidence.md.

Run: `python -m benchmarks.noise_proof`. The trials are those of `tests/evidence`, with more runs; seeds are fixed. It
takes about a minute of one processor, `--runs 100` a fifth of that.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator
from random import Random

from benchmarks.machine import processor
from tests.compare.builders import found
from tests.evidence.chain import Body, Chain, item
from tests.evidence.rules import Diffy
from tests.evidence.services import STALE, Field
from tests.evidence.trials import (
    CALM,
    NOISE,
    WORSE,
    Delays,
    Score,
    delays,
    false_lists,
    growing,
    late_delays,
    recoveries,
    scores,
)

Row = tuple[str, str, str]
"""What was asked, and the answers of this product and of Diffy's rule."""
DELAYS = (
    ("0 → 100 %", Field("a", 0.0, 1.0), 1),
    ("0 → 5 %", Field("a", 0.0, 0.05), 10),
    ("0 → 1 %", Field("a", 0.0, 0.01), 20),
    ("2 → 8 %", Field("a", 0.02, 0.08), 10),
    ("30 → 45 %", Field("a", 0.30, 0.45), 10),
)
BOTH = ("ours", "diffy")


def percent(part: float, whole: float = 1.0) -> str:
    return f"{part / whole:.1%}".replace(".0%", "%").replace("%", " %")


def pairs(each: Delays) -> str:
    """Median and nine of ten; how many were found at all where it is not all of them."""
    middle, most = (each.quantile(q) for q in (0.5, 0.9))
    if each.share == 0.0:
        return f"never within {each.most:,}"
    late = f"{most:,.0f}" if most < float("inf") else f"not within {each.most:,}"
    return f"{middle:,.0f} ({late})" if middle < float("inf") else f"{percent(each.share)} within {each.most:,}"


def noise(runs: int) -> Iterator[Row]:
    """Nothing regressed: in how many services was a field shown at any of the looks?"""
    quiet = f"nothing regressed: {len(NOISE)} noisy fields, 15 looks after 200 pairs each"
    few, _ = false_lists(runs, NOISE, ticks=15, requests=200)
    yield f"{quiet}, table of {len(NOISE)}; any ever shown", percent(few["ours"], runs), percent(few["diffy"], runs)
    some = max(runs // 4, 2)
    many, _ = false_lists(some, NOISE, ticks=15, requests=200, capacity=1024)
    yield "the same with a table of 1,024, as it is", percent(many["ours"], some), percent(many["diffy"], some)
    new, _ = false_lists(runs, growing(30, 12), capacity=20, ticks=12)
    one_by_one = "fields appear one by one, table of"
    yield f"nothing regressed: 30 {one_by_one} 20", percent(new["ours"], runs), percent(new["diffy"], runs)
    full = max(runs // 50, 2)
    past, _ = false_lists(full, growing(1300, 40), capacity=1024, ticks=40)
    shares = percent(past["ours"], full), percent(past["diffy"], full)
    yield (f"nothing regressed: 1,300 {one_by_one} 1,024 ({full} services)", *shares)
    yield "first line, with a z-test at each look (Bonferroni over the fields)", f"({percent(few['ztest'], runs)})", ""
    for share, lost in ((0.02, 0.0), (0.1, 0.4)):
        wrong, _ = false_lists(runs, NOISE, share=share, lost=lost, ticks=15, requests=200)
        name = f"first line, with {percent(share)} resampled" + (f", {percent(lost)} of them lost" if lost else "")
        yield name, percent(wrong["ours"], runs), "needs a secondary"


def found_of(score: Score) -> str:
    return f"{percent(score.precision)} / {percent(score.recall)}"


def sixty(runs: int) -> Iterator[Row]:
    name = f"{len(WORSE)} of {len(WORSE) + len(CALM)} fields regressed: precision / recall after"
    for ticks, requests in ((10, 100), (10, 500), (20, 1000), (50, 1000)):
        got = scores(runs, ticks=ticks, requests=requests)
        yield f"{name} {ticks * requests:,} pairs", found_of(got["ours"]), found_of(got["diffy"])
    wrong = (percent(got[rule].wrong_ever) for rule in BOTH)
    yield ("services of those in which a wrong field was ever shown", *wrong)


def detection(runs: int) -> Iterator[Row]:
    for name, field, requests in DELAYS:
        got = delays(runs, field, requests=requests, rules=BOTH)
        yield f"pairs until a field is shown that goes {name}", pairs(got["ours"]), pairs(got["diffy"])
    late = late_delays(max(runs // 5, 10))
    yield "pairs until 2 → 8 % is shown after 24 h of noise at 10 a second", pairs(late["ours"]), pairs(late["diffy"])
    for share in (0.02, 0.1):
        for name, field, requests in (DELAYS[0], DELAYS[3]):
            got = delays(max(runs // 4, 10), field, share=share, requests=max(requests, 25), most=200_000)
            yield f"{name} with {percent(share)} resampled", pairs(got["ours"]), "needs a secondary"


def hidden() -> Iterator[Row]:
    """What cannot be seen by marginal counts, through the whole chain of comparer, control and report."""

    def garbage(draw: Random, body: Body) -> None:
        body["request"] = "N/A"

    chain = Chain(1)
    chain.ask(100)
    chain.ask(100, garbage)
    draw, diffy = Random(1), Diffy()
    for number in range(10_000):
        primary, second, candidate = (item(draw, number) for _ in range(3))
        garbage(draw, candidate)
        diffy.count(found(primary, candidate), found(primary, second))
    shown = diffy.shows(("$.request", "body_value"))
    after = chain.first.get(("$.request", "body_shape"))
    yield (
        "an id that always differs becomes `N/A`: pairs until shown, looked at every 25",
        "never" if after is None else f"{after - 100:,}",
        "shown" if shown else "never within 10,000",
    )
    dead = Chain(2)
    dead.ask(100, answers=False)
    said = dead.report()
    verdict = f"{said.verdict}, exit code {said.exit_code}"
    yield "a candidate that answers none of 100 requests", verdict, "no difference"


def limits(runs: int) -> Iterator[Row]:
    """What is no better than it is."""
    stale, _ = false_lists(runs, [Field("rate", 0.05, way=STALE)], capacity=1024)
    yield (
        "no promise holds: one arm differs in runs of 5 requests, then another (5 %), ever shown",
        percent(stale["ours"], runs),
        percent(stale["diffy"], runs),
    )
    left = recoveries(max(runs // 10, 10))
    name = "pairs until a field that was worse for 1,000 pairs (2 → 8 %) is not shown any more"
    yield name, pairs(left["ours"]), pairs(left["diffy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="services in which nothing regressed; the rest follows")
    runs = parser.parse_args().runs
    began = time.process_time()
    print("| | shadowproxy | Diffy's rule |\n|---|---|---|")
    few = max(runs // 5, 20)
    for part in (noise(runs), sixty(max(runs // 20, 5)), detection(few), hidden(), limits(few)):
        for row in part:
            print(f"| {' | '.join(row)} |", flush=True)
    spent = time.process_time() - began
    print(
        f"\n`python -m benchmarks.noise_proof --runs {runs}`: {processor()}, {os.cpu_count()} cores,"
        f" Python {platform.python_version()}, {spent:.0f} s of processor time."
    )


if __name__ == "__main__":
    main()
