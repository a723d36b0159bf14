"""Redacts whole bodies, which stay what they are: for recordings, and for what examples show.

A body in which nothing was masked keeps its bytes; what had to be masked is written anew by those who read it.
"""

from __future__ import annotations

import codecs
from typing import Final

import msgspec

from shadowproxy.compare import content, multipart
from shadowproxy.compare.fields import Field
from shadowproxy.compare.findings import ABSENT
from shadowproxy.compare.flat import charset_of, decode_text
from shadowproxy.compare.jsontext import canonical, repeats
from shadowproxy.compare.limits import Deadline
from shadowproxy.compare.reading import Reader, is_text
from shadowproxy.compare.redaction import Mask, Redactor
from shadowproxy.compare.showing import shown
from shadowproxy.compare.trees import same

_SEPARATOR: Final = "\x1e"
_UTF16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class BodyRedactor:
    """Redacts under the rules of one route. Raises UndecodableError for parts that cannot be told apart, and
    IncomparableError where a limit is met.
    """

    __slots__ = ("_mask", "_max_depth", "_redactor")

    def __init__(self, max_depth: int, redactor: Redactor, mask: Mask) -> None:
        self._max_depth = max_depth
        self._redactor = redactor
        self._mask = mask

    def redact(self, content_type: str, data: bytes, deadline: Deadline, field: Field | None = None) -> bytes:
        """A decoded body of this type, redacted. `field` is where its value stands, the root without one."""
        kind = content.kind_of(content_type)
        if kind == content.MULTIPART:
            return self._multipart(content_type, data, deadline)
        written = self._value(content_type, data, deadline, field)
        if written is not None:
            return written
        if data[:2] in _UTF16:
            return self._wide(data, deadline)
        if kind not in content.TEXTUAL and not is_text(data):
            return data
        text = decode_text(data, content_type)
        redacted = self._redactor.form(text, deadline) if kind == content.FORM else self._redactor.text(text, deadline)
        return data if redacted == text else _encoded(redacted, data, content_type)

    def _wide(self, data: bytes, deadline: Deadline) -> bytes:
        """Text in UTF-16 says so by its first two bytes; whatever else is no text stays as it is."""
        mark, charset = data[:2], _UTF16[data[:2]]
        try:
            text = data[2:].decode(charset, "surrogatepass")
        except UnicodeDecodeError:
            return data
        return mark + self._redactor.text(text, deadline).encode(charset, "surrogatepass")

    def _value(self, content_type: str, data: bytes, deadline: Deadline, field: Field | None) -> bytes | None:
        """The body with its value redacted; None when it has none, or one that holds no secret in plain sight.

        Of members that occur twice only the last, which was looked at, is written.
        """
        kind, value = Reader(self._max_depth, deadline).one(data, content_type)
        if value is ABSENT:
            return None
        if kind == content.RECORDS:
            return self._records(content_type, data, deadline)
        redacted = self._redactor.value(value, deadline, field)
        if kind == content.JSON:
            unchanged = same(redacted, value) and not repeats(data, canonical(value))
            return data if unchanged else msgspec.json.encode(redacted)
        if same(redacted, value):
            return None
        text = shown(kind, redacted, len(data) * 16)
        return _encoded(self._redactor.text(text, deadline), data, content_type)

    def _records(self, content_type: str, data: bytes, deadline: Deadline) -> bytes:
        """Record by record, so that those without a secret stay as they are."""
        text = decode_text(data, content_type)
        separator = _SEPARATOR if _SEPARATOR in text else "\n"
        records = [self._record(record, deadline) for record in text.split(separator)]
        return _encoded(separator.join(records), data, content_type)

    def _record(self, record: str, deadline: Deadline) -> str:
        bare = record.strip()
        if not bare:
            return record
        before, _, after = record.partition(bare)
        field = self._redactor.root.element()
        redacted = self.redact("application/json", bare.encode("utf-8", "surrogateescape"), deadline, field)
        return before + redacted.decode("utf-8", "surrogateescape") + after

    def _multipart(self, content_type: str, data: bytes, deadline: Deadline) -> bytes:
        """Each part by its own name and type."""
        taken = multipart.take_apart(data, content_type)
        if taken is None:
            raise content.UndecodableError("multipart without its boundary")
        return taken.written(lambda part: self.part(part, deadline))

    def part(self, part: multipart.Part, deadline: Deadline) -> bytes:
        """The body of a part, redacted by the part's name and type."""
        deadline.check()
        if not part.body:
            return part.body
        if self._redactor.masks(part.name):
            return self._mask(part.body.decode("utf-8", "surrogateescape")).encode()
        field = None if part.name else self._redactor.root.element()
        data = part.decoded()
        redacted = self.redact(part.content_type, data, deadline, field)
        return part.body if redacted == data else part.encoded(redacted)


def _encoded(text: str, data: bytes, content_type: str) -> bytes:
    """`text`, which was made of `data`, in the same charset."""
    charset = charset_of(content_type)
    try:
        data.decode(charset, "surrogateescape")
    except UnicodeError:
        charset = "latin-1"
    return text.encode(charset, "surrogateescape")
