"""One hash decides: uniform, the same for the same key, and a larger share only adds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.model import sampling
from shadowproxy.model.sampling import is_sampled, share


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_share_is_in_range_and_always_the_same(salt: bytes, key: bytes) -> None:
    h = share(salt, key)
    assert 0.0 <= h < 1.0
    assert share(salt, key) == h


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_a_larger_sample_keeps_whoever_was_in_it(a: float, b: float, h: float) -> None:
    low, high = sorted((a, b))
    assert is_sampled(h, high) or not is_sampled(h, low)


def test_nothing_and_everything_are_exact() -> None:
    assert not any(is_sampled(share(b"s", b"%d" % i), 0.0) for i in range(1000))
    assert all(is_sampled(share(b"s", b"%d" % i), 1.0) for i in range(1000))


def test_shares_are_uniform_and_salts_independent() -> None:
    """Chi-squared over 64 bins, 63 degrees of freedom: 120 has a probability below 1e-5."""
    count = 32_000
    for salt in (b"checkout", b"search", b""):
        bins = [0] * 64
        for i in range(count):
            bins[int(share(salt, b"user-%d" % i) * 64)] += 1
        assert sum((n - count / 64) ** 2 / (count / 64) for n in bins) < 120
    both = sum(share(b"a", b"%d" % i) < 0.5 and share(b"b", b"%d" % i) < 0.5 for i in range(count))
    assert abs(both / count - 0.25) < 0.015


def test_the_largest_hash_is_still_below_one(monkeypatch) -> None:
    class Highest:
        def __init__(self, *_: object, **__: object) -> None: ...

        def digest(self) -> bytes:
            return b"\xff" * 8

    monkeypatch.setattr(sampling, "blake2b", Highest)
    assert share(b"", b"") < 1.0
