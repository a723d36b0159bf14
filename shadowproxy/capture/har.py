"""HAR 1.2 (HTTP Archive), as browsers, Playwright and mitmproxy write it, turned into records.

A HAR holds decoded bodies under header fields that describe the encoded ones, headers of HTTP/2 and requests that
never left the browser. What comes out are HTTP/1.1 messages: pseudo-fields become Host and the request line, fields of
the encoding and of one hop are left out, Content-Length is that of the body. Whether a message is sound is for
`http1` to say.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from shadowproxy.capture.record import ANSWER, REQUEST, FormatError, Record
from shadowproxy.model.nature import HOP_BY_HOP

_LEFT_OUT: Final = frozenset(name.decode() for name in HOP_BY_HOP) | {"content-length"}
_ENCODED: Final = _LEFT_OUT | {"content-encoding"}
_VISIBLE: Final = "".join(chr(code) for code in range(0x21, 0x7F))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_BODY_EXPECTED: Final = frozenset({"POST", "PUT", "PATCH"})
_BODILESS: Final = (204, 304)
_FORM: Final = "application/x-www-form-urlencoded"

NOT_HTTP: Final = "not_http"
"""A `data:`, `blob:`, `ws:` or `chrome-extension:` URL."""
UPGRADE: Final = "upgrade"
UNREADABLE: Final = "unreadable"
"""A body whose base64 is none, or a field that cannot stand on a line."""


class _Named(Struct):
    name: str
    value: str = ""


class _Posted(Struct):
    mimeType: str = ""  # noqa: N815 - the key's name
    text: str | None = None
    params: list[_Named] | None = None
    encoding: str | None = None


class _Request(Struct):
    method: str
    url: str
    headers: list[_Named] = []
    postData: _Posted | None = None  # noqa: N815 - the key's name
    httpVersion: str = ""  # noqa: N815 - the key's name


class _Content(Struct):
    text: str | None = None
    encoding: str | None = None
    size: float | None = None


class _Response(Struct):
    status: float
    statusText: str | None = None  # noqa: N815 - the key's name
    headers: list[_Named] = []
    content: _Content | None = None


class _Timings(Struct):
    send: float | None = None
    wait: float | None = None
    receive: float | None = None


class _Entry(Struct):
    startedDateTime: datetime  # noqa: N815 - the key's name
    request: _Request
    response: _Response | None = None
    time: float | None = None
    timings: _Timings | None = None
    connection: str | None = None


class _Log(Struct):
    entries: list[_Entry]


class _Har(Struct):
    log: _Log


_decode: Final = msgspec.json.Decoder(_Har).decode


class _SkippedError(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_har(text: bytes) -> tuple[list[Record], dict[str, int]]:
    """The records of a HAR, in the order of its entries, and how many entries were left out, by reason.

    A request whose answer was not kept, or never came, has no answer among the records. Raises FormatError.
    """
    try:
        har = _decode(text.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"no HAR: {error}") from None
    records: list[Record] = []
    skipped: Counter[str] = Counter()
    for number, entry in enumerate(har.log.entries, 1):
        try:
            records += _exchange(entry, f"entry{number}")
        except _SkippedError as why:
            skipped[why.reason] += 1
    return records, dict(skipped)


def _exchange(entry: _Entry, identity: str) -> list[Record]:
    started = entry.startedDateTime
    at = ((started if started.tzinfo else started.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND * 1000
    request, response = entry.request, entry.response
    # Over HTTP/2 and HTTP/3 the requests of a connection ran side by side: there their order is that of their times.
    ordered = request.httpVersion.lower().startswith("http/1")
    connection = "-".join((entry.connection or "").split()) if ordered else ""
    records = [Record(REQUEST, identity, at, _request(request), connection=connection)]
    if response is not None and response.status >= 100:
        payload = _response(response, request.method)
        if payload is not None:
            records.append(Record(ANSWER, identity, at, payload, _latency(entry)))
    return records


def _latency(entry: _Entry) -> int:
    """Nanoseconds from sending to the last byte, without what came before the request could be sent; 0: unknown."""
    timings = entry.timings
    parts = [timings.send, timings.wait, timings.receive] if timings is not None else []
    known = [part for part in parts if part is not None and part >= 0]
    milliseconds = sum(known) if known else entry.time or 0.0
    return max(0, int(milliseconds * 1e6))


def _request(request: _Request) -> bytes:
    try:
        url = urlsplit(request.url)
        host = url.netloc.rpartition("@")[2]
    except ValueError:
        raise _SkippedError(NOT_HTTP) from None
    if url.scheme not in ("http", "https") or not host:
        raise _SkippedError(NOT_HTTP)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    named = {field.name.lower(): field.value for field in request.headers}
    fields = [("Host", named.get("host") or named.get(":authority") or host)]
    fields += _fields(request.headers, _LEFT_OUT | {"host"})
    body = _posted(request.postData)
    if body or request.method in _BODY_EXPECTED:
        fields.append(("Content-Length", str(len(body))))
    return _message(f"{request.method} {quote(target, safe=_VISIBLE)} HTTP/1.1", fields, body)


def _response(response: _Response, method: str) -> bytes | None:
    """None where the body was not kept."""
    status = int(response.status)
    if status == 101:
        raise _SkippedError(UPGRADE)
    content = response.content or _Content()
    line = f"HTTP/1.1 {status} {' '.join((response.statusText or '').split())}"
    if method == "HEAD" or status in _BODILESS:
        return _message(line, list(_fields(response.headers, _LEFT_OUT - {"content-length"})), b"")
    if content.text is None and content.size is not None and content.size > 0:
        return None
    body = _bytes(content.text or "", content.encoding)
    fields = [*_fields(response.headers, _ENCODED), ("Content-Length", str(len(body)))]
    return _message(line, fields, body)


def _fields(headers: Iterable[_Named], left_out: frozenset[str] | set[str]) -> Iterable[tuple[str, str]]:
    """Fields as they are written in HTTP/1.1. Chrome joins the values of a repeated field by line feeds."""
    for field in headers:
        if not field.name.startswith(":") and field.name.lower() not in left_out:
            for value in field.value.split("\n"):
                yield field.name, value.strip(" \t\r")


def _posted(posted: _Posted | None) -> bytes:
    if posted is None:
        return b""
    if posted.text is None and posted.params:
        if not posted.mimeType.lower().startswith(_FORM):
            raise _SkippedError(UNREADABLE)  # parts of a multipart body, whose boundary is not known
        return urlencode([(each.name, each.value) for each in posted.params]).encode()
    return _bytes(posted.text or "", posted.encoding)


def _bytes(text: str, encoding: str | None) -> bytes:
    if encoding != "base64":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _SkippedError(UNREADABLE) from None


def _message(line: str, fields: Iterable[tuple[str, str]], body: bytes) -> bytes:
    lines = [line, *(f"{name}: {value}" for name, value in fields)]
    if any("\r" in each or "\n" in each for each in lines):
        raise _SkippedError(UNREADABLE)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
