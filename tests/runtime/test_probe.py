"""What the probe answers to a request head."""

from __future__ import annotations

import pytest

from shadowproxy.runtime.probe import respond


def ready() -> str:
    return ""


def parts(answer: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    return line, dict(field.split(b": ", 1) for field in fields), body


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz", b"/readyz?verbose=1"])
def test_good_news_is_200(path: bytes) -> None:
    line, fields, body = parts(respond(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path, ready))
    assert (line, body) == (b"HTTP/1.1 200 OK", b"ok\n")
    assert fields[b"Content-Length"] == b"3"
    assert fields[b"Connection"] == b"close"


def test_not_ready_is_503_with_the_reason_and_health_stays_good() -> None:
    line, _, body = parts(respond(b"GET /readyz HTTP/1.1\r\n\r\n", lambda: "draining"))
    assert (line, body) == (b"HTTP/1.1 503 Service Unavailable", b"draining\n")
    assert respond(b"GET /healthz HTTP/1.1\r\n\r\n", lambda: "draining").startswith(b"HTTP/1.1 200 ")


def test_head_gets_the_same_head_and_no_body() -> None:
    got, head = (respond(b"%b /readyz HTTP/1.1\r\n\r\n" % method, lambda: "because") for method in (b"GET", b"HEAD"))
    assert parts(head)[:2] == parts(got)[:2]
    assert parts(head)[2] == b""


def test_http_1_0_is_answered_too() -> None:
    assert respond(b"GET /healthz HTTP/1.0\r\n\r\n", ready).startswith(b"HTTP/1.1 200 ")


def test_another_method_is_405_and_names_those_allowed() -> None:
    line, fields, _ = parts(respond(b"POST /healthz HTTP/1.1\r\n\r\n", ready))
    assert line == b"HTTP/1.1 405 Method Not Allowed"
    assert fields[b"Allow"] == b"GET, HEAD"


@pytest.mark.parametrize("target", [b"/", b"/healthz/", b"/metrics", b"http://x/healthz"])
def test_anything_else_is_404(target: bytes) -> None:
    assert respond(b"GET %b HTTP/1.1\r\n\r\n" % target, ready).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET  /healthz HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
    ],
)
def test_what_is_not_http_1_is_400(head: bytes) -> None:
    assert respond(head, ready).startswith(b"HTTP/1.1 400 ")
