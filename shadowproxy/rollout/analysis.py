"""The analysis of a rollout: facts in, evidence and verdicts out. Pure; everything that it remembers is the `Ledger`.

    ledger = begin(plan, seed)                              once per attempt
    ledger = observe(ledger, plan, step, facts, weight)     every tick
    ledger = new_epoch(ledger)                              at each stage, every six hours, when the primary changed
    results = judge(ledger, plan, step, now)                three answers, one per check
    decision = overall(ledger, plan)                        is it to be taken back?

Laws: a healthy candidate is taken back automatically with probability `plan.false_rollback` at most, however often one
looks (`evidence.budget`). No data is never a pass and never a failure. Only `overall` takes back: whatever else fails
is a hold.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from shadowproxy.evidence.unpaired import Bets
from shadowproxy.model.rollout import ENFORCE, Plan, Step
from shadowproxy.rollout import judging, strata, weighing
from shadowproxy.rollout.ledger import Ledger, Stakes, Tally
from shadowproxy.rollout.values import Both, CheckResult, Facts, KeyCounts


class Decision(Struct, frozen=True):
    """Whether the candidate does harm, by which checks, and why in a sentence."""

    harm: bool
    checks: tuple[str, ...] = ()
    words: str = ""


def begin(plan: Plan, seed: str) -> Ledger:
    """An attempt begins. `seed` names it: equal seeds and plans draw equal lots."""
    return Ledger(f"{seed}:{plan.hash}")


def new_epoch(ledger: Ledger) -> Ledger:
    """Evidence begins anew beside that of the whole attempt.

    With sticky users it has to be when the warm-up is over: each of them is told once per epoch.
    """
    stakes = {
        name: {source: replace(each, epoch=(0.0,) * len(each.epoch), better=(0.0,) * len(each.better))}
        for name, sources in ledger.stakes.items()
        for source, each in sources.items()
    }
    return replace(ledger, epoch=ledger.epoch + 1, stakes=stakes)


def observe(ledger: Ledger, plan: Plan, step: Step, facts: Facts, weight: float, counts: bool = True) -> Ledger:
    """After one tick. `weight` was in force during it; with `counts` False (warm-up, a policy that is not everywhere
    yet) nothing is counted.
    """
    ledger = _in_step(ledger, plan, step)
    if not counts:
        return ledger
    keyed = ledger.keyed or (ledger.epoch if facts.keys is not None and any(facts.keys.seen) else 0)
    ledger = replace(ledger, keyed=keyed, tally=_counted(ledger.tally, facts))
    return replace(ledger, stakes=_staked(ledger, plan, facts, weight))


def judge(ledger: Ledger, plan: Plan, step: Step, now: float) -> tuple[CheckResult, ...]:
    """What each check of the plan says now, in their order."""
    ledger = _in_step(ledger, plan, step)
    weights = weighing.harm(ledger, plan)
    return tuple(judging.judged(check, ledger, plan, step, now, weights.get(check.name)) for check in plan.checks)


def overall(ledger: Ledger, plan: Plan) -> Decision:
    """Whether the candidate is to be taken back."""
    weights = weighing.harm(ledger, plan)
    names = tuple(
        check.name
        for check in plan.checks
        if check.mode == ENFORCE and check.name in weights and weights[check.name].is_enough
    )
    return Decision(bool(names), names, f"evidence of harm: {', '.join(names)}" if names else "")


def _in_step(ledger: Ledger, plan: Plan, step: Step) -> Ledger:
    """What is counted by step begins anew with one."""
    part = (step.stage, step.part)
    if part == ledger.part:
        return ledger
    fed = {check.name for check in plan.checks if judging.has_enough(check, ledger)}
    return replace(ledger, part=part, tally=Tally(), fed=tuple(sorted(fed.union(ledger.fed))))


def _staked(ledger: Ledger, plan: Plan, facts: Facts, weight: float) -> dict[str, dict[str, Stakes]]:
    sticky = plan.sticky is not None
    found = dict(ledger.stakes)
    for check in plan.checks:
        if check.kind in strata.RATES:
            found[check.name] = dict(found.get(check.name, {}))
            for gain in strata.of_rates(check, facts, weight, sticky):
                # Users who are told again in a later epoch have the arm that they had: for the attempt they count once.
                again = sticky and gain.source == strata.UNPAIRED and ledger.epoch != ledger.keyed
                stakes = found[check.name].get(gain.source, Stakes())
                found[check.name][gain.source] = Stakes(
                    stakes.attempt if again else _added(stakes.attempt, gain.worse),
                    _added(stakes.epoch, gain.worse),
                    _added(stakes.better, gain.better),
                )
    return found


def _added(bets: Bets, gains: Bets) -> Bets:
    return tuple([bet + gain for bet, gain in zip(bets, gains, strict=True)]) if bets else gains


def _counted(tally: Tally, facts: Facts) -> Tally:
    routes, pairs = facts.routes, facts.pairs
    keys = facts.keys or KeyCounts()
    return Tally(
        tally.seconds + facts.elapsed,
        _both(tally.requests, *(route.requests for route in routes)),
        _both(tally.failed, *(route.failed for route in routes)),
        _both(tally.client_errors, *(route.client_errors for route in routes)),
        _both(tally.answered, (sum(facts.latency[0].values()), sum(facts.latency[1].values()))),
        _both(tally.users, keys.seen),
        _both(tally.users_failed, keys.failed),
        _both(tally.users_client_errors, keys.client_errors),
        _both(tally.chosen, facts.chosen),
        tally.pairs + sum(each.neither + each.candidate_only + each.primary_only + each.both for each in pairs),
        _both(
            tally.pairs_failed, *((each.primary_only + each.both, each.candidate_only + each.both) for each in pairs)
        ),
    )


def _both(*counts: Both) -> Both:
    return sum(each[0] for each in counts), sum(each[1] for each in counts)
