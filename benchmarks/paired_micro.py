"""What the paired evidence costs a mirrored request, in nanoseconds: the least of many repeats.

Run: `python benchmarks/paired_micro.py`
"""

from __future__ import annotations

import random
import timeit
from collections.abc import Callable
from types import SimpleNamespace

from shadowproxy.evidence.latency import LARGEST, splits
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.model.policy import RoutePolicy
from shadowproxy.shadow.mirror import Mirror
from shadowproxy.shadow.strata import Strata


def nanoseconds(call: Callable[[], object], number: int) -> float:
    return min(timeit.repeat(call, number=number, repeat=30)) / number * 1e9


def main() -> None:
    words = Counters(1).block(0)
    strata = Strata(words)
    arm = SimpleNamespace(name="candidate")
    mirror = Mirror("shop", RoutePolicy("item", 0), arm, words, None, strata)  # type: ignore[arg-type]
    stratum = strata.of(at.route_row(0))
    draw = random.Random(1)
    ours, theirs = ([draw.lognormvariate(-4, 1) for _ in range(LARGEST)] for _ in range(2))

    def fill_and_weigh() -> None:
        for mine, other in zip(ours, theirs, strict=True):
            stratum.add(mine, other)
        strata.tick(0.0)

    def weigh() -> list[tuple[int, int]]:
        return splits(ours, theirs)

    words[at.route_row(0) + at.JUDGED] = 10_000  # from here on strata are full ones
    print(
        f"count who failed                         {nanoseconds(lambda: mirror.count_outcome(False, False), 2000):6.0f}"
    )
    print(f"keep a pair, counting and weighing it    {nanoseconds(fill_and_weigh, 5) / LARGEST:6.0f}")
    print(f"weigh a stratum of {LARGEST} pairs            {nanoseconds(weigh, 20):6.0f}")
    for _ in range(LARGEST):
        stratum.add(0.1, 0.1)
    print(f"leave a pair out while one waits         {nanoseconds(lambda: stratum.add(0.1, 0.1), 2000):6.0f}")


if __name__ == "__main__":
    main()
