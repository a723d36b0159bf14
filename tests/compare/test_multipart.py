"""Bodies of several parts are compared part by part."""

from __future__ import annotations

import base64

import pytest

from shadowproxy.compare.multipart import MAX_PARTS, take_apart, without_boundary
from shadowproxy.model.policy import ComparePolicy
from tests.compare.builders import differing, example, judged, of, pair

FORM_DATA = "multipart/form-data; boundary="
MIXED = "multipart/mixed; boundary="


def body(boundary: str, *parts: str, end: str = "\r\n") -> str:
    return ("".join(f"--{boundary}\n{part}\n" for part in parts) + f"--{boundary}--\n").replace("\n", end)


def named(name: str, value: str, more: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"{more}\n\n{value}'


def typed(media_type: str, value: str) -> str:
    return f"Content-Type: {media_type}\n\n{value}"


def both(
    a: list[str], b: list[str], media_type: str = FORM_DATA, rules: ComparePolicy | None = None
) -> set[tuple[str, str]]:
    """What differs, with boundaries that do, as they always do."""
    comparison = judged(pair(of(f"{media_type}Xy", body("Xy", *a)), of(f'{media_type}"Z z"', body("Z z", *b))), rules)
    return set(comparison.found.counted)


def json_part(text: str) -> str:
    return named("j", text).replace("\n\n", "\nContent-Type: application/json\n\n")


def test_parts_of_a_form_are_compared_by_name() -> None:
    assert both([named("a", "1"), named("b", "2")], [named("b", "2"), named("a", "1")]) == set()
    assert both([named("a", "1"), named("b", "2")], [named("a", "9"), named("c", "3")]) == {
        ("form:a", "body_value"),
        ("form:b", "body_missing"),
        ("form:c", "body_extra"),
    }
    assert both([named("a", "1"), named("a", "2")], [named("a", "2"), named("a", "1")]) == {("form:a", "body_value")}
    assert both([named("a", "1"), named("a", "2")], [named("a", "1")]) == {("form:a", "body_value")}
    assert both([named("0b54a1c2-0000-4000-8000-000000000000", "1")], []) == {("form:*", "body_missing")}


def test_parts_are_compared_as_what_they_are() -> None:
    assert both([json_part('{"x": 1, "y": 2}')], [json_part('{"y":2,"x":1}')]) == set()
    assert both([json_part('{"x": 1}')], [json_part('{"x": 2}')]) == {("form:j", "body_value")}
    assert both([json_part("1")], [named("j", "1")]) == {("form:j", "body_type")}
    assert both([named("f", "x", '; filename="a"')], [named("f", "x")]) == {("form:f", "body_value")}
    assert both([named("f", "x", '; filename="a"')], [named("f", "x", '; filename="b"')]) == set()


def test_parts_without_names_are_compared_by_position() -> None:
    one, other = typed("application/json", '{"x": 1}'), typed("application/json", '{"x": 2}')
    assert both([one, one], [one, other], MIXED) == {("$[].x", "body_value")}
    assert both([one, one], [one], MIXED) == {("$", "body_size")}
    assert both([one], [typed("text/plain", "x")], MIXED) == {("$[].@content-type", "body_value"), ("$[]", "body_type")}
    assert both([typed("text/xml", "<a>1</a>")], [typed("text/xml", "<a>2</a>")], MIXED) == {("$[].a", "body_value")}
    assert both([typed("image/png", "\0a")], [typed("image/png", "\0b")], MIXED) == {("$[]", "body_value")}
    ranges = [f"Content-Range: bytes {n}-{n}/9\n\nx" for n in (1, 2)]
    assert both(ranges[:1], ranges[1:], MIXED) == {("$[].@content-range", "body_value")}


def test_how_a_part_is_transferred_says_nothing() -> None:
    plain = "Content-Type: text/plain\n\nhé=1"
    packed = base64.b64encode("hé=1".encode()).decode()
    assert both([plain], [f"Content-Transfer-Encoding: base64\nContent-Type: text/plain\n\n{packed}"], MIXED) == set()
    quoted = "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\nh=C3=A9=3D1"
    assert both([plain], [quoted], MIXED) == set()
    broken = "Content-Transfer-Encoding: base64\nContent-Type: text/plain\n\nx"
    assert both([plain], [broken], MIXED) == {("$[]", "body_value")}


def test_what_is_around_the_parts_and_how_lines_end_says_nothing() -> None:
    a = "preamble\r\n" + body("X", named("a", "1")) + "epilogue"
    assert differing(a, body("X", named("a", "1")), FORM_DATA + "X") == set()
    assert differing(body("X", named("a", "1"), end="\n"), body("X", named("a", "1")), FORM_DATA + "X") == set()


def test_rules_hold_for_parts() -> None:
    rules = ComparePolicy(ignore=("form:a", "$[].at"))
    assert both([named("a", "1")], [named("a", "2")], rules=rules) == set()
    one, other = typed("application/json", '{"at": 1}'), typed("application/json", '{"at": 2}')
    assert both([one], [other], MIXED, rules) == set()


def test_other_types_differ_in_more_than_a_boundary() -> None:
    a = body("X", named("a", "1"))
    headers = judged(pair(of(FORM_DATA + "X", a), of(MIXED + "X", a))).found.counted
    assert set(headers) == {("header:content-type", "header")}
    assert without_boundary('multipart/mixed; BOUNDARY="a;b"; charset=x') == "multipart/mixed; charset=x"


@pytest.mark.parametrize("media_type", ["multipart/form-data", "multipart/form-data; boundary=other"])
def test_what_has_no_parts_is_text_or_bytes(media_type: str) -> None:
    assert differing("--X\r\n\r\n1\r\n--X--", "--X\r\n\r\n2\r\n--X--", media_type) == {("line", "body_value")}
    assert differing(b"\0", b"\1", media_type) == {("body", "body_bytes")}
    assert differing(body("X", named("a", "1")), "nothing", FORM_DATA + "X") == {("body", "body_type")}


def test_parts_and_heads_are_bounded() -> None:
    assert take_apart(body("X", *["\n1"] * MAX_PARTS).encode(), FORM_DATA + "X") is None
    assert take_apart(body("X", *["\n1"] * (MAX_PARTS - 1)).encode(), FORM_DATA + "X") is not None
    assert take_apart(body("X", "a: " + "b" * 20_000 + "\n\n1").encode(), FORM_DATA + "X") is None


def test_a_body_is_written_as_it_was_read() -> None:
    for text in ("before\r\n" + body("X", named("a", "1"), "\n2", "no head") + "after", body("X"), "--X\r\n\r\n1"):
        taken = take_apart(text.encode(), FORM_DATA + "X")
        assert taken is not None
        assert taken.written(lambda part: part.body) == text.encode()


def test_an_example_shows_parts_without_their_secrets() -> None:
    parts = [
        named("a", "{}"),
        named("password", "hunter2"),
        json_part('{"token": "hunter3", "x": 1}'),
        named("file", "\0hunter4", '; filename="x"'),
        typed("application/json", '{"mail": "hunter5"}'),
    ]
    sides = [of(FORM_DATA + "X", body("X", *parts).replace("{}", n)) for n in "12"]
    made = example(pair(*sides), ComparePolicy(redact=("$[].mail",)))
    assert made.explanation == ['form:a changed from "1" to "2".']
    for secret in range(2, 6):
        assert f"hunter{secret}" not in str(made)
    assert made.primary_body.count("--X") == 6
    assert '"x":1' in made.primary_body
    assert "(8 bytes, beginning with 00 68" in made.primary_body
    unnamed = [of(MIXED + "X", body("X", typed("application/json", f'{{"n": {n}, "pin": "p{n}"}}'))) for n in (1, 2)]
    made = example(pair(*unnamed))
    assert made.explanation[0] == "$[0].n changed from 1 to 2 (+100.0 %)."
    assert "p1" not in str(made)
