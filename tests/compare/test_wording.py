from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shadowproxy.compare.findings import ABSENT
from shadowproxy.compare.wording import (
    MAX_RENDERED,
    changed,
    describe,
    describe_failure,
    describe_size,
    printable,
    quoted,
    render,
    status_text,
)
from shadowproxy.model.pair import Difference


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ABSENT, None),
        (None, "null"),
        (1.0, "1.0"),
        ("é", '"é"'),
        ({"a": [1]}, '{"a":[1]}'),
        (b"text", '"text"'),
        (b"\x89PNG", '"(4 bytes, beginning with 89 50 4e 47)"'),
        (b"a\0", '"(2 bytes, beginning with 61 00)"'),
        (msgspec.Raw(b"1e999"), "1e999"),
    ],
)
def test_values_are_rendered_as_short_json(value: Any, text: str | None) -> None:
    assert render(value) == text


def test_long_values_are_cut() -> None:
    text = render("x" * 1000)
    assert text is not None
    assert len(text) == MAX_RENDERED
    assert text.endswith("…")
    assert len(quoted("x" * 1000)) == 80
    assert quoted(ABSENT) == "nothing"


def test_what_is_no_text_becomes_printable() -> None:
    assert printable("a\udcff") == "a?"


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        (10, 12, "$.x changed from 10 to 12 (+20.0 %)."),
        (-2.0, -1.0, "$.x changed from -2.0 to -1.0 (+50.0 %)."),
        (0, 1, "$.x changed from 0 to 1."),
        (1, 10**9, "$.x changed from 1 to 1000000000."),
        (1, 10**400, f"$.x changed from 1 to 1{'0' * 78}…."),
        ("a", "b", '$.x changed from "a" to "b".'),
        (True, False, "$.x changed from true to false."),
        (42, "42", '$.x was the integer 42 and is the string "42" now.'),
        (1, 1.0, "$.x was the integer 1 and is the number 1.0 now."),
        (None, [], "$.x was null and is the array [] now."),
    ],
)
def test_a_change_is_told_in_one_sentence(a: Any, b: Any, sentence: str) -> None:
    assert changed("$.x", a, b) == sentence


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (
            Difference("status", "status", "200", "500"),
            "The candidate answered 500 Internal Server Error, the primary 200 OK.",
        ),
        (Difference("header:etag", "header", '"\\"1\\""', '"2"'), 'Header etag changed from "1" to 2'),
        (Difference("header:etag", "header", '"1"', None), "Header etag is missing; the primary sends 1"),
        (Difference("header:etag", "header", None, '["1","2"]'), 'Header etag is new: ["1","2"]'),
        (Difference("header:etag", "header", None, '"cut…'), 'Header etag is new: "cut…'),
        (Difference("$.a", "body_missing", "1", None), "$.a is missing; the primary has 1."),
        (Difference("$.a", "body_extra", None, "1"), "$.a is new: 1."),
        (Difference("$.a", "body_order", "[1,2]", "[2,1]"), "$.a holds the same in another order."),
        (Difference("line", "body_value", '"a"', '"b"'), 'line changed from "a" to "b".'),
        (Difference("body", "body_type", '"{}"', '"<h1>"'), 'body is of another type: "{}" became "<h1>".'),
        (Difference("body", "body_bytes", '"a"', '"b"'), 'body has other bytes: "a" became "b".'),
    ],
)
def test_a_difference_is_told_in_one_sentence(difference: Difference, sentence: str) -> None:
    assert describe(difference, "candidate") == sentence


def test_sizes_are_told_as_numbers() -> None:
    assert describe_size("$.items", [1, 2], [1]) == "$.items has 1 element, the primary's 2."
    assert describe_size("body", b"ab", b"x" * 1000) == "body has 1,000 bytes, the primary's 2."
    assert describe_size("body", 5, None) == "body has more bytes, the primary's 5."


def test_a_failure_is_told_with_what_the_primary_did() -> None:
    told = describe_failure("candidate_timeout", "candidate", 200, 0.0124)
    assert told == "The candidate gave no whole answer in time; the primary answered 200 OK after 12 ms."
    assert "secondary broke" in describe_failure("unheard_of", "secondary", 200, 1.0)


def test_a_status_without_a_name_is_its_number() -> None:
    assert status_text(299) == "299"
