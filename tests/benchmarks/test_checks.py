import pytest

from benchmarks.checks import BARS, Bar, Verdict, judge, judge_all
from benchmarks.law import PREFIX
from benchmarks.samples import Results
from benchmarks.stats import Interval


def bar(measured: Interval | None, *, at_most: float | None = None, at_least: float | None = None) -> Bar:
    return Bar(
        "a bar",
        "x",
        lambda _: measured,
        at_most=(lambda _: at_most) if at_most is not None else None,
        at_least=(lambda _: at_least) if at_least is not None else None,
    )


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        (Interval(1.5, 1.0, 2.0), Verdict.MET),
        (Interval(1.9, 1.5, 2.1), Verdict.UNCLEAR),
        (Interval(2.5, 2.1, 3.0), Verdict.MISSED),
        (None, Verdict.NOT_MEASURED),
    ],
)
def test_at_most_is_judged_by_the_whole_interval(interval: Interval | None, verdict: Verdict) -> None:
    assert judge(bar(interval, at_most=2.0), Results()).verdict is verdict


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        (Interval(0.97, 0.95, 0.99), Verdict.MET),
        (Interval(0.95, 0.94, 0.99), Verdict.UNCLEAR),
        (Interval(0.9, 0.8, 0.94), Verdict.MISSED),
    ],
)
def test_at_least_is_judged_by_the_whole_interval(interval: Interval, verdict: Verdict) -> None:
    assert judge(bar(interval, at_least=0.95), Results()).verdict is verdict


def test_the_distance_is_a_share_of_the_limit_and_negative_when_short() -> None:
    assert judge(bar(Interval(2.5, 2.5, 2.5), at_most=2.0), Results()).distance == pytest.approx(-0.25)
    assert judge(bar(Interval(6000, 6000, 6000), at_least=8000), Results()).distance == pytest.approx(-0.25)
    assert judge(bar(Interval(1.0, 1.0, 1.0), at_most=2.0), Results()).distance == pytest.approx(0.5)


def test_a_bar_without_a_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="no limit"):
        judge(bar(None), Results())


def test_without_samples_nothing_is_met() -> None:
    findings = judge_all(Results())
    assert len(findings) == len(BARS)
    assert {finding.verdict for finding in findings} == {Verdict.NOT_MEASURED}


def law_results(off: float, delta: float) -> Results:
    results = Results()
    for number in range(10):
        results.add(PREFIX + "live", "shadowproxy", number, {"off_p99_ms": off, "delta_p99_ms": delta})
    return results


@pytest.mark.parametrize(
    ("off", "delta", "verdict"),
    [
        (2.0, 0.9, Verdict.MET),  # within 1 ms, though 45 %
        (40.0, 1.9, Verdict.MET),  # within 5 %, though 1.9 ms
        (2.0, 1.1, Verdict.MISSED),
        (40.0, 2.1, Verdict.MISSED),
    ],
)
def test_law_1_allows_a_millisecond_or_five_percent(off: float, delta: float, verdict: Verdict) -> None:
    live = next(one for one in BARS if "candidate live" in one.name)
    assert judge(live, law_results(off, delta)).verdict is verdict


def test_cpu_is_compared_with_the_peers_of_the_same_case() -> None:
    results = Results()
    for number in range(5):
        results.add("mirror", "shadowproxy", number, {"cpu_us": 40.0})
        results.add("mirror", "envoy", number, {"cpu_us": 100.0})
        results.add("mirror steady", "envoy", number, {"cpu_us": 10.0})
    found = {finding.name: finding for finding in judge_all(results) if finding.measured}
    assert [finding.measured.median for finding in found.values() if finding.measured] == [0.4]
    assert {finding.verdict for finding in found.values()} == {Verdict.MET}


def test_the_comparer_is_judged_by_its_slowest_differing_2_kb_pair() -> None:
    results = Results()
    for body, differences, rate in (
        ("2 KB", 0, 7000.0),
        ("2 KB", 1, 30_000.0),
        ("2 KB", 20, 9000.0),
        ("12 KB", 1, 4000.0),
    ):
        figures = {"differences": differences, "pairs_per_second": rate}
        results.add("comparer", f"{body}, {differences} differences", 0, figures)
    (found,) = (finding for finding in judge_all(results) if finding.measured)
    assert (found.measured and found.measured.median, found.verdict) == (9000.0, Verdict.MET)
