"""The bets on pairs: they stay where there is no harm, find what there is, and begin anew with a new version."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate
from math import exp, log, sqrt
from statistics import median

import pytest
from msgspec.structs import replace

from shadowproxy.evidence import coin
from shadowproxy.evidence.latency import splits, stratum_size
from shadowproxy.evidence.ledger import RESTART_EVERY
from shadowproxy.evidence.paired import ERRORS, PRIMARY_ERRORS, SECONDARY_ERRORS, PairedLedger, slower
from shadowproxy.model.terms import QUANTILES
from shadowproxy.model.totals import MirrorTotals, RouteTotals
from tests.report.facts import mirror, route

pytestmark = pytest.mark.no_cover  # simulations: millions of lines, all of which other tests see as well

ALPHA = 0.01
HUNDRED = log(1 / ALPHA)
LISTED = log(512 / 0.05) + log(2)
"""What the first of a service's list needs, half of the stake being kept back."""
KEY = ("shop", "item")


def counted(
    alone: int = 0, other: int = 0, both: int = 0, split: dict[str, tuple[int, int]] | None = None
) -> MirrorTotals:
    return replace(mirror(failed=(alone, other, both), match=10_000), splits=split or {})


def row(candidate: MirrorTotals, secondary: MirrorTotals | None = None) -> RouteTotals:
    found = route(candidate)
    return replace(found, mirrors=found.mirrors | ({"secondary": secondary} if secondary else {}))


# -- what is bet on


def test_each_check_has_its_own_two_sides() -> None:
    ledger = PairedLedger(0.0)
    split = {"p50": (0, 40), "p95": (30, 10), "p99": (0, 0)}
    ledger.observe([row(counted(30, 2, 50, split), counted(0, 30))], 0.0)
    found = ledger.evidence()[KEY]
    assert set(found) == {ERRORS, PRIMARY_ERRORS, SECONDARY_ERRORS, "p50", "p95"}
    assert found[ERRORS] > HUNDRED
    assert found[PRIMARY_ERRORS] < 0
    assert found[SECONDARY_ERRORS] < 0
    assert found["p95"] > 0 > found["p50"]


def test_what_both_failed_is_evidence_of_nothing() -> None:
    ledger = PairedLedger(0.0)
    ledger.observe([row(counted(both=10_000))], 0.0)
    assert ledger.evidence() == {KEY: {}}


def test_a_primary_that_fails_alone_is_taken_off_nothing_but_the_coin() -> None:
    """It makes the candidate's failures more likely to be chance; it never makes a good mark of its own."""
    ledger = PairedLedger(0.0)
    ledger.observe([row(counted(0, 1_000))], 0.0)
    found = ledger.evidence()[KEY]
    assert found[ERRORS] <= 0.0
    assert found[PRIMARY_ERRORS] > 100.0


def test_counts_are_weighed_the_same_in_one_piece_and_in_many() -> None:
    whole, pieces = PairedLedger(0.0), PairedLedger(0.0)
    whole.observe([row(counted(30, 10))], 0.0)
    for n in range(1, 11):
        pieces.observe([row(counted(3 * n, n))], 10.0 * n)
        pieces.observe([row(counted(3 * n, n))], 10.0 * n)
    assert pieces.evidence()[KEY][ERRORS] == pytest.approx(whole.evidence()[KEY][ERRORS])


def test_slower_is_the_mean_of_the_quantiles_never_their_product() -> None:
    assert slower({}) == pytest.approx(0.0)
    assert slower(dict.fromkeys(QUANTILES, 7.0)) == pytest.approx(7.0)
    assert slower({"p99": 10.0, "p50": -50.0}) == pytest.approx(log((exp(10.0) + 1.0) / 3), abs=1e-6)


def test_a_new_version_begins_anew_and_the_service_beside_it_does_not() -> None:
    ledger = PairedLedger(0.0)
    bad = counted(30, 2)
    ledger.observe([route(bad), route(bad, service="mail")], 0.0)
    ledger.begin("shop")
    ledger.observe([route(counted(1, 3)), route(bad, service="mail")], 1.0)
    assert ledger.evidence()[KEY][ERRORS] < 0
    assert ledger.evidence()["mail", "item"][ERRORS] > HUNDRED


