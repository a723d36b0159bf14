"""What each check says: pass, fail or not known, in words, and what is remembered for it."""

from __future__ import annotations

from math import inf, log, nan
from random import Random

import msgspec
import pytest
from msgspec.structs import replace

from shadowproxy.model.rollout import CHECK_KINDS, FAIL, INCONCLUSIVE, PASS, Bake, Check, Plan, Step, Sticky
from shadowproxy.rollout import analysis
from shadowproxy.rollout.facts import Answer, Facts, FieldsFact, GateAnswer, KeyCounts, PairCounts, RouteCounts
from shadowproxy.rollout.ledger import Ledger
from shadowproxy.rollout.values import CheckResult
from tests.rollout.releases import bin_of

CANARY = Step(1, 0, "canary", "canary", 0.1, Bake(600.0))
MIRROR = Step(0, 0, "mirror", "shadow", 0.0, Bake(600.0), sample=1.0)
FULL = Step(2, 0, "all", "progressive", 1.0, Bake(600.0))


def plan(*checks: Check, sticky: bool = False) -> Plan:
    return Plan("v2", (), checks=checks, sticky=Sticky(header="x-user") if sticky else None)


def tick(requests: tuple[int, int], failed: tuple[int, int] = (0, 0), client: tuple[int, int] = (0, 0)) -> Facts:
    return Facts(0.0, 1.0, routes=(RouteCounts("item", requests, failed, client),))


def mirrored(n: int, candidate: int = 0, primary: int = 0, both: int = 0) -> Facts:
    return Facts(0.0, 1.0, pairs=(PairCounts("item", n - candidate - primary - both, candidate, primary, both),))


def after(this: Plan, *many: tuple[int, Facts], step: Step = CANARY, ledger: Ledger | None = None) -> Ledger:
    ledger = ledger or analysis.begin(this, "shop:1")
    for times, facts in many:
        for _ in range(times):
            ledger = analysis.observe(ledger, this, step, facts, step.weight)
    return ledger


def only(ledger: Ledger, this: Plan, step: Step = CANARY, now: float = 0.0) -> CheckResult:
    (result,) = analysis.judge(ledger, this, step, now)
    return result


def harm(ledger: Ledger, this: Plan, step: Step = CANARY) -> bool:
    return bool(analysis.overall(ledger, this, step, 0.0).checks)


ERRORS = plan(Check("error_rate", "error_rate"))


# -- rates


@pytest.mark.parametrize(
    ("failed", "verdict"), [((9, 1), PASS), ((9, 7), FAIL), ((0, 0), PASS)], ids=["alike", "worse", "none"]
)
def test_an_error_rate_passes_or_fails(failed: tuple[int, int], verdict: str) -> None:
    ledger = after(ERRORS, (20, tick((900, 100), failed)))
    assert only(ledger, ERRORS).verdict == verdict
    assert harm(ledger, ERRORS) == (verdict == FAIL)


def test_it_says_so_in_a_sentence() -> None:
    ledger = after(ERRORS, (20, tick((1900, 100), (19, 5))))
    result = only(ledger, ERRORS)
    assert result.words.startswith("candidate 5% of 2,000, primary 1% of 38,000; evidence against it 10^")
    assert result.words.endswith(", fails at 200: fails")
    assert (result.primary, result.candidate) == (0.01, 0.05)
    assert result.log_e > result.needed == pytest.approx(log(200.0))
    decision = analysis.overall(ledger, ERRORS, CANARY, 0.0)
    assert decision.checks == ("error_rate",)
    assert decision.words == f"error_rate: {result.words}"


