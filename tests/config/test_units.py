from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.config import units
from shadowproxy.config.problems import BadValueError


@pytest.mark.parametrize(
    ("text", "share"), [("0%", 0.0), ("25%", 0.25), ("100%", 1.0), ("0.1%", 0.001), ("33.3%", 0.333), ("1.50%", 0.015)]
)
def test_a_percentage_is_exact(text: str, share: float) -> None:
    assert units.parse_percent(text) == share


@pytest.mark.parametrize("text", ["", "%", "25", "0.25", "-1%", "100.1%", "1e2%", "25 %", "25%%", "٢٥%", "nan%"])
def test_what_is_no_percentage_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(BadValueError, match="0% to 100%, such as 25%"):
        units.parse_percent(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("10s", 10.0), ("5m", 300.0), ("24h", 86400.0), ("7d", 604800.0), ("1.5s", 1.5), ("0s", 0.0)],
)
def test_a_duration_has_one_unit(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "10 s", "1h30m", "s", "10S", "-1s", "1e3s", "10sec", "1us", "∞s"])
def test_what_is_no_duration_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(BadValueError, match="250ms, 10s, 5m, 24h or 7d"):
        units.parse_duration(text)


def test_a_duration_of_decades_is_a_mistake() -> None:
    with pytest.raises(BadValueError, match="at most 3650d"):
        units.parse_duration("99999d")


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("512B", 512), ("64KiB", 65536), ("1.5KiB", 1536), ("1MiB", 1 << 20), ("2GiB", 2 << 30)],
)
def test_a_size_counts_in_powers_of_1024(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("1024", "512B, 64KiB or 1MiB"),
        ("1 MiB", "512B"),
        ("1mib", "512B"),
        ("-1B", "512B"),
        ("1MB", r"powers of 1024: MiB"),
        ("10k", r"powers of 1024: KiB"),
        ("0.3B", "whole number of bytes"),
        ("99999999GiB", "at most 1048576GiB"),
    ],
)
def test_what_is_no_size_is_refused_with_what_would_be_right(text: str, right: str) -> None:
    with pytest.raises(BadValueError, match=right):
        units.parse_size(text)


def test_a_rate_is_a_size_a_second() -> None:
    assert units.parse_rate("240B/s") == 240
    assert units.render_rate(2048) == "2KiB/s"
    for text in ("240B", "240/s", "240B/m", "240", "/s"):
        with pytest.raises(BadValueError, match="240B/s or 1KiB/s"):
            units.parse_rate(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (0.05, "50ms"), (0.0005, "0.0005s"), (90.0, "90s"), (60.0, "1m"), (86400.0, "1d"), (1.5, "1500ms")],
)
def test_a_duration_is_shown_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert units.render_duration(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(0, "0B"), (1, "1B"), (1024, "1KiB"), (1536, "1536B"), (1 << 20, "1MiB")])
def test_a_size_is_shown_in_its_largest_whole_unit(size: int, text: str) -> None:
    assert units.render_size(size) == text


@given(st.floats(0, 1, allow_subnormal=False).filter(lambda x: x == 0 or x > 1e-12))
def test_a_share_survives_rendering(share: float) -> None:
    assert units.parse_percent(units.render_percent(share)) == share


@given(st.floats(0, units.MAX_DURATION).filter(lambda x: x == 0 or x > 1e-12))
def test_a_duration_survives_rendering(seconds: float) -> None:
    assert units.parse_duration(units.render_duration(seconds)) == seconds


@given(st.integers(0, units.MAX_SIZE))
def test_a_size_survives_rendering(size: int) -> None:
    assert units.parse_size(units.render_size(size)) == size


@given(st.text(max_size=20))
def test_any_other_text_is_refused_in_one_way(text: str) -> None:
    for parse in (units.parse_percent, units.parse_duration, units.parse_size, units.parse_rate):
        with contextlib.suppress(BadValueError):
            assert parse(text) >= 0
