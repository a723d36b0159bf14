"""What is written to a recording holds no secret, and is sound HTTP/1.1."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.compare import Engine
from shadowproxy.http1 import body_reader, parse_request, parse_response
from shadowproxy.model.pair import Exchange, RecordedResponse
from shadowproxy.model.policy import ComparePolicy, LimitsPolicy, Policy, RoutePolicy, ServicePolicy
from tests.compare.builders import Clock, policy

LIMITS = LimitsPolicy()
MASK = re.compile(rb"~[0-9a-f]{8}~")


def exchange(
    block: str = "",
    body: bytes = b"",
    line: str = "POST /a?b=c HTTP/1.1",
    answer: tuple[str, bytes] | None = ("", b""),
    route: str = "item",
    status: int = 200,
) -> Exchange:
    if body:
        block += f"Content-Length: {len(body)}\r\n"
    head = f"{line}\r\nHost: shop.example\r\n{block}\r\n".encode("latin-1")
    response = RecordedResponse(status, b"OK", answer[0].encode("latin-1"), answer[1], 0.01) if answer else None
    return Exchange(1, "shop", route, "r-1", 1.7e9, "c1", head, body, response)


def transcribe(each: Exchange, rules: ComparePolicy | None = None) -> tuple[bytes, bytes | None]:
    messages = Engine(policy(rules or ComparePolicy()), b"key", Clock()).transcribe(each)
    assert messages is not None
    return messages


def sent(block: str, body: bytes, rules: ComparePolicy | None = None) -> bytes:
    """The body of a request as it is written, whose head is sound and says how long it is."""
    request, _ = transcribe(exchange(block, body), rules)
    head, _, rest = request.partition(b"\r\n\r\n")
    parsed = parse_request(head + b"\r\n\r\n", LIMITS)
    assert parsed.framing == len(rest)
    return rest


JSON = "Content-Type: application/json\r\n"


def test_head_and_target_are_redacted_and_the_rest_stays() -> None:
    block = (
        "Authorization: Bearer abcdefghij\r\nCookie: sid=17; lang=de\r\nX-Api-Key: k\r\nAccept: */*\r\n"
        "Via: 1.1 cdn, 1.1 shadowproxy-00ff\r\nvia: 1.1 shadowproxy-00ff\r\nX-Plain: Ä\r\n"
    )
    request, _ = transcribe(exchange(block, line="GET /a?token=s3cret&b=c HTTP/1.1"))
    plain = MASK.sub(b"~", request).decode("latin-1")
    assert plain == (
        "GET /a?token=~&b=c HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer ~\r\nCookie: sid=~; lang=~\r\n"
        "X-Api-Key: ~\r\nAccept: */*\r\nVia: 1.1 cdn\r\nX-Plain: Ä\r\n\r\n"
    )
    parse_request(request, LIMITS)


@pytest.mark.parametrize(
    ("block", "body", "written"),
    [
        (JSON, b'{ "a" : 1.0 }', b'{ "a" : 1.0 }'),
        (JSON, b'{"password": "hunter2", "a": 1.0}', b'{"password":"~","a":1.0}'),
        (JSON, b'{"token": "x", "token": null}', b'{"token":null}'),
        (JSON, b"not JSON, password=hunter2", b"not JSON, password=~"),
        ("", b'{"password": "hunter2"}', b'{"password":"~"}'),
        ("Content-Type: application/x-www-form-urlencoded\r\n", b"a=b&password=hunter2", b"a=b&password=~"),
        ("Content-Type: text/plain\r\n", b"api_key: hunter2\nand \xff more", b"api_key: ~\nand \xff more"),
        ("Content-Type: text/plain; charset=iso-8859-1\r\n", b"\xe4 secret=x", b"\xe4 secret=~"),
        ("Content-Type: text/plain; charset=utf-16le\r\n", "secret=x".encode("utf-16-le"), None),
        (JSON, b"\xff\xfe" + "secret=x".encode("utf-16-le"), None),
        ("", b"\xfe\xff" + "secret=x".encode("utf-16-be"), None),
        (JSON, b"\xff\xfea", b"\xff\xfea"),
        ("Content-Type: image/png\r\n", b"\x89PNG\x00password=hunter2", b"\x89PNG\x00password=hunter2"),
        (
            "Content-Type: application/x-ndjson\r\n",
            b'{"token": "a"}\r\n{"b": 1}\nsecret=x\n',
            b'{"token":"~"}\r\n{"b": 1}\nsecret=~\n',
        ),
        ("Content-Type: text/event-stream\r\n", b'id: 1\ndata: {"token": "a"}\n\n', b'id: 1\ndata: {"token":"~"}\n\n'),
    ],
)
def test_bodies_are_redacted_by_what_they_are(block: str, body: bytes, written: bytes | None) -> None:
    found = sent(block, body)
    if written is None:
        assert MASK.search(found.replace(b"\0", b""))
        assert b"x" not in found.replace(b"\0", b"").partition(b"=")[2]
    else:
        assert MASK.sub(b"~", found) == written


def test_rules_of_the_route_hold() -> None:
    rules = ComparePolicy(redact=("$.email", "form:code", "header:x-user"), redact_patterns=(r"\d{4}-\d{4}",))
    request, _ = transcribe(exchange("X-User: ada\r\n" + JSON, b'{"email": "a@b", "card": "1234-5678"}'), rules)
    assert b"ada" not in request
    assert b"a@b" not in request
    assert b"1234" not in request
    assert b"hunter2" not in sent("Content-Type: application/x-www-form-urlencoded\r\n", b"code=hunter2", rules)
    hidden = sent("Content-Type: image/png\r\n", b"\x89PNG\x00", ComparePolicy(redact=("body",)))
    assert MASK.fullmatch(hidden)


def test_an_unknown_route_has_the_rules_of_its_service_and_an_unknown_service_none() -> None:
    rules = ComparePolicy(redact=("$.email",))
    service = ServicePolicy("shop", 0, {}, (), RoutePolicy("other", 0, compare=rules))
    engine = Engine(Policy((service,)), b"key", Clock())
    messages = engine.transcribe(exchange(JSON, b'{"email": "a@b"}', route="learned a moment ago"))
    assert messages is not None
    assert b"a@b" not in messages[0]
    assert Engine(Policy(()), b"key", Clock()).transcribe(exchange()) is None


def test_compressed_bodies_are_decoded_and_described_as_they_are() -> None:
    body = gzip.compress(b'{"password": "hunter2"}')
    written, answer = transcribe(exchange(JSON + "Content-Encoding: gzip\r\n", body, answer=(JSON, b"x")))
    assert b"Encoding" not in written
    assert MASK.sub(b"~", written).endswith(b'Content-Length: 25\r\n\r\n{"password":"~"}')
    assert answer is not None
    assert answer.endswith(b"Content-Length: 1\r\n\r\nx")


@pytest.mark.parametrize(
    ("block", "body"),
    [
        ("Content-Encoding: unheard-of\r\n", b"password=hunter2"),
        ("Content-Encoding: gzip\r\n", b"password=hunter2"),
        (JSON, b"[" * 100 + b"]" * 100),
        ("Content-Type: multipart/form-data; boundary=x\r\n", b"no parts password=hunter2"),
        ("Content-Type: multipart/form-data\r\n", b"--x\r\n\r\na\r\n--x--"),
        ("Content-Encoding: gzip\r\n", gzip.compress(b"\0" * 50_000_000)),
    ],
)
def test_what_cannot_be_redacted_is_not_written(block: str, body: bytes) -> None:
    engine = Engine(policy(ComparePolicy()), b"key", Clock())
    assert engine.transcribe(exchange(block, body)) is None
    assert engine.transcribe(exchange(answer=(block, body))) is None


def test_what_takes_too_long_is_not_written() -> None:
    body = json.dumps(["x"] * 1000).encode()
    assert Engine(policy(ComparePolicy()), b"key", Clock(0.01)).transcribe(exchange(JSON, body)) is None


def test_multipart_is_redacted_by_part() -> None:
    parts = [
        b'Content-Disposition: form-data; name="password"\r\n\r\nhunter2',
        b"content-disposition: form-data; name=note\r\n\r\nsecret=x and more",
        b'Content-Disposition: form-data; name="json"\r\nContent-Type: application/json\r\n\r\n{"token": "x", "a": 1}',
        b'Content-Disposition: form-data; name="a"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\x89\x00\xff',
        b'Content-Disposition: form-data; name="api_key"; filename="k"\r\nContent-Type: image/png\r\n\r\n\x00\xff',
        b'Content-Disposition: form-data; name="empty"\r\n\r\n',
    ]
    body = b"".join(b"--x y\r\n" + part + b"\r\n" for part in parts) + b"--x y--\r\n"
    written = MASK.sub(b"~", sent('Content-Type: multipart/form-data; boundary="x y"\r\n', body))
    bodies = [part.partition(b"\r\n\r\n")[2] for part in (b"\r\n" + written).split(b"\r\n--x y")[1:-1]]
    assert bodies == [b"~", b"secret=~ and more", b'{"token":"~","a":1}', b"\x89\x00\xff", b"~", b""]
    assert written.endswith(b"--x y--\r\n")


def test_a_response_keeps_its_status_and_says_how_long_it_is() -> None:
    block = "Set-Cookie: sid=17; Path=/\r\nTransfer-Encoding: chunked\r\nDate: x\r\n"
    _, answer = transcribe(exchange(answer=(block, b"hello"), status=404))
    assert answer is not None
    assert MASK.sub(b"~", answer) == (
        b"HTTP/1.1 404 OK\r\nSet-Cookie: sid=~; Path=/\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello"
    )
    assert parse_response(answer[:-5], b"GET", LIMITS).framing == 5


def test_a_response_without_body_keeps_its_length() -> None:
    _, answer = transcribe(exchange(answer=("Content-Length: 7\r\nETag: x\r\n", b""), line="HEAD / HTTP/1.1"))
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: x\r\n\r\n"
    assert transcribe(exchange(answer=None))[1] is None


SECRET = "hunter2hunter2"
secrets = st.sampled_from(["password", "token", "api_key", "client_secret"])
values: Any = st.recursive(
    st.none() | st.integers() | st.text("ab {}=\"'", max_size=5),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.sampled_from("abc"), child, max_size=3),
    max_leaves=6,
)


@given(values, secrets, st.booleans())
def test_no_secret_of_a_json_body_is_written_wherever_it_stands(value: Any, name: str, listed: bool) -> None:
    document = {"a": [value, {name: [SECRET] if listed else SECRET}], "b": value}
    written = sent(JSON, json.dumps(document).encode())
    assert SECRET.encode() not in written
    again = json.loads(written)
    assert again["b"] == value
    assert again["a"][0] == value


@given(st.binary(max_size=60), st.sampled_from(["", JSON, "Content-Type: text/plain\r\n", "Content-Type: a/b\r\n"]))
def test_any_body_is_written_with_its_length(body: bytes, block: str) -> None:
    request, answer = transcribe(exchange(block, body, answer=(block, body)))
    assert answer is not None
    for message, asks in ((request, True), (answer, False)):
        head, _, rest = message.partition(b"\r\n\r\n")
        head += b"\r\n\r\n"
        framing = parse_request(head, LIMITS).framing if asks else parse_response(head, b"GET", LIMITS).framing
        pieces, extra = body_reader(framing, LIMITS, request=asks).feed(rest)
        assert (b"".join(pieces), extra) == (rest, b"")
