from __future__ import annotations

import gzip
import json
import re
import shlex
from typing import Any

import msgspec
import pytest

from shadowproxy.compare.examples import MAX_BODY, MAX_DIFFERENCES, example_id
from shadowproxy.model.pair import CapturedRequest, Difference, Example, Fields
from shadowproxy.model.policy import MIB, ComparePolicy
from tests.compare.builders import BYTES, FORM, JSON, TEXT, Clock, engine, example, pair, response

REQUEST = CapturedRequest(
    b"POST",
    b"/items/42?api_key=abc",
    [(b"Host", b"shop.example"), (b"Authorization", b"Bearer s3cret-token"), *JSON],
    b'{"password": "hunter2", "q": "x"}',
)


def explained(primary: Any, shadow: Any, rules: ComparePolicy | None = None) -> list[str]:
    return example(pair(response(primary), response(shadow)), rules).explanation


def test_an_example_says_everything_about_a_mismatch() -> None:
    a, b = {"id": 1, "price": 10}, {"id": 1, "price": "10"}
    made = example(pair(response(a), response(b, [*JSON, (b"X-New", b"1")], 201), REQUEST))
    assert (made.service, made.route, made.arm, made.request_id, made.at) == ("shop", "item", "candidate", "r-1", 1.7e9)
    assert (made.method, made.primary_status, made.shadow_status, made.failure) == ("POST", 200, 201, None)
    assert (made.primary_seconds, made.shadow_seconds) == (0.012, 0.012)
    assert json.loads(made.primary_body) == a
    assert json.loads(made.shadow_body) == b
    assert made.shadow_fields[-1] == ("X-New", "1")
    assert made.differences == [
        Difference("status", "status", "200", "201", shape="integer e3"),
        Difference("header:x-new", "header", None, '"1"', shape="integer"),
        Difference("$.price", "body_type", "10", '"10"', shape="integer"),
    ]
    assert made.explanation == [
        "The candidate answered 201 Created, the primary 200 OK.",
        "Header x-new is new: 1",
        '$.price was the integer 10 and is the string "10" now.',
    ]
    assert shlex.split(made.curl)[-1] == made.request_body


def test_no_secret_is_left_in_an_example() -> None:
    secrets = ["abc123", "s3cret-token", "hunter2", "123-45-6789", "Ann Smith", "c00kie", "l1ne-token", "deep-secret"]
    request = CapturedRequest(
        b"POST",
        b"/u/123-45-6789?api_key=abc123",
        [(b"Host", b"h"), (b"Authorization", b"Bearer s3cret-token"), (b"Cookie", b"sid=c00kie"), *JSON],
        b'{"password": "hunter2", "password": "hunter2"}',
    )
    rules = ComparePolicy(redact=("$.owner",), redact_patterns=(r"\d{3}-\d{2}-\d{4}",))
    a = {"owner": {"name": "Ann Smith"}, "ssn": "123-45-6789", "access_token": ["abc123"], "m": {"123-45-6789": 1}}
    b = {"owner": "Ann Smith", "ssn": "x 123-45-6789", "access_token": "abc123", "l": {"secret": {"x": "deep-secret"}}}
    cookies: Fields = [*JSON, (b"Set-Cookie", b"sid=c00kie; Path=/")]
    made = example(pair(response(a, cookies), response(b, cookies, 500), request), rules)
    text = example(pair(response(b"a token=l1ne-token", TEXT), response(b"b token=l1ne-token", TEXT), request), rules)
    form = example(pair(response(b"token=abc123", FORM), response(b"token=hunter2", FORM), request), rules)
    kind = example(pair(response(b'{"password":"hunter2"'), response({"password": "hunter2"}), request), rules)
    for each in (made, text, form, kind):
        stored = msgspec.json.encode(each).decode()
        for secret in secrets:
            assert secret not in stored, (secret, stored)
    assert not any("123-45-6789" in difference.field for difference in made.differences)


@pytest.mark.parametrize("rule", ["body", "line"])
def test_bodies_can_be_hidden_altogether(rule: str) -> None:
    rules = ComparePolicy(redact=(rule,))
    sides = [
        (response({"a": "private"}), response({"a": "privacy", "b": 1})),
        (response(b"a=private", FORM), response(b"a=privacy", FORM)),
        (response(b"private", TEXT), response(b"privacy", TEXT)),
        (response(b"private", BYTES), response(b"privacy", BYTES)),
        (response(b"private", BYTES, truncated=True), response(b"private", BYTES)),
    ]
    for primary, shadow in sides:
        request = CapturedRequest(b"POST", b"/", JSON, b'{"a": "private"}')
        stored = msgspec.json.encode(example(pair(primary, shadow, request), rules)).decode()
        assert "privat" not in stored
        assert "privac" not in stored
        assert re.search(r'"primary_body":"~[0-9a-f]{8}~"', stored)


