"""The recording that is replayed: files of any known format as one list of requests, in the order of their times.

Every file is read twice: once as a whole, so that what is wrong with it is known before anything is sent, and then
message by message where each is due. Only where messages stand is kept in memory. What cannot be read in place (gzip,
HAR, pipes) is unpacked into a file without a name.
"""

from __future__ import annotations

import contextlib
import glob
import os
import stat
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final

from msgspec import Struct

from shadowproxy.capture import ANSWER, REQUEST, FormatError, GoReplayReader, Record
from shadowproxy.capture.har import read_har
from shadowproxy.model.policy import MIB

MAX_HAR: Final = 256 * MIB
"""A HAR is read as a whole."""
MAX_UNPACKED: Final = 16 * 1024 * MIB
"""Bytes of one file, unpacked."""
_CHUNK: Final = MIB
_GZIP: Final = b"\x1f\x8b"
_SNIFFED: Final = 64
_LONGEST_METHOD: Final = 32
_START: Final = 1024
"""Bytes of a message that are read where its first line is all that counts."""


class RecordingError(Exception):
    """A recording that cannot be replayed. The text names the file, the place, and what is wrong."""


class Entry(Struct, gc=False):
    """One request: where its message stands, and its answer's, `answer_size` 0 where there is none.

    `at` is Unix time and `latency` the answer's duration, nanoseconds; 0: not known.
    """

    at: int
    file: int
    place: int
    size: int
    connection: str
    answer_file: int = 0
    answer_place: int = 0
    answer_size: int = 0
    latency: int = 0


class _Answer(Struct, gc=False):
    file: int
    place: int
    size: int
    latency: int


class Recording:
    """All requests of several files. `methods` are those that occur, `notes` what a reader should know of the files."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.methods: set[str] = set()
        self.notes: list[str] = []
        self._files: list[BinaryIO] = []
        self._open: dict[str, Entry] = {}
        """By id: the newest request, until its answer is found."""
        self._orphans: dict[str, _Answer] = {}

    @classmethod
    def read(cls, names: Sequence[str]) -> Recording:
        """Everything in the files that `names`, some of them maybe patterns, stand for. Raises RecordingError."""
        recording = cls()
        try:
            for path in _paths(names):
                recording._read_file(path)
        except BaseException:
            recording.close()
            raise
        recording._settle(names)
        return recording

    @property
    def answered(self) -> int:
        """Requests whose answer was recorded."""
        return sum(1 for entry in self.entries if entry.answer_size)

    @property
    def seconds(self) -> float:
        """From the first request to the last."""
        return (self.entries[-1].at - self.entries[0].at) / 1e9

    def request(self, entry: Entry) -> bytes:
        """The request's message. Raises RecordingError when the file was changed since it was read."""
        return self._message(entry.file, entry.place, entry.size)

    def answer(self, entry: Entry) -> bytes | None:
        """The answer's message, where there is one. Raises RecordingError."""
        if not entry.answer_size:
            return None
        return self._message(entry.answer_file, entry.answer_place, entry.answer_size)

    def paths(self, most: int) -> Iterator[bytes]:
        """The paths of at most `most` requests, evenly chosen, whose answer was below 400. Raises RecordingError."""
        step = -(-len(self.entries) // most)
        for entry in self.entries[::step]:
            if entry.answer_size and self._start(entry.answer_file, entry.answer_place, entry.answer_size)[9:10] > b"3":
                continue
            words = self._start(entry.file, entry.place, entry.size).split(b" ", 2)
            if len(words) == 3:
                yield words[1].partition(b"?")[0]

    def close(self) -> None:
        for file in self._files:
            file.close()

    # -- reading

    def _read_file(self, path: str) -> None:
        number = len(self._files)
        try:
            file = _opened(path)
            self._files.append(file)
            start = os.pread(file.fileno(), _SNIFFED, 0).removeprefix(b"\xef\xbb\xbf").lstrip()
            if start.startswith(b"{"):
                self._read_har(number, file, path)
            else:
                self._read_goreplay(number, file, path)
        except FormatError as error:
            raise RecordingError(f"{path}: {error}") from None
        except OSError as error:
            raise RecordingError(f"{path}: {error.strerror or error}") from None

    def _read_goreplay(self, number: int, file: BinaryIO, path: str) -> None:
        reader = GoReplayReader()
        count = 0
        file.seek(0)
        while data := file.read(_CHUNK):
            for record in reader.feed(data):
                count += 1
                self._add(record, number, record.place)
        left = reader.end()
        if not count:
            raise FormatError(
                "no record was found: a record of GoReplay ends with a line of three monkeys, a HAR begins with {"
            )
        if left:
            self.notes.append(f"{path}: the last record, of {left:,} bytes, has no end and was left out")
        if reader.skipped:
            self.notes.append(f"{path}: {reader.skipped:,} records without TYPE ID TIME were left out")

    def _read_har(self, number: int, file: BinaryIO, path: str) -> None:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_HAR:
            raise FormatError(f"a HAR of {size:,} bytes, at most {MAX_HAR:,} can be read: export it in parts")
        records, skipped = read_har(os.pread(file.fileno(), size, 0))
        file.close()
        spool = self._files[number] = _nameless()
        place = 0
        for record in records:
            spool.write(record.payload)
            self._add(record, number, place)
            place += len(record.payload)
        spool.flush()
        if skipped:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(skipped.items()))
            self.notes.append(f"{path}: entries that were left out: {reasons}")

    def _add(self, record: Record, file: int, place: int) -> None:
        size = len(record.payload)
        if record.kind == REQUEST:
            self._note_method(record.payload)
            entry = Entry(record.at, file, place, size, record.connection)
            self.entries.append(entry)
            answer = self._orphans.pop(record.id, None)
            if answer is not None:
                _join(entry, answer)
            else:
                self._open[record.id] = entry
        elif record.kind == ANSWER:
            answer = _Answer(file, place, size, record.latency)
            request = self._open.pop(record.id, None)
            if request is not None:
                _join(request, answer)
            else:
                self._orphans[record.id] = answer

    def _note_method(self, payload: bytes) -> None:
        method = payload[: _LONGEST_METHOD + 1].partition(b" ")[0]
        if 0 < len(method) <= _LONGEST_METHOD and method.isascii():
            self.methods.add(method.decode())

    def _settle(self, names: Sequence[str]) -> None:
        if not self.entries:
            raise RecordingError(f"{', '.join(names)}: there is no request in it")
        if self._orphans:
            self.notes.append(f"{len(self._orphans):,} recorded answers belong to no request and were left out")
        self._orphans = {}
        self._open = {}
        self.entries.sort(key=_time)

    def _start(self, file: int, place: int, size: int) -> bytes:
        return self._message(file, place, min(size, _START))

    def _message(self, file: int, place: int, size: int) -> bytes:
        try:
            message = os.pread(self._files[file].fileno(), size, place)
        except OSError as error:
            raise RecordingError(f"the recording cannot be read any more: {error.strerror or error}") from None
        if len(message) != size:
            raise RecordingError("the recording became shorter while it was replayed")
        return message


