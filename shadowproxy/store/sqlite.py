"""Examples and field counts in one SQLite file, written by one thread.

A disk that is full, read-only, locked or corrupt costs examples, never traffic: what cannot be written is counted,
the change of state is logged once, and the writer tries again every second until it can.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from shadowproxy.model.pair import Example
from shadowproxy.model.policy import MIB, StorePolicy
from shadowproxy.model.totals import CauseTotal, FieldExample, StoreFigures
from shadowproxy.store import DiffPage, DiffQuery, Kept, Known, StoreError, rows, schema
from shadowproxy.store.shelf import Shelf, Slot

MAX_WAITING: Final = 1_000
MAX_WAITING_BYTES: Final = 16 * MIB
_BATCH: Final = 64
_RETRY: Final = 1.0
_SWEEP: Final = 60.0
"""Seconds between looks for examples that grew too old."""

QUEUE_FULL: Final = "queue_full"
UNWRITABLE: Final = "unwritable"

log = logging.getLogger(__name__)
_T = TypeVar("_T")


class SqliteStore:
    """`examples.sqlite` in `directory`, for the instance `epoch`. See `store.Store` for the methods."""

    def __init__(self, directory: Path, policy: StorePolicy, epoch: str) -> None:
        self._path = directory / "examples.sqlite"
        self._policy = policy
        self._epoch = epoch
        self._database: sqlite3.Connection | None = None
        self._inode = 0
        self._shelf = Shelf(0, 0, 0.0)
        self._why: str | None = None
        """Why the last write failed; None before the first, empty after a good one."""
        self._sweep_at = 0.0
        self._evicted = 0
        # What follows is shared with the thread and touched with the lock held.
        self._wake = threading.Condition()
        self._waiting: deque[rows.Item] = deque()
        self._waiting_bytes = 0
        self._changed = rows.Changed()
        self._dropped = {QUEUE_FULL: 0, UNWRITABLE: 0}
        self._closing = False
        self._attempt(self._open)
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    def start(self) -> None:
        """Write from now on, in a thread of its own."""
        self._thread.start()

    # What control calls.

    def offer(self, examples: Iterable[Example]) -> None:
        items = [rows.item(example) for example in examples]
        with self._wake:
            for item in items:
                if len(self._waiting) >= MAX_WAITING or self._waiting_bytes + item.size > MAX_WAITING_BYTES:
                    self._dropped[QUEUE_FULL] += 1
                else:
                    self._waiting.append(item)
                    self._waiting_bytes += item.size
            self._wake.notify()

    def keep(self, changed: Kept) -> None:
        with self._wake:
            self._changed.update(changed)
            self._wake.notify()

    def learn(self, items: Iterable[Known]) -> None:
        with self._wake:
            self._changed.learn(items)
            self._wake.notify()

    def known(self, kind: str) -> list[Known]:
        return self._read(lambda database: rows.known(database, kind))

    def kept(self) -> Kept:
        return self._read(lambda database: rows.kept(database, self._epoch))

    def find(self, query: DiffQuery) -> DiffPage:
        return self._read(lambda database: rows.find(database, query))

    def example(self, prefix: str) -> Example | None:
        return self._read(lambda database: rows.example(database, prefix))

    def field_examples(self) -> list[FieldExample]:
        return self._read(lambda database: rows.field_examples(database, self._epoch))

    def cause_examples(self, causes: Sequence[CauseTotal]) -> dict[str, FieldExample]:
        return self._read(lambda database: rows.cause_examples(database, causes))

    def cause_example(self, cause: CauseTotal) -> Example | None:
        return self._read(lambda database: rows.cause_example(database, cause))

    def figures(self) -> StoreFigures:
        return StoreFigures(
            examples=self._shelf.count,
            bytes=self._shelf.bytes,
            available=self._why == "",
            dropped=dict(self._dropped),
            evicted=self._evicted,
            why=self._why or "",
        )

    def close(self, timeout: float) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout)

    def _read(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        """A connection of its own for each read: nothing to repair after an error, nothing shared with the writer."""
        try:
            database = schema.open_reader(self._path)
            try:
                return query(database)
            finally:
                database.close()
        except (*schema.ERRORS, msgspec.MsgspecError) as error:
            raise StoreError(f"{self._path}: {self._why or error}") from error

    # What the thread does.

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closing or self._is_due(), timeout=_RETRY)
                closing = self._closing
            written = self.step()
            if closing and (not written or not self._is_due()):
                break
            if not written:
                self._pause()
        self._disconnect()

    def step(self) -> bool:
        """Write what waits, up to a batch of it; returns whether the disk took it. For the thread, and for tests."""
        with self._wake:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._waiting_bytes -= sum(item.size for item in batch)
            changed, self._changed = self._changed, rows.Changed()
        written = self._attempt(self._write, batch, changed)
        if not written:
            with self._wake:
                self._dropped[UNWRITABLE] += len(batch)
                changed.update(self._changed)
                self._changed = changed
        return written

    def _disconnect(self) -> None:
        if self._database:
            self._database.close()
            self._database = None

    def _is_due(self) -> bool:
        return bool(self._waiting or self._changed)

    def _pause(self) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._closing, timeout=_RETRY)

    def _attempt(self, action: Callable[..., object], *args: object) -> bool:
        """Do something with the disk; on an error, drop the connection and say so once."""
        try:
            action(*args)
        except schema.ERRORS as error:
            self._fail(error)
            return False
        if self._why:
            log.info("store %s: writable again", self._path)
        self._why = ""
        return True

    def _fail(self, error: Exception) -> None:
        self._disconnect()
        why = str(error)
        if schema.is_corrupt(error):
            try:
                why += f"; moved to {schema.set_aside(self._path)}"
            except OSError as blocked:
                why += f"; cannot be moved away: {blocked}"
        if not self._why:
            log.warning("store %s: %s; examples are given up until it can be written", self._path, why)
        self._why = why

    def _open(self) -> sqlite3.Connection:
        database = self._database = schema.open_writer(self._path, schema.prepare)
        self._inode = self._path.stat().st_ino
        self._shelf = Shelf(self._policy.max_examples, self._policy.max_bytes, self._policy.max_age)
        for cause, slot in rows.slots(database):
            self._shelf.add(cause, slot)
        self._sweep_at = 0.0
        return database

    def _write(self, batch: list[rows.Item], changed: rows.Changed) -> None:
        """One transaction with everything; either all of it is kept or nothing."""
        if self._database and not schema.is_same_file(self._path, self._inode):
            self._disconnect()
        database = self._database or self._open()
        now = time.time()
        sweep = time.monotonic() >= self._sweep_at
        if not (batch or changed or sweep):
            return
        database.execute("BEGIN IMMEDIATE")
        for item in batch:
            number = rows.insert(database, item, self._epoch)
            if number is not None:
                self._shelf.add(item.example.cause, Slot(number, item.example.at, item.size))
        gone = self._shelf.evict(now)
        rows.delete(database, gone)
        changed.write(database, self._epoch, now)
        if sweep:
            rows.forget_instances(database, now - self._policy.max_age)
            self._sweep_at = time.monotonic() + _SWEEP
        database.execute("COMMIT")
        self._evicted += len(gone)
