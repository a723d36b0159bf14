"""Records of GoReplay's format, for any split of the bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.capture import FormatError, GoReplayReader, Record, encode_record
from shadowproxy.capture.goreplay import MAX_META, SEPARATOR

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "compare_and_capture.json"
ONE = b"1 aa 17 0\nGET / HTTP/1.1\r\nHost: a\r\n\r\n" + SEPARATOR


def read(*pieces: bytes, limit: int = 10_000) -> tuple[list[Record], GoReplayReader]:
    reader = GoReplayReader(limit)
    return [record for piece in pieces for record in reader.feed(piece)], reader


def split(raw: bytes, size: int) -> list[bytes]:
    return [raw[at : at + size] for at in range(0, len(raw), size)]


def vectors(group: str) -> list[Any]:
    cases = json.loads(VECTORS.read_text())["vectors"] if VECTORS.is_file() else []
    return [pytest.param(case, id=case["id"]) for case in cases if case["group"] == group]


needs_vectors = pytest.mark.skipif(not VECTORS.is_file(), reason=f"no outside cases at {VECTORS}")


@needs_vectors
@pytest.mark.parametrize("case", vectors("gor.format"))
def test_the_format_as_goreplay_has_it(case: dict[str, Any]) -> None:
    expected = case["expected"]
    raw = case["input"]["text"].encode()
    for size in (1, 7, len(raw)):
        records, _ = read(*split(raw, size))
        if "records" in expected:
            assert SEPARATOR.hex() == expected["separator_utf8_hex"]
            assert [
                {"type": r.kind, "id": r.id, "ts": r.at, "latency": r.latency, "payload": r.payload.decode()}
                for r in records
            ] == expected["records"]
        if "ids_ts" in expected:
            assert [[r.id, r.at] for r in records] == expected["ids_ts"]
        if "payloads" in expected:
            assert [r.payload.decode() for r in records] == expected["payloads"]


def test_a_record_says_where_its_message_begins() -> None:
    raw = ONE * 3
    records, _ = read(*split(raw, 5))
    assert [raw[r.place : r.place + len(r.payload)] for r in records] == [r.payload for r in records]
    assert [r.place for r in records] == [10, 10 + len(ONE), 10 + 2 * len(ONE)]


def test_the_fifth_field_names_the_connection_and_more_fields_are_left_alone() -> None:
    records, _ = read(b"2 aa 5 7 c1 later\nx" + SEPARATOR)
    assert records == [Record("2", "aa", 5, b"x", 7, "c1", place=18)]


@pytest.mark.parametrize("latency", [b"-1", b"soon", b""])
def test_a_latency_that_is_none_is_not_known(latency: bytes) -> None:
    (record,), _ = read(b"2 aa 5 " + latency + b"\nx" + SEPARATOR)
    assert record.latency == 0


def test_an_unfinished_last_record_is_dropped_and_its_size_is_known() -> None:
    records, reader = read(ONE, ONE[:-1])
    assert len(records) == 1
    assert reader.end() == len(ONE) - 1


def test_a_file_that_ends_well_leaves_nothing() -> None:
    _, reader = read(ONE, b"\n\n")
    assert reader.end() == 0


def test_records_with_fewer_than_three_fields_are_skipped_and_counted() -> None:
    records, reader = read(b"1 1\nbad" + SEPARATOR, b"no line" + SEPARATOR, ONE)
    assert [r.id for r in records] == ["aa"]
    assert reader.skipped == 2


def test_empty_lines_and_separators_alone_are_no_records() -> None:
    records, reader = read(b"\n" + SEPARATOR + SEPARATOR[1:] + ONE + b"\n" + ONE)
    assert len(records) == 2
    assert reader.skipped == 0


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (ONE + b"4 aa 5 0\nx" + SEPARATOR, f"record 2 at byte {len(ONE)}: its type is '4', not 1, 2 or 3"),
        (b"1 aa soon 0\nx" + SEPARATOR, "record 1 at byte 0: its time is 'soon', not a number of nanoseconds"),
        (b"1 aa 99999999999999999999 0\nx" + SEPARATOR, "record 1 at byte 0: its time is '9999"),
        (ONE + b"1 aa 5 0\n" + b"x" * 10_001, f"record 2 at byte {len(ONE)}: it is longer than 10,000 bytes"),
        (ONE + b"\x00" * (MAX_META + 1), f"record 2 at byte {len(ONE)}: it does not begin with a line TYPE ID TIME"),
    ],
)
def test_what_is_no_record_is_refused_with_its_place_for_any_split(raw: bytes, says: str) -> None:
    for size in (1, 100, len(raw)):
        with pytest.raises(FormatError) as error:
            read(*split(raw + SEPARATOR, size))
        assert str(error.value).startswith(says)


def test_a_message_with_a_separator_inside_cannot_be_written() -> None:
    forged = Record("1", "aa", 5, b"POST / HTTP/1.1\r\n\r\nx" + SEPARATOR + b"1 bb 6 0\nGET /admin HTTP/1.1\r\n\r\n")
    assert encode_record(forged) is None
    assert encode_record(Record("1", "aa", 5, SEPARATOR[1:])) is None


words = st.text(st.characters(codec="ascii", exclude_characters=" \n", exclude_categories=["Cc"]), min_size=1)
fragments = [b"\n", b"x", b"\r\n\r\n", SEPARATOR[:5], SEPARATOR[1:-1], b"1 a 2 3\n"]
payloads = st.lists(st.sampled_from(fragments), max_size=6).map(b"".join) | st.binary(max_size=40)
records = st.builds(
    Record,
    kind=st.sampled_from("123"),
    id=words,
    at=st.integers(-(10**18), 10**18),
    payload=payloads,
    latency=st.integers(0, 10**18),
    connection=st.just("") | words,
)


@given(st.lists(records, max_size=4), st.integers(1, 60))
def test_what_is_written_is_read_again_for_any_split(written: list[Record], size: int) -> None:
    pairs = [(record, encode_record(record)) for record in written]
    raw = b"".join(text for _, text in pairs if text is not None)
    found, reader = read(*split(raw, size))
    assert [msgspec.structs.replace(record, place=0) for record in found] == [
        record for record, text in pairs if text is not None
    ]
    assert reader.end() == 0
    assert reader.skipped == 0


@given(st.lists(st.sampled_from([*fragments, SEPARATOR, ONE, b"1 a", b" ", b"9"]), max_size=12).map(b"".join))
def test_any_bytes_read_the_same_for_any_split(raw: bytes) -> None:
    def outcome(size: int) -> object:
        reader, found = GoReplayReader(60), []
        try:
            for piece in split(raw, size):
                found += reader.feed(piece)
        except FormatError as error:
            return str(error)
        return found, reader.end(), reader.skipped

    whole = outcome(len(raw) or 1)
    assert all(outcome(size) == whole for size in (1, 2, 5, 13))
