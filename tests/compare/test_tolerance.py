from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.compare.tolerance import Tolerance, equal_as_written, within
from shadowproxy.model.policy import ComparePolicy
from tests.compare.builders import found, verdict

BIG = 10**4998
numbers = st.integers(-(10**30), 10**30) | st.floats(-1e30, 1e30)


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


@given(st.integers(), st.integers(), st.integers(0, 1000), st.sampled_from([0.0, 0.01, 0.5]))
def test_integers_are_exact(a: int, b: int, absolute: int, relative: float) -> None:
    near = abs(a - b) <= absolute or abs(a - b) <= Fraction(repr(relative)) * max(abs(a), abs(b))
    assert within(a, b, Tolerance(absolute, relative)) == near


@given(numbers, numbers, st.floats(0, 1e6), st.floats(0, 1))
def test_it_does_not_matter_which_side_is_which(a: Any, b: Any, absolute: float, relative: float) -> None:
    tolerance = Tolerance(absolute, relative)
    assert within(a, b, tolerance) == within(b, a, tolerance)
    assert within(a, a, tolerance)


@pytest.mark.parametrize(
    ("a", "b", "absolute", "near"),
    [
        (0.1 + 0.2, 0.3, 0, True),
        (1.0, 1.1, 0.1, True),
        (1.0, 1.11, 0.1, False),
        (1, 1.0, 0, True),
        (2**53, 2.0**53 + 2, 1, False),
        (2**53 + 1, 2**53 + 2, 0.5, False),
        (10**400, 1.0, 1e300, False),
        (True, 1, 1, False),
        (True, False, 1, False),
        (None, 0, 1, False),
        ("1", 1, 1, False),
        ("10.50", "10.5", 0, True),
        ("10.50", "10.51", 0.01, True),
        ("10.50", "10.52", 0.01, False),
        ("123456789012345678901234567890", "123456789012345678901234567891", 0.5, False),
        ("ten", "10", 100, False),
        ("", "", 1, False),
        ("1,5", "1.5", 1, False),
        ("NaN", "NaN", 1, False),
        ("inf", "inf", 1, False),
        ([1], [1], 1, False),
    ],
)
def test_absolute(a: Any, b: Any, absolute: float, near: bool) -> None:
    assert within(a, b, Tolerance(absolute)) is near


@pytest.mark.parametrize(
    ("a", "b", "relative", "near"),
    [
        (100, 99, 0.01, True),
        (99, 100, 0.01, True),
        (100, 98, 0.01, False),
        (-100, -99, 0.01, True),
        (0, 1, 0.5, False),
        (0, 0.0, 0.5, True),
        (1e-300, 1.001e-300, 0.01, True),
        ("100", "99", 0.01, True),
    ],
)
def test_relative_to_the_larger(a: Any, b: Any, relative: float, near: bool) -> None:
    assert within(a, b, Tolerance(relative=relative)) is near


def test_numbers_beyond_python_are_exact() -> None:
    a, b = raw(str(10)[:1] + "9" * 5000), raw("1" + "9" * 4999 + "8")
    assert within(a, b, Tolerance(1))
    assert not within(a, b, Tolerance(0.5))
    assert within(raw("1e999"), raw("1.01e999"), Tolerance(relative=0.01))
    assert not within(raw("1e999999999"), raw("2e999999999"), Tolerance(1e300))
    assert not within(raw("1e999999999"), 1, Tolerance(1, 0.5))
    assert not within(raw("1e99999999999999999999999"), raw("1e99999999999999999999999"), Tolerance(1))
    assert not within(raw("9" * 20_001), raw("9" * 20_001), Tolerance(1))


def test_numbers_kept_as_written_are_equal_by_value() -> None:
    assert equal_as_written(raw("1e999"), raw("10E+998"))
    assert not equal_as_written(raw("1e999"), raw("2e999"))
    assert not equal_as_written(1, 1)
    assert verdict(b"[1e999, 2]", b"[10E998, 2]") == "match"


def test_one_and_one_point_nothing_are_of_two_types_unless_a_rule_says_otherwise() -> None:
    assert found({"n": 1}, {"n": 1.0}) == {("$.n", "body_type")}
    assert verdict({"n": 1}, {"n": 1.0}, ComparePolicy(tolerance={"$.n": 0})) == "ignored"


def test_big_integers_are_compared_digit_by_digit() -> None:
    for digits in (16, 19, 40, 4000, 5000):
        a, b = b"[%s1]" % (b"9" * digits), b"[%s2]" % (b"9" * digits)
        assert found(a, b) == {("$[]", "body_value")}
        assert verdict(a, b, ComparePolicy(tolerance={"$[]": 1})) == "ignored"
        assert verdict(a, b, ComparePolicy(tolerance={"$[]": 0.9})) == "mismatch"
        assert verdict(a, b, ComparePolicy(relative_tolerance={"$[]": 0.01})) == "ignored"


def test_either_tolerance_suffices() -> None:
    rules = ComparePolicy(tolerance={"$.*": 0.5}, relative_tolerance={"$.n": 0.1})
    assert verdict({"n": 1000}, {"n": 1100}, rules) == "ignored"
    assert verdict({"n": 0.1}, {"n": 0.5}, rules) == "ignored"
    assert verdict({"n": 1000}, {"n": 1112}, rules) == "mismatch"
    assert verdict({"m": 1000}, {"m": 1100}, rules) == "mismatch"
