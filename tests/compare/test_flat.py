from __future__ import annotations

import pytest

from shadowproxy.compare.findings import ABSENT, Findings
from shadowproxy.compare.flat import compare_bytes, compare_forms, compare_lines, decode_text

NOTHING: frozenset[str] = frozenset()


def lines(a: str, b: str) -> dict[tuple[str, str], tuple[object, object]]:
    found = Findings()
    assert compare_lines(a, b, NOTHING, found)
    return found.counted


def forms(a: bytes, b: bytes, ignored: frozenset[str] = NOTHING) -> Findings:
    found = Findings()
    assert compare_forms(a, b, ignored, found)
    return found


@pytest.mark.parametrize(
    ("a", "b", "kind", "values"),
    [
        ("a\nb\nc", "a\nX\nc", "body_value", ("b", "X")),
        ("a\nb\nc", "a\nc", "body_missing", ("b", ABSENT)),
        ("a\nc", "a\nb\nc", "body_extra", (ABSENT, "b")),
        ("a\nb\nc", "c\nb\na", "body_order", ("a\nb\nc", "c\nb\na")),
        ("a\r\nb", "a\nb", "body_value", ("a\r", "a")),
        ("a", "a\n", "body_extra", (ABSENT, "")),
        ("1\n2\n3\n4\n5", "x", "body_value", ("1\n2\n3", "x")),
    ],
)
def test_text_differs_by_lines(a: str, b: str, kind: str, values: tuple[object, object]) -> None:
    assert lines(a, b) == {("line", kind): values}


def test_the_rule_for_lines_explains_them_away() -> None:
    found = Findings()
    assert compare_lines("a", "b", frozenset({"line"}), found)
    assert found.ruled
    assert not found.counted


def test_text_of_too_many_lines_is_not_compared_by_line() -> None:
    assert not compare_lines("\n" * 100_001, "a", NOTHING, Findings())


def test_forms_differ_by_field() -> None:
    found = forms(b"a=1&b=2&b=3&d=", b"a=2&b=3&b=2&c=%20x")
    assert found.counted == {
        ("form:a", "body_value"): (["1"], ["2"]),
        ("form:b", "body_value"): (["2", "3"], ["3", "2"]),
        ("form:d", "body_missing"): ([""], ABSENT),
        ("form:c", "body_extra"): (ABSENT, [" x"]),
    }


def test_the_order_of_form_fields_and_their_escapes_do_not_matter() -> None:
    assert not forms(b"a=1&b=x%20y", b"b=x+y&a=%31").counted


def test_form_fields_are_ignored_by_name_and_ids_fold() -> None:
    found = forms(b"t=1&17=a", b"t=2&17=b", frozenset({"form:t"}))
    assert set(found.ruled) == {("form:t", "body_value")}
    assert set(found.counted) == {("form:*", "body_value")}


@pytest.mark.parametrize("body", [b"no form", b"\xff=1", b"&".join([b"a=1"] * 10_001)])
def test_what_is_no_form_is_not_compared_as_one(body: bytes) -> None:
    assert not compare_forms(body, b"a=1", NOTHING, Findings())
    assert not compare_forms(b"a=1", body, NOTHING, Findings())


def test_bytes_differ_by_length_or_else_by_content() -> None:
    found = Findings()
    compare_bytes(b"ab", b"ac", NOTHING, found)
    compare_bytes(b"ab", b"abc", NOTHING, found)
    compare_bytes(b"ab", b"abc", frozenset({"body"}), found)
    assert set(found.counted) == {("body", "body_bytes"), ("body", "body_size")}
    assert set(found.ruled) == {("body", "body_size")}


@pytest.mark.parametrize(
    ("body", "media_type", "text"),
    [
        ("é".encode(), "text/plain", "é"),
        ("é".encode("latin-1"), "text/plain; charset=iso-8859-1", "é"),
        ("é".encode("utf-16"), 'text/plain; charset="utf-16"; x=y', "é"),
        (b"\xff", "text/plain", "\udcff"),
        (b"a", "text/plain; charset=rot13", "a"),
        (b"a\0b", "text/plain; charset=utf-16", "a\0b"),
    ],
)
def test_text_is_read_by_its_charset(body: bytes, media_type: str, text: str) -> None:
    assert decode_text(body, media_type) == text


def test_names_of_form_fields_that_are_no_text_can_be_told_to_others() -> None:
    found = forms(b"a%FF=1", b"b=1")
    assert {field for field, _ in found.counted} == {"form:a?", "form:b"}
