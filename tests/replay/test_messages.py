"""Recorded messages as they are sent again."""

from __future__ import annotations

import pytest

from shadowproxy.http1 import encode_chunk, encode_trailers
from shadowproxy.model.policy import LimitsPolicy
from shadowproxy.replay.messages import Answer, Preparer, RefusedError, Request, forwarded

GET = b"GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\nX-Request-Id: r1\r\n\r\n"


def preparer(**fields: str) -> Preparer:
    return Preparer(LimitsPolicy(), {name.replace("_", "-"): value for name, value in fields.items()}, "i")


def sent(payload: bytes, **fields: str) -> bytes:
    request = preparer(**fields).request(payload)
    return forwarded(request, b"authority.example") + request.body


def reason(payload: bytes) -> str:
    with pytest.raises(RefusedError) as error:
        preparer().request(payload)
    return error.value.reason


def test_a_request_is_sent_as_it_was_recorded() -> None:
    assert sent(GET) == GET
    posted = GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc")
    assert sent(posted) == posted


def test_chunks_are_undone() -> None:
    chunked = GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    raw = sent(chunked + encode_chunk(b"abc") * 1000 + encode_trailers([(b"x", b"y")]))
    assert raw.endswith(b"\r\nContent-Length: 3000\r\n\r\n" + b"abc" * 1000)
    assert b"chunked" not in raw


def test_what_belongs_to_the_recorded_connection_is_left_out() -> None:
    fields = b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nExpect: 100-continue\r\nA: b\r\n\r\n"
    raw = sent(GET[:-2] + fields)
    assert raw == GET[:-2] + b"A: b\r\n\r\n"


def test_the_marks_of_an_earlier_shadowproxy_are_left_out() -> None:
    fields = b"X-Shadow-Request: candidate\r\nVia: 1.1 cdn, 1.1 shadowproxy-0123abcd, 1.0 edge\r\n\r\n"
    assert sent(GET[:-2] + fields) == GET[:-2] + b"Via: 1.1 cdn, 1.0 edge\r\n\r\n"
    assert sent(GET[:-2] + b"via: 1.1 shadowproxy-0123abcd\r\n\r\n") == GET


def test_a_request_without_an_id_gets_one_of_its_own() -> None:
    plain = GET.replace(b"X-Request-Id: r1\r\n", b"")
    one = preparer()
    requests: list[Request] = [
        one.request(plain),
        one.request(plain.replace(b"\r\n\r\n", b"\r\nX-Request-Id:\r\n\r\n")),
    ]
    assert [request.request_id for request in requests] == [b"i" + b"%016x" % n for n in (1, 2)]
    for request in requests:
        assert forwarded(request, b"").count(b"X-Request-Id: " + request.request_id) == 1


def test_fields_of_the_user_replace_recorded_ones() -> None:
    payload = GET[:-2] + b"authorization: Basic ~0a1b2c3d~\r\nAuthorization: x\r\n\r\n"
    raw = sent(payload, Authorization="Bearer t", Host="other.example")
    assert raw.count(b"uthorization") == 1
    assert b"\r\nAuthorization: Bearer t\r\n" in raw
    assert b"\r\nHost: other.example\r\n" in raw
    assert b"shop.example" not in raw


def test_a_request_of_http_1_0_gets_a_host() -> None:
    assert sent(b"GET / HTTP/1.0\r\nX-Request-Id: a\r\n\r\n").startswith(
        b"GET / HTTP/1.1\r\nHost: authority.example\r\n"
    )


def test_line_feeds_after_a_request_do_not_matter() -> None:
    assert sent(GET + b"\r\n\n") == GET


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (GET[:-2], "incomplete"),
        (b"", "incomplete"),
        (GET[:-2] + b"Content-Length: 3\r\n\r\nab", "incomplete"),
        (GET[:-2] + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "incomplete"),
        (GET + GET, "surplus"),
        (GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "upgrade"),
        (b"GET / HTTP/1.1\r\n\r\n", "host"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "version"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "method_refused"),
        (GET[:-2] + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunk"),
        (b"test1", "incomplete"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "request_line"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_reason(payload: bytes, why: str) -> None:
    assert reason(payload) == why


def answer(payload: bytes, method: bytes = b"GET") -> Answer:
    return preparer().answer(payload, method)


def test_a_recorded_answer_is_taken_apart() -> None:
    found = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    assert (found.head.status, found.body, found.truncated) == (200, b"hello", False)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + encode_chunk(b"hello") + b"0\r\n\r\n"
    assert answer(chunked).body == b"hello"
    assert answer(b"HTTP/1.1 200 OK\r\n\r\nuntil the end").body == b"until the end"
    assert answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"HEAD").truncated is False


@pytest.mark.parametrize(
    "payload",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
)
def test_an_answer_may_break_off(payload: bytes) -> None:
    found = answer(payload)
    assert (found.body, found.truncated) == (b"hel", True)


def test_interim_answers_are_passed_over() -> None:
    assert answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").head.status == 204


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"HTTP/1.1 200 OK\r\n", "incomplete"),
        (b"nonsense", "malformed"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "upgrade"),
    ],
)
def test_an_answer_that_is_none_is_refused(payload: bytes, why: str) -> None:
    with pytest.raises(RefusedError) as error:
        answer(payload)
    assert error.value.reason == why
