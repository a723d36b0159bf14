"""What is written is a structured field that anybody can read, and what comes is read as RFC 9651 says."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.flags.fields import is_key, member, parse, rounded

VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, b"a"),
        (False, b"a=?0"),
        (0, b"a=0"),
        (-42, b"a=-42"),
        (999_999_999_999_999, b"a=999999999999999"),
        (10**15, b'a="1000000000000000"'),
        (0.5, b"a=0.5"),
        (-0.0, b"a=0.0"),
        (2.0, b"a=2.0"),
        (0.0005, b"a=0.0"),
        (0.0015, b"a=0.002"),
        (1e300, b'a="1e300"'),
        ("", b'a=""'),
        ('say "hi" \\ bye', b'a="say \\"hi\\" \\\\ bye"'),
        ("füü %", b'a=%"f%c3%bc%c3%bc %25"'),
        ("two\nlines", b'a=%"two%0alines"'),
        ({"columns": 3}, b'a="{\\"columns\\":3}"'),
    ],
)
def test_a_value_is_written_by_its_type(value: Any, written: bytes) -> None:
    assert member("a", value) == written
    assert parse(written) == {b"a": written}


@given(VALUES)
def test_whatever_a_variant_is_the_field_can_be_read(value: Any) -> None:
    written = member("a.b-c_*9", value)
    assert parse(b"x=1, " + written + b", y") == {b"x": b"x=1", b"a.b-c_*9": written, b"y": b"y"}


@pytest.mark.parametrize(("value", "sent"), [(0.1234, Decimal("0.123")), (0.5, None), (3, None), ("0.1234", None)])
def test_what_is_rounded_is_told(value: Any, sent: Decimal | None) -> None:
    assert rounded(value) == sent


@pytest.mark.parametrize(
    "text",
    [
        b"a",
        b"a, b",
        b"a,b\t,\tc",
        b"a;x;y=1, b=2.5;z",
        b'a="x, y"; q="\\"", b',
        b"a=(1 2 3);x, b=( )",
        b"a=:aGk=:, b=@1659578233, c=tok/en:1",
        b'a=%"%c3%bc"',
        b"*a=?1",
        b"",
        b"  a  ",
    ],
)
def test_every_kind_of_member_passes_as_it_came(text: bytes) -> None:
    found = parse(text)
    assert found is not None
    again = parse(b", ".join(found.values()))
    assert again == found


@pytest.mark.parametrize(
    "text",
    [
        b"A",
        b"a,",
        b",a",
        b"a b",
        b"a=",
        b"a=?2",
        b'a="x',
        b'a="\x7f"',
        b"a=1.2345",
        b"a=1234567890123456",
        b"a=(1 2",
        b"a==1",
        b'a=%"%C3%BC"',
        b'a=%"%ff"',
        b"\xc3\xbc",
        b"a=:a:b",
        b"no dictionary, at all !",
    ],
)
def test_what_is_no_dictionary_counts_for_nothing(text: bytes) -> None:
    assert parse(text) is None


def test_of_two_members_of_one_name_the_last_counts_in_the_place_of_the_first() -> None:
    assert list((parse(b"a=1, b, a=2") or {}).items()) == [(b"a", b"a=2"), (b"b", b"b")]


@given(st.binary(max_size=60))
def test_no_bytes_are_too_much(text: bytes) -> None:
    found = parse(text)
    assert found is None or all(is_key(name.decode()) or len(name) > 64 for name in found)


@pytest.mark.parametrize(
    ("name", "good"),
    [("a", True), ("*", True), ("a-b_c.9*", True), ("A", False), ("9", False), ("", False), ("ü", False)],
)
def test_which_keys_can_stand_in_a_field(name: str, good: bool) -> None:
    assert is_key(name) is good
    assert not is_key("a" * 65)


def test_an_object_is_json_text() -> None:
    text = member("a", {"x": [1, "ü"]})
    assert text.startswith(b'a=%"')
    assert json.loads(b'{"x":[1,"\xc3\xbc"]}') == {"x": [1, "ü"]}
