"""What holds for any two answers."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.compare.paths import compile_path
from shadowproxy.model.pair import Answer, CapturedResponse, Fields
from shadowproxy.model.policy import ComparePolicy
from shadowproxy.model.terms import KINDS
from tests.compare.builders import Clock, engine, judged, pair, response
from tests.compare.test_walker import values

names = st.sampled_from(
    [b"Content-Type", b"Content-Encoding", b"content-length", b"ETag", b"Connection", b"Set-Cookie"]
)
contents = st.sampled_from([
    b"application/json", b"text/plain; charset=utf-16", b"application/x-www-form-urlencoded", b"image/png",
    b"text/html", b"application/xml", b"application/x-ndjson", b"text/event-stream", b"multipart/mixed; boundary=b",
    b"gzip", b"deflate, br", b"zstd", b"identity", b"x-strange", b"5", b"\xff", b"", b"a=1; b", b"close, etag",
])  # fmt: skip
heads: st.SearchStrategy[Fields] = st.lists(st.tuples(names, contents), max_size=4)
documents = values.map(lambda value: json.dumps(value).encode())
others = st.sampled_from([
    b"<a><b>1</b><b>2</b></a>", b'<a><b x="1">2</b>t</a>', b"<p>1<p>2", b'{"a": 1}\n{"a": 2}\n',
    b"data: 1\n\ndata: {}\n\n", b"--b\r\n\r\n1\r\n--b--",
    b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n2\r\n--b--',
])  # fmt: skip
bodies = (
    st.binary(max_size=60) | documents | others | st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace"))
)
responses = st.builds(
    CapturedResponse, st.sampled_from([200, 204, 304, 500, 999]), heads, bodies, st.floats(0, 1), st.booleans()
)
rules = st.builds(
    ComparePolicy,
    identity=st.sampled_from([{}, {"$": "a"}, {"$.a": "b.a"}]),
    relative_tolerance=st.sampled_from([{}, {"$..a": 0.5}]),
    ignore=st.sampled_from([(), ("$.a",), ("$..b", "status"), ("header:etag", "line"), ("body",), ("form:a",)]),
    unordered=st.sampled_from([(), ("$",), ("$.a", "$..b")]),
    tolerance=st.sampled_from([{}, {"$.a": 1.0}, {"$[]": 0.5}]),
    redact=st.sampled_from([(), ("$.a", "header:etag", "form:x")]),
    redact_patterns=st.sampled_from([(), ("[a-f]+", r"\d")]),
)


@given(responses, responses, rules)
def test_whatever_the_answers_a_pair_is_answered(
    a: CapturedResponse, b: CapturedResponse, policy: ComparePolicy
) -> None:
    busy = engine(policy)
    answer = busy.handle(pair(a, b))
    assert isinstance(answer, Answer)
    assert bool(answer.kinds) == (answer.verdict == "mismatch")
    assert list(answer.kinds) == sorted(set(answer.kinds), key=KINDS.index)
    aggregate, examples = busy.harvest()
    assert len(examples) == (answer.verdict == "mismatch")
    assert {count.kind for count in aggregate.fields} == set(answer.kinds)
    assert "internal" not in {reason for _, _, reason, _ in aggregate.incomparable}
    assert not aggregate.suppressed


@given(responses, rules)
def test_an_answer_matches_itself(a: CapturedResponse, policy: ComparePolicy) -> None:
    comparison = judged(pair(a, a), policy)
    if a.truncated and "body" not in policy.ignore:
        assert comparison.verdict == "incomparable"
    elif a.truncated:
        assert comparison.verdict in ("match", "ignored")
    else:
        assert comparison.verdict == "match"


@given(responses, responses, rules)
def test_it_does_not_matter_which_side_is_which(
    a: CapturedResponse, b: CapturedResponse, policy: ComparePolicy
) -> None:
    same_type = a.__class__(a.status, b.fields, a.body, a.seconds, a.truncated)
    forth, back = judged(pair(same_type, b), policy), judged(pair(b, same_type), policy)
    assert forth.verdict == back.verdict
    assert forth.reason == back.reason


@given(values, st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(value: Any, random: Any) -> None:
    def shuffled(each: Any) -> Any:
        if isinstance(each, dict):
            items = list(each.items())
            random.shuffle(items)
            return {key: shuffled(child) for key, child in items}
        return [shuffled(child) for child in each] if isinstance(each, list) else each

    other = json.dumps(shuffled(value), indent=1).encode()
    assert judged(pair(response(value), response(other))).verdict == "match"


@given(values, values)
def test_the_clock_alone_never_makes_a_mismatch(a: Any, b: Any) -> None:
    hurried = judged(pair(response(a), response(b)), clock=Clock(step=1.0))
    unhurried = judged(pair(response(a), response(b)))
    assert hurried.verdict in (unhurried.verdict, "incomparable")


@given(responses, responses)
def test_every_field_is_written_as_a_rule_can_name_it(a: CapturedResponse, b: CapturedResponse) -> None:
    for field, kind in judged(pair(a, b)).found.counted:
        compile_path(field)
        assert (field, kind) not in judged(pair(a, b), ComparePolicy(ignore=(field,))).found.counted
