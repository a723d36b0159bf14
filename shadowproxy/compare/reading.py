"""Reads bodies as what they are: the values that are walked, pruned, masked and shown."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from shadowproxy.compare import content, multipart
from shadowproxy.compare.findings import ABSENT
from shadowproxy.compare.flat import decode_text
from shadowproxy.compare.jsontext import NotJsonError, read, read_all
from shadowproxy.compare.limits import Deadline
from shadowproxy.compare.markup import read_html, read_xml
from shadowproxy.compare.records import read_events, read_lines
from shadowproxy.compare.trees import TEXT, Element

_STRUCTURED: Final = frozenset(
    {content.JSON, content.FORM, content.XML, content.XHTML, content.HTML, content.RECORDS, content.EVENTS}
) | {content.MULTIPART}
_LEFT_OUT: Final = frozenset({b"content-length", b"content-transfer-encoding"})
"""Fields of a part that say how its body is written."""
_HTML: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html)[\s>]", re.IGNORECASE)


class Both(Struct, frozen=True):
    """Two bodies, both read as `kind`; `ABSENT` is one that cannot be. `mixed`: their types are of two kinds."""

    kind: str
    left: object = ABSENT
    right: object = ABSENT
    mixed: bool = False


class Reader:
    """Reads bodies of one route within `deadline`. Every method raises IncomparableError where a limit is met."""

    __slots__ = ("_deadline", "_max_depth")

    def __init__(self, max_depth: int, deadline: Deadline) -> None:
        self._max_depth = max_depth
        self._deadline = deadline

    def both(self, kind: str, a: bytes, b: bytes, types: tuple[str, str]) -> Both:
        """Two bodies as what the first is, unless the second has a type that forbids that. Neither is empty."""
        if kind == content.JSON:
            return Both(kind, self._json(a), self._json(b))
        other = content.kind_of(types[1])
        if kind != other and kind in _STRUCTURED and other in _STRUCTURED:
            return Both(kind, mixed=True)
        for each in _attempts(kind, a, b):
            left = self.value(each, a, types[0])
            right = self.value(each, b, types[1])
            if left is not ABSENT or right is not ABSENT:
                return Both(each, left, right)
        return Both(kind)

    def one(self, body: bytes, media_type: str) -> tuple[str, object]:
        """The kind of one body and its value, `ABSENT` if it has none."""
        kind = content.kind_of(media_type)
        for each in _attempts(kind, body, body):
            value = self.value(each, body, media_type)
            if value is not ABSENT:
                return each, value
        return kind, ABSENT

    def value(self, kind: str, body: bytes, media_type: str, *, repeated: bool = False) -> object:
        """The value of a body as one of a kind; `ABSENT` when it cannot be read as that. `repeated` as `read_all`."""
        found: object = None
        match kind:
            case content.JSON:
                return read_all(body) if repeated else self._json(body)
            case content.XML:
                found = read_xml(body, media_type, self._max_depth, self._deadline)
            case content.HTML:
                found = read_html(body, media_type, self._max_depth, self._deadline)
            case content.RECORDS:
                found = read_lines(body, self._max_depth, self._deadline, repeated=repeated)
            case content.EVENTS:
                found = read_events(decode_text(body, media_type), self._deadline)
            case content.MULTIPART:
                taken = multipart.take_apart(body, media_type)
                found = None if taken is None else [self.part(part) for part in taken.parts if not part.name]
        return ABSENT if found is None else found

    def _json(self, body: bytes) -> object:
        try:
            return read(body, self._max_depth)
        except NotJsonError:
            return ABSENT

    def part(self, part: multipart.Part) -> Element:
        """A part of a multipart body: its fields as attributes, its value as its text."""
        self._deadline.check()
        element = Element()
        for name, value in part.fields:
            if name not in _LEFT_OUT:
                element[f"@{name.decode('latin-1')}"] = value.decode("latin-1")
        body = part.decoded()
        kind, found = self.one(body, part.content_type)
        if found is ABSENT or kind == content.MULTIPART:
            found = decode_text(body, part.content_type) if kind in content.TEXTUAL or is_text(body) else body
        element[TEXT] = found
        return element


def is_text(body: bytes) -> bool:
    """Whether a body reads as text, whatever its type says."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body


def _attempts(kind: str, a: bytes, b: bytes) -> tuple[str, ...]:
    """The kinds that bodies are tried to be read as, in order."""
    if kind == content.HTML and not (_is_markup(a) or _is_markup(b)):
        return (content.JSON,)  # what many a small service says its JSON was
    if kind == content.UNKNOWN:
        if _HTML.match(a) and _HTML.match(b):
            return (content.JSON, content.HTML)
        return (content.JSON, content.XML) if _is_markup(a) and _is_markup(b) else (content.JSON,)
    if kind == content.XHTML:
        return (content.XML, content.HTML)
    return (kind,)


def _is_markup(body: bytes) -> bool:
    return body[:256].lstrip(b"\xef\xbb\xbf \t\r\n\xff\xfe\0")[:1] == b"<"
