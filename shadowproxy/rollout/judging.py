"""What a check says: pass, fail or inconclusive, in a sentence for an engineer at three in the morning."""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec.structs import replace

from shadowproxy.evidence.histograms import quantile
from shadowproxy.model.rollout import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    PROMQL,
    REGRESSED_FIELDS,
    SAMPLE_RATIO,
    SLOW_BURN,
    WEBHOOK,
    Check,
    Plan,
    Step,
)
from shadowproxy.model.terms import QUANTILES
from shadowproxy.rollout import bets, e_values, guards, promql, shortfall
from shadowproxy.rollout.e_values import EValue
from shadowproxy.rollout.facts import Both
from shadowproxy.rollout.flagged import said_of
from shadowproxy.rollout.ledger import Ledger
from shadowproxy.rollout.phrases import against, count, latency, rate, span
from shadowproxy.rollout.values import CheckResult

_HINT: Final = 1.0
"""The logarithm of evidence below which it is not worth saying where it leads, nor what it is while data lacks."""

_MIRRORED: Final = " mirrored"


class Case(NamedTuple):
    """What a check is judged from. `harm` has the evidence of those that bet, by check."""

    ledger: Ledger
    plan: Plan
    step: Step
    now: float
    harm: dict[str, EValue]


def judged(check: Check, case: Case) -> CheckResult:
    result = _judged(check, case)
    return replace(result, words=said_of(case.step, result.words))


def _judged(check: Check, case: Case) -> CheckResult:
    if check.kind == REGRESSED_FIELDS:
        return _fields(check, case)
    if check.kind == SAMPLE_RATIO:
        return _said(check, *guards.ratio(case.ledger, case.step))
    if check.kind == SLOW_BURN:
        return _said(check, *guards.slope(check, case.ledger, case.plan, case.step))
    if check.kind == WEBHOOK:
        return _said(check, *_gate(check, case))
    if check.kind == PROMQL:
        return _promql(check, case)
    return _counts(check, case)


def _said(check: Check, verdict: str, words: str, log_e: float = 0.0, needed: float = 0.0) -> CheckResult:
    """Of a check without a stronger answer than a pass."""
    return CheckResult(check.name, check.kind, check.mode, verdict, words, log_e, needed, not_worse=verdict == PASS)


def _counts(check: Check, case: Case) -> CheckResult:
    """Error rates and latencies."""
    ledger, step = case.ledger, case.step
    harm, better = case.harm[check.name], e_values.better(ledger, check)
    missing = shortfall.data(check, ledger, step)
    # Of a check with several sources one may show it where another one fails: then it is not shown.
    not_worse = missing is None and better >= e_values.NOT_WORSE and not harm.is_enough
    if harm.is_enough:
        verdict, end, missing = FAIL, "fails", None
    elif step.share >= 1.0 and bets.LIMIT not in bets.sources(check):
        verdict, end = INCONCLUSIVE, "nobody is left with the primary to compare with"
    elif missing is not None:
        verdict, end = INCONCLUSIVE, missing.words
    else:
        verdict, end = PASS, "passes, shown not to be worse" if not_worse else "passes"
        ahead = shortfall.evidence(harm.needed - harm.log_e, e_values.best(ledger, check, e_values.EPOCH), ledger)
        if harm.log_e >= _HINT and ahead:
            end += f"; as it goes, it fails in about {count(ahead.number, 'more request')}"
        if step.bake.evidence == "not_worse" and not not_worse:
            lead = e_values.best(ledger, check, e_values.BETTER)
            missing = shortfall.evidence(e_values.NOT_WORSE - better, lead, ledger)
            end += f"; to be shown not worse it {missing.words}" if missing else "; not shown not to be worse"
    primary, candidate, seen = _seen(check, ledger)
    words = [seen, against(harm.log_e, harm.needed)] if verdict != INCONCLUSIVE or harm.log_e >= _HINT else [seen]
    return CheckResult(
        check.name,
        check.kind,
        check.mode,
        verdict,
        f"{'; '.join(words)}: {end}",
        harm.log_e,
        harm.needed,
        primary,
        candidate,
        missing.number if missing and missing.noun != "user" else None,
        missing.seconds if missing else None,
        not_worse,
    )


