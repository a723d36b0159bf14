"""Bodies of several parts (RFC 2046, section 5.1; forms: RFC 7578)."""

from __future__ import annotations

import base64
import quopri
import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from shadowproxy.compare.content import field_values
from shadowproxy.model.pair import Fields
from shadowproxy.model.policy import KIB

MAX_PARTS: Final = 10_000
_MAX_HEAD: Final = 16 * KIB
_NAME: Final = re.compile(
    rb"\s*form-data\b[^\r\n]*?[;\s]name=(?:\"((?:[^\"\\\r\n]|\\.)*)\"|([^\s;\"]*))", re.IGNORECASE
)
_FILE: Final = re.compile(rb"[;\s]filename\*?=", re.IGNORECASE)
_FOLDED: Final = re.compile(rb"\r?\n[ \t]+")
_ESCAPED: Final = re.compile(rb"\\(.)")
_BOUNDARY: Final = re.compile(r";\s*boundary=(?:\"([^\"]*)\"|([^\s;\"]*))", re.IGNORECASE)


class Part(Struct, frozen=True):
    """One part: the rest of the boundary's line, the head with its empty line, and the body as it came."""

    line: bytes
    head: bytes
    body: bytes

    @property
    def fields(self) -> Fields:
        lines = (line.partition(b":") for line in _FOLDED.sub(b" ", self.head).split(b"\n"))
        return [(name.strip().lower(), value.strip()) for name, colon, value in lines if colon]

    @property
    def name(self) -> str:
        """The name of a form's field; empty elsewhere."""
        found = _NAME.match(self._field(b"content-disposition"))
        if found is None:
            return ""
        name = found[2] if found[1] is None else _ESCAPED.sub(rb"\1", found[1])
        return name.decode("utf-8", "surrogateescape")

    @property
    def is_file(self) -> bool:
        return _FILE.search(self._field(b"content-disposition")) is not None

    @property
    def content_type(self) -> str:
        return (self._field(b"content-type") or b"text/plain").decode("latin-1")

    def decoded(self) -> bytes:
        """The body without its transfer encoding (RFC 2045 section 6); as it came, if that is broken."""
        encoding = self._field(b"content-transfer-encoding").lower()
        if encoding == b"quoted-printable":
            return quopri.decodestring(self.body)
        try:
            return base64.b64decode(self.body) if encoding == b"base64" else self.body
        except ValueError:
            return self.body

    def encoded(self, data: bytes) -> bytes:
        """`data` in the transfer encoding of this part."""
        match self._field(b"content-transfer-encoding").lower():
            case b"quoted-printable":
                return quopri.encodestring(data)
            case b"base64":
                return base64.encodebytes(data)
        return data

    def _field(self, name: bytes) -> bytes:
        return next(iter(field_values(self.fields, name)), b"")


class Multipart(Struct, frozen=True):
    """A body in its parts. What stands before the first and after the last means nothing, but is kept."""

    end: bytes
    boundary: bytes
    before: bytes
    parts: list[Part]
    after: list[bytes]

    def written(self, change: Callable[[Part], bytes]) -> bytes:
        """The whole body with `change` of each part as that part's body."""
        parts = [part.line + part.head + change(part) for part in self.parts]
        whole = (self.end + self.boundary).join([self.before, *parts, *self.after])
        return whole[len(self.end) :]


def without_boundary(content_type: str) -> str:
    """The type without its boundary, which means nothing by itself."""
    return _BOUNDARY.sub("", content_type)


def take_apart(body: bytes, content_type: str) -> Multipart | None:
    """None when it is no such body, or has too many parts. Lines may end in bare newlines if the first one does."""
    found = _BOUNDARY.search(content_type)
    name = (found[1] or found[2] or "") if found else ""
    boundary = b"--" + name.encode("latin-1", "replace")
    start = body.find(boundary)
    if not name or start < 0:
        return None
    line_end = body.find(b"\n", start)
    end = b"\n" if line_end > 0 and body[line_end - 1 : line_end] != b"\r" else b"\r\n"
    whole = end + body
    if not 0 < whole.count(end + boundary) <= MAX_PARTS:
        return None
    before, *pieces = whole.split(end + boundary)
    last = next((at for at, piece in enumerate(pieces) if piece.startswith(b"--")), len(pieces))
    parts = [part for piece in pieces[:last] if (part := _part(piece, end)) is not None]
    return Multipart(end, boundary, before, parts, pieces[last:]) if len(parts) == last else None


def _part(piece: bytes, end: bytes) -> Part | None:
    """None for one with a head that is too long."""
    padding, line_end, rest = piece.partition(end)
    line = padding + line_end
    if rest.startswith(end):
        return Part(line, end, rest[len(end) :])
    head, empty_line, body = rest.partition(end + end)
    return Part(line, head + empty_line, body) if len(head) <= _MAX_HEAD else None
