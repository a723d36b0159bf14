"""The analysis of a rollout: facts in, evidence and verdicts out. Pure; everything that it remembers is the `Ledger`.

    ledger = begin(plan, seed)                                      once per attempt
    ledger = observe(ledger, plan, step, facts, weight, counts)     every tick
    ledger = new_epoch(ledger)                                      at each stage, every six hours, for a new primary
    results = judge(ledger, plan, step, now)                        three answers, one per check
    harm = overall(ledger, plan, step, now)                     is it to be taken back?

Laws: a healthy candidate is taken back by evidence with probability `plan.false_rollback` at most, however often one
looks (`evidence.budget`). No data is never a pass and never a failure. The evidence of `overall` and the operator's own
limits (a PromQL check's, a webhook's no) take back; whatever else fails is a hold.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from shadowproxy.evidence import coin, unpaired
from shadowproxy.evidence.histograms import quantile
from shadowproxy.evidence.unpaired import ASIDE, Bets
from shadowproxy.model.rollout import ENFORCE, PROMQL, SLOW_BURN, Plan, Step
from shadowproxy.rollout import bets, e_values, judging, pooling, promql, series
from shadowproxy.rollout.bake import elapsed
from shadowproxy.rollout.facts import Both, Facts, FieldsFact, KeyCounts
from shadowproxy.rollout.judging import Case
from shadowproxy.rollout.ledger import Cell, Histograms, Ledger, Pool, Scraped, Series, Stakes, Tally
from shadowproxy.rollout.pooling import Strata
from shadowproxy.rollout.values import CheckResult

LISTED = 5
"""Regressed fields that are named."""


class Harm(Struct, frozen=True):
    """The checks by which the evidence says that the candidate does harm, and why in a sentence; none: it does not."""

    checks: tuple[str, ...] = ()
    words: str = ""


def begin(plan: Plan, seed: str) -> Ledger:
    """An attempt begins. `seed` names it: equal seeds and plans draw equal lots."""
    return Ledger(f"{seed}:{plan.hash}")


def new_epoch(ledger: Ledger) -> Ledger:
    """Evidence begins anew beside that of the whole attempt.

    Sticky users are told once per epoch: theirs has to begin when the warm-up is over.
    """
    stakes = {
        name: {source: replace(each, epoch=(), better=(0.0,) * len(each.better)) for source, each in sources.items()}
        for name, sources in ledger.stakes.items()
    }
    return replace(
        ledger,
        epoch=ledger.epoch + 1,
        trials=0,
        seconds=0.0,
        stakes=stakes,
        pool=Pool(),
        ratio=(0.0,) * len(ASIDE),
        drawn=(0, 0),
    )


def observe(ledger: Ledger, plan: Plan, step: Step, facts: Facts, weight: float, counts: bool = True) -> Ledger:
    """After one tick. `weight` was in force during it; with `counts` False (warm-up, a policy that is not everywhere
    yet) neither its traffic nor what Prometheus says counts.
    """
    ledger = replace(_in_step(ledger, step), gates=facts.gates, fields=_named(facts.fields) or ledger.fields)
    if not counts:
        return ledger
    ledger = _asked(ledger, plan, facts)
    # A user's answers are not independent of each other: of sticky ones the first is evidence, all make the trend.
    answers = Histograms(*(facts.latency if facts.firsts is None else facts.firsts))
    is_split = 0.0 < weight < 1.0
    routes = facts.routes if plan.sticky is None else ()  # sticky users are no strata of routes
    pool, full = pooling.pooled(ledger.pool, answers, routes, weight) if is_split else (Pool(), Strata())
    keyed = ledger.keyed or (ledger.epoch if facts.keys is not None and any(facts.keys.seen) else 0)
    tally = _counted(ledger.tally, facts)
    before = ledger.restarts
    ledger = replace(
        ledger,
        trials=ledger.trials + _trials(tally) - _trials(ledger.tally),
        seconds=ledger.seconds + elapsed(facts),
        keyed=keyed,
        tally=tally,
        latency=ledger.latency.joined(answers),
        pool=pool,
    )
    ledger = replace(ledger, stakes=_restarted(ledger, before))
    ledger = replace(ledger, stakes=_staked(ledger, plan, facts, full, weight))
    if not is_split:
        return ledger
    return _watched(_drawn(ledger, plan, facts, weight), plan, step, Histograms(*facts.latency), elapsed(facts))


def judge(ledger: Ledger, plan: Plan, step: Step, now: float) -> tuple[CheckResult, ...]:
    """What each check of the plan says now, in their order."""
    case = Case(_in_step(ledger, step), plan, step, now, e_values.harm(ledger, plan))
    return tuple(judging.judged(check, case) for check in plan.checks)


def overall(ledger: Ledger, plan: Plan, step: Step, now: float) -> Harm:
    """Whether the evidence of the enforced checks, all together, is enough to take the candidate back."""
    harm = e_values.harm(ledger, plan)
    found = [check for check in plan.checks if check.mode == ENFORCE and check.name in harm]
    failing = [check for check in found if harm[check.name].is_enough]
    case = Case(_in_step(ledger, step), plan, step, now, harm)
    words = "; ".join(f"{check.name}: {judging.judged(check, case).words}" for check in failing)
    return Harm(tuple(check.name for check in failing), words)


def _in_step(ledger: Ledger, step: Step) -> Ledger:
    """What is counted by step begins anew with one."""
    part = (step.stage, step.part)
    if part == ledger.part:
        return ledger
    return replace(ledger, part=part, tally=Tally(), latency=Histograms(), cell=Cell(), series={}, scraped={})


def _named(fields: FieldsFact | None) -> FieldsFact | None:
    if fields is None or len(fields.listed) <= LISTED:
        return fields
    return replace(fields, listed=(*fields.listed[:LISTED], f"{len(fields.listed) - LISTED} more"))


def _asked(ledger: Ledger, plan: Plan, facts: Facts) -> Ledger:
    """What Prometheus said."""
    scraped, found = dict(ledger.scraped), dict(ledger.series)
    for check in plan.checks:
        answer = facts.answers.get(check.name)
        if check.kind != PROMQL or answer is None:
            continue
        before = scraped.get(check.name, Scraped())
        scraped[check.name] = promql.scraped(before, check, answer)
        if check.max_slope is not None:
            for at, value, beside in promql.values(check, answer):
                if at > before.at:
                    own = found.get(check.name, Series())
                    level = value if beside is None else beside
                    found[check.name] = series.added(own, at, value - (beside or 0.0), level)
    return replace(ledger, scraped=scraped, series=found)


def _restarted(ledger: Ledger, before: int) -> dict[str, dict[str, Stakes]]:
    """With further stakes where the bets have begun anew since there were `before` restarts."""
    if ledger.restarts == before:
        return ledger.stakes
    return {
        name: {
            source: replace(each, epoch=tuple(coin.restarted(list(each.epoch), before, ledger.restarts)))
            for source, each in sources.items()
        }
        for name, sources in ledger.stakes.items()
    }


def _staked(ledger: Ledger, plan: Plan, facts: Facts, full: Strata, weight: float) -> dict[str, dict[str, Stakes]]:
    sticky = plan.sticky is not None
    found = dict(ledger.stakes)
    for check in plan.checks:
        mine = dict(found.get(check.name, {}))
        for source, worse, better in bets.gains(check, facts, full, weight, sticky):
            # Users who are told again in a later epoch have the arm that they had: for the attempt they count once.
            again = sticky and source == bets.UNPAIRED and ledger.epoch != ledger.keyed
            was = mine.get(source, Stakes())
            mine[source] = Stakes(
                was.attempt if again else _added(was.attempt, worse),
                _added(was.epoch or tuple(coin.new_bets(len(worse), ledger.restarts)), worse),
                _added(was.better, better),
            )
        if mine:
            found[check.name] = mine
    return found


def _added(before: Bets, gains: Bets) -> Bets:
    return tuple([bet + gain for bet, gain in zip(before, gains, strict=True)]) if before else gains


def _drawn(ledger: Ledger, plan: Plan, facts: Facts, weight: float) -> Ledger:
    """Whom the split drew: each user once, or each request where every request draws for itself."""
    if plan.sticky is None:
        drawn = _both(*(route.requests for route in facts.routes))
    else:
        drawn = facts.keys.seen if facts.keys else (0, 0)
    gains = unpaired.gains(ASIDE, drawn[1], sum(drawn), weight)
    return replace(ledger, drawn=_both(ledger.drawn, drawn), ratio=_added(ledger.ratio, gains))


def _watched(ledger: Ledger, plan: Plan, step: Step, answers: Histograms, seconds: float) -> Ledger:
    """The series of latencies."""
    checks = [check for check in plan.checks if check.kind == SLOW_BURN]
    if not checks:
        return ledger
    cell = series.gathered(ledger.cell, answers, seconds)
    if not series.is_full(cell, step.bake):
        return replace(ledger, cell=cell)
    primary, candidate = (quantile(bins, 0.5) for bins in (cell.answers.primary, cell.answers.candidate))
    if primary is None or candidate is None:
        return replace(ledger, cell=cell)
    at = ledger.tally.seconds - cell.seconds / 2
    found = {
        check.name: series.added(ledger.series.get(check.name, Series()), at, candidate - primary, primary)
        for check in checks
    }
    return replace(ledger, cell=Cell(), series={**ledger.series, **found})


def _trials(tally: Tally) -> int:
    return tally.requests[1] + tally.pairs + tally.chosen[0]


def _counted(tally: Tally, facts: Facts) -> Tally:
    routes, pairs = facts.routes, facts.pairs
    keys = facts.keys or KeyCounts()
    return Tally(
        tally.seconds + elapsed(facts),
        _both(tally.requests, *(route.requests for route in routes)),
        _both(tally.failed, *(route.failed for route in routes)),
        _both(tally.client_errors, *(route.client_errors for route in routes)),
        _both(tally.users, keys.seen),
        _both(tally.users_failed, keys.failed),
        _both(tally.users_client_errors, keys.client_errors),
        _both(tally.chosen, facts.chosen),
        tally.pairs + sum(each.number for each in pairs),
        _both(tally.pairs_failed, *(each.failed for each in pairs)),
    )


def _both(*counts: Both) -> Both:
    return sum(each[0] for each in counts), sum(each[1] for each in counts)
