"""Everything about rollouts that has to be on disk, written in order by one thread, so that no loop waits for a disk.

What cannot be written now waits, bounded, and is tried again every second; beyond the bound ticks are joined, and the
log says that there is a gap. Only what gives the candidate more users waits for the disk, and for no longer than
`WITHIN`: whoever writes it takes it back then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from shadowproxy.rollout.logged import Cause
from shadowproxy.rollout.values import Entry, State
from shadowproxy.store import StoreError
from shadowproxy.store.rollouts import RolloutStore
from shadowproxy.upstream.tasks import spawn

WITHIN: Final = 2.0
"""Seconds after which a disk that does not answer counts as one that cannot be written."""
RETRY_EVERY: Final = 1.0
"""Seconds."""
MAX_WAITING: Final = 600
"""Items: ten minutes of a rollout's ticks. Beyond, ticks are joined; twice as many are the most that wait."""

log = logging.getLogger(__name__)
T = TypeVar("T")


class Record(Struct, frozen=True):
    """A state, what it was derived from (None: it was set), what was decided, and the documents that belong to it."""

    state: State
    cause: Cause | None
    entries: tuple[Entry, ...] = ()
    documents: Mapping[str, bytes | None] = {}


class Note(Struct, frozen=True):
    """Something for the audit that is no state of a rollout. `service` empty: of none."""

    entry: Entry
    documents: Mapping[str, bytes | None] = {}
    service: str = ""


class _Item:
    """What waits; `written` is the first word about it, and may be no."""

    def __init__(self, what: Record | Note, written: asyncio.Future[bool]) -> None:
        self.what = what
        self.written = written

    def answer(self, written: bool) -> None:
        if not self.written.done():
            self.written.set_result(written)


class Journal:
    """`policy` gives the fingerprint of the one in force."""

    def __init__(self, store: RolloutStore, policy: Callable[[], str]) -> None:
        self._store = store
        self._policy = policy
        self._thread = ThreadPoolExecutor(1, "rollouts")
        self._waiting: deque[_Item] = deque()
        self._writing: _Item | None = None
        self._writer: asyncio.Task[None] | None = None
        self._why = ""
        self._is_stuck = False
        self.recoveries = 0
        """How often it could be written again: what was kept before may be gone with the file."""

    @property
    def is_well(self) -> bool:
        """Whether what is written now will be on disk, as far as anybody knows."""
        return not (self._why or self._is_stuck)

    def has(self, service: str) -> bool:
        """Whether a state of the service waits to be written."""
        return any(isinstance(each.what, Record) and each.what.state.service == service for each in self._waiting)

    async def read(self, query: Callable[[RolloutStore], T]) -> T:
        """Ask the store, in its thread. Raises StoreError, TimeoutError."""
        asked = asyncio.get_running_loop().run_in_executor(self._thread, query, self._store)
        async with asyncio.timeout(WITHIN):
            return await asked

    async def write(self, what: Record | Note) -> bool:
        """True once it is on disk; False: not yet. Then it waits, unless it is taken back."""
        item = _Item(what, asyncio.get_running_loop().create_future())
        self._enqueue(item)
        if not self.is_well:
            return False
        try:
            return await asyncio.wait_for(asyncio.shield(item.written), WITHIN)
        except TimeoutError:
            self._is_stuck = True
            log.error("the audit has not been written for %g s: rollouts are held until it is", WITHIN)
            return False

    def take_back(self, what: Record | Note) -> bool:
        """It shall not be written after all. False: it is being written, and nobody knows what comes of that."""
        if self._writing is not None and self._writing.what is what:
            return False
        self._waiting = deque(item for item in self._waiting if item.what is not what)
        return True

    async def close(self, seconds: float) -> None:
        """Write what waits, for at most so long."""
        if (writer := self._writer) is not None:
            await asyncio.wait([writer], timeout=seconds)
            writer.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _enqueue(self, item: _Item) -> None:
        if len(self._waiting) >= MAX_WAITING and isinstance(item.what, Record):
            item.what = self._joined(item.what)
        if len(self._waiting) >= 2 * MAX_WAITING:
            log.error("the audit has not been written for too long: %s is not kept", item.what)
            item.answer(False)
            return
        self._waiting.append(item)
        if self._writer is None:
            self._writer = spawn(self._write_all())

    def _joined(self, record: Record) -> Record:
        """The record with what waits of the same service and was not begun: the decisions of all, the newest state."""
        earlier = [
            each
            for each in self._waiting
            if each is not self._writing
            and isinstance(each.what, Record)
            and each.what.state.service == record.state.service
        ]
        self._waiting = deque(each for each in self._waiting if each not in earlier)
        records = [each.what for each in earlier if isinstance(each.what, Record)]
        entries = (*_entries(records), *record.entries)[-MAX_WAITING:]
        documents = {key: body for each in (*records, record) for key, body in each.documents.items()}
        return replace(record, cause=None, entries=entries, documents=documents)

    async def _write_all(self) -> None:
        while self._waiting:
            item = self._writing = self._waiting[0]
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, item.what)
            except Exception as error:  # whatever it is, nothing was written
                if not isinstance(error, StoreError):
                    log.exception("a record of a rollout cannot be written")
                self._fail(str(error))
                await asyncio.sleep(RETRY_EVERY)
            else:
                self._waiting.popleft()
                self._succeed(item)
        self._writer = None

    def _commit(self, what: Record | Note) -> None:
        if isinstance(what, Note):
            self._store.keep(what.documents, what.entry, what.service)
        else:
            self._store.commit(what.state, what.cause, what.entries, policy=self._policy(), documents=what.documents)

    def _fail(self, why: str) -> None:
        if not self._why:
            log.error("the audit cannot be written: rollouts are held until it is: %s", why)
        self._why, self._is_stuck, self._writing = why, False, None
        for item in self._waiting:
            item.answer(False)

    def _succeed(self, item: _Item) -> None:
        if not self.is_well:
            log.info("the audit can be written again")
            self.recoveries += 1
        self._why, self._is_stuck, self._writing = "", False, None
        item.answer(True)


def _entries(records: Iterable[Record]) -> Iterable[Entry]:
    return (entry for record in records for entry in record.entries)
