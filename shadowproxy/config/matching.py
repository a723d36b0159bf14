"""Path templates and header names of the configuration, and the question whether one match takes all of another's.

A template is a path whose segments are literal or `{name}` (one segment that is not empty), with a trailing `/*`
that matches any rest. Nothing else is special. The first route that matches takes the request.
"""

from __future__ import annotations

import re
from typing import Final

from shadowproxy.config.problems import BadValueError
from shadowproxy.model.nature import FRAMING, HOP_BY_HOP
from shadowproxy.model.policy import RoutePolicy

TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 section 5.6.2."""
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
REFUSED_METHODS: Final = frozenset({"CONNECT", "TRACE"})
OWN_FIELDS: Final = frozenset({"x-shadow-request", "via"})
"""What the proxy itself writes on a copy, so that a loop is found and a copy is never mirrored again."""
UNTOUCHABLE: Final = (
    frozenset(name.decode() for name in HOP_BY_HOP | FRAMING) | OWN_FIELDS | {"host", "expect", "http2-settings"}
)

_NAME: Final = re.compile(NAME_PATTERN)
_VARIABLE: Final = re.compile(r"\{[A-Za-z_][A-Za-z0-9_-]*\}")
_ANY: Final = re.compile(r"\{[^{}]*\}")
"""A whole segment in an OpenAPI file's path, where names are free."""
_SEGMENT: Final = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()+,;=:@]|%[0-9A-Fa-f]{2})*")
"""RFC 3986 section 3.3 without `*`, which would look like a wildcard and be none."""
_FIELD_VALUE: Final = re.compile(r"[!-~](?:[\t -~]*[!-~])?|")


def parse_name(text: str) -> str:
    """A name that can be a metric label, a query parameter and a file name."""
    if not _NAME.fullmatch(text):
        raise BadValueError("write 1 to 64 letters, digits, - _ or . beginning with a letter or a digit")
    return text


def parse_words(text: str, most: int, right: str) -> str:
    """Text for people, on one line whatever line breaks it was written with. `right` says what would be right."""
    words = " ".join(text.split())
    if not words or len(words) > most or not words.isprintable():
        raise BadValueError(f"write {right}: 1 to {most} printable characters")
    return words


def parse_reason(text: str) -> str:
    return parse_words(text, 500, "why")


def parse_method(text: str) -> str:
    if not TOKEN.fullmatch(text) or len(text) > 32:
        raise BadValueError("write a request method, such as GET")
    if text.upper() in REFUSED_METHODS:
        raise BadValueError(f"{text.upper()} is refused from every client and cannot be matched or mirrored: delete it")
    if text != text.upper() and text.upper() in _COMMON:
        raise BadValueError(f"methods are written in capitals: {text.upper()}")
    return text


_COMMON: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


def parse_prefix(text: str) -> str:
    """The path under which a service is found, whole segments: `/api` takes `/api` and `/api/x`, not `/apis`."""
    segments = _segments(text, "/api")
    if any("{" in segment or "*" in segment for segment in segments):
        raise BadValueError("write a plain path such as /api: it takes everything below it; templates belong to routes")
    _plain(segments)
    return text.rstrip("/") or "/"


def parse_target(text: str) -> str:
    """What a health check asks for: a path, maybe with a query."""
    if not re.fullmatch(r"/[!-\"$-~]{0,1023}", text):
        raise BadValueError("write a path that begins with /, such as /healthz, other characters percent-encoded")
    return text


def parse_template(text: str) -> str:
    """A path template such as `/items/{id}` or `/static/*`."""
    segments = _segments(text, "/items/{id} or /static/*")
    if segments[-1] == "*":
        segments = segments[:-1]
    if any("*" in segment for segment in segments):
        raise BadValueError("a * stands only at the end, as a segment of its own: /static/*")
    plain = [segment for segment in segments if not _VARIABLE.fullmatch(segment)]
    if any("{" in segment or "}" in segment for segment in plain):
        raise BadValueError("{name} is a whole segment, such as /items/{id}; the name is letters, digits, - or _")
    _plain(plain)
    return text


def parse_field_name(text: str) -> str:
    """A header name that a rule may touch on a copy."""
    if not TOKEN.fullmatch(text) or len(text) > 256:
        raise BadValueError("write the name of a header field, such as Authorization")
    if text.lower() in UNTOUCHABLE:
        raise BadValueError(
            "Host, framing, hop-by-hop and the proxy's own fields cannot be changed on a copy: delete it"
        )
    return text


def parse_field_value(text: str) -> str:
    if not _FIELD_VALUE.fullmatch(text):
        raise BadValueError("write a field value of visible ASCII, without line breaks or spaces at its ends")
    return text


def _segments(text: str, example: str) -> list[str]:
    if not text.startswith("/"):
        raise BadValueError(f"write a path that begins with /, such as {example}")
    if "?" in text or "#" in text:
        raise BadValueError("write the path alone: a query or a fragment is not matched")
    if len(text) > 1024:
        raise BadValueError("write at most 1024 characters")
    return text[1:].split("/")


def _plain(segments: list[str]) -> None:
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise BadValueError("write the path as it stands in a request: spaces and other characters percent-encoded")
    if any(segment in {".", ".."} for segment in segments):
        raise BadValueError("write the path without . and .. segments")


def takes_all(first: RoutePolicy, later: RoutePolicy) -> bool:
    """Whether every request that `later` matches is matched by `first`."""
    if not host_takes_all(first.host, later.host):
        return False
    if first.methods is not None and (later.methods is None or not set(later.methods) <= set(first.methods)):
        return False
    return first.path is None or (later.path is not None and path_takes_all(first.path, later.path))


def host_takes_all(first: str | None, later: str | None) -> bool:
    """Whether every Host that `later` matches is matched by `first`; None is any, `*.` and a domain all below it."""
    if first is None or first == later:
        return True
    return later is not None and first.startswith("*.") and later.removeprefix("*").endswith(first[1:])


def hosts_meet(one: str | None, other: str | None) -> bool:
    """Whether some Host is matched by both."""
    return host_takes_all(one, other) or host_takes_all(other, one)


def path_takes_all(first: str, later: str) -> bool:
    """Whether every path that the template `later` matches is matched by the template `first`."""
    ours, theirs = first.split("/"), later.split("/")
    if ours[-1] == "*":
        ours = ours[:-1]
        if len(theirs) <= len(ours):
            return False
        theirs = theirs[: len(ours)]
    elif theirs[-1] == "*" or len(ours) != len(theirs):
        return False
    return all(_segment_takes_all(one, other) for one, other in zip(ours, theirs, strict=True))


def _segment_takes_all(one: str, other: str) -> bool:
    if _ANY.fullmatch(one):
        return other not in {"", "*"}
    return one == other


def prefix_takes_all(first: str, later: str) -> bool:
    """Whether the service path `later` lies at or below `first`."""
    return first in {"/", later} or later.startswith(first + "/")


def reaches_into(template: str, prefix: str) -> bool:
    """Whether a path that the template matches can lie at or below the service path `prefix`."""
    ours, theirs = template.split("/"), prefix.rstrip("/").split("/")
    open_end = ours[-1] == "*"
    ours = ours[:-1] if open_end else ours
    if len(ours) < len(theirs) and not open_end:
        return False
    return all(_segment_takes_all(one, other) for one, other in zip(ours, theirs, strict=False))
