"""JSON lines, JSON text sequences and server-sent events are compared record by record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shadowproxy.compare.limits import Deadline, IncomparableError
from shadowproxy.compare.records import read_events, read_lines
from shadowproxy.model.policy import ComparePolicy
from tests.compare.builders import Clock, differing, example, judged, of, pair

LINES = "application/x-ndjson"
EVENTS = "text/event-stream"


def lines(*values: Any, end: str = "\n") -> str:
    return "".join(json.dumps(value) + end for value in values)


def events(*values: Any) -> str:
    return "".join(f"data: {json.dumps(value)}\n\n" for value in values)


def read(text: str) -> Any:
    return read_events(text, Deadline(Clock(), 1.0))


@pytest.mark.parametrize("media_type", [LINES, "application/jsonl", "application/jsonlines; charset=utf-8"])
def test_lines_are_compared_one_by_one(media_type: str) -> None:
    assert differing(lines({"a": 1}, {"b": 2}), lines({"a": 1}, {"b": 3}), media_type) == {("$[].b", "body_value")}


def test_how_lines_are_written_says_nothing() -> None:
    assert differing(lines({"a": 1, "b": 2}, [1]), ' {"b":2,"a":1}\r\n\r\n[ 1 ]', LINES) == set()


def test_one_inserted_record_is_one_difference() -> None:
    a = [{"id": n, "v": n, "w": n} for n in range(30)]
    b = [dict(each) for each in a]
    b.insert(3, {"id": 99, "v": 1, "w": 2})
    b[20]["v"] = -1
    assert differing(lines(*a), lines(*b), LINES) == {("$[]", "body_extra"), ("$[].v", "body_value")}
    for each in (*a, *b):
        each["n"] = each.pop("id")
    assert differing(lines(*a), lines(*b), LINES) == {("$", "body_size"), ("$[].v", "body_value")}


def test_a_line_that_is_no_json_is_of_another_type() -> None:
    assert differing(lines({"a": 1}, {"a": 2}), lines({"a": 1}) + "oops\n", LINES) == {("$[]", "body_type")}
    assert differing(lines({"a": 1}) + "x\xff", lines({"a": 1}) + "y\xff", LINES) == {("$[]", "body_value")}
    assert differing(lines({"a": 1}).encode() + b"\xff", lines({"a": 1}).encode() + b"\xfe", LINES) == {
        ("$[]", "body_value")
    }
    assert differing("oops\n", "oh\n", LINES) == {("line", "body_value")}
    assert differing(lines({"a": 1}), "oops\n", LINES) == {("body", "body_type")}


def test_members_that_occur_twice_are_seen_in_lines() -> None:
    assert differing('{"a": 1, "a": 2}\n[1]', '{"a": 2}\n[1]', LINES) == {("$[].a", "body_type")}


def test_sequences_are_records_too() -> None:
    a, b = "\x1e[1]\n\x1e{\n1}\n", '\x1e[1]\n\x1e{"a":1}\n'
    assert differing("\x1e[1]\n\x1e[\n2]\n", "\x1e[1]\n\x1e[3]\n", "application/json-seq") == {("$[][]", "body_value")}
    assert differing(a, b, "application/json-seq") == {("$[]", "body_type")}


def test_a_deep_line_is_too_deep() -> None:
    body = b"[1]\n" + b"[" * 9 + b"]" * 9
    assert read_lines(body, 9, Deadline(Clock(), 1.0)) is not None
    with pytest.raises(IncomparableError, match="too_deep"):
        read_lines(body, 8, Deadline(Clock(), 1.0))
    assert len(read_lines(b"[\n" * 100 + b"[1]\n", 8, Deadline(Clock(), 1.0)) or ()) == 101


def test_events_are_read_as_the_standard_says() -> None:
    text = (
        "\ufeff: comment\nid: 7\nevent: price\ndata: a\ndata:  b\ndata\nretry:10\nother: x\n\n\n:\n\ndata:c\r\rdata: d"
    )
    assert read(text) == [
        {"id": "7", "event": "price", "data": "a\n b\n", "retry": "10"},
        {"data": "c"},
        {"data": "d"},
    ]
    assert read(": nothing\n\nother: x\n") is None


def test_the_data_of_events_is_compared_as_json_where_it_is_some() -> None:
    a, b = events({"price": 1}, {"price": 2}), ": hello\n\n" + events({"price": 1}, {"price": 3})
    assert differing(a, b, EVENTS) == {("$[].data.price", "body_value")}
    assert differing("data: a\n\n", "data: b\n\n", EVENTS) == {("$[].data", "body_value")}
    assert differing("event: a\ndata: 1\n\n", "data: 1\n\n", EVENTS) == {("$[].event", "body_missing")}
    assert differing(events(1, 2), events(1, 2, 3), EVENTS) == {("$", "body_size")}
    assert differing("data: 1\n\n", "<p>", EVENTS, other_type="text/html") == {("body", "body_type")}


def test_events_have_the_ids_that_they_are_sent_with() -> None:
    def stream(*numbers: int, plus: int = 0) -> str:
        return "".join(f'id: {n}\ndata: {{"n": {n + plus}}}\n\n' for n in numbers)

    assert differing(stream(1, 2, 3), stream(2, 3, 4, plus=1), EVENTS) == {
        ("$[]", "body_missing"),
        ("$[]", "body_extra"),
        ("$[].data.n", "body_value"),
    }


def test_rules_hold_in_records() -> None:
    rules = ComparePolicy(ignore=("$[].data.at", "$[].id"), tolerance={"$[].data.price": 0.1})
    a, b = 'id: 1\ndata: {"at": 1, "price": 1.0}\n\n', 'id: 2\ndata: {"at": 2, "price": 1.1}\n\n'
    assert judged(pair(of(EVENTS, a), of(EVENTS, b)), rules).verdict == "ignored"


def test_examples_show_records_without_their_secrets() -> None:
    a = lines({"token": "abc", "n": 1}, {"mail": "ann@a"})
    b = lines({"token": "abc", "n": 2}, {"mail": "bob@b"})
    made = example(pair(of(LINES, a), of(LINES, b)), ComparePolicy(redact=("$[].mail",)))
    assert [each.field for each in made.differences] == ["$[].n", "$[].mail"]
    assert made.explanation[0] == "$[0].n changed from 1 to 2 (+100.0 %)."
    first, second = (json.loads(line) for line in made.primary_body.split("\n"))
    assert (first["n"], first["token"][0], second["mail"][0]) == (1, "~", "~")
    stream = 'event: x\ndata: {"password":"%s","n":%d}\ndata:\n\n'
    made = example(pair(of(EVENTS, stream % ("abc", 1)), of(EVENTS, stream % ("abc", 2))))
    assert "abc" not in str(made)
    assert made.explanation == ["$[0].data.n changed from 1 to 2 (+100.0 %)."]
    assert made.primary_body.startswith('event: x\ndata: {"password":"~')
