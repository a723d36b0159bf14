from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.compare.patterns import PIECE, PatternError, check_pattern, compile_pattern, pieces


@pytest.mark.parametrize(
    "text",
    [
        r"\b\d{3}-\d{2}-\d{4}\b",
        r"[\w.+-]+@[\w-]+\.[\w.]+",
        r"([\w.]+)@(\w+)",
        r"sk_live_[0-9a-zA-Z]+",
        r"(?i)user=\S+",
        r"(?:ab){2,}c",
        r"(?>a+)b",
        r"a++b",
        r"((a)|b)c+",
        r"\D+\d",
        r"[^\W\d]+5",
        r"[^@]+@",
        r"é+[a-z]",
        r"x.{1,3}y",
        r"(?:)*a",
        r"\d+(?:-x)+",
    ],
)
def test_patterns_with_one_way_to_match_are_fine(text: str) -> None:
    assert check_pattern(text) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("(a+)+b", "without nesting"),
        ("(a|aa)+", "without nesting"),
        ("(?:(?:a{1,2})b)*c", "without nesting"),
        (r"(?:\d[ -]?){13,16}", "without nesting"),
        (r"\w*\w*x", "may take too long"),
        (r"x?\w+\d+", "may take too long"),
        (r"(\w+)\d+", "may take too long"),
        (r"(?i)[a-z]+[A-Z]+", "may take too long"),
        (r"(?i)[k]+\u212a+", "may take too long"),
        (r"(?:ab)+\w+", "may take too long"),
        (r"\w+(?:)+\w+", "may take too long"),
        (r"[^a]+[^b]+", "may take too long"),
        (r"\w+(?:x|\d+y)", "may take too long"),
        (r"(x)\1", "a reference"),
        (r"(x)?(?(1)a|b)", "a conditional"),
        (r"(?=a)b", "a look-around"),
        (r"(?<!a)b", "a look-around"),
        ("(", "no regular expression"),
        (".*", "empty text"),
        ("", "empty text"),
        ("a" * 501, "at most 500"),
    ],
)
def test_patterns_that_may_run_away_are_refused_with_a_reason(text: str, why: str) -> None:
    message = check_pattern(text)
    assert message is not None
    assert why in message
    with pytest.raises(PatternError):
        compile_pattern(text)


@given(st.from_regex(r"(?:(?:a|b|\\w|\\d|\[ab\]|\.|x)(?:\*|\+|\{1,9\}|\?)?){1,4}", fullmatch=True))
def test_an_accepted_pattern_is_fast_on_what_it_matches_most_of(text: str) -> None:
    if check_pattern(text) is not None:
        return
    pattern = re.compile(text)
    started = time.process_time()
    for word in ("a", "b", "ab", "1", "x", "ax"):
        pattern.search((word * PIECE)[: PIECE - 1] + "!")
    assert time.process_time() - started < 1.0


def test_pieces_are_cut_after_white_space() -> None:
    text = "word " * 500
    parts = list(pieces(text))
    assert "".join(parts) == text
    assert len(parts) > 2
    assert all(len(part) <= PIECE and part.endswith(" ") for part in parts[:-1])


def test_a_text_without_white_space_is_cut_anyhow() -> None:
    assert [len(part) for part in pieces("x" * (2 * PIECE + 1))] == [PIECE, PIECE, 1]
    assert list(pieces("short")) == ["short"]