def _time(entry: Entry) -> int:
    return entry.at


def _join(entry: Entry, answer: _Answer) -> None:
    entry.answer_file, entry.answer_place, entry.answer_size = answer.file, answer.place, answer.size
    entry.latency = answer.latency


def _paths(names: Iterable[str]) -> list[str]:
    """The files that `names` stand for, each once. Raises RecordingError for a name that stands for none."""
    found: dict[tuple[int, int], str] = {}
    for name in names:
        paths = [name] if os.path.lexists(name) else sorted(glob.glob(name))  # noqa: PTH207 - as it was written
        if not paths:
            raise RecordingError(f"{name}: no such file")
        for path in paths:
            try:
                status = os.stat(path)  # noqa: PTH116 - as it was written
            except OSError as error:
                raise RecordingError(f"{path}: {error.strerror or error}") from None
            found.setdefault((status.st_dev, status.st_ino), path)
    return list(found.values())


def _opened(path: str) -> BinaryIO:
    """The file itself, or what it holds in a file without a name. Raises OSError and FormatError."""
    file = open(path, "rb", buffering=0)  # noqa: SIM115, PTH123 - kept open as long as the recording
    try:
        plain = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        if plain and os.pread(file.fileno(), len(_GZIP), 0) != _GZIP:
            return file
        return _spooled(file)
    except BaseException:
        file.close()
        raise


def _spooled(file: BinaryIO) -> BinaryIO:
    """What `file` holds, unpacked; `file` is closed."""
    size = 0
    with contextlib.ExitStack() as undo:
        spool = undo.enter_context(_nameless())
        for data in _unpacked(file):
            size += len(data)
            if size > MAX_UNPACKED:
                raise FormatError(f"more than {MAX_UNPACKED:,} bytes once unpacked")
            spool.write(data)
        spool.flush()
        undo.pop_all()
    file.close()
    return spool


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a file, or of the gzip members in it; one that breaks off gives what there is of it (RFC 1952)."""
    data = file.read(_CHUNK)
    if not data.startswith(_GZIP):
        while data:
            yield data
            data = file.read(_CHUNK)
        return
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        while data:
            yield member.decompress(data, _CHUNK)
            data = member.unused_data if member.eof else member.unconsumed_tail
            if member.eof and (data := data.lstrip(b"\0") or file.read(_CHUNK)):
                member = zlib.decompressobj(16 + zlib.MAX_WBITS)
            data = data or file.read(_CHUNK)
    except zlib.error as error:
        raise FormatError(f"damaged gzip data: {error}") from None


def _nameless() -> BinaryIO:
    return tempfile.TemporaryFile(prefix="shadowproxy-replay-")