@pytest.mark.parametrize("kind", [kind for kind in CHECK_KINDS if kind not in ("sample_ratio", "slow_burn")])
@pytest.mark.parametrize("step", [CANARY, FULL], ids=["canary", "all"])
def test_no_data_is_never_a_pass_and_never_a_failure(kind: str, step: Step) -> None:
    this = plan(Check(kind, kind))
    ledger = analysis.begin(this, "shop:1")
    for requests in ((0, 0), (9000, 0), (9000, 3)):
        ledger = after(this, (1, tick(requests, (requests[0] // 100, 0))), step=step, ledger=ledger)
        assert only(ledger, this, step).verdict == INCONCLUSIVE
        assert not harm(ledger, this, step)


def test_evidence_beyond_all_numbers_is_evidence() -> None:
    this = plan(*(Check(kind, kind) for kind in CHECK_KINDS))
    ledger = after(this, (50, tick((90_000, 10_000), (0, 10_000), (0, 10_000))))
    assert analysis.overall(ledger, this, CANARY, 0.0).checks == ("error_rate", "client_error_rate")
    assert "evidence against it 10^" in analysis.judge(ledger, this, CANARY, 0.0)[0].words


@pytest.mark.parametrize("is_lost", [False, True])
def test_where_it_goes_is_said_if_it_is_known_how_fast(is_lost: bool) -> None:
    this = plan(Check("error_rate", "error_rate", max=0.05))
    preview = Step(0, 0, "preview", "blue_green", 0.0, Bake(60.0))
    ledger = after(this, (10, Facts(0.0, 1.0, chosen=(10, 1))), step=preview)
    if is_lost:
        ledger = msgspec.structs.replace(ledger, trials=0)
    result = only(ledger, this, preview)
    assert (result.verdict, result.log_e > 1.0) == (PASS, True)
    assert ("as it goes, it fails in about" in result.words) != is_lost


def test_what_is_missing_is_said_in_requests_and_in_time() -> None:
    result = only(after(ERRORS, (20, tick((100, 1)))), ERRORS)
    assert (result.verdict, result.more_requests, result.more_seconds) == (INCONCLUSIVE, 30, 30.0)
    assert "needs about 30 more requests of the candidate (about 30 s at the present rate)" in result.words
    assert "(none came so far)" in only(after(ERRORS, (20, tick((100, 0)))), ERRORS).words


def test_five_errors_against_none_take_nobody_back() -> None:
    assert not harm(after(ERRORS, (1, tick((9000, 1000), (0, 5)))), ERRORS)
    exact = plan(Check("error_rate", "error_rate", max_relative=0.0, max_absolute=0.0))
    assert harm(after(exact, (1, tick((9000, 1000), (0, 5)))), exact)


def test_routes_are_strata_of_their_own() -> None:
    """The route that the candidate gets more of fails more often, on both arms alike."""
    mixed = Facts(0.0, 1.0, routes=(RouteCounts("a", (100, 900), (5, 45)), RouteCounts("b", (9000, 100))))
    assert not harm(after(ERRORS, (30, mixed)), ERRORS)


def test_client_errors_are_a_check_of_their_own() -> None:
    this = plan(Check("client_error_rate", "client_error_rate"))
    ledger = after(this, (20, tick((900, 100), (0, 50), (9, 7))))
    assert harm(ledger, this)
    assert only(ledger, this).candidate == 0.07


def test_while_nobody_is_served_what_pairs_cannot_say_is_not_waited_for() -> None:
    both = plan(Check("client_error_rate", "client_error_rate"), Check("error_rate", "error_rate"))
    results = analysis.judge(after(both, (1, mirrored(49)), step=MIRROR), both, MIRROR, 0.0)
    assert [result.verdict for result in results] == [PASS, INCONCLUSIVE]
    assert "1 more mirrored request" in results[1].words


def test_mirrored_pairs_are_evidence() -> None:
    assert only(after(ERRORS, (1, mirrored(50))), ERRORS, MIRROR).verdict == INCONCLUSIVE, "of another step"
    healthy = after(ERRORS, (10, mirrored(100, 1, 1, 3)), step=MIRROR)
    assert only(healthy, ERRORS, MIRROR).verdict == PASS
    assert only(healthy, ERRORS, MIRROR).words.startswith("candidate 4% and primary 4% of 1,000 mirrored;")
    assert harm(after(ERRORS, (10, mirrored(100, 5, 1)), step=MIRROR), ERRORS, MIRROR)


def test_what_fails_among_the_copies_is_told_beside_users_who_are_well() -> None:
    ledger = after(ERRORS, (1, tick((100, 5), (2, 0))), (10, mirrored(100, 40)))
    result = only(ledger, ERRORS)
    told = "candidate 0% of 5, primary 2% of 100; candidate 40% and primary 0% of 1,000 mirrored; evidence"
    assert (result.verdict, result.words.startswith(told)) == (FAIL, True), result.words
    assert (result.candidate, result.primary) == (0.0, 0.02)


def test_in_the_next_step_data_is_wanted_anew_and_the_evidence_goes_on() -> None:
    ledger = after(ERRORS, (12, tick((900, 100), (9, 2))))
    carried = only(ledger, ERRORS)
    later = only(ledger, ERRORS, Step(2, 0, "more", "canary", 0.25, Bake()))
    assert (carried.verdict, later.verdict) == (PASS, INCONCLUSIVE)
    assert later.log_e == carried.log_e


def test_in_the_warm_up_nothing_is_counted() -> None:
    ledger = analysis.observe(
        analysis.begin(ERRORS, "a"), ERRORS, CANARY, tick((900, 100), (0, 100)), 0.1, counts=False
    )
    assert not harm(ledger, ERRORS)
    assert only(ledger, ERRORS).verdict == INCONCLUSIVE


def test_nobody_left_to_compare_with_is_said() -> None:
    result = only(after(ERRORS, (20, tick((0, 100), (0, 5))), step=FULL), ERRORS, FULL)
    assert result.verdict == INCONCLUSIVE
    assert "nobody is left with the primary" in result.words


def test_chosen_users_count_for_a_limit_alone() -> None:
    this = plan(Check("error_rate", "error_rate", max=0.05))
    preview = Step(0, 0, "preview", "blue_green", 0.0, Bake(60.0))
    assert only(after(this, (6, Facts(0.0, 1.0, chosen=(10, 0))), step=preview), this, preview).verdict == PASS
    assert harm(after(this, (6, Facts(0.0, 1.0, chosen=(10, 5))), step=preview), this, preview)
    assert not harm(after(ERRORS, (6, Facts(0.0, 1.0, chosen=(10, 5))), step=preview), ERRORS, preview)


def test_sticky_users_are_what_is_counted_and_few_have_little_to_say() -> None:
    this = plan(Check("error_rate", "error_rate"), sticky=True)
    few = Facts(0.0, 1.0, routes=(RouteCounts("item", (900, 100)),), keys=KeyCounts((90, 4), (1, 0)))
    result = only(after(this, (1, few)), this)
    assert result.verdict == INCONCLUSIVE
    assert "6 more users of the candidate" in result.words
    assert result.more_requests is None
    result = only(after(this, (4, few)), this)
    assert (result.verdict, result.candidate) == (PASS, 0.0)
    assert "of 16 users" in result.words


# -- the budget


def test_checks_that_are_only_observed_take_no_part() -> None:
    seen = Check("client_error_rate", "client_error_rate", mode="observe")
    this = plan(Check("error_rate", "error_rate"), seen)
    ledger = after(this, (30, tick((900, 100), (9, 1), (9, 40))))
    errors, client = analysis.judge(ledger, this, CANARY, 0.0)
    assert client.verdict == FAIL
    assert (errors.verdict, errors.needed) == (PASS, pytest.approx(log(200.0)))
    assert not harm(ledger, this)


def test_more_checks_need_more_of_each() -> None:
    this = plan(Check("error_rate", "error_rate"), Check("client_error_rate", "client_error_rate"))
    needed = only(after(ERRORS, (1, tick((900, 100)))), ERRORS).needed
    both = analysis.judge(after(this, (1, tick((900, 100)))), this, CANARY, 0.0)
    assert all(needed < result.needed <= needed + log(2.0) for result in both)


@pytest.mark.parametrize("sticky", [False, True])
def test_the_check_that_fails_is_the_one_that_carries_it(sticky: bool) -> None:
    """Whatever the evidence, harm is found exactly if a check fails."""
    this = plan(Check("error_rate", "error_rate"), Check("client_error_rate", "client_error_rate"), sticky=sticky)
    draw, found = Random(1), set()
    for _ in range(60):
        bad = [(0, draw.randint(0, 9)) for _ in range(2)]
        facts = Facts(0.0, 1.0, routes=(RouteCounts("a", (90, 10), *bad),), keys=KeyCounts((90, 10), *bad))
        ledger = after(this, (2, facts if sticky else msgspec.structs.replace(facts, keys=None)))
        failing = [result.name for result in analysis.judge(ledger, this, CANARY, 0.0) if result.verdict == FAIL]
        assert list(analysis.overall(ledger, this, CANARY, 0.0).checks) == failing
        found.add(bool(failing))
    assert found == {True, False}


def test_an_epoch_begins_at_nothing_and_the_attempt_goes_on() -> None:
    ledger = after(ERRORS, (5, tick((900, 100), (9, 4))))
    anew = analysis.new_epoch(ledger)
    assert anew.epoch == 2
    stakes, before = anew.stakes["error_rate"], ledger.stakes["error_rate"]
    assert {each.attempt for each in stakes.values()} == {each.attempt for each in before.values()}
    assert all(each.epoch == () for each in stakes.values())
    assert all(bet == 0.0 for each in stakes.values() for bet in each.better)


# -- the stronger answer


def test_that_it_is_not_worse_takes_more_than_that_it_does_not_fail() -> None:
    wanted = Step(1, 0, "canary", "canary", 0.1, Bake(600.0, evidence="not_worse"))
    soon, later = (after(ERRORS, (n, tick((9000, 1000), (90, 8))), step=wanted) for n in (2, 60))
    result = only(soon, ERRORS, wanted)
    assert (result.verdict, result.not_worse) == (PASS, False)
    assert result.more_requests
    assert result.more_seconds
    assert "to be shown not worse it needs about" in result.words
    assert only(later, ERRORS, wanted).not_worse
    assert "shown not to be worse" in only(later, ERRORS, wanted).words


def test_without_any_errors_it_is_shown_by_the_absolute_tolerance() -> None:
    assert not only(after(ERRORS, (1, tick((9000, 1000)))), ERRORS).not_worse
    assert only(after(ERRORS, (10, tick((9000, 1000)))), ERRORS).not_worse


def test_without_any_errors_it_is_shown_of_sticky_users_too_by_users_and_not_by_their_requests() -> None:
    this = plan(Check("error_rate", "error_rate"), sticky=True)
    few = Facts(0.0, 1.0, routes=(RouteCounts("item", (9000, 1000)),), keys=KeyCounts((90, 10)))
    many = Facts(0.0, 1.0, routes=(RouteCounts("item", (9000, 1000)),), keys=KeyCounts((9000, 1000)))
    assert not only(after(this, (10, few)), this).not_worse
    assert only(after(this, (10, many)), this).not_worse
    assert only(after(this, (20, mirrored(1000)), step=MIRROR), this, MIRROR).not_worse


def test_users_of_whom_more_than_tolerated_fail_are_hardly_ever_shown_to_be_no_worse() -> None:
    this = plan(Check("error_rate", "error_rate", max_absolute=0.05), sticky=True)
    wrong, draw = 0, Random(3)
    for _ in range(200):
        ledger, well = analysis.begin(this, "a"), [0, 0]
        for _ in range(15):
            # Users who did well so far may still fail with a later request.
            fails = [sum(draw.random() < 0.02 for _ in range(n)) for n in well]
            first = [sum(draw.random() < 0.06 for _ in range(20)) for _ in well]
            well = [n - late + 20 - new for n, late, new in zip(well, fails, first, strict=True)]
            keys = KeyCounts((20, 20), (fails[0] + first[0], fails[1] + first[1]))
            step = replace(CANARY, weight=0.5)
            ledger = after(
                this, (1, Facts(0.0, 1.0, routes=(RouteCounts("a", (99, 99)),), keys=keys)), ledger=ledger, step=step
            )
            if only(ledger, this, step).not_worse:
                wrong += 1
                break
    assert wrong <= 0.05 * 200


def test_a_mirrored_candidate_without_errors_and_one_within_its_limit_are_shown_to_be_no_worse() -> None:
    within = plan(Check("error_rate", "error_rate", max=0.05))
    for this, facts in ((ERRORS, mirrored(1000)), (within, mirrored(1000, 10))):
        assert not only(after(this, (1, mirrored(50)), step=MIRROR), this, MIRROR).not_worse
        assert only(after(this, (20, facts), step=MIRROR), this, MIRROR).not_worse


def test_what_fails_by_its_users_is_not_shown_to_be_no_worse_by_its_copies() -> None:
    copies = after(ERRORS, (60, mirrored(1000)), step=MIRROR)
    users = Facts(0.0, 1.0, routes=(RouteCounts("item", (900, 100), (9, 5)),), pairs=mirrored(1000).pairs)
    assert only(copies, ERRORS, MIRROR).not_worse
    found = [only(after(ERRORS, (n, users), ledger=copies), ERRORS) for n in range(1, 40)]
    assert found[-1].verdict == FAIL
    assert not any(each.not_worse for each in found if each.verdict == FAIL)


def test_a_mirrored_candidate_beyond_its_limit_fails() -> None:
    this = plan(Check("error_rate", "error_rate", max=0.05))
    assert harm(after(this, (10, mirrored(100, 0, 0, 20)), step=MIRROR), this, MIRROR)


def test_a_candidate_that_is_worse_is_hardly_ever_shown_not_to_be() -> None:
    wrong, draw = 0, Random(2)
    for _ in range(200):
        ledger = analysis.begin(ERRORS, "a")
        for _ in range(15):
            failed = sum(draw.random() < 0.2 for _ in range(90)), sum(draw.random() < 0.25 for _ in range(60))
            ledger = after(ERRORS, (1, tick((90, 60), failed)), ledger=ledger)
            if only(ledger, ERRORS).not_worse:
                wrong += 1
                break
    assert wrong <= 0.05 * 200


# -- latencies


def answers(n: tuple[int, int], seconds: tuple[float, float]) -> Facts:
    primary, candidate = ({bin_of(each): count} for each, count in zip(seconds, n, strict=True))
    return Facts(0.0, 1.0, routes=(RouteCounts("item", n),), latency=(primary, candidate))


def test_a_latency_passes_or_fails_and_says_both() -> None:
    this = plan(Check("latency_p50", "latency_p50"))
    good, bad = (after(this, (20, answers((90, 10), (0.1, slow)))) for slow in (0.11, 0.15))
    assert only(good, this).verdict == PASS
    result = only(bad, this)
    assert result.verdict == FAIL
    assert result.words.startswith("p50 of the candidate 149 ms in 200, primary 99 ms in 1,800")
    assert result.primary == pytest.approx(0.1, rel=0.03)
    assert result.candidate == pytest.approx(0.15, rel=0.03)


def test_pairs_say_something_of_latency_only_within_the_workers_tolerance() -> None:
    slow = Facts(0.0, 1.0, pairs=(PairCounts("item", 100, splits={"p99": (5, 0)}),))
    usual, wide = plan(Check("latency_p99", "latency_p99")), plan(Check("latency_p99", "latency_p99", max_relative=0.5))
    assert harm(after(usual, (10, slow), step=MIRROR), usual, MIRROR)
    assert not harm(after(wide, (10, slow), step=MIRROR), wide, MIRROR)
    assert only(after(wide, (10, slow), step=MIRROR), wide, MIRROR).verdict == PASS


def test_a_stratum_has_one_weight() -> None:
    this = plan(Check("latency_p50", "latency_p50"))
    few = answers((9, 1), (0.1, 0.1))
    ledger = after(this, (1, few))
    assert sum(ledger.pool.answers.counts) == 10
    ledger = analysis.observe(ledger, this, CANARY, answers((5, 5), (0.1, 0.1)), 0.5)
    assert ledger.pool.answers.counts == (5, 5)


# -- fields


FIELDS = plan(Check("regressed_fields", "regressed_fields"))


@pytest.mark.parametrize(
    ("known", "verdict", "words"),
    [
        (FieldsFact(0.0, (), 50), PASS, "no field regressed in 50 pairs"),
        (FieldsFact(0.0, (), 49), INCONCLUSIVE, "needs about 1 more second answer"),
        (FieldsFact(0.0, (), 90, learns=False), INCONCLUSIVE, "no second answers come"),
        (FieldsFact(3.0, ("$.price body_value",), 90), INCONCLUSIVE, "regressed: $.price body_value"),
        (FieldsFact(9.0, tuple(f"$.f{i}" for i in range(8)), 90), FAIL, "$.f4, 3 more in 90 pairs"),
    ],
)
def test_fields_are_judged_by_the_mean_of_their_evidence(known: FieldsFact, verdict: str, words: str) -> None:
    ledger = after(FIELDS, (1, Facts(0.0, 1.0, fields=known)), step=MIRROR)
    result = only(ledger, FIELDS, MIRROR)
    assert result.verdict == verdict
    assert words in result.words
    assert harm(ledger, FIELDS, MIRROR) == (verdict == FAIL)


def test_where_nothing_is_mirrored_the_last_word_stands() -> None:
    known = Facts(0.0, 1.0, fields=FieldsFact(0.0, (), 500, learns=False))
    ledger = after(FIELDS, (1, known), (1, Facts(0.0, 1.0)), step=MIRROR)
    unmirrored = Step(1, 0, "canary", "canary", 0.1, Bake(600.0), sample=0.0)
    assert only(ledger, FIELDS, MIRROR).verdict == INCONCLUSIVE
    assert only(ledger, FIELDS, unmirrored).verdict == PASS


# -- guards


@pytest.mark.parametrize("sticky", [False, True])
@pytest.mark.parametrize(("mine", "verdict"), [(100, PASS), (150, FAIL), (50, FAIL)])
def test_a_split_that_is_not_the_configured_one_fails_and_takes_nobody_back(
    sticky: bool, mine: int, verdict: str
) -> None:
    this = plan(Check("sample_ratio", "sample_ratio"), sticky=sticky)
    drawn = (1000 - mine, mine)
    facts = Facts(0.0, 1.0, keys=KeyCounts(drawn)) if sticky else tick(drawn)
    ledger = after(this, (3, facts))
    result = only(ledger, this)
    assert result.verdict == verdict
    assert f"candidate {mine / 10:g}% of 3,000, 10% configured" in result.words
    assert not harm(ledger, this)
    assert only(after(this, (1, tick((10, 1)))), this).verdict == INCONCLUSIVE


BURN = plan(Check("slow_burn", "slow_burn"))


@pytest.mark.parametrize(("bake", "ticks"), [(5.0, 24), (240.0, 240)])
def test_a_slow_burn_is_found_within_the_bake_and_no_rise_passes(bake: float, ticks: int) -> None:
    where = Step(1, 0, "canary", "canary", 0.5, Bake(bake))
    draw = Random(1)
    for rise, verdict in ((0.0, PASS), (1.0, FAIL)):
        ledger = analysis.begin(BURN, "shop:1")
        assert only(ledger, BURN, where).verdict == INCONCLUSIVE
        for t in range(ticks):
            slow = 0.1 * (1.0 + rise * t / ticks)
            spread = [[draw.lognormvariate(0.0, 0.3) * x for _ in range(25)] for x in (0.1, slow)]
            primary, candidate = ({bin_of(x): 1 for x in each} for each in spread)
            # Sticky users whose first answers are long over: all of them make the trend.
            facts = Facts(0.0, 1.0, latency=(primary, candidate), firsts=({}, {}))
            ledger = after(BURN, (1, facts), step=where, ledger=ledger)
        result = only(ledger, BURN, where)
        assert result.verdict == verdict
        assert not harm(ledger, BURN, where)
    assert "20% more than the primary" in result.words
    assert "5%/h allowed" in result.words


def test_of_sticky_users_the_first_answers_are_evidence() -> None:
    slow, fast = {bin_of(0.2): 9, bin_of(0.1): 21}, {bin_of(0.1): 30}
    facts = Facts(0.0, 1.0, latency=(fast, slow), firsts=(fast, fast), keys=KeyCounts((30, 30)))
    this = plan(Check("latency_p50", "latency_p50"))
    where = Step(1, 0, "canary", "canary", 0.5, Bake())
    assert only(after(this, (20, facts), step=where), this, where).verdict == PASS
    assert harm(after(this, (20, replace(facts, firsts=None)), step=where), this, where)


@pytest.mark.parametrize("elapsed", [0.0, -5.0, nan, inf])
def test_a_clock_that_says_anything_makes_no_series(elapsed: float) -> None:
    latency = {bin_of(0.1): 20}, {bin_of(0.1): 20}
    burning = Step(1, 0, "canary", "canary", 0.5, Bake())
    ledger = after(BURN, (30, Facts(0.0, elapsed, latency=latency)), step=burning)
    assert only(ledger, BURN, burning).verdict == INCONCLUSIVE
    assert ledger.tally.seconds == 0.0


def test_a_slope_within_what_is_allowed_is_no_failure() -> None:
    this = plan(Check("memory", "promql", max_slope=0.5 / 3600, against="primary", step=60.0))
    ledger = analysis.begin(this, "shop:1")
    for n in range(40):
        at = 60.0 * n
        answer = Answer(((at, 100.0 + 0.005 * at),), ((at, 100.0),))
        ledger = after(this, (1, Facts(at, 1.0, answers={"memory": answer})), ledger=ledger)
    result = only(ledger, this, now=at)
    assert result.verdict == PASS
    assert "rises by 18%/h" in result.words
    steeper = msgspec.structs.replace(this, checks=(msgspec.structs.replace(this.checks[0], max_slope=0.1 / 3600),))
    assert only(ledger, steeper, now=at).verdict == FAIL


# -- webhooks


@pytest.mark.parametrize("said", [PASS, FAIL, INCONCLUSIVE])
def test_a_gate_says_what_it_said_until_that_is_old(said: str) -> None:
    this = plan(Check("ask", "webhook", interval=30.0))
    assert only(analysis.begin(this, "a"), this).verdict == INCONCLUSIVE
    ledger = after(this, (1, Facts(0.0, 1.0, gates={"ask": GateAnswer(100.0, said, "it answered")})))
    assert only(ledger, this, now=110.0).verdict == said
    assert only(ledger, this, now=110.0).words == "it answered"
    assert only(ledger, this, now=500.0).verdict == INCONCLUSIVE
    assert not harm(ledger, this)


# -- the ledger


EVERY = plan(*(Check(kind, kind) for kind in CHECK_KINDS), Check("memory", "promql", max_slope=0.1, against="primary"))


def busy() -> Ledger:
    draw, ledger = Random(1), analysis.begin(EVERY, "shop:1")
    for at in range(600):
        bins = [{bin_of(draw.lognormvariate(-3.0, 1.0)): draw.randint(1, 9) for _ in range(40)} for _ in range(2)]
        facts = Facts(
            float(at),
            1.0,
            routes=(RouteCounts("item", (901, 99), (9, 3)),),
            latency=(bins[0], bins[1]),
            pairs=(PairCounts("item", 90, 1, 1, 1, {"p50": (3, 2)}),),
            fields=FieldsFact(-1.0, ("$.a",) * 90, at),
            answers={"memory": Answer(((float(at), draw.random()),), ((float(at), 1.0),))},
        )
        ledger = after(EVERY, (1, facts), ledger=ledger)
    return ledger


def test_the_ledger_survives_messagepack_bit_for_bit_and_is_small() -> None:
    ledger = busy()
    packed = msgspec.msgpack.encode(ledger)
    assert msgspec.msgpack.decode(packed, type=Ledger) == ledger
    assert len(packed) < 20_000


def test_the_same_facts_lead_to_the_same_words() -> None:
    assert analysis.judge(busy(), EVERY, CANARY, 600.0) == analysis.judge(busy(), EVERY, CANARY, 600.0)
    assert analysis.begin(EVERY, "shop:1").seed != analysis.begin(ERRORS, "shop:1").seed
