"""Latency and errors of the same request, as a report says them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from shadowproxy.evidence.paired import PairedLedger
from shadowproxy.model.policy import NoisePolicy
from shadowproxy.model.totals import MirrorTotals, RouteTotals
from shadowproxy.report import build, render_markdown, render_text
from shadowproxy.report.paired import CAPACITY
from shadowproxy.report.values import PairedErrors, PairedLatency, RouteReport
from tests.report.facts import facts, mirror, route, service


def reported(*rows: RouteTotals) -> list[RouteReport]:
    return build(facts(*rows)).services[0].routes


def errors(candidate: MirrorTotals, secondary: MirrorTotals | None = None) -> PairedErrors:
    found = reported(beside(route(candidate), secondary))[0].errors
    assert found is not None
    return found


def latency(candidate: MirrorTotals, secondary: MirrorTotals | None = None) -> PairedLatency:
    found = reported(beside(route(candidate), secondary))[0].paired
    assert found is not None
    return found


def beside(row: RouteTotals, secondary: MirrorTotals | None) -> RouteTotals:
    return replace(row, mirrors=row.mirrors | {"secondary": secondary}) if secondary else row


# -- errors


def test_a_candidate_that_fails_more_often_is_a_regression_whatever_was_compared() -> None:
    report = build(facts(route(mirror(failed=(40, 2, 30), match=400))))
    found = report.services[0].routes[0].errors
    assert found is not None
    assert (found.neither, found.candidate_only, found.primary_only, found.both) == (328, 40, 2, 30)
    assert found.regressed
    assert found.evidence >= found.needed == pytest.approx(4.01, abs=0.01)
    assert found.more is None
    assert (report.exit_code, report.conclusion) == (1, "regression: fails more often on item")
    text = render_text(report)
    assert "candidate alone 40, both 30, neither 328; the candidate fails more often, evidence" in text


@pytest.mark.parametrize("failed", [(0, 0, 500), (12, 12, 100), (3, 0, 0), (40, 35, 0)])
def test_shared_failures_and_chance_are_none(failed: tuple[int, int, int]) -> None:
    report = build(facts(route(mirror(failed=failed, match=1_000))))
    found = report.services[0].routes[0].errors
    assert found is not None
    assert not found.regressed
    assert report.exit_code == 0


def test_a_primary_that_fails_alone_stands_by_itself_and_is_no_credit() -> None:
    report = build(facts(route(mirror(failed=(0, 60, 5), match=400))))
    found = report.services[0].routes[0].errors
    assert found is not None
    assert (found.regressed, found.primary_worse, found.primary_only) == (False, True, 60)
    assert "primary alone 60: no credit to the candidate; the primary fails more often" in render_text(report)
    assert "no credit to the candidate" in render_markdown(report).replace("\\", "")


def test_no_number_of_primary_failures_elsewhere_makes_a_failing_route_good() -> None:
    bad, good = route(mirror(failed=(40, 0, 0), match=400), name="bad"), route(mirror(failed=(0, 900, 0), match=1_000))
    found = {each.name: each.errors for each in reported(bad, good)}
    assert found["bad"] is not None
    assert found["bad"].regressed
    assert build(facts(bad, good)).exit_code == 1


def test_what_is_missing_is_said_where_it_points_somewhere() -> None:
    found = errors(mirror(failed=(8, 0, 0), match=1_000))
    assert found.more is not None
    assert 1_500 < found.more < 6_000
    later = errors(mirror(failed=(8 * 4, 0, 0), match=4_000))
    assert later.regressed, "and it comes true"
    assert errors(mirror(failed=(0, 8, 0), match=1_000)).more is None
    assert errors(mirror(failed=(5, 5, 0), match=1_000)).more is None
    text = " ".join(render_text(build(facts(route(mirror(failed=(8, 0, 0), match=1_000))))).split())
    assert (
        f"candidate alone 8, primary alone 0; evidence 10^1.5 (10^4.0 needed), needs about {found.more:,} more" in text
    )
    assert found.more % 100 == 0


def test_copies_that_fail_for_a_reason_of_their_own_are_named() -> None:
    found = errors(mirror(failed=(40, 0, 0), match=400), mirror(failed=(38, 0, 1), match=400))
    assert (found.regressed, found.secondary_worse, found.secondary["shadow_only"]) == (True, True, 38)
    calm = errors(mirror(failed=(40, 0, 0), match=400), mirror(failed=(1, 0, 1), match=400))
    assert (calm.regressed, calm.secondary_worse) == (True, False)
    row = beside(route(mirror(failed=(40, 0, 0), match=400)), mirror(failed=(38, 0, 1), match=400))
    text = render_text(build(facts(row)))
    assert "secondary alone 38, both 1, neither 361; copies may fail for a reason of their own" in " ".join(
        text.split()
    )


def test_without_pairs_nothing_is_said() -> None:
    found = reported(route(None, [0.01] * 60))[0]
    assert (found.errors, found.paired) == (None, None)
    assert (
        reported(replace(route(mirror(match=60)), mirrors={"candidate": replace(mirror(match=60), outcomes={})}))[
            0
        ].errors
        is None
    )


# -- latency


def test_quantiles_have_intervals_and_a_secondary_calibrates_them() -> None:
    found = latency(mirror([0.08] * 4_000, match=4_000), mirror([0.02] * 4_000, match=4_000))
    assert found.pairs == 4_000
    assert (found.quantiles["p50"].lower, found.quantiles["p50"].upper) == (0.07, 0.1)
    assert (found.baseline["p99"].lower, found.baseline["p99"].upper) == (0.015, 0.02)
    calibrated = found.calibrated["p50"]
    assert calibrated.estimate == pytest.approx(found.quantiles["p50"].estimate - found.baseline["p50"].estimate)
    assert (calibrated.lower, calibrated.upper) == (pytest.approx(0.05), pytest.approx(0.085))
    text = render_text(build(facts(beside(route(mirror([0.08] * 400, match=400)), mirror([0.02] * 400, match=400)))))
    assert "baseline" in text
    assert "calibrated" in text


def test_without_a_second_answer_there_is_no_baseline() -> None:
    found = latency(mirror([0.08] * 400, match=400), mirror(match=400))
    assert (found.baseline, found.calibrated) == ({}, {})


def test_slower_says_where_and_by_how_much() -> None:
    found = latency(mirror([0.08] * 400, match=400))
    assert found.slower
    assert found.why == (
        "p50 of the paired difference +85.0 ms (at least +70.0 ms);"
        " of 400 pairs that the common p50 splits the candidate is the slow side in 400"
    )
    usual = [0.01 + i / 10_000 for i in range(101)]
    tail = latency(mirror([1.0 if i % 12 == 0 else 0.0 for i in range(1_000)], usual=usual, match=1_000))
    assert tail.slower
    assert tail.why.startswith("p95 of the paired difference")


def test_a_trend_to_slower_says_how_many_more_pairs_decide_it() -> None:
    few = latency(mirror([0.08] * 10, match=60))
    assert not few.slower
    assert few.more is not None
    assert 5 <= few.more <= 60
    assert latency(mirror([-0.005] * 10, match=60)).more is None
    trend = mirror([0.08] * 14, match=60)
    assert "slower? evidence 10^" in render_text(build(facts(route(trend))))


# -- the list


def test_the_list_holds_errors_and_latency_of_all_routes_and_grows_easier_with_each() -> None:
    one = latency(mirror([0.08] * 400, match=400))
    rows = [route(mirror([0.08] * 400, failed=(40, 0, 0), match=400), name=f"r{i}") for i in range(5)]
    found = reported(*rows)
    assert all(each.slower and each.errors and each.errors.regressed for each in found)
    assert found[0].paired is not None
    assert one.needed - found[0].paired.needed == pytest.approx(1.0), "ten are listed"


def test_the_stated_rate_is_the_services_own() -> None:
    row = route(mirror([0.08] * 400, match=400))
    strict = replace(service(), noise=NoisePolicy(fdr=0.0005))
    found = build(facts(row, services=[strict])).services[0].routes[0].paired
    assert found is not None
    assert found.needed == pytest.approx(latency(mirror([0.08] * 400, match=400)).needed + 2)


def test_more_routes_than_the_list_was_made_for_ask_for_more_each() -> None:
    rows = [route(mirror([0.0], match=1), name=f"r{i}") for i in range(CAPACITY)]
    found = reported(*rows)[0].paired
    assert found is not None
    assert found.needed == pytest.approx(latency(mirror([0.0], match=60)).needed + 0.301, abs=0.001)


def test_evidence_that_control_has_not_weighed_yet_is_none() -> None:
    row = route(mirror([0.08] * 400, failed=(40, 0, 0), match=400))
    found = build(facts(row, paired=PairedLedger(0.0).evidence())).services[0].routes[0]
    assert found.errors is not None
    assert found.paired is not None
    assert (found.errors.evidence, found.paired.evidence, found.slower) == (0.0, pytest.approx(0.0), False)
