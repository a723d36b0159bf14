"""Makes the example of one mismatch: redact first, then compare what is left, explain it, and write it as curl."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import Any, Final

from shadowproxy.compare import content, multipart, showing, wording
from shadowproxy.compare.comparing import FAILURE, Comparison
from shadowproxy.compare.curl import curl_command
from shadowproxy.compare.explaining import explain
from shadowproxy.compare.findings import ABSENT, Findings
from shadowproxy.compare.flat import decode_text
from shadowproxy.compare.limits import Deadline, IncomparableError
from shadowproxy.compare.paths import BODY_ROOMS
from shadowproxy.compare.pruning import Pruner
from shadowproxy.compare.reading import Reader, is_text
from shadowproxy.compare.redacted import BodyRedactor
from shadowproxy.compare.redaction import Mask, Redactor
from shadowproxy.compare.rules import RouteRules
from shadowproxy.compare.shapes import shape_of
from shadowproxy.compare.trees import same
from shadowproxy.compare.walker import Walker
from shadowproxy.model.pair import CapturedResponse, Difference, Example, Fields, Pair
from shadowproxy.model.policy import KIB

MAX_BODY: Final = 64 * KIB
"""Characters of a stored body."""
MAX_DIFFERENCES: Final = 100
"""Differences that an example lists at most, of those that stand and of each kind that does not."""
_MAX_REDACTED: Final = 256 * KIB
"""Larger JSON is not redacted and shown as a whole: only where it differs."""
_MARGIN: Final = 8 * KIB
"""Redacted beyond what is kept, so that no secret is cut in two and half of it kept."""
_NAMES: Final = {
    content.JSON: "JSON",
    content.XML: "XML",
    content.HTML: "HTML",
    content.RECORDS: "JSON lines",
    content.EVENTS: "server-sent events",
}


class Opened:
    """One body as an example shows it: `kind`, decoded `data`, and the `value` if it has one.

    `like`: the body that it was compared with, whose kind decides unless this one's type forbids it.
    """

    __slots__ = ("data", "kind", "media_type", "note", "value")

    def __init__(
        self,
        fields: Fields,
        body: bytes,
        rules: RouteRules,
        deadline: Deadline,
        partial: bool = False,
        like: Opened | None = None,
    ) -> None:
        self.media_type = content.content_type(fields)
        self.kind = content.kind_of(self.media_type)
        self.note = ""
        self.value: Any = ABSENT
        self.data = body
        try:
            self.data = content.decode(body, content.codings(fields), rules.policy, deadline, partial=partial)
            if self.data:
                reader = Reader(rules.policy.max_depth, deadline)
                self.kind, self.value = reader.one(self.data, self.media_type)
                if like is not None and self.value is ABSENT and like.value is not ABSENT:
                    self.value = reader.value(like.kind, self.data, self.media_type)
                    self.kind = self.kind if self.value is ABSENT else like.kind
        except (content.UndecodableError, IncomparableError) as limit:
            self.data = b""
            self.note = f"({len(body):,} bytes on the wire: {limit})"


def example_id(pair: Pair) -> str:
    """Short, unique, fit for a URL: a hash of the request id, the arm and the moment."""
    text = f"{pair.request_id}\n{pair.arm}\n{pair.at!r}\n{pair.service}"
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


class ExampleMaker:
    """Makes examples of one route. Every method raises IncomparableError when `deadline` is over."""

    __slots__ = ("_mask", "_redactor", "_rules")

    def __init__(self, rules: RouteRules, redactor: Redactor, mask: Mask) -> None:
        self._rules = rules
        self._redactor = redactor
        self._mask = mask

    def make(self, pair: Pair, comparison: Comparison, deadline: Deadline, cause: str) -> Example:
        """The example of a mismatch; `cause` is the id of what it has in common with others."""
        redactor, request, shadow = self._redactor, pair.request, pair.shadow
        method = request.method.decode("latin-1")
        target = redactor.target(request.target.decode("latin-1"), deadline)
        request_fields = redactor.fields(request.fields, deadline)
        sent = Opened(request.fields, request.body, self._rules, deadline)
        a = self._open(pair.primary, deadline)
        b = self._open(shadow, deadline, a) if shadow is not None else None
        if comparison.found.repeated:
            for body in (a, b):
                if body is not None and body.value is not ABSENT:
                    reader = Reader(self._rules.policy.max_depth, deadline)
                    body.value = reader.value(body.kind, body.data, body.media_type, repeated=True)
        left, right = self._pruned(a, b, deadline)
        differences = self._differences(comparison.found, left, right, deadline)
        request_body = self._shown(sent, sent.value, deadline)
        return Example(
            id=example_id(pair),
            service=pair.service,
            route=pair.route,
            arm=pair.arm,
            request_id=pair.request_id,
            at=pair.at,
            method=method,
            target=target,
            request_fields=request_fields,
            request_body=request_body,
            primary_status=pair.primary.status,
            primary_fields=redactor.fields(pair.primary.fields, deadline),
            primary_body=self._shown(a, left, deadline),
            primary_seconds=pair.primary.seconds,
            shadow_status=shadow.status if shadow else None,
            shadow_fields=redactor.fields(shadow.fields, deadline) if shadow else [],
            shadow_body=self._shown(b, right, deadline) if b else "",
            shadow_seconds=shadow.seconds if shadow else None,
            failure=pair.failure,
            differences=differences,
            explanation=self._explanation(pair, comparison.found, differences, left, right),
            curl=curl_command(method, target, request_fields, request_body, binary=_is_binary(sent)),
            cause=cause,
        )

    def _explanation(
        self, pair: Pair, found: Findings, differences: list[Difference], left: Any, right: Any
    ) -> list[str]:
        """In words, redacted as its parts are. Comes last: the first one waits for DeepDiff's import."""
        standing = [
            each for each in differences if not (each.by_rule or each.noise or each.accepted or each.field == FAILURE)
        ]
        sentences = explain(standing, found, self._rules.fields.root, left, right, pair.arm)
        if pair.failure is not None:
            primary = pair.primary
            sentences.insert(0, wording.describe_failure(pair.failure, pair.arm, primary.status, primary.seconds))
        return [wording.printable(sentence) for sentence in sentences]

    def _walker(self, deadline: Deadline) -> Walker:
        return Walker(deadline, max_depth=self._rules.policy.max_depth)

    def _open(self, response: CapturedResponse, deadline: Deadline, like: Opened | None = None) -> Opened:
        return Opened(response.fields, response.body, self._rules, deadline, response.truncated, like)

    def _pruned(self, a: Opened, b: Opened | None, deadline: Deadline) -> tuple[Any, Any]:
        """Where two bodies of one kind differ, redacted; two equal nulls when there are no two."""
        if b is None or ABSENT in (a.value, b.value) or a.kind != b.kind or self._redactor.hides_bodies:
            return None, None
        left, right = Pruner(self._walker(deadline)).prune(self._rules.fields.root, a.value, b.value)
        return self._redactor.value(left, deadline), self._redactor.value(right, deadline)

    def _differences(self, found: Findings, left: Any, right: Any, deadline: Deadline) -> list[Difference]:
        """The findings with redacted values. Those of JSON are found again in what is redacted and pruned."""
        again = Findings()
        if not same(left, right):
            self._walker(deadline).walk(self._rules.fields.root, left, right, again)
        redacted = again.ruled | again.counted
        by_field = {field: values for (field, _), values in redacted.items()}
        differences = []
        marks = {"noise": found.noise, "accepted": found.accepted, "by_rule": found.ruled}
        for mark, keys in {"": found.counted, **marks}.items():
            for (field, kind), (a, b) in islice(keys.items(), MAX_DIFFERENCES):
                shape = shape_of(b)
                if field.startswith("$"):
                    a, b = redacted.get((field, kind)) or by_field.get(field) or (self._hidden(a), self._hidden(b))
                else:
                    a, b = self._flat(field, a, deadline), self._flat(field, b, deadline)
                marked = {name: name == mark for name in marks}
                differences.append(Difference(field, kind, wording.render(a), wording.render(b), shape=shape, **marked))
        return differences

    def _hidden(self, value: Any) -> Any:
        """What stands for a JSON value that is hidden, or did not fit into the pruned pair and so was not redacted."""
        return value if value is ABSENT else self._mask(value)

    def _flat(self, field: str, value: Any, deadline: Deadline) -> Any:
        """A value from outside JSON: header values, form values, lines, bytes, sizes, statuses."""
        room, _, name = field.partition(":")
        if self._redactor.hides_bodies and room in BODY_ROOMS:
            return value if value is ABSENT else self._mask(repr(value))
        if isinstance(value, list) and room == "header":
            shown = [self._redactor.field(name, each.decode("latin-1"), deadline) for each in value]
            return shown[0] if len(shown) == 1 else shown
        if isinstance(value, list):
            shown = [wording.printable(self._redactor.parameter(name, each, deadline)) for each in value]
            return shown[0] if len(shown) == 1 else shown
        if isinstance(value, bytes):
            value = value[:MAX_BODY]
            return self._redactor.text(value.decode(), deadline) if is_text(value) else value
        if isinstance(value, str):
            return wording.printable(self._redactor.text(value[:MAX_BODY], deadline))
        return value

    def _shown(self, body: Opened, pruned: Any, deadline: Deadline) -> str:
        """A body as text for people, redacted, at most `MAX_BODY` characters."""
        if body.note or not body.data:
            return body.note
        if self._redactor.hides_bodies:
            return self._mask(repr(body.data))
        if body.kind == content.MULTIPART:
            return self._shown_parts(body, deadline)
        if body.value is not ABSENT:
            return self._shown_value(body, pruned, deadline)
        if _is_binary(body):
            return wording.binary_note(body.data)
        text = decode_text(body.data[: MAX_BODY + _MARGIN], body.media_type)
        if body.kind == content.FORM:
            return wording.printable(self._redactor.form(text, deadline)[:MAX_BODY])
        return wording.printable(self._redactor.text(text, deadline)[:MAX_BODY])

    def _shown_value(self, body: Opened, pruned: Any, deadline: Deadline) -> str:
        if len(body.data) > _MAX_REDACTED:
            head = f"({len(body.data):,} bytes of {_NAMES[body.kind]}; this is where it differs)\n"
            return head + wording.shorten(showing.indented(pruned), MAX_BODY)
        text = showing.shown(body.kind, self._redactor.value(body.value, deadline), MAX_BODY + _MARGIN)
        if body.kind != content.JSON:
            text = wording.printable(self._redactor.text(text, deadline)).rstrip("\n")
        return wording.shorten(text, MAX_BODY)

    def _shown_parts(self, body: Opened, deadline: Deadline) -> str:
        """A multipart body as it came, part by part."""
        taken = multipart.take_apart(body.data, body.media_type)
        if taken is None or len(body.data) > _MAX_REDACTED:
            return wording.binary_note(body.data)
        bodies = BodyRedactor(self._rules.policy.max_depth, self._redactor, self._mask)

        def redacted(part: multipart.Part) -> bytes:
            data = bodies.part(part, deadline)
            return data if is_text(data) else wording.binary_note(data).encode()

        try:
            text = taken.written(redacted).decode("utf-8", "replace")
        except content.UndecodableError:
            return wording.binary_note(body.data)
        return wording.shorten(self._redactor.text(text, deadline), MAX_BODY)


def _is_binary(body: Opened) -> bool:
    """Whether a body cannot be shown as text: it is no text by its type, and does not read as UTF-8 either."""
    known = body.kind in content.TEXTUAL or body.value is not ABSENT
    return bool(body.note) or not (known or is_text(body.data))
