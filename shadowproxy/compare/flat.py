"""Compares bodies that are no trees: text by line, forms by field, anything else by bytes."""

from __future__ import annotations

from collections import Counter
from typing import Final
from urllib.parse import parse_qsl

from shadowproxy.compare.fields import bounded, looks_like_id
from shadowproxy.compare.findings import ABSENT, Findings
from shadowproxy.compare.masks import is_like
from shadowproxy.compare.wording import printable

_CHARSETS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "windows-1252": "cp1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
"""The charsets that are known; a foreign name never chooses a codec of Python's."""
_MAX_FORM_FIELDS: Final = 10_000
_MAX_LINES: Final = 100_000
_SHOWN: Final = 3
"""Differing lines that are kept as the values of a finding."""


def decode_text(body: bytes, media_type: str) -> str:
    """The text of `body` by the charset of its media type, UTF-8 without one; bytes that do not fit are kept."""
    try:
        return body.decode(charset_of(media_type), "surrogateescape")
    except UnicodeError:
        return body.decode("latin-1")


def charset_of(media_type: str) -> str:
    """The codec that a media type names, UTF-8 where it names none that is known."""
    return _CHARSETS[known_charset(media_type) or "utf-8"]


def known_charset(media_type: str) -> str:
    """The charset that a media type names, empty where it names none that is known."""
    charset = media_type.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
    return charset if charset in _CHARSETS else ""


def compare_lines(a: str, b: str, ignored: frozenset[str], found: Findings) -> bool:
    """One finding on `line`: changed, missing, extra, or the same lines in another order.

    Time is linear. False when a side has more than `_MAX_LINES` lines.
    """
    if max(a.count("\n"), b.count("\n")) > _MAX_LINES:
        return False
    left, right = _differing(a.split("\n"), b.split("\n"))
    missing = Counter(left)
    extra = Counter(right)
    missing, extra = missing - extra, extra - missing
    if not missing and not extra:
        kind = "body_order"
    elif not extra:
        kind = "body_missing"
    else:
        kind = "body_value" if missing else "body_extra"
    gone = list(missing or left)[:_SHOWN]
    new = list(extra or right)[:_SHOWN]
    found.add(
        "line",
        kind,
        ABSENT if kind == "body_extra" else "\n".join(gone),
        ABSENT if kind == "body_missing" else "\n".join(new),
        ruled="line" in ignored or (found.recorded and is_like(a, b, lines=True)),
        whole=False,
    )
    return True


def compare_forms(a: bytes, b: bytes, ignored: frozenset[str], found: Findings) -> bool:
    """Findings on `form:name`, values of one name in order. False when a side is no form, or too wide a one."""
    left, right = _form(a), _form(b)
    if left is None or right is None:
        return False
    for name in dict.fromkeys((*left, *right)):
        x, y = left.get(name, ABSENT), right.get(name, ABSENT)
        if x != y:
            kind = "body_extra" if x is ABSENT else "body_missing" if y is ABSENT else "body_value"
            field = f"form:{name}"
            written = "form:*" if looks_like_id(name) else bounded(field)
            found.add(printable(written), kind, x, y, ruled=field in ignored)
    return True


def compare_bytes(a: bytes, b: bytes, ignored: frozenset[str], found: Findings) -> None:
    """One finding on `body`: `body_size` when the lengths differ, else `body_bytes`."""
    kind = "body_bytes" if len(a) == len(b) else "body_size"
    found.add("body", kind, a, b, ruled="body" in ignored)


def _differing(left: list[str], right: list[str]) -> tuple[list[str], list[str]]:
    """Both lists without their common beginning and end."""
    start, i, j = 0, len(left), len(right)
    while start < min(i, j) and left[start] == right[start]:
        start += 1
    while i > start and j > start and left[i - 1] == right[j - 1]:
        i, j = i - 1, j - 1
    return left[start:i], right[start:j]


def _form(body: bytes) -> dict[str, list[str]] | None:
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=True,
            errors="surrogateescape",
            max_num_fields=_MAX_FORM_FIELDS,
        )
    except ValueError:
        return None
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form
