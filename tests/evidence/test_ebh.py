from __future__ import annotations

from math import log

import pytest

from shadowproxy.evidence import regressed, threshold


def test_nothing_is_reported_of_nothing() -> None:
    assert regressed({}, 0.05) == set()


def test_one_alone_must_pay_for_the_whole_capacity() -> None:
    needed = log(1024 / 0.05)
    assert threshold(1, 0.05) == pytest.approx(needed)
    assert regressed({"a": needed, "b": 0.0}, 0.05) == {"a"}
    assert regressed({"a": needed - 1e-6, "b": 0.0}, 0.05) == set()


def test_several_share_what_they_must_pay() -> None:
    together = log(1024 / (0.05 * 3))
    assert regressed({"a": together, "b": together, "c": together, "d": 0.0}, 0.05) == {"a", "b", "c"}
    assert regressed({"a": together, "b": together}, 0.05) == set()


def test_a_weak_one_is_carried_by_strong_ones_only_as_far_as_its_rank_allows() -> None:
    strong = log(1e9)
    assert regressed({"a": strong, "b": strong, "weak": threshold(3, 0.05)}, 0.05) == {"a", "b", "weak"}
    assert regressed({"a": strong, "b": strong, "weak": threshold(3, 0.05) - 0.01}, 0.05) == {"a", "b"}


def test_the_capacity_is_fixed_however_few_were_seen() -> None:
    assert threshold(1, 0.05, 10) < threshold(1, 0.05)
    assert regressed({"a": log(1000)}, 0.05) == set()
    assert regressed({"a": log(1000)}, 0.05, capacity=10) == {"a"}