def _seen(check: Check, ledger: Ledger) -> tuple[float | None, float | None, str]:
    """The value of each arm in this step, and both in words."""
    tally = ledger.tally
    if check.kind in bets.LATENCIES:
        name = bets.LATENCIES[check.kind]
        answers = ledger.latency
        primary, candidate = (quantile(bins, QUANTILES[name]) for bins in (answers.primary, answers.candidate))
        arms = zip((candidate, primary), ("candidate", "primary"), reversed(answers.counts), strict=True)
        words = [f"{arm} {latency(value)} in {n:,}" for value, arm, n in arms if value is not None]
        return primary, candidate, f"{name} of the " + ", ".join(words) if words else f"{tally.pairs:,} mirrored pairs"
    what = bets.RATES[check.kind]
    told = [(tally.requests, getattr(tally, what), "")]
    if any(tally.users):
        told = [(tally.users, getattr(tally, f"users_{what}"), " users")]
    if bets.has_pairs(check):
        # users and copies: either may fail it
        told.append(((tally.pairs, tally.pairs), tally.pairs_failed, _MIRRORED))
    shares = [
        (noun, requests, [x / n if n else None for x, n in zip(bad, requests, strict=True)])
        for requests, bad, noun in told
        if any(requests)
    ]
    if not shares:
        return None, None, "no requests yet"
    (primary, candidate), *_ = (each for _, _, each in shares)
    return primary, candidate, "; ".join(_shares(*each) for each in shares)


def _shares(noun: str, requests: Both, shares: list[float | None]) -> str:
    primary, candidate = shares
    if noun == _MIRRORED and primary is not None and candidate is not None:
        return f"candidate {rate(candidate)} and primary {rate(primary)} of {requests[0]:,}{noun}"
    arms = zip(("candidate", "primary"), reversed(shares), reversed(requests), strict=True)
    return ", ".join(f"{arm} {rate(share)} of {n:,}{noun}" for arm, share, n in arms if share is not None)


def _fields(check: Check, case: Case) -> CheckResult:
    """Fields that differ: the mean of their e-values decides, the list only names them."""
    known, harm = case.ledger.fields, case.harm[check.name]
    mirrors = case.step.sample != 0.0 and case.step.weight < 1.0
    if known is None:
        return _said(check, INCONCLUSIVE, "nothing is known of fields yet", 0.0, harm.needed)
    listed = f"regressed: {', '.join(known.listed)}" if known.listed else "no field regressed"
    words = f"{listed} in {count(known.answers, 'pair')} with a second answer"
    missing = shortfall.answers(known.answers, case.ledger)
    if harm.is_enough or missing is None:
        words += f"; {against(harm.log_e, harm.needed)}"
    if harm.is_enough:
        verdict, end = FAIL, "fails"
    elif missing is not None:
        verdict, end = INCONCLUSIVE, missing.words
    elif mirrors and not known.learns:
        verdict, end = INCONCLUSIVE, "no second answers come: what differs by itself is not known"
    elif known.listed:
        verdict, end = INCONCLUSIVE, "not yet enough to send users back"
    else:
        verdict, end = PASS, "passes" if mirrors else "passes; nothing is mirrored now"
    result = _said(check, verdict, f"{words}: {end}", harm.log_e, harm.needed)
    if missing is None:
        return result
    return replace(result, more_requests=missing.number, more_seconds=missing.seconds)


def _promql(check: Check, case: Case) -> CheckResult:
    seen = case.ledger.scraped.get(check.name)
    verdict, words = promql.verdict(check, seen, case.now)
    result = _said(check, verdict, words)
    if check.max_slope is not None:
        slope = guards.slope(check, case.ledger, case.plan, case.step)
        # A slope that is not known yet lacks time, no data: like a slow burn it is waited for by nobody.
        verdict = FAIL if slope.verdict == FAIL else verdict
        result = _said(check, verdict, f"{words}; {slope.words}", slope.log_e, slope.needed)
    return replace(result, primary=seen.primary, candidate=seen.candidate) if seen and seen.values else result


def _gate(check: Check, case: Case) -> tuple[str, str]:
    said = case.ledger.gates.get(check.name)
    if said is None:
        return INCONCLUSIVE, "not answered yet"
    if case.now - said.at > promql.LATE * check.interval + check.timeout * (check.retries + 1):
        return INCONCLUSIVE, f"last answered {span(case.now - said.at)} ago"
    return said.said, said.detail or said.said