def test_equal_secrets_stay_equal_and_unequal_ones_unequal() -> None:
    made = example(pair(response({"token": "a", "pin": 1, "x": 1}), response({"token": "a", "pin": "1", "x": 2})))
    a, b = json.loads(made.primary_body), json.loads(made.shadow_body)
    assert a["token"] == b["token"]
    assert a["pin"] != b["pin"]
    assert re.fullmatch(r"~[0-9a-f]{8}~", a["token"])
    pin = made.differences[0]
    assert (pin.field, pin.kind) == ("$.pin", "body_type")
    assert (pin.primary, pin.shadow) == (json.dumps(a["pin"]), json.dumps(b["pin"]))


def test_bodies_are_decoded_and_bounded() -> None:
    packed: Fields = [*TEXT, (b"Content-Encoding", b"gzip")]
    long = b"line\n" * 40_000
    made = example(pair(response(gzip.compress(b"a"), packed), response(long, TEXT)))
    assert made.primary_body == "a"
    assert len(made.shadow_body) == MAX_BODY


def test_large_json_is_shown_where_it_differs() -> None:
    a = {"items": [{"n": n, "text": "x" * 50} for n in range(10_000)], "name": "a"}
    b = a | {"name": "b"}
    made = example(pair(response(a), response(b)))
    head, _, shown = made.primary_body.partition("\n")
    assert re.fullmatch(r"\([\d,]+ bytes of JSON; this is where it differs\)", head)
    assert json.loads(shown) == {"name": "a"}
    assert made.explanation == ['$.name changed from "a" to "b".']


def test_binary_bodies_are_a_note() -> None:
    made = example(pair(response(b"\x89PNG" + bytes(20), BYTES), response(b"\x89PNH" + bytes(20), BYTES)))
    assert made.primary_body.startswith("(24 bytes, beginning with 89 50 4e 47 00")
    assert made.explanation[0].startswith("body has other bytes")
    request = CapturedRequest(b"POST", b"/", BYTES, b"\xff\0")
    assert "--data-binary @body.bin" in example(pair(response({"a": 1}), response({"a": 2}), request)).curl


def test_bodies_that_cannot_be_opened_are_a_note() -> None:
    packed: Fields = [*JSON, (b"Content-Encoding", b"gzip")]
    made = example(pair(response({"a": 1}), response(b"no gzip", packed)))
    assert made.shadow_body.startswith("(7 bytes on the wire")
    deep = response(b"[" * 100 + b"]" * 100, status=500)
    made = example(pair(response({}), deep))
    assert made.shadow_body == "(200 bytes on the wire: too_deep)"


def test_a_failed_exchange_has_its_example() -> None:
    made = example(pair(response({"a": 1}), None, failure="candidate_refused", answer=False))
    assert (made.failure, made.shadow_status, made.shadow_body, made.shadow_fields) == (
        "candidate_refused",
        None,
        "",
        [],
    )
    assert made.explanation == ["The candidate refused the connection; the primary answered 200 OK after 12 ms."]
    assert made.differences == [Difference("response", "candidate_refused", "200", "null", shape="null")]
    cut = example(pair(response({"a": 1}), response(b'{"a'), failure="candidate_truncated"))
    assert (cut.shadow_status, cut.shadow_body) == (200, '{"a')


def test_what_rules_explain_away_is_marked_and_not_explained() -> None:
    rules = ComparePolicy(ignore=("$.at", "$.meta.*"), unordered=("$.tags",), tolerance={"$.s": 1})
    a = {"at": 1, "meta": {"x": {"y": 1}}, "tags": ["a", "b"], "s": 1.0, "x": 1}
    b = {"at": 2, "meta": {"x": {"y": 2}}, "tags": ["b", "a"], "s": 1.5, "x": 2}
    made = example(pair(response(a), response(b)), rules)
    assert {each.field for each in made.differences if each.by_rule} == {"$.at", "$.meta.x", "$.tags", "$.s"}
    assert made.explanation == ["$.x changed from 1 to 2 (+100.0 %)."]


@pytest.mark.parametrize(
    ("a", "b", "sentences"),
    [
        ({"a": {"b": 1}}, {"a": {}}, ["$.a.b is missing; the primary has 1."]),
        ({"a": {}}, {"a": {"b c": None}}, ["$.a['b c'] is new: null."]),
        ({"t": [1, 2, 3]}, {"t": [3, 2, 1]}, ["$.t holds the same in another order."]),
        ([0, 1], [0], ["$ has 1 element, the primary's 2.", "$[1] is missing; the primary has 1."]),
        ([{"p": 1}, {"p": 2}], [{"p": 1}, {"p": 3}], ["$[1].p changed from 2 to 3 (+50.0 %)."]),
        ([1, {"p": 1}], {"a": 1}, ['$ was the array [1,{"p":1}] and is the object {"a":1} now.']),
        ({"n": True}, {"n": 1}, ["$.n was the boolean true and is the integer 1 now."]),
    ],
)  # fmt: skip
def test_explanations_name_the_exact_place(a: Any, b: Any, sentences: list[str]) -> None:
    assert explained(a, b) == sentences


