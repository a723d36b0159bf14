"""What the paired evidence costs a mirrored request, in nanoseconds: the least of many repeats.

Run: `python benchmarks/paired_micro.py`
"""

from __future__ import annotations

import random
import timeit
from collections.abc import Callable
from time import process_time
from types import SimpleNamespace

from shadowproxy.evidence.latency import LARGEST, splits
from shadowproxy.http1 import parse_response
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.model.policy import LimitsPolicy, RoutePolicy
from shadowproxy.shadow.capture import Capture
from shadowproxy.shadow.mirror import Mirror
from shadowproxy.shadow.strata import Strata
from shadowproxy.shadow.tap import Tap
from shadowproxy.upstream.deadlines import TICK

RATE = 10_000


def nanoseconds(call: Callable[[], object], number: int) -> float:
    """Of the processor's time, so that other programs matter less; a call of nothing is taken off."""
    spent = min(timeit.repeat(call, timer=process_time, number=number, repeat=40)) / number
    nothing = min(timeit.repeat(lambda: None, timer=process_time, number=number, repeat=40)) / number
    return (spent - nothing) * 1e9


def main() -> None:
    counters = Counters(1)
    words = counters.block(0)
    strata = Strata(words, counters.control)
    arm = SimpleNamespace(name="candidate")
    mirror = Mirror("shop", RoutePolicy("item", 0), arm, words, None)  # type: ignore[arg-type]
    stratum = strata.of(at.route_row(0), 0)
    draw = random.Random(1)
    ours, theirs = ([draw.lognormvariate(-4, 1) for _ in range(LARGEST)] for _ in range(2))

    def keep_and_weigh() -> None:
        for mine, other in zip(ours, theirs, strict=True):
            stratum.add(mine, other)
        strata.tick(0.0)

    words[at.route_row(0) + at.JUDGED] = 10_000  # from here on strata are full ones
    primary, answer = Tap(0), Capture(0)
    primary.head = answer.head = parse_response(b"HTTP/1.1 200 OK\r\n\r\n", b"GET", LimitsPolicy())
    counted = nanoseconds(lambda: mirror.count_pair(primary, answer, None), 5000)
    kept = nanoseconds(keep_and_weigh, 10) / LARGEST
    weighed = nanoseconds(lambda: splits(ours, theirs), 50)
    for _ in range(LARGEST):
        stratum.add(0.1, 0.1)
    left_out = nanoseconds(lambda: stratum.add(0.1, 0.1), 5000)
    share = LARGEST / TICK / RATE
    print(f"count who failed, and the two durations' difference {counted:2.0f} ns")
    print(f"keep a pair, and its part of the weighing      {kept:7.0f} ns")
    print(f"leave a pair out while a full stratum waits    {left_out:7.0f} ns")
    print(f"weigh a stratum of {LARGEST} pairs, once a tick     {weighed / 1000:7.0f} µs")
    print(f"all of it, per pair at {RATE:,} pairs/s        {counted + share * kept + (1 - share) * left_out:7.0f} ns")


if __name__ == "__main__":
    main()
