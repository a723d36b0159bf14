"""HAR files as browsers and tools write them become HTTP/1.1 messages."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.capture import ANSWER, REQUEST, FormatError, Record
from shadowproxy.capture.har import read_har
from shadowproxy.http1 import parse_request, parse_response
from shadowproxy.model.policy import LimitsPolicy

LIMITS = LimitsPolicy()


def entry(url: str = "https://shop.example/items/1?q=a", **changes: Any) -> dict[str, Any]:
    request = {"method": "GET", "url": url, "httpVersion": "HTTP/1.1", "headers": []} | changes.pop("request", {})
    response = {"status": 200, "statusText": "OK", "headers": [], "content": {"text": "hello", "size": 5}}
    response |= changes.pop("response", {})
    return {
        "startedDateTime": "2026-11-23T15:00:00.250Z",
        "time": 12.5,
        "request": request,
        "response": response,
    } | changes


def har(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"log": {"version": "1.2", "creator": {"name": "x"}, "entries": entries}}).encode()


def headers(**fields: str) -> list[dict[str, str]]:
    return [{"name": name.replace("_", "-"), "value": value} for name, value in fields.items()]


def one(changed: dict[str, Any]) -> tuple[Record, Record | None]:
    records, skipped = read_har(har(changed))
    assert skipped == {}
    return records[0], records[1] if len(records) > 1 else None


def test_an_entry_becomes_a_request_and_its_answer() -> None:
    request, answer = one(entry(connection="443 7", request={"headers": headers(accept="*/*")}))
    at = 1795446000_250_000_000
    message = b"GET /items/1?q=a HTTP/1.1\r\nHost: shop.example\r\naccept: */*\r\n\r\n"
    assert request == Record(REQUEST, "entry1", at, message, connection="443-7")
    message = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    assert answer == Record(ANSWER, "entry1", at, message, latency=12_500_000)


def test_times_have_their_zone_and_those_without_are_utc() -> None:
    times = [one(entry(startedDateTime=t))[0].at for t in ("2026-11-23T16:00:00+01:00", "2026-11-23T15:00:00")]
    assert times == [1795446000_000_000_000] * 2


def test_the_latency_is_what_passed_between_sending_and_the_last_byte() -> None:
    timings = {"blocked": 500, "connect": 80, "send": 1, "wait": 20, "receive": 4.5}
    _, answer = one(entry(timings=timings))
    assert answer is not None
    assert answer.latency == 25_500_000


def test_what_describes_http2_the_hop_or_the_encoding_is_left_out() -> None:
    request, answer = one(
        entry(
            connection="9",
            request={
                "httpVersion": "h2",
                "headers": [
                    *({"name": f":{name}", "value": "x"} for name in ("method", "path", "scheme")),
                    {"name": ":authority", "value": "api.example:8443"},
                    *headers(connection="keep-alive", te="trailers", accept="*/*"),
                ],
            },
            response={"headers": headers(content_encoding="br", content_length="3", transfer_encoding="chunked")},
        )
    )
    assert request.payload == b"GET /items/1?q=a HTTP/1.1\r\nHost: api.example:8443\r\naccept: */*\r\n\r\n"
    assert request.connection == ""
    assert answer is not None
    assert answer.payload == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def test_a_repeated_field_joined_by_line_feeds_is_taken_apart() -> None:
    _, answer = one(entry(response={"headers": headers(set_cookie="a=1\nb=2")}))
    assert answer is not None
    assert parse_response(answer.payload[:-5], b"GET", LIMITS).fields[:2] == [
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    ]


@pytest.mark.parametrize(
    ("posted", "body"),
    [
        ({"mimeType": "text/plain", "text": "å"}, "å".encode()),
        ({"text": base64.b64encode(b"\x00\xff").decode(), "encoding": "base64"}, b"\x00\xff"),
        (
            {"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "a b", "value": "1&2"}]},
            b"a+b=1%262",
        ),
        (None, b""),
    ],
)
def test_bodies_of_requests(posted: dict[str, Any] | None, body: bytes) -> None:
    request, _ = one(entry(request={"method": "POST", "postData": posted}))
    head, _, rest = request.payload.partition(b"\r\n\r\n")
    assert rest == body
    assert parse_request(head + b"\r\n\r\n", LIMITS).framing == len(body)


def test_a_binary_answer_is_decoded() -> None:
    _, answer = one(entry(response={"content": {"text": "AP8=", "encoding": "base64", "size": 2}}))
    assert answer is not None
    assert answer.payload.endswith(b"Content-Length: 2\r\n\r\n\x00\xff")


@pytest.mark.parametrize("response", [{"status": 0}, {"content": {"size": 12}}])
def test_an_answer_that_never_came_or_was_not_kept_is_absent(response: dict[str, Any]) -> None:
    assert one(entry(response=response))[1] is None


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
def test_an_answer_without_body_keeps_its_length(method: str, status: int) -> None:
    kept = {"status": status, "headers": headers(Content_Length="7")}
    _, answer = one(entry(request={"method": method}, response=kept))
    assert answer is not None
    assert b"Content-Length: 7\r\n" in answer.payload
    assert parse_response(answer.payload, method.encode(), LIMITS).framing == 0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (entry("data:text/plain,x"), "not_http"),
        (entry("wss://shop.example/"), "not_http"),
        (entry("http://[::1/"), "not_http"),
        (entry("https:///items"), "not_http"),
        (entry(response={"status": 101}), "upgrade"),
        (entry(response={"content": {"text": "!", "encoding": "base64"}}), "unreadable"),
        (entry(request={"headers": headers(a="x\ry")}), "unreadable"),
        (entry(request={"postData": {"mimeType": "multipart/form-data", "params": [{"name": "a"}]}}), "unreadable"),
    ],
)
def test_entries_that_cannot_be_sent_are_counted_by_reason(changed: dict[str, Any], reason: str) -> None:
    records, skipped = read_har(har(changed, entry()))
    assert skipped == {reason: 1}
    assert [record.id for record in records] == ["entry2", "entry2"]


def test_a_target_that_was_not_encoded_is() -> None:
    request, _ = one(entry("https://shop.example/a b/ö?x=%20|#top"))
    assert request.payload.startswith(b"GET /a%20b/%C3%B6?x=%20| HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"{", "no HAR: Input data was truncated"),
        (b'{"log": {}}', "no HAR: Object missing required field `entries` - at `$.log`"),
        (har({"startedDateTime": "yesterday"}), "no HAR: Invalid RFC3339"),
        (har(entry(request={"url": 5})), "no HAR: Expected `str`, got `int` - at `$.log.entries[0].request.url`"),
        (b"[" * 100_000, "no HAR: "),
    ],
)
def test_what_is_no_har_is_refused_with_its_place(text: bytes, says: str) -> None:
    with pytest.raises(FormatError) as error:
        read_har(text)
    assert str(error.value).startswith(says)


def test_a_byte_order_mark_is_no_part_of_it() -> None:
    assert len(read_har(b"\xef\xbb\xbf" + har(entry()))[0]) == 2


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(texts, texts)
def test_no_field_or_target_of_a_har_can_add_a_line(value: str, target: str) -> None:
    changed = entry(f"http://a/{target}", request={"headers": [{"name": "x", "value": value}]})
    records, skipped = read_har(har(changed))
    for record in records[:1]:
        lines = record.payload.split(b"\r\n")
        assert len(lines) == len(["GET", "Host", "", ""]) + len(value.split("\n"))
        assert not any(b"\n" in line or b"\r" in line for line in lines)
    assert bool(records) != bool(skipped)