# -- without harm


def crossings(steps: int) -> Iterator[tuple[float, float]]:
    """Exactly, for a fair coin after each toss: the chance that the bets, and that a z-test, have ever said so.

    A dynamic programme over the number of heads, with what has crossed taken out.
    """
    bets = coin.new_bets(len(coin.LAMBDAS), 10**9)

    def sure(heads: int, tosses: int) -> bool:
        return coin.log_e(coin.bet_on_pairs(bets, heads, tosses - heads), 10**9) >= HUNDRED

    def significant(heads: int, tosses: int) -> bool:
        return tosses >= 10 and (2 * heads - tosses) / sqrt(tosses) >= 2.326

    alive = [{0: 1.0}, {0: 1.0}]
    for toss in range(1, steps + 1):
        for index, crossed in enumerate((sure, significant)):
            after: dict[int, float] = {}
            for heads, chance in alive[index].items():
                for more in (heads, heads + 1):
                    after[more] = after.get(more, 0.0) + chance / 2
            alive[index] = {heads: chance for heads, chance in after.items() if not crossed(heads, toss)}
        yield 1 - sum(alive[0].values()), 1 - sum(alive[1].values())


def test_looking_after_every_pair_makes_no_more_false_alarms_than_stated_and_a_z_test_many() -> None:
    *_, (bets, z_test) = crossings(250)
    assert bets <= ALPHA
    assert z_test > 0.08


def test_equal_arms_with_shared_failures_are_left_in_peace() -> None:
    """2,000 runs of an hour: 1 % errors on both arms, 80 % of them shared, a look every ten seconds, with restarts."""
    draw, false = random.Random(1), 0
    for _ in range(2_000):
        ledger, alone, other = PairedLedger(0.0), 0, 0
        for look in range(1, 37):
            tosses = min(int(draw.expovariate(1 / 4)), 40)  # discordant pairs come in bursts
            heads = draw.getrandbits(tosses).bit_count() if tosses else 0
            alone, other = alone + heads, other + tosses - heads
            ledger._bet(checks := ledger._checks.setdefault(KEY, {}), ERRORS, alone, other)
            ledger._restarts = 1 + look // 6
            if ERRORS in checks and coin.log_e(checks[ERRORS].bets, checks[ERRORS].restarts) >= HUNDRED:
                false += 1
                break
    assert false <= 2_000 * ALPHA


def raised(seconds: float) -> float:
    """A duration of the candidate that is slower by just what is tolerated."""
    return max(seconds * 1.2, seconds + 0.005)


