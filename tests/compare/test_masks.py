"""What a recording masked is compared as far as it is known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.compare.limits import Deadline
from shadowproxy.compare.masks import hides, is_like
from shadowproxy.compare.redacted import BodyRedactor
from shadowproxy.compare.redaction import Mask, Redactor
from shadowproxy.model.pair import Fields
from shadowproxy.model.policy import ComparePolicy
from tests.compare.builders import BYTES, FORM, JSON, TEXT, Clock, judged, of, pair, response

RECORDED = ComparePolicy(recorded=True)
M, N = "~0a1b2c3d~", "~ffffffff~"


@pytest.mark.parametrize(
    ("primary", "shadow", "like"),
    [
        (M, "anything", True),
        (M, "", True),
        (f"sid={M}; Path=/", "sid=x; Path=/", True),
        (f"sid={M}; Path=/", "sid=x; Path=/; Secure", False),
        (f"sid={M}; Path=/", "lang=x; Path=/", False),
        (f"a{M}b{N}c", "a1b2c", True),
        (f"a{M}b{N}c", "a1c", False),
        (f"a{M}b", "ab", True),
        (f"ab{M}ba", "aba", False),
        ("plain", "plain", False),
        ("~0a1b2c3~", "x", False),
    ],
)
def test_a_mask_stands_for_anything_and_the_rest_for_itself(primary: str, shadow: str, like: bool) -> None:
    assert is_like(primary, shadow) is like


def test_in_text_a_mask_stays_within_its_line() -> None:
    assert is_like(f"a {M}\nb", "a x\nb", lines=True)
    assert not is_like(f"a {M}\nb", "a x\ny\nb", lines=True)
    assert not is_like(f"a {M} c {N}", "a x\n c y", lines=True)


@given(st.lists(st.text("ab\n", max_size=4), min_size=2, max_size=5), st.lists(st.text("abx", max_size=3), min_size=4))
def test_what_was_masked_is_like_itself(parts: list[str], secrets: list[str]) -> None:
    whole = "".join(part + secret for part, secret in zip(parts, secrets, strict=False)) + parts[-1]
    masked = M.join([*parts[: len(secrets)], parts[-1]])
    if len(secrets) >= len(parts):
        whole = "".join(part + secret for part, secret in zip(parts[:-1], secrets, strict=False)) + parts[-1]
        masked = M.join(parts)
    assert is_like(masked, whole)


def test_any_type_but_null_may_have_been_masked() -> None:
    assert hides(M, 5)
    assert hides(M, {"a": 1})
    assert not hides(M, None)
    assert not hides(f"x{M}", 5)


def verdict(primary: Any, shadow: Any, fields: Fields = JSON, rules: ComparePolicy = RECORDED) -> str:
    return judged(pair(response(primary, fields), response(shadow, fields)), rules).verdict


@pytest.mark.parametrize(
    ("primary", "shadow", "says"),
    [
        ({"token": M, "a": 1}, {"token": "s3cret", "a": 1}, "ignored"),
        ({"token": M, "a": 1}, {"token": "s3cret", "a": 2}, "mismatch"),
        ({"token": M}, {"token": 17}, "ignored"),
        ({"token": M}, {"token": None}, "mismatch"),
        ({"token": M}, {}, "mismatch"),
        ({"tokens": [M, N]}, {"tokens": ["x", "y"]}, "ignored"),
        ({"tokens": [M, N]}, {"tokens": ["x"]}, "mismatch"),
        ({"users": {M: 1, "b": 2}}, {"users": {"AKIA": 1, "b": 2}}, "match"),
        ({"users": {M: 1, "b": 2}}, {"users": {"AKIA": 1, "b": 3}}, "mismatch"),
        ({"users": {M: 1}}, {"users": {}}, "mismatch"),
        ({"link": f"http://a/?sig={M}&x=1"}, {"link": "http://a/?sig=77&x=1"}, "ignored"),
        ({"link": f"http://a/?sig={M}&x=1"}, {"link": "http://a/?sig=77&x=2"}, "mismatch"),
    ],
)
def test_json(primary: Any, shadow: Any, says: str) -> None:
    assert verdict(primary, shadow) == says


def test_without_a_recording_a_mask_is_a_value_like_any_other() -> None:
    assert verdict({"token": M}, {"token": "x"}, rules=ComparePolicy()) == "mismatch"


def test_elements_of_unordered_lists_find_their_partners() -> None:
    rules = ComparePolicy(recorded=True, unordered=("$.keys",))
    assert verdict({"keys": [M, "a"]}, {"keys": ["a", "k"]}, rules=rules) == "ignored"
    assert verdict({"keys": [M, "a"]}, {"keys": ["b", "k"]}, rules=rules) == "mismatch"


def test_one_more_element_is_one_difference_beside_masked_ones() -> None:
    a = [{"token": M, "id": 1}, {"token": N, "id": 2}]
    b = [{"token": "x", "id": 1}, {"token": "y", "id": 2}, {"token": "z", "id": 3}]
    found = judged(pair(response(a), response(b)), RECORDED).found
    assert set(found.counted) == {("$[]", "body_extra")}
    for each in (*a, *b):
        del each["id"]
    found = judged(pair(response(a), response(b)), RECORDED).found
    assert set(found.counted) == {("$", "body_size")}


@pytest.mark.parametrize(
    ("fields", "primary", "shadow", "says"),
    [
        (TEXT, f"key: {M}\nrest".encode(), b"key: abc\nrest", "ignored"),
        (TEXT, f"key: {M}\nrest".encode(), b"key: abc\nREST", "mismatch"),
        (TEXT, f"{M}\n{M}\n{M}\nx\n".encode(), b"1\n2\n3\ny\n", "mismatch"),
        (FORM, f"token={M}&a=1".encode(), b"token=abc&a=1", "ignored"),
        (FORM, f"token={M}&a=1".encode(), b"token=abc&a=2", "mismatch"),
        (FORM, f"token={M}&token=b".encode(), b"token=abc&token=b", "ignored"),
        (BYTES, M.encode(), b"\x00\x01", "ignored"),
        (BYTES, M.encode() + b"x", b"\x00\x01", "mismatch"),
        (JSON, M.encode(), b'{"a": 1}', "ignored"),
        (JSON, M.encode(), b"", "mismatch"),
    ],
)
def test_other_bodies(fields: Fields, primary: bytes, shadow: bytes, says: str) -> None:
    assert verdict(primary, shadow, fields) == says


def heads(primary: Fields, shadow: Fields) -> str:
    return judged(pair(response(b"x", primary), response(b"x", shadow)), RECORDED).verdict


def test_header_fields() -> None:
    masked = [(b"Set-Cookie", f"sid={M}; Path=/".encode())]
    assert heads(masked, [(b"Set-Cookie", b"sid=17; Path=/")]) == "ignored"
    assert heads(masked, [(b"Set-Cookie", b"sid=17; Path=/x")]) == "mismatch"
    assert heads(masked, []) == "mismatch"


def test_the_encoding_that_a_recording_undid_is_no_difference() -> None:
    assert heads([], [(b"Content-Encoding", b"identity")]) == "match"
    assert heads([(b"Content-Encoding", b"identity")], []) == "mismatch"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("ab ~=", max_size=6),
        lambda child: (
            st.lists(child, max_size=3)
            | st.dictionaries(st.sampled_from(["token", "password", "a", "b", "value"]), child, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_an_answer_is_no_regression_against_itself_redacted(value: Any) -> None:
    redacted = Redactor(ComparePolicy(), Mask(b"key")).value(value, Deadline(Clock(), 1.0))
    assert verdict(redacted, value) in ("match", "ignored")


PART = '--b\r\nContent-Disposition: form-data; name="{}"\r\nContent-Type: {}\r\n\r\n{}\r\n'


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("application/xml", '<r><password>hunter2</password><user token="hunter3"><name>x1</name></user></r>'),
        ("application/xml", '<r xmlns="urn:x"><a>x1</a><!-- password: hunter2 --><p name="pin" value="77"/></r>'),
        ("text/html", '<p>x1 <b>y</b><input name="password" value="hunter2"><script>token = "abcdef"</script>'),
        ("application/x-ndjson", '{"token": "a", "b": "x1"}\n{"b": 1}\nsecret=hunter2\n'),
        ("text/event-stream", 'id: 1\ndata: {"token": "a", "x": "x1"}\n\ndata: password=hunter2\n\n'),
        (
            "multipart/form-data; boundary=b",
            PART.format("j", "application/json", '{"token": "a", "x": "x1"}')
            + PART.format("password", "text/plain", "hunter2")
            + "--b--",
        ),
        ("application/json", '{"payload": "{\\"token\\": \\"hunter2\\", \\"x\\": \\"x1\\"}"}'),
    ],
)
def test_other_answers_are_no_regression_against_themselves_redacted(media_type: str, body: str) -> None:
    bodies = BodyRedactor(64, Redactor(RECORDED, Mask(b"key")), Mask(b"key"))
    recorded = bodies.redact(media_type, body.encode(), Deadline(Clock(), 1.0))
    assert b"hunter" not in recorded
    assert judged(pair(of(media_type, recorded), of(media_type, body)), RECORDED).verdict == "ignored"
    changed = body.replace("x1", "x2")
    assert judged(pair(of(media_type, recorded), of(media_type, changed)), RECORDED).verdict == "mismatch"
