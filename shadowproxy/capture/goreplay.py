"""The format of GoReplay.

    TYPE ID UNIXNANO LATENCYNANO [CONNECTION]\\n  the message as on the wire  \\n🐵🙈🙉\\n

TYPE is 1 for a request, 2 for its answer, 3 for the answer to a replay; ID is the same for all of them. Three fields
are enough; GoReplay leaves those beyond the fourth alone, so the fifth is where shadowproxy names the client's
connection. A record ends at the first line of three monkeys: a message that holds such a line cannot be written, since
whoever sent it would have written the record after it as well.
"""

from __future__ import annotations

from typing import Final

from shadowproxy.capture.record import KINDS, FormatError, Record
from shadowproxy.model.policy import KIB, MIB

_MONKEYS: Final = "🐵🙈🙉\n".encode()
SEPARATOR: Final = b"\n" + _MONKEYS
MAX_RECORD: Final = 64 * MIB
"""Bytes of one record. GoReplay itself keeps messages of up to 5 MB."""
MAX_META: Final = 4 * KIB
_FEWEST_FIELDS: Final = 3
_NUMBER_DIGITS: Final = 19
_NO_META: Final = "it does not begin with a line TYPE ID TIME"


class GoReplayReader:
    """Cuts a file, however its bytes are split, into records.

    `skipped` counts records whose first line has fewer than three fields: GoReplay skips them too.
    """

    __slots__ = ("_buffer", "_limit", "_number", "_offset", "_searched", "skipped")

    def __init__(self, limit: int = MAX_RECORD) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._offset = 0
        """Where in the file the buffer begins."""
        self._number = 1
        """Of the record that the buffer begins with."""
        self.skipped = 0

    def feed(self, data: bytes) -> list[Record]:
        """Every record that `data` completes. Raises FormatError."""
        buffer = self._buffer
        buffer += data
        records: list[Record] = []
        start = self._begin(0)
        while (end := buffer.find(SEPARATOR, max(start, self._searched))) >= 0:
            record = self._record(start, end)
            if record is not None:
                records.append(record)
            self._number += 1
            start = self._searched = self._begin(end + len(SEPARATOR))
        self._judge_start(start)
        del buffer[:start]
        self._offset += start
        self._searched = max(0, len(buffer) - len(SEPARATOR) + 1)
        return records

    def end(self) -> int:
        """The file has ended: the size of a last record that has no end, and is dropped as GoReplay does."""
        return len(self._buffer)

    def _begin(self, start: int) -> int:
        """Where the next record begins: empty lines, and separators with nothing before them, are no record."""
        buffer = self._buffer
        while True:
            if buffer.startswith(b"\n", start):
                start += 1
            elif buffer.startswith(_MONKEYS, start):
                start += len(_MONKEYS)
            else:
                return start

    def _record(self, start: int, end: int) -> Record | None:
        buffer = self._buffer
        if end - start > self._limit:
            raise self._fault(start, f"it is longer than {self._limit:,} bytes")
        line = buffer.find(b"\n", start, end + 1)
        if line - start > MAX_META:
            raise self._fault(start, _NO_META)
        meta = bytes(buffer[start:line]).decode("latin-1").split(" ")
        if line == end or len(meta) < _FEWEST_FIELDS:
            self.skipped += 1
            return None
        kind, identity, written, latency, connection, *_ = (*meta, "", "")
        if kind not in KINDS:
            raise self._fault(start, f"its type is {kind[:20]!r}, not 1, 2 or 3")
        at = _number(written)
        if at is None:
            raise self._fault(start, f"its time is {written[:40]!r}, not a number of nanoseconds")
        payload = bytes(buffer[line + 1 : end])
        place = self._offset + line + 1
        return Record(kind, identity, at, payload, max(0, _number(latency) or 0), connection, place)

    def _judge_start(self, start: int) -> None:
        """Raises for the beginning of a record that can become none: waiting would only cost memory."""
        size = len(self._buffer) - start
        if size > MAX_META and self._buffer.find(b"\n", start, start + MAX_META + 1) < 0:
            raise self._fault(start, _NO_META)
        if size > self._limit + len(SEPARATOR):
            raise self._fault(start, f"it is longer than {self._limit:,} bytes")

    def _fault(self, start: int, why: str) -> FormatError:
        return FormatError(f"record {self._number} at byte {self._offset + start}: {why}")


def encode_record(record: Record) -> bytes | None:
    """The record as it stands in a file, or None when its payload would end it early."""
    meta = f"{record.kind} {record.id} {record.at} {record.latency}"
    if record.connection:
        meta += f" {record.connection}"
    text = b"%b\n%b%b" % (meta.encode("latin-1"), record.payload, SEPARATOR)
    return text if text.find(SEPARATOR) == len(text) - len(SEPARATOR) else None


def _number(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= _NUMBER_DIGITS else None