def strata(pairs: Iterator[tuple[float, float]]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """How many pairs there were, and the counts by quantile, after each stratum that a worker would weigh."""
    sums, seen, stratum = [(0, 0)] * len(QUANTILES), 0, []
    for pair in pairs:
        stratum.append(pair)
        if len(stratum) == stratum_size(seen):
            seen += len(stratum)
            found = splits([mine for mine, _ in stratum], [theirs for _, theirs in stratum])
            sums = [(a + c, b + d) for (a, b), (c, d) in zip(sums, found, strict=True)]
            stratum = []
            yield seen, sums


def weight(sums: list[tuple[int, int]]) -> float:
    bets = coin.new_bets(len(coin.LAMBDAS), 10**9)
    values = [coin.log_e(coin.bet_on_pairs(bets, *counts), 10**9) for counts in sums]
    return slower(dict(zip(QUANTILES, values, strict=True)))


def found_after(pairs: Iterator[tuple[float, float]], sure: float = HUNDRED) -> int | None:
    return next((seen for seen, sums in strata(pairs) if weight(sums) >= sure), None)


def drifting(draw: random.Random, pairs: int) -> Iterator[tuple[float, float]]:
    """Both arms alike at the edge of the tolerance: heavy tails, a drift, bursts in which both are ten times slower."""
    for i in range(pairs):
        level = (1 + i / pairs) * (10 if i % 97 < 12 else 1) * 0.05
        shared = draw.random()
        yield raised(level * draw.paretovariate(1.5) * (1 + shared)), level * draw.paretovariate(1.5) * (1 + shared)


def test_heavy_tails_drift_and_bursts_make_nobody_slower() -> None:
    false = sum(found_after(drifting(random.Random(seed), 300)) is not None for seed in range(2_000))
    assert false <= 2_000 * ALPHA


# -- with harm


def pairs_until_found(draw: random.Random, alone: float, other: float, sure: float) -> int:
    """Pairs until the bets are sure, where these shares of them fail on one side alone."""
    bets, pairs = coin.new_bets(len(coin.LAMBDAS), 10**9), 0
    while coin.log_e(bets, 10**9) < sure:
        pairs += 1 + int(log(1 - draw.random()) / log(1 - alone - other))
        heads = draw.random() < alone / (alone + other)
        bets = coin.bet_on_pairs(bets, heads, not heads)
    return pairs


@pytest.mark.parametrize(
    ("shared", "alone", "listed"),
    [(0.9, 1_200, 2_300), (0.8, 1_350, 2_800), (0.5, 2_100, 4_300), (0.0, 3_100, 6_800)],
)
def test_twice_the_errors_are_found_the_sooner_the_more_failures_are_shared(
    shared: float, alone: int, listed: int
) -> None:
    """From 1 % to 2 %, at α = 1 % for one check alone, and as the first of the list (docs); unpaired it takes about
    3,200 requests of each arm.
    """
    draw = random.Random(3)
    for sure, pairs in ((HUNDRED, alone), (LISTED, listed)):
        rates = 0.02 - 0.01 * shared, 0.01 * (1 - shared)
        assert median(pairs_until_found(draw, *rates, sure) for _ in range(300)) <= pairs


def tail(draw: random.Random, pairs: int) -> Iterator[tuple[float, float]]:
    """Two requests in a hundred take the candidate ten times as long."""
    for _ in range(pairs):
        mine, theirs = draw.lognormvariate(-3.2, 0.35), draw.lognormvariate(-3.2, 0.35)
        yield mine * 10 if draw.random() < 0.02 else mine, theirs


def test_a_slow_tail_is_found_and_the_sign_of_the_difference_misses_it() -> None:
    found = [found_after(tail(random.Random(seed), 6_000)) for seed in range(40)]
    assert median(each or 10**9 for each in found) <= 2_050
    found = [found_after(tail(random.Random(seed), 6_000), LISTED) for seed in range(40)]
    assert median(each or 10**9 for each in found) <= 2_700
    missed = 0
    for seed in range(40):
        signs = list(
            accumulate((1 if mine > theirs else -1 for mine, theirs in tail(random.Random(seed), 2_050)), initial=0)
        )
        bets = coin.new_bets(len(coin.LAMBDAS), 10**9)
        heads = [((n + total) // 2, (n - total) // 2) for n, total in enumerate(signs)][::25]
        missed += all(coin.log_e(coin.bet_on_pairs(bets, *sides), 10**9) < HUNDRED for sides in heads)
    assert missed >= 38


def test_everything_slower_is_found_within_the_first_strata() -> None:
    draw = random.Random(5)
    pairs = ((x + 0.08, draw.lognormvariate(-3, 0.5)) for x in iter(lambda: draw.lognormvariate(-3, 0.5), None))
    assert (found_after(pairs) or 10**9) <= 40


def test_what_goes_wrong_after_a_healthy_day_is_found_soon() -> None:
    """A day of chance first: without new bets its losses would have to be won back."""
    draw, ledger, alone, other, now = random.Random(7), PairedLedger(0.0), 0, 0, 0.0
    while now < 86_400:
        now += 60.0
        heads = draw.getrandbits(20).bit_count()
        alone, other = alone + heads, other + 20 - heads
        ledger.observe([row(counted(alone, other))], now)
    assert ledger.evidence()[KEY][ERRORS] < HUNDRED
    started = now
    while ledger.evidence()[KEY][ERRORS] < HUNDRED:
        now += 60.0
        alone, other = alone + 14, other + 6
        ledger.observe([row(counted(alone, other))], now)
    assert now - started <= 2.5 * RESTART_EVERY
    plain = coin.bet_on_pairs(coin.new_bets(len(coin.LAMBDAS), 10**9), alone, other)
    assert coin.log_e(plain, 10**9) < HUNDRED
