import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stats import median_interval, percentile, ratio_interval, spread

values = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=30)


def test_a_percentile_is_a_value_that_was_seen() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert percentile(hundred, 0.5) == 50
    assert percentile(hundred, 0.99) == 99
    assert percentile(hundred, 1.0) == 100
    assert percentile([7.0], 0.0) == 7


@pytest.mark.parametrize(("ordered", "share"), [([], 0.5), ([1.0], 1.5), ([1.0], -0.1)])
def test_a_percentile_of_nothing_or_beyond_is_refused(ordered: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(ordered, share)


def test_a_spread_lies_between_its_quartiles() -> None:
    seen = spread([5.0, 1.0, 3.0, 2.0, 4.0])
    assert (seen.low, seen.median, seen.high, seen.count) == (2.0, 3.0, 4.0, 5)


@given(values)
def test_an_interval_holds_its_median_and_stays_within_the_values(seen: list[float]) -> None:
    interval = median_interval(seen)
    assert min(seen) <= interval.low <= interval.high <= max(seen)
    assert interval.low <= interval.median <= interval.high


def test_the_same_samples_give_the_same_interval() -> None:
    assert median_interval([1.0, 2.0, 9.0]) == median_interval([1.0, 2.0, 9.0])


def test_a_ratio_is_of_the_medians() -> None:
    ratio = ratio_interval([20.0, 22.0, 24.0], [10.0, 11.0, 12.0])
    assert ratio.median == 2.0
    assert 20 / 12 <= ratio.low < 2.0 < ratio.high <= 24 / 10


def test_nothing_has_no_interval() -> None:
    for refused in (lambda: spread([]), lambda: median_interval([]), lambda: ratio_interval([1.0], [])):
        with pytest.raises(ValueError, match="of no values"):
            refused()
