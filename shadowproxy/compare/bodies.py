"""Compares two bodies by what they are.

The primary's content type decides. What one side alone can be read as (JSON, XML, …) is a `body_type` of `body`; when
neither side can, the bodies are compared as text or as bytes. The same goes for a content coding that one side alone
fails. Without a content type a body is JSON, XML or HTML if it reads so, else text if it is UTF-8, else bytes.
"""

from __future__ import annotations

from typing import Final

from shadowproxy.compare import content, multipart
from shadowproxy.compare.findings import ABSENT, Findings
from shadowproxy.compare.flat import compare_bytes, compare_forms, compare_lines, decode_text
from shadowproxy.compare.jsontext import canonical, repeats
from shadowproxy.compare.limits import Deadline, IncomparableError
from shadowproxy.compare.parts import compare_parts
from shadowproxy.compare.reading import Both, Reader, is_text
from shadowproxy.compare.rules import RouteRules
from shadowproxy.compare.trees import same
from shadowproxy.compare.walker import Walker
from shadowproxy.model.pair import CapturedResponse, Fields

_UNREAD: Final = frozenset({content.FORM, content.TEXT, content.BYTES})
_BY_LINE: Final = content.TEXTUAL - {content.FORM}
"""Kinds that are compared by line when they are no such thing after all."""
_GUESSED: Final = frozenset({content.JSON, content.UNKNOWN, content.MULTIPART})
"""Kinds that say nothing of the charset: those are compared by line if they read as UTF-8."""


class BodyComparer:
    """Compares the bodies of one pair under the rules of its route and adds to `found` how they differ."""

    __slots__ = ("_deadline", "_found", "_reader", "_rules")

    def __init__(self, rules: RouteRules, deadline: Deadline, found: Findings) -> None:
        self._rules = rules
        self._deadline = deadline
        self._found = found
        self._reader = Reader(rules.policy.max_depth, deadline)

    def compare(self, primary: CapturedResponse, shadow: CapturedResponse) -> None:
        """Raises IncomparableError where no verdict on the bodies is possible."""
        ignored = self._rules.ignored
        cut = primary.truncated or shadow.truncated
        codings = content.codings(primary.fields), content.codings(shadow.fields)
        if primary.body == shadow.body and codings[0] == codings[1] and not cut:
            return
        if "body" in ignored:
            compare_bytes(primary.body, shadow.body, ignored, self._found)
            return
        if cut and codings[0] == codings[1] and _sizes_differ(primary, shadow):
            self._found.add("body", "body_size", _size(primary), _size(shadow))
            return
        a = self._decoded(primary, codings[0])
        b = self._decoded(shadow, codings[1])
        if a is None and b is None:
            raise IncomparableError("undecodable")
        if a is None or b is None:
            self._found.add("body", "body_type", primary.body, shadow.body)
        elif cut:
            self._beginnings(a, b)
        elif a != b:
            self._deadline.check()
            self._decided(a, b, content.content_type(primary.fields), shadow.fields)

    def _decoded(self, response: CapturedResponse, codings: list[str]) -> bytes | None:
        """The decoded body; None when it is not what its codings say."""
        policy, deadline = self._rules.policy, self._deadline
        try:
            return content.decode(response.body, codings, policy, deadline, partial=response.truncated)
        except content.UndecodableError:
            return None

    def _beginnings(self, a: bytes, b: bytes) -> None:
        """At least one body is only a beginning. What rules would say of the missing rest, nobody knows."""
        common = min(len(a), len(b))
        if a[:common] == b[:common] or self._rules.ruled_body:
            raise IncomparableError("truncated_response")
        self._found.add("body", "body_bytes", a, b)

    def _decided(self, a: bytes, b: bytes, media_type: str, other: Fields) -> None:
        """Two unequal, whole, decoded bodies. `other` are the fields of the shadow's."""
        ignored, found = self._rules.ignored, self._found
        if not a or not b:
            found.add("body", "body_missing" if a else "body_extra", a or ABSENT, b or ABSENT)
            return
        kind = content.kind_of(media_type)
        if kind not in _UNREAD:
            types = media_type, media_type if kind == content.JSON else content.content_type(other)
            read = self._reader.both(kind, a, b, types)
            if read.mixed or (read.left is ABSENT) != (read.right is ABSENT):
                found.add("body", "body_type", a, b)
                return
            if read.left is not ABSENT:
                self._values(read, a, b, types)
                return
        if kind == content.FORM and compare_forms(a, b, ignored, found):
            return
        if kind in _BY_LINE or (kind in _GUESSED and is_text(a) and is_text(b)):
            left, right = decode_text(a, media_type), decode_text(b, media_type)
            self._deadline.check()
            if compare_lines(left, right, ignored, found):
                return
        compare_bytes(a, b, ignored, found)

    def _values(self, read: Both, a: bytes, b: bytes, types: tuple[str, str]) -> None:
        self._deadline.check()
        found, kind = self._found, read.kind
        counted = len(found.counted)
        if kind == content.MULTIPART:
            taken = multipart.take_apart(a, types[0]), multipart.take_apart(b, types[1])
            compare_parts(*taken, self._reader, self._walker(), self._rules.ignored, found)
        texts = (canonical(read.left), canonical(read.right)) if read.left == read.right else None
        if texts is None or texts[0] != texts[1]:
            self._walk(read.left, read.right)
        if len(found.counted) > counted or kind not in (content.JSON, content.RECORDS):
            return
        texts = texts or (canonical(read.left), canonical(read.right))
        if repeats(a, texts[0]) or repeats(b, texts[1]):
            self._deadline.check()
            found.repeated = True
            left = self._reader.value(kind, a, types[0], repeated=True)
            self._deadline.check()
            self._walk(left, self._reader.value(kind, b, types[1], repeated=True))

    def _walk(self, left: object, right: object) -> None:
        if not same(left, right):
            self._walker().walk(self._rules.fields.root, left, right, self._found)

    def _walker(self) -> Walker:
        return Walker(self._deadline, self._found.recorded, self._rules.policy.max_depth)


def _sizes_differ(primary: CapturedResponse, shadow: CapturedResponse) -> bool:
    """Bodies under one coding: a whole one is no longer than the limit that the other went past."""
    if primary.truncated != shadow.truncated:
        return True
    a, b = _size(primary), _size(shadow)
    return a is not None and b is not None and a != b


def _size(response: CapturedResponse) -> int | None:
    """The body's size on the wire, where it is known."""
    if not response.truncated:
        return len(response.body)
    lengths = content.field_values(response.fields, b"content-length")
    return int(lengths[0]) if lengths and lengths[0].isdigit() and len(lengths[0]) < 20 else None
