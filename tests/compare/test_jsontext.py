from __future__ import annotations

import contextlib
import gc
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.compare.jsontext import (
    MAX_CONTAINERS,
    NotJsonError,
    Repeated,
    canonical,
    check_shape,
    read,
    read_all,
    repeats,
)
from shadowproxy.compare.limits import IncomparableError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values, st.sampled_from([None, 2]), st.booleans())
def test_what_was_written_is_read(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert read(text, 64) == value
    assert read_all(text) == value
    assert not repeats(text, canonical(value))


def test_types_stay_apart() -> None:
    value = read(b"[true, 1, 1.0, null]", 64)
    assert isinstance(value, list)
    assert [type(each) for each in value] == [bool, int, float, type(None)]
    assert len({canonical(value) for value in (True, 1, 1.0)}) == 3


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b"{", b"[1,]", b"{'a':1}", b"NaN", b"[Infinity]", b"-", b"01", b'"\xff"', b'"\\ud800"', b"{} {}"],
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(NotJsonError):
        read(text, 64)


@pytest.mark.parametrize("text", [b"[1e999, NaN]", b'[1e999, "\\ud800"]', b"[1e999, -Infinity]"])
def test_the_slow_reader_refuses_the_same(text: bytes) -> None:
    with pytest.raises(NotJsonError):
        read(text, 64)


def test_a_byte_order_mark_is_no_part_of_the_value() -> None:
    assert read(b"\xef\xbb\xbf[1]", 64) == [1]
    assert read_all(b"\xef\xbb\xbf[1]") == [1]


def test_big_integers_are_exact() -> None:
    assert read(b"123456789012345678901234567890", 64) == 123456789012345678901234567890


def test_numbers_beyond_python_are_kept_as_written() -> None:
    long = b"9" * 100_000
    assert read(b"[1e999, " + long + b", 2, 0.5]", 64) == [msgspec.Raw(b"1e999"), msgspec.Raw(long), 2, 0.5]


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        (b'{"a": 1, "a": 2}', True),
        (b'{"a" : 1, "a" : 1}', True),
        (b'[{"a": {"b": 1, "b": 1}}]', True),
        (b'{"a": "x:y", "a": ":"}', True),
        (b'{"a\\"": 1, "a\\"": 2}', True),
        (b'{"a": "\\\\", "b": ":"}', False),
        (b'{"a": "\\u003a\\u003a"}', False),
        (b'{"a": ":", "b": {"a": 1}}', False),
        ('{"é": "\\u00e9:"}'.encode(), False),
    ],
)
def test_a_member_that_occurs_twice_is_seen(text: bytes, twice: bool) -> None:
    assert repeats(text, canonical(read(text, 64))) is twice


def test_all_values_of_a_repeated_member_are_kept_on_demand() -> None:
    value = read_all(b'{"a": 1, "b": 3, "a": 2}')
    assert value == {"a": Repeated([1, 2]), "b": 3}
    assert isinstance(value, dict)
    assert type(value["a"]) is Repeated


@pytest.mark.parametrize("depth", [1, 5, 64])
def test_depth_is_measured_exactly(depth: int) -> None:
    nested = b'{"a":[' * (depth // 2) + b"[" * (depth % 2) + b"]" * (depth % 2) + b"]}" * (depth // 2)
    wide = b"[" + b",".join([nested[1:-1] or b"1"] * 3) + b"]"
    for text in (nested, b" " + nested + b"\n", wide if depth == 1 else nested):
        check_shape(text, depth)
    if depth > 1:
        with pytest.raises(IncomparableError, match="too_deep"):
            check_shape(nested, depth - 1)


def test_brackets_in_strings_do_not_count() -> None:
    check_shape(json.dumps(["[" * 100, '"[{' * 50, "\\", "\\\\[" * 99]).encode(), 2)
    closers_in_strings = b'["]",' * 70 + b"1" + b"]" * 70
    with pytest.raises(IncomparableError, match="too_deep"):
        check_shape(closers_in_strings, 64)


def test_too_many_containers_are_too_wide_but_brackets_in_strings_are_none() -> None:
    read(b"[" + b"[]," * (MAX_CONTAINERS - 2) + b"[]]", 2)
    read(json.dumps(["[" * 3 * MAX_CONTAINERS]).encode(), 2)
    with pytest.raises(IncomparableError, match="too_wide"):
        read(b"[" + b"[]," * MAX_CONTAINERS + b"{}]", 2)


def test_the_collector_runs_as_before_once_a_large_text_is_read() -> None:
    text = json.dumps([{"n": n} for n in range(10_000)]).encode()
    assert gc.isenabled()
    for broken in (b"", b"}"):
        with contextlib.suppress(NotJsonError):
            read(text + broken, 64)
        assert gc.isenabled()
    gc.disable()
    try:
        read(text, 64)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_nests_too_deep_for_the_parser_is_too_deep_whatever_the_cap() -> None:
    with pytest.raises(IncomparableError, match="too_deep"):
        read(b"[" * 100_000 + b"]" * 100_000, 1_000_000)
