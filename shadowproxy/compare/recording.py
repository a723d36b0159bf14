"""Makes of an exchange what may be written to a recording: redacted as examples are, and still sound HTTP/1.1.

Bodies are decoded, since what is encoded cannot be redacted, and Content-Length says how long they are then. A body
in which nothing was masked keeps its bytes. What cannot be redacted is not recorded.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

import msgspec

from shadowproxy.compare import content
from shadowproxy.compare.flat import charset_of, decode_text
from shadowproxy.compare.jsontext import NotJsonError, canonical, read, repeats
from shadowproxy.compare.limits import Deadline
from shadowproxy.compare.redaction import Mask, Redactor
from shadowproxy.compare.trees import same
from shadowproxy.model.pair import Exchange, Fields
from shadowproxy.model.policy import ComparePolicy

_LEFT_OUT: Final = frozenset({b"content-encoding", b"transfer-encoding", b"trailer", b"connection", b"keep-alive"})
"""What describes a body as it was sent, which is not as it is recorded."""
_LENGTH: Final = b"content-length"
_VIA: Final = b"via"
_OWN_VIA: Final = re.compile(rb"\s*1\.1 shadowproxy-[0-9a-f]+\s*")
_BY_LINE: Final = re.compile(r"application/(?:x-)?(?:ndjson|jsonl|json-seq)|text/event-stream")
_RECORD: Final = re.compile(r"(\x1e?(?:data:)?[ \t]*)([\[{].*)")
_PART_NAME: Final = re.compile(
    rb"^content-disposition:[^\r\n]*?[;\s]name=(?:\"([^\"\r\n]*)\"|([^\s;\"]*))", re.I | re.M
)


class Transcriber:
    """Redacts the exchanges of one route. Its methods raise UndecodableError, and IncomparableError as limits end."""

    __slots__ = ("_mask", "_policy", "_redactor")

    def __init__(self, policy: ComparePolicy, redactor: Redactor, mask: Mask) -> None:
        self._policy = policy
        self._redactor = redactor
        self._mask = mask

    def request(self, exchange: Exchange, deadline: Deadline) -> bytes:
        """The request as a message."""
        line, _, block = exchange.head.partition(b"\r\n")
        method, target, version = line.decode("latin-1").split(" ")
        written = f"{method} {self._redactor.target(target, deadline)} {version}"
        return self._message(written.encode("latin-1"), block, exchange.body, deadline)

    def answer(self, exchange: Exchange, deadline: Deadline) -> bytes | None:
        """The primary's answer as a message, where it came whole."""
        response = exchange.response
        if response is None:
            return None
        line = b"HTTP/1.1 %d %b" % (response.status, response.reason)
        return self._message(line, response.block, response.body, deadline)

    def _message(self, line: bytes, block: bytes, body: bytes, deadline: Deadline) -> bytes:
        fields = _fields(block)
        data = self._body(fields, body, deadline) if body else body
        lines = [line]
        for name, value in fields:
            lower = name.lower()
            if lower in _LEFT_OUT:
                continue
            if lower == _LENGTH and (body or data):
                continue
            if lower == _VIA:
                value = b",".join(hop for hop in value.split(b",") if _OWN_VIA.fullmatch(hop) is None)
                if not value:
                    continue
            text = self._redactor.field(name.decode("latin-1"), value.decode("latin-1"), deadline)
            lines.append(b"%b: %b" % (name, text.encode("latin-1")))
        if data:
            lines.append(b"Content-Length: %d" % len(data))
        return b"\r\n".join(lines) + b"\r\n\r\n" + data

    # -- bodies

    def _body(self, fields: Fields, body: bytes, deadline: Deadline) -> bytes:
        data = content.decode(body, content.codings(fields), self._policy, deadline, partial=False)
        if not data:
            return data
        if self._redactor.hides_bodies:
            return self._mask(repr(data)).encode()
        types = content.field_values(fields, b"content-type")
        return self._typed(types[0] if types else b"", data, deadline)

    def _typed(self, content_type: bytes, data: bytes, deadline: Deadline) -> bytes:
        media_type = content_type.decode("latin-1").strip().lower()
        if media_type.startswith("multipart/"):
            return self._multipart(content_type, data, deadline)
        kind = content.kind_of(media_type)
        if kind in (content.JSON, content.UNKNOWN):
            written = self._json(data, deadline)
            if written is not None:
                return written
        if kind not in (content.TEXT, content.FORM) and not _is_text(data):
            return self._wide(data, deadline)
        text = decode_text(data, media_type)
        if kind == content.FORM:
            shown = self._redactor.form(text, deadline)
        elif _BY_LINE.match(media_type):
            shown = "\n".join(self._line(line, deadline) for line in text.split("\n"))
        else:
            shown = self._redactor.text(text, deadline)
        return data if shown == text else _encoded(shown, data, media_type)

    def _wide(self, data: bytes, deadline: Deadline) -> bytes:
        """Text in UTF-16 says so by its first two bytes; whatever else is no text stays as it is."""
        mark = data[:2]
        if mark not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return data
        charset = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
        try:
            text = data[2:].decode(charset, "surrogatepass")
        except UnicodeDecodeError:
            return data
        return mark + self._redactor.text(text, deadline).encode(charset, "surrogatepass")

    def _json(self, data: bytes, deadline: Deadline) -> bytes | None:
        """None when it is no JSON. Of members that occur twice only the last, which was looked at, is written."""
        try:
            value = read(data, self._policy.max_depth)
        except NotJsonError:
            return None
        redacted = self._redactor.value(value, deadline)
        if same(redacted, value) and not repeats(data, canonical(value)):
            return data
        return msgspec.json.encode(redacted)

    def _line(self, line: str, deadline: Deadline) -> str:
        """One record of a stream of records, each of which may be JSON."""
        found = _RECORD.fullmatch(line.rstrip("\r"))
        written = self._json(found[2].encode("utf-8", "surrogateescape"), deadline) if found else None
        if found is None or written is None:
            return self._redactor.text(line, deadline)
        return found[1] + written.decode("utf-8", "surrogateescape") + line[len(line.rstrip("\r")) :]

    def _multipart(self, content_type: bytes, data: bytes, deadline: Deadline) -> bytes:
        """RFC 2046 section 5.1.1: each part by its own name and type."""
        boundary = _boundary(content_type)
        delimiter = b"\r\n--" + boundary
        first, *parts = (b"\r\n" + data).split(delimiter)
        if not boundary or not parts:
            raise content.UndecodableError("multipart without its boundary")
        return delimiter.join([first, *(self._part(part, deadline) for part in parts)])[2:]

    def _part(self, part: bytes, deadline: Deadline) -> bytes:
        deadline.check()
        head, empty_line, body = part.partition(b"\r\n\r\n")
        if not empty_line or not body:
            return part
        named = _PART_NAME.search(head)
        name = (named[1] or named[2] or b"").decode("utf-8", "surrogateescape") if named else ""
        if self._redactor.masks(name):
            return head + empty_line + self._mask(body.decode("utf-8", "surrogateescape")).encode()
        types = content.field_values(_fields(head), b"content-type")
        return head + empty_line + self._typed(types[0] if types else b"text/plain", body, deadline)


def _fields(block: bytes) -> Fields:
    fields: Fields = []
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            fields.append((name, value.strip(b" \t")))
    return fields


def _boundary(content_type: bytes) -> bytes:
    """The boundary that a multipart type names, empty where it names none."""
    for parameter in content_type.split(b";")[1:]:
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"boundary":
            return value.strip().strip(b'"')
    return b""


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _encoded(text: str, data: bytes, media_type: str) -> bytes:
    """`text`, which was made of `data`, in the same charset."""
    charset = charset_of(media_type)
    try:
        data.decode(charset, "surrogateescape")
    except UnicodeError:
        charset = "latin-1"
    return text.encode(charset, "surrogateescape")
