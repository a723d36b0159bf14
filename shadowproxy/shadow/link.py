"""The channel to one comparer, as a worker sees it: bounded, never waited for, its answers counted here.

A pair is outstanding until its answer comes. When the channel breaks, all that is outstanding becomes
`lost{comparer_gone}`: a pair is never sent twice, so one that kills the comparer kills it once (fault 12).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, cast

import msgspec

from shadowproxy.channel import FrameError, FrameReader, frame
from shadowproxy.model.pair import Answer, Exchange, FromComparer, Pair, Recorded, Sightings
from shadowproxy.model.terms import CAPTURE_REASONS, KINDS, VERDICTS
from shadowproxy.upstream.tasks import spawn

if TYPE_CHECKING:
    from shadowproxy.shadow.mirror import Mirror
    from shadowproxy.shadow.recorder import Recorder

MAX_OUTSTANDING: Final = 1024
MAX_BYTES: Final = 16 * 1024 * 1024
"""Of outstanding pairs. One pair of the largest captured responses is a quarter of it."""
MAX_RECORDED: Final = 256
"""Exchanges on their way to a recording ..."""
MAX_RECORDED_BYTES: Final = 4 * 1024 * 1024
"""... and their bytes: pairs must not wait behind many of them."""
MAX_VERSIONS: Final = 64
"""Distinct versions that are told of at a time: what a header says is nobody's choice."""
RECONNECT: Final = 0.05
"""Seconds between attempts: the supervisor keeps the comparer's socket open, so the first mostly succeeds."""

_KINDS: Final = frozenset(KINDS)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(FromComparer).decode


class Link(asyncio.Protocol):
    """One per comparer. `offer` returns why a pair could not be taken, of the closed list of loss reasons."""

    max_outstanding = MAX_OUTSTANDING
    max_bytes = MAX_BYTES

    def __init__(self, path: str) -> None:
        self._path = path
        self._transport: asyncio.WriteTransport | None = None
        self._reader = FrameReader()
        self._outstanding: dict[int, tuple[Mirror, Mirror | None, int]] = {}
        self._versions: dict[tuple[str, str, str], int] = {}
        self._bytes = 0
        self._recorded: dict[int, tuple[Recorder, int]] = {}
        self._recorded_bytes = 0
        self._last_id = 0
        self._closing = False

    @property
    def outstanding(self) -> int:
        return len(self._outstanding)

    @property
    def held(self) -> int:
        """Bytes of outstanding pairs."""
        return self._bytes

    @property
    def has_time(self) -> bool:
        """May it be given something that only serves the examples?"""
        return self._transport is not None and len(self._outstanding) < 16 and self._bytes < MAX_BYTES // 8

    @property
    def is_connected(self) -> bool:
        return self._transport is not None

    @property
    def can_record(self) -> bool:
        """Has the comparer time for one more exchange? Pairs come first."""
        return (
            self._transport is not None
            and len(self._recorded) < MAX_RECORDED
            and self._recorded_bytes < MAX_RECORDED_BYTES
            and len(self._outstanding) < MAX_OUTSTANDING // 4
            and self._bytes < MAX_BYTES // 4
        )

    @property
    def recording(self) -> int:
        """Exchanges of which it is not known whether they were written."""
        return len(self._recorded)

    def next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def offer(self, mirror: Mirror, pair: Pair, second: Mirror | None = None) -> str | None:
        """`mirror` hears the verdict, `second` that of the second answer of a triple."""
        transport = self._transport
        if transport is None:
            return "comparer_gone"
        if len(self._outstanding) >= self.max_outstanding or self._bytes >= self.max_bytes:
            return "channel_full"
        data = frame(_encode(pair))
        if pair.answer:
            self._outstanding[pair.id] = (mirror, second, len(data))
            self._bytes += len(data)
        elif transport.get_write_buffer_size() > MAX_BYTES // 8:
            return "channel_full"
        transport.write(data)
        return None

    def record(self, recorder: Recorder, exchange: Exchange) -> None:
        """Hand over an exchange to be written; `recorder` hears what became of it."""
        transport = self._transport
        if transport is None or not self.can_record:
            recorder.count_dropped("busy" if self.is_connected else "comparer_gone")
            return
        data = frame(_encode(exchange))
        self._recorded[exchange.id] = (recorder, len(data))
        self._recorded_bytes += len(data)
        transport.write(data)

    def sight(self, service: str, arm: str, version: str) -> None:
        """An arm named its version in an answer. Told to the comparer with the next `flush`."""
        key = (service, arm, version)
        seen = self._versions.get(key, 0)
        if seen or len(self._versions) < MAX_VERSIONS:
            self._versions[key] = seen + 1

    def flush(self) -> None:
        """Called about once a second."""
        if self._versions and self._transport is not None:
            self._transport.write(frame(_encode(Sightings([(*key, n) for key, n in self._versions.items()]))))
            self._versions.clear()

    def connect(self) -> None:
        """Connect, and again whenever the connection ends."""
        spawn(self._keep_connected())

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closing and self._transport is None:
            with contextlib.suppress(OSError):
                await loop.create_unix_connection(lambda: self, self._path)
                return
            await asyncio.sleep(RECONNECT)

    def close(self) -> None:
        """The worker ends: what has no answer yet is lost."""
        self._closing = True
        self._lose("shutdown")
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._reader = FrameReader()

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._reader.feed(data)
            for payload in frames:
                message = _decode(payload)
                if isinstance(message, Recorded):
                    self._written(message)
                else:
                    self._answered(message)
        except (FrameError, msgspec.DecodeError):
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lose("comparer_gone")
        if not self._closing:
            self.connect()

    def _answered(self, answer: Answer) -> None:
        if answer.verdict not in VERDICTS or not _KINDS.issuperset(answer.kinds):
            raise FrameError(f"an answer with the verdict {answer.verdict[:40]!r}")
        second_verdict = answer.second_verdict or "incomparable"
        if second_verdict not in VERDICTS or not _KINDS.issuperset(answer.second_kinds):
            raise FrameError(f"an answer with the second verdict {second_verdict[:40]!r}")
        found = self._outstanding.pop(answer.id, None)
        if found is None:
            return
        mirror, second, size = found
        self._bytes -= size
        mirror.count_answer(answer.verdict, answer.kinds)
        if second is not None:
            second.count_answer(second_verdict, answer.second_kinds)

    def _written(self, message: Recorded) -> None:
        if message.reason and message.reason not in CAPTURE_REASONS:
            raise FrameError(f"an exchange not written for {message.reason[:40]!r}")
        found = self._recorded.pop(message.id, None)
        if found is None:
            return
        recorder, size = found
        self._recorded_bytes -= size
        if message.reason:
            recorder.count_dropped(message.reason)
        else:
            recorder.count_written()

    def _lose(self, reason: str) -> None:
        recorded, self._recorded = self._recorded, {}
        self._recorded_bytes = 0
        for recorder, _ in recorded.values():
            recorder.count_dropped(reason)
        outstanding, self._outstanding = self._outstanding, {}
        self._bytes = 0
        for mirror, second, _ in outstanding.values():
            mirror.count_lost(reason)
            if second is not None:
                second.count_lost(reason)
