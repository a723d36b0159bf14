from __future__ import annotations

import gzip
import json
import zlib

import pytest

from shadowproxy.compare.comparing import Comparison
from shadowproxy.model.pair import CapturedRequest, CapturedResponse, Fields
from shadowproxy.model.policy import MIB, ComparePolicy
from tests.compare.builders import BYTES, FORM, JSON, TEXT, Clock, judged, pair, response

GZIP: Fields = [*JSON, (b"Content-Encoding", b"gzip")]


def both(
    a: CapturedResponse, b: CapturedResponse, rules: ComparePolicy | None = None, clock: Clock | None = None
) -> Comparison:
    """The comparison, after making sure that it does not matter which side is which."""
    forth, back = judged(pair(a, b), rules, clock), judged(pair(b, a), rules, clock)
    assert forth.verdict == back.verdict
    assert forth.reason == back.reason
    return forth


def test_what_differs_by_nature_alone_is_a_match() -> None:
    a = response({"a": 1}, [*JSON, (b"Date", b"1")])
    assert both(a, response({"a": 1}, [*JSON, (b"Date", b"2")])).verdict == "match"


def test_what_differs_where_rules_allow_it_is_ignored() -> None:
    rules = ComparePolicy(ignore=("header:server", "$.at"))
    a = response({"at": 1}, [*JSON, (b"Server", b"1")])
    assert both(a, response({"at": 2}, [*JSON, (b"Server", b"2")]), rules).verdict == "ignored"
    assert both(a, response({"at": 1}, [*JSON, (b"Server", b"2")]), rules).verdict == "ignored"
    assert both(a, response({"at": 2, "x": 1}, [*JSON, (b"Server", b"2")]), rules).verdict == "mismatch"


def test_every_part_that_differs_gives_its_kind() -> None:
    comparison = both(response({"a": 1}), response({"a": "1"}, [*JSON, (b"X", b"1")], 500))
    assert comparison.verdict == "mismatch"
    assert comparison.found.kinds == ("status", "header", "body_type")


def test_the_same_value_written_otherwise_is_a_match() -> None:
    assert both(response(b'{"a":1,"b":[1.0]}'), response(b'{ "b": [1e0], "a": 1 }\n')).verdict == "match"


def test_compressed_bodies_are_compared_by_their_content() -> None:
    packed = response(gzip.compress(b'{"a": 1}', 9), GZIP)
    assert both(packed, response(gzip.compress(b'{"a":1}', 1), GZIP)).verdict == "match"
    comparison = both(packed, response(b'{"a": 1}'))
    assert set(comparison.found.counted) == {("header:content-encoding", "header")}
    comparison = both(packed, response(gzip.compress(b'{"a":2}'), GZIP))
    assert set(comparison.found.counted) == {("$.a", "body_value")}


def test_json_that_one_side_alone_is_is_another_type() -> None:
    html: Fields = [(b"Content-Type", b"text/html")]
    comparison = judged(pair(response({"a": 1}), response(b"<h1>Oops</h1>", html)))
    assert set(comparison.found.counted) == {("header:content-type", "header"), ("body", "body_type")}
    assert both(response({"a": 1}), response(b'{"a": 1')).found.kinds == ("body_type",)


def test_what_no_side_can_read_as_json_is_text_or_bytes() -> None:
    assert set(both(response(b"{a"), response(b"{b")).found.counted) == {("line", "body_value")}
    assert set(both(response(b"{\xff"), response(b"{\xfe")).found.counted) == {("body", "body_bytes")}
    assert set(both(response(b"{\0"), response(b"{\1")).found.counted) == {("body", "body_bytes")}


def test_without_a_content_type_a_body_is_what_it_reads_as() -> None:
    assert set(both(response(b'{"a":1}', []), response(b'{"a":2}', [])).found.counted) == {("$.a", "body_value")}
    assert set(both(response(b"a", []), response(b"b", [])).found.counted) == {("line", "body_value")}
    assert set(both(response(b"\xff", []), response(b"\xfe", [])).found.counted) == {("body", "body_bytes")}


def test_an_empty_side_is_a_missing_or_extra_body() -> None:
    assert set(judged(pair(response(b"x"), response(b""))).found.counted) == {("body", "body_missing")}
    assert set(judged(pair(response(b""), response(b"x"))).found.counted) == {("body", "body_extra")}


def test_text_forms_and_bytes_are_compared_by_their_units() -> None:
    assert set(both(response(b"a\nb", TEXT), response(b"a\nc", TEXT)).found.counted) == {("line", "body_value")}
    assert set(both(response(b"a=1", FORM), response(b"a=2", FORM)).found.counted) == {("form:a", "body_value")}
    assert set(both(response(b"a1", FORM), response(b"a2", FORM)).found.counted) == {("body", "body_bytes")}
    assert set(both(response(b"ab", BYTES), response(b"abc", BYTES)).found.counted) == {("body", "body_size")}
    many = response(b"\n" * 100_001, TEXT)
    assert set(both(many, response(b"a", TEXT)).found.counted) == {("body", "body_size")}


