"""Bodies that are a list of records: JSON lines, JSON text sequences (RFC 7464), and server-sent events."""

from __future__ import annotations

from typing import Final

import msgspec

from shadowproxy.compare.jsontext import MAX_CONTAINERS, NotJsonError, check_shape, read, read_all
from shadowproxy.compare.limits import Deadline, IncomparableError

_SEPARATOR: Final = b"\x1e"
_FIELDS: Final = ("event", "data", "id", "retry")
_BOM: Final = "\ufeff"

_decode_lines: Final = msgspec.json.Decoder().decode_lines


def read_lines(body: bytes, max_depth: int, deadline: Deadline, *, repeated: bool = False) -> list[object] | None:
    """The record of every line that is not empty, or between separators; one that is no JSON is a text.

    None when no record is JSON, or there are too many. `repeated` as `jsontext.read_all`. Raises IncomparableError.
    """
    separator = _SEPARATOR if _SEPARATOR in body else b"\n"
    if body.count(separator) > MAX_CONTAINERS:
        return None
    if separator == b"\n" and not repeated:
        try:
            check_shape(body, max_depth)
            return _decode_lines(body) or None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IncomparableError):
            pass  # which line is to blame, and how, is seen below
    records: list[object] = []
    found = False
    for line in body.split(separator):
        deadline.tick()
        if line := line.strip():
            try:
                records.append(read_all(line) if repeated else read(line, max_depth))
                found = True
            except NotJsonError:
                records.append(line.decode("utf-8", "backslashreplace"))
    return records if found else None


def read_events(text: str, deadline: Deadline) -> list[dict[str, object]] | None:
    """The events of a stream (HTML standard, 9.2.6), comments left out; the last one whether it ended or not.

    None when there is none, or too many lines. Raises IncomparableError.
    """
    text = text.removeprefix(_BOM).replace("\r\n", "\n").replace("\r", "\n")
    if text.count("\n") > MAX_CONTAINERS:
        return None
    events: list[dict[str, object]] = []
    event: dict[str, object] = {}
    for line in (*text.split("\n"), ""):
        deadline.tick()
        if not line:
            if event:
                events.append(event)
                event = {}
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data" and "data" in event:
            event[name] = f"{event[name]}\n{value}"
        elif name in _FIELDS:
            event[name] = value
    return events or None
