"""Recorded messages as they are sent again. Pure.

What belongs to the recorded connection is left out: hop-by-hop fields, `Expect`, chunked framing, the marks of an
earlier shadowproxy. The rest is as it came, Host included, but for the fields that the user sets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from shadowproxy.http1 import (
    NO_BODY,
    HeadReader,
    RequestHead,
    ResponseHead,
    body_reader,
    forward_request,
    parse_request,
    parse_response,
)
from shadowproxy.model import errors
from shadowproxy.model.errors import ExchangeError
from shadowproxy.model.policy import LimitsPolicy

INCOMPLETE: Final = "incomplete"
SURPLUS: Final = "surplus"
UPGRADE: Final = "upgrade"
NO_SERVICE: Final = errors.NO_SERVICE.reason

_STRIPPED: Final = frozenset({b"expect", b"x-shadow-request"})
_VIA: Final = b"via"
_OWN: Final = b"shadowproxy-"
_OWN_VIA: Final = re.compile(rb"[ \t]*(?:HTTP/)?1\.[01] shadowproxy-[0-9a-f]+[ \t]*", re.IGNORECASE)


class RefusedError(Exception):
    """A recorded message that cannot be sent or used. `reason` is a short word, the text says more."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Request(Struct, gc=False):
    """`forwarded` is the head as the primary gets it; `own` and `strip` are what copies are made with."""

    head: RequestHead
    body: bytes
    request_id: bytes
    own: bytes
    strip: frozenset[bytes]


class Answer(Struct, gc=False):
    """A recorded response. `truncated`: the body breaks off."""

    head: ResponseHead
    body: bytes
    truncated: bool


class Preparer:
    """Makes requests of recorded payloads. `fields` replace every recorded field of their names.

    Request ids that have to be made begin with `instance`.
    """

    def __init__(self, limits: LimitsPolicy, fields: Mapping[str, str], instance: str) -> None:
        self._limits = limits
        self._replaced = frozenset(name.lower().encode() for name in fields)
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode("latin-1")
        self._instance = instance
        self._previous: RequestHead | None = None
        self._made = 0

    def request(self, payload: bytes) -> Request:
        """Raises RefusedError for what `http1` refuses, what is not whole, and what asks for another protocol."""
        limits = self._limits
        try:
            raw, rest = HeadReader(limits, request=True).feed(payload)
            if raw is None:
                raise RefusedError(INCOMPLETE, "the head has no end")
            self._previous = head = parse_request(self._edited(raw), limits, self._previous)
            body, whole, rest = _body(rest, head.framing, limits, request=True)
        except ExchangeError as error:
            raise RefusedError(error.fault.reason, error.detail) from None
        if not whole:
            raise RefusedError(INCOMPLETE, "the body breaks off")
        if rest.strip():
            raise RefusedError(SURPLUS, f"{len(rest):,} bytes follow its end")
        if head.upgrade is not None:
            raise RefusedError(UPGRADE, head.upgrade.decode("latin-1"))
        request_id, own = head.request_id or b"", b""
        strip = _STRIPPED
        if not request_id:
            self._made += 1
            request_id = f"{self._instance}{self._made:016x}".encode()
            own = b"X-Request-Id: %b\r\n" % request_id
            strip |= {b"x-request-id"}
        return Request(head, body, request_id, own, strip)

    def answer(self, payload: bytes, method: bytes) -> Answer:
        """The final response in `payload`. Raises RefusedError."""
        limits = self._limits
        try:
            while True:
                raw, payload = HeadReader(limits, request=False).feed(payload)
                if raw is None:
                    raise RefusedError(INCOMPLETE, "the head has no end")
                head = parse_response(raw, method, limits)
                if head.status >= 200:
                    break
                if head.status == 101:
                    raise RefusedError(UPGRADE, "the server switched protocols")
            body, whole, _ = _body(payload, head.framing, limits, request=False)
        except ExchangeError as error:
            raise RefusedError(error.fault.reason, error.detail) from None
        return Answer(head, body, not whole)

    def _edited(self, raw: bytes) -> bytes:
        """The head with the user's fields, and without what an earlier shadowproxy said on the way."""
        if not self._replaced and _OWN not in raw:
            return raw
        line, *fields = raw[:-4].split(b"\r\n")
        kept = [line]
        for field in fields:
            name, colon, value = field.partition(b":")
            lower = name.lower()
            if lower in self._replaced:
                continue
            if lower == _VIA and _OWN in value:
                hops = [hop for hop in value.split(b",") if _OWN_VIA.fullmatch(hop) is None]
                if not hops:
                    continue
                field = name + colon + b",".join(hops)
            kept.append(field)
        return b"\r\n".join(kept) + b"\r\n" + self._lines + b"\r\n"


def forwarded(request: Request, authority: bytes) -> bytes:
    """The head as the primary is sent it: the body, however it came, has a length."""
    framing = request.head.framing
    length = framing if framing >= 0 else len(request.body)
    return forward_request(request.head, request.own, request.strip, length, authority)


def _body(data: bytes, framing: int, limits: LimitsPolicy, *, request: bool) -> tuple[bytes, bool, bytes]:
    """The payload, whether it is whole, and what follows it."""
    if framing == NO_BODY:
        return b"", True, data
    reader = body_reader(framing, limits, request)
    pieces, rest = reader.feed(data)
    while reader.behind:
        more, rest = reader.feed(b"")
        pieces += more
    if not reader.done:
        try:
            reader.eof()
        except ExchangeError:
            return b"".join(pieces), False, b""
    return b"".join(pieces), True, rest