def test_the_same_text_in_another_charset_is_compared_as_text() -> None:
    a = response("é".encode(), TEXT)
    b = response("é".encode("latin-1"), TEXT)
    assert both(a, b).found.kinds == ("body_value",)


def test_an_ignored_body_is_not_looked_into() -> None:
    rules = ComparePolicy(ignore=("body",))
    assert both(response({"a": 1}), response(b"garbage"), rules).verdict == "ignored"
    cut = response(b"abc", truncated=True)
    assert both(cut, response(b"abd", truncated=True), rules).verdict == "ignored"


def test_one_undecodable_side_is_a_mismatch_and_two_are_no_verdict() -> None:
    good, bad = response(gzip.compress(b"{}"), GZIP), response(b"not gzip", GZIP)
    assert both(good, bad).found.kinds == ("body_type",)
    comparison = both(bad, response(b"nor this", GZIP))
    assert (comparison.verdict, comparison.reason) == ("incomparable", "undecodable")
    assert both(bad, bad).verdict == "match"


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (response(gzip.compress(b"[%s]" % (b" " * 9 * MIB)), GZIP), response(gzip.compress(b"[]"), GZIP), "ratio"),
        (response(b"[" * 65 + b"]" * 65), response(b"[]"), "too_deep"),
        (response(b"x" * (8 * MIB + 1), TEXT), response(b"y", TEXT), "decoded_too_large"),
    ],
)
def test_past_a_cap_no_verdict_is_possible(a: CapturedResponse, b: CapturedResponse, reason: str) -> None:
    comparison = both(a, b)
    assert (comparison.verdict, comparison.reason) == ("incomparable", reason)
    assert comparison.found.kinds == ()


def test_past_the_time_no_verdict_is_possible() -> None:
    comparison = both(response({"a": 1}), response({"a": 2}), clock=Clock(step=1.0))
    assert (comparison.verdict, comparison.reason) == ("incomparable", "too_slow")


def test_a_proven_difference_stands_past_a_cap() -> None:
    deep = response(b"[" * 65 + b"]" * 65, status=500)
    comparison = both(deep, response(b"[]"))
    assert (comparison.verdict, comparison.found.kinds) == ("mismatch", ("status",))
    assert comparison.reason == ""


def test_two_equal_beginnings_are_no_verdict() -> None:
    comparison = both(response(b"abc", truncated=True), response(b"abc", truncated=True))
    assert (comparison.verdict, comparison.reason) == ("incomparable", "truncated_response")


def test_two_unequal_beginnings_are_a_mismatch_unless_rules_might_explain_it() -> None:
    a, b = response(b'{"at": 1', truncated=True), response(b'{"at": 2', truncated=True)
    assert set(both(a, b).found.counted) == {("body", "body_bytes")}
    assert both(a, b, ComparePolicy(ignore=("$.at",))).reason == "truncated_response"
    assert both(a, b, ComparePolicy(ignore=("header:server",))).verdict == "mismatch"


def test_a_size_proves_a_difference_of_what_was_captured_in_part() -> None:
    comparison = both(response(b"abc", truncated=True), response(b"abc"))
    assert set(comparison.found.counted) == {("body", "body_size")}
    long = response(b"abc", [*JSON, (b"Content-Length", b"90")], truncated=True)
    longer = response(b"abc", [*JSON, (b"Content-Length", b"91")], truncated=True)
    assert both(long, longer).found.kinds == ("body_size",)
    assert both(long, long).reason == "truncated_response"
    odd = response(b"abc", [*JSON, (b"Content-Length", b"many")], truncated=True)
    assert both(long, odd).reason == "truncated_response"


def test_sizes_prove_nothing_across_codings() -> None:
    text = json.dumps(list(range(1000))).encode()
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(text) + packer.flush()
    a = response(packed, GZIP)
    assert both(a, response(text[:900], truncated=True)).found.kinds == ("header",)
    ignoring = ComparePolicy(ignore=("header:content-encoding",))
    assert both(a, response(text[:900], truncated=True), ignoring).reason == "truncated_response"
    assert both(a, response(b"[9" + text[2:900], truncated=True), ignoring).found.kinds == ("body_bytes",)
    half = response(packed[: len(packed) // 2], GZIP, truncated=True)
    assert both(half, response(packed[: len(packed) // 2], GZIP, truncated=True)).reason == "truncated_response"


def test_a_failed_exchange_is_a_mismatch_of_its_own_kind() -> None:
    comparison = judged(pair(response({}), None, failure="candidate_timeout"))
    assert (comparison.verdict, comparison.found.kinds) == ("mismatch", ("candidate_timeout",))
    comparison = judged(pair(response({}), response({}), failure="candidate_truncated"))
    assert comparison.found.counted == {("response", "candidate_truncated"): (200, 200)}
    assert judged(pair(response({}), None)).found.kinds == ("candidate_error",)


def test_a_length_counts_for_head() -> None:
    head = CapturedRequest(b"HEAD", b"/", [])
    a = response(b"", [(b"Content-Length", b"1")])
    b = response(b"", [(b"Content-Length", b"2")])
    assert judged(pair(a, b, head)).found.kinds == ("header",)
    assert judged(pair(a, b)).verdict == "match"
