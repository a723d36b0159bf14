"""The clocks of a part and what it still needs. Pure.

All of them run on `Facts.elapsed`, never on differences of Unix times: a clock that is set changes nothing. Time in
which nobody looked is no bake: of one tick at most `MAX_TICK` seconds count.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, isfinite
from typing import Final

from msgspec.structs import replace

from shadowproxy.model.rollout import Bake, Plan, Step
from shadowproxy.rollout.facts import Facts
from shadowproxy.rollout.phrases import count, span
from shadowproxy.rollout.values import Progress, Tick

MAX_TICK: Final = 5.0
"""Seconds that one tick counts at most: a machine that was suspended has baked nothing."""
KEPT: Final = 60.0
"""Seconds of ticks that are kept, and the longest window."""
SHORTEST: Final = 2.0
"""Seconds of the shortest window."""
PATIENCE: Final = 600.0
"""Seconds without any request, at most, where a request or less is of use in a window: one a minute comes unevenly."""
USEFUL: Final = 0.1
"""The share of requests / seconds below which the candidate is starved: a bake that takes ten times its time."""


def elapsed(facts: Facts) -> float:
    return facts.elapsed if isfinite(facts.elapsed) and facts.elapsed > 0.0 else 0.0


def counts(progress: Progress, facts: Facts) -> bool:
    """Whether this tick is evidence: the policy was in force from its begin to its end, and the warm-up was over."""
    return facts.applied and progress.applied and progress.begun


def may_begin(progress: Progress, plan: Plan) -> bool:
    """Whether what comes next is evidence, other than until now."""
    return not progress.begun and progress.applied and progress.warm >= plan.warmup


def ticked(progress: Progress, step: Step, facts: Facts) -> Progress:
    """The clocks after a tick, but for `baked`: whether that runs depends on what holds."""
    spent = elapsed(facts)
    in_force = facts.applied and progress.applied
    tick = _tick(step, facts)
    return replace(
        progress,
        spent=progress.spent + spent,
        warm=progress.warm + (spent if in_force else 0.0),
        epoch=progress.epoch + spent,
        requests=progress.requests + (tick.tested if counts(progress, facts) else 0),
        idle=0.0 if tick.tested or not in_force else progress.idle + spent,
        recent=_kept(progress.recent, tick) if in_force else progress.recent,
        applied=facts.applied,
    )


def _tick(step: Step, facts: Facts) -> Tick:
    """What the facts bring. Where the candidate has a weight, its users' requests are what is tested, else copies."""
    requests = [sum(route.requests[arm] for route in facts.routes) for arm in (0, 1)]
    failed = [sum(route.failed[arm] for route in facts.routes) for arm in (0, 1)]
    tested = requests[1] + facts.chosen[0] + (0 if step.share > 0.0 else facts.compared)
    if not requests[0] and not step.testing:  # nobody is split: pairs tell how the primary does
        for pair in facts.pairs:
            for arm in (0, 1):
                requests[arm] += pair.number
                failed[arm] += pair.failed[arm]
    return Tick(min(elapsed(facts), KEPT), tested, (requests[0], requests[1]), (failed[0], failed[1]))


def _kept(recent: tuple[Tick, ...], tick: Tick) -> tuple[Tick, ...]:
    """The last minute with this tick; ticks that are shorter than a second are joined."""
    if recent and recent[-1].seconds + tick.seconds <= 1.0:
        recent, tick = recent[:-1], summed((recent[-1], tick))
    kept, seconds = [tick], tick.seconds
    for earlier in reversed(recent):
        if seconds >= KEPT:
            break
        kept.append(earlier)
        seconds += earlier.seconds
    return tuple(reversed(kept))


def summed(ticks: tuple[Tick, ...]) -> Tick:
    return Tick(
        seconds=sum(one.seconds for one in ticks),
        tested=sum(one.tested for one in ticks),
        requests=(sum(one.requests[0] for one in ticks), sum(one.requests[1] for one in ticks)),
        failed=(sum(one.failed[0] for one in ticks), sum(one.failed[1] for one in ticks)),
    )


def lately(recent: tuple[Tick, ...], seconds: float) -> Tick:
    """The sum of the last ticks that fill `seconds`, or of all."""
    taken: list[Tick] = []
    total = 0.0
    for tick in reversed(recent):
        if total >= seconds:
            break
        taken.append(tick)
        total += tick.seconds
    return summed(tuple(taken))


def window(bake: Bake) -> float:
    """Seconds over which the rate of the candidate is looked at."""
    return _tenth(bake, KEPT) if bake.seconds else KEPT


def _patience(bake: Bake) -> float:
    return _tenth(bake, PATIENCE) if bake.seconds else KEPT


def _tenth(bake: Bake, most: float) -> float:
    return min(max(bake.seconds / 10, SHORTEST), most)


def is_starved(progress: Progress, bake: Bake) -> bool:
    """Whether too little reaches the candidate to learn from: less than a tenth of the planned rate, or nothing."""
    if not bake.seconds and not bake.requests:
        return False
    seen = lately(progress.recent, window(bake))
    wanted = useful(bake, seen.seconds)
    if seen.seconds < window(bake) or seen.tested >= wanted:
        return False
    return wanted > 1 or progress.idle >= _patience(bake)


def useful(bake: Bake, seconds: float) -> int:
    """The fewest requests in so many seconds that something is learned from."""
    return max(1, ceil(USEFUL * bake.requests / bake.seconds * seconds)) if bake.seconds else 1


def baked(progress: Progress, facts: Facts) -> Progress:
    """The clock of the bake has run through this tick."""
    return replace(progress, baked=progress.baked + min(elapsed(facts), MAX_TICK))


def is_over(progress: Progress, bake: Bake) -> bool:
    """Whether its time and its requests are there; evidence is another question."""
    return progress.baked >= bake.seconds and progress.requests >= bake.requests


def lacks(progress: Progress, plan: Plan, bake: Bake) -> Iterator[str]:
    """What is still missing in time and in requests, in words."""
    if progress.warm < plan.warmup and not is_over(progress, bake):
        yield f"{span(ceil(plan.warmup - progress.warm))} of warm-up"
    if progress.baked < bake.seconds:
        yield f"{span(ceil(bake.seconds - progress.baked))} of bake"
    missing = bake.requests - progress.requests
    if missing > 0:
        rate = lately(progress.recent, KEPT)
        eta = f" (about {span(ceil(missing * rate.seconds / rate.tested))} at the present rate)" if rate.tested else ""
        yield f"{count(missing, 'request')}{eta}"