def test_left_overs_of_unordered_arrays_are_explained() -> None:
    rules = ComparePolicy(unordered=("$.tags",))
    assert explained({"tags": ["a", "b"]}, {"tags": ["c", "a"]}, rules) == [
        '$.tags[] is missing; the primary has "b".',
        '$.tags[] is new: "c".',
    ]


def test_repeated_header_fields_and_form_values_are_shown_as_lists() -> None:
    made = example(pair(response(b"", [(b"X", b"1"), (b"X", b"2")]), response(b"", [(b"X", b"1")])))
    assert made.differences == [Difference("header:x", "header", '["1","2"]', '"1"', shape="integer")]
    made = example(pair(response(b"a=1&a=2", FORM), response(b"a=1", FORM)))
    assert made.differences == [Difference("form:a", "body_value", '["1","2"]', '"1"', shape="integer")]


def test_bytes_are_shown_as_text_where_they_are_some() -> None:
    made = example(pair(response(b"abc", BYTES), response(b"ab\xff", BYTES)))
    assert made.differences[0].primary == '"abc"'
    assert made.differences[0].shadow == '"(3 bytes, beginning with 61 62 ff)"'
    made = example(pair(response(b"\xff", TEXT), response(b"x", TEXT)))
    assert made.primary_body == "?"


def test_the_rest_of_many_differences_is_counted() -> None:
    a = {f"field_{chr(97 + n)}": n for n in range(26)}
    sentences = explained(a, {key: value + 1 for key, value in a.items()})
    assert len(sentences) == 21
    assert sentences[-1] == "And 6 more."


def test_the_listed_differences_are_bounded() -> None:
    fields = [(b"X-%d" % n, b"1") for n in range(150)]
    made = example(pair(response({}, fields), response({}, [])))
    assert len(made.differences) == MAX_DIFFERENCES


def test_differences_too_deep_in_large_bodies_to_be_shown_are_masked() -> None:
    a = [{"n": n} for n in range(200)]
    b = [*a[:-1], {"n": "secret"}]
    made = example(pair(response(a), response(b)))
    assert [each.field for each in made.differences] == ["$[].n"]
    assert re.fullmatch(r'"~[0-9a-f]{8}~"', made.differences[0].primary or "")
    assert "secret" not in str(made.differences)


def test_an_id_is_short_unique_and_fit_for_a_url() -> None:
    first = pair(response({}), None, failure="candidate_error")
    ids = {example_id(msgspec.structs.replace(first, at=at, request_id=r)) for at in (1.0, 2.0) for r in ("a", "b")}
    assert len(ids) == 4
    assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in ids)


def test_an_example_crosses_processes() -> None:
    odd = pair(response({"a": "é"}, [*JSON, (b"X", b"\xff")]), response({"a": "\U0001f600"}))
    made = example(odd)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=Example) == made


def test_an_example_that_takes_too_long_is_given_up() -> None:
    clock = Clock()
    busy = engine(ComparePolicy(redact_patterns=("x",), max_time=1e9), clock)
    clock.step = 0.01
    busy.handle(pair(response(b"y" * MIB, TEXT), response(b"z" * MIB, TEXT)))
    aggregate, examples = busy.harvest()
    assert examples == []
    assert aggregate.suppressed == {"too_slow": 1}


def test_members_that_occur_twice_are_shown_with_all_their_values_and_redacted_like_one() -> None:
    a = b'{"a": 1, "a": 2, "owner": {"mail": "x@a"}, "owner": {"mail": "y@a"}}'
    b = b'{"a": 2, "owner": {"mail": "y@a"}}'
    made = example(pair(response(a), response(b)), ComparePolicy(redact=("$.owner.mail",)))
    assert made.differences[0] == Difference("$.a", "body_type", "[1,2]", "2", shape="integer e3")
    assert json.loads(made.primary_body)["a"] == [1, 2]
    assert "@a" not in msgspec.json.encode(made).decode()


def test_a_secret_beside_its_name_is_masked_where_the_name_is_the_same_on_both_sides() -> None:
    a, b = ([{"name": "password", "value": f"hunter{n}"}] for n in (2, 3))
    made = example(pair(response(a), response(b)))
    assert [each.field for each in made.differences] == ["$[].value"]
    assert "hunter" not in msgspec.json.encode(made).decode()
