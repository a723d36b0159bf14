"""Where rollouts are: states, what they were derived from, decisions, and what goes with them, in `audit.sqlite`.

Laws: a state, what changed it and what was decided are one transaction; what was kept is never silently empty; every
method may wait for the disk and raises StoreError, and works again when the disk does.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from shadowproxy.model.policy import MIB
from shadowproxy.rollout.chain import canonical, digest, encode_json
from shadowproxy.rollout.logged import Cause, Logged
from shadowproxy.rollout.values import Entry, State
from shadowproxy.store import StoreError, audit_file, rollout_log, schema
from shadowproxy.store.audit_file import FILE_NAME, Draft, Head

MAX_LOG_BYTES: Final = 512 * MIB
_KEEP_STATE: Final = """
INSERT INTO states VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (service) DO UPDATE SET body = excluded.body, log = excluded.log, log_hash = excluded.log_hash,
    entry = CASE WHEN excluded.entry = 0 THEN entry ELSE excluded.entry END,
    entry_hash = CASE WHEN excluded.entry = 0 THEN entry_hash ELSE excluded.entry_hash END
"""

log = logging.getLogger(__name__)
_decode_state: Final = msgspec.msgpack.Decoder(State).decode


class UnreadableStatesError(StoreError):
    """States that are kept and cannot be read; `states` are the others."""

    def __init__(self, states: dict[str, State], why: dict[str, str]) -> None:
        super().__init__("; ".join(why.values()))
        self.states = states


class RolloutStore:
    """`audit.sqlite` in `directory`. Used by one thread at a time; `facts` and `attempts` by any."""

    def __init__(self, directory: Path, max_log_bytes: int = MAX_LOG_BYTES) -> None:
        self._path = directory / FILE_NAME
        self._max_log_bytes = max_log_bytes
        self._database: sqlite3.Connection | None = None
        self._inode = 0
        self._kept: dict[str, bytes] = {}
        """The digest of the state that the caller goes on from, by service."""

    # State.

    def load(self) -> dict[str, State]:
        """By service. Raises UnreadableStatesError where one was changed, or is of a version that cannot be read."""
        with self._transaction() as database:
            rows = database.execute(
                "SELECT s.service, s.body, l.state FROM states AS s"
                " LEFT JOIN log AS l ON l.service = s.service AND l.number = s.log ORDER BY s.service"
            ).fetchall()
        states, why = {}, {}
        for service, body, expected in rows:
            try:
                if digest(body) != expected:
                    raise ValueError("it is not what the rollout's log says that it was")
                states[service] = _decode_state(body)
                self._kept[service] = expected
            except (msgspec.MsgspecError, ValueError) as error:
                why[service] = f"{self._path}: the state of {service} cannot be read: {error}"
        if why:
            raise UnreadableStatesError(states, why)
        return states

    def commit(
        self,
        state: State,
        cause: Cause | None = None,
        entries: Sequence[Entry] = (),
        *,
        policy: str = "",
        documents: Mapping[str, bytes | None] | None = None,
    ) -> None:
        """Keep a state, what it was derived from, what was decided, and what goes with that: all of it or nothing.

        Without a cause the state was not derived from the one before. A commit that failed is made again before later
        ones, or they go on without it: then the log says that the state was set. `policy` is the fingerprint of the
        policy in force.
        """
        body = canonical(state)
        now = digest(body)
        before = self._kept.get(state.service)
        head = Head()
        with self._transaction(lasting=bool(entries)) as database:
            last = rollout_log.last(database, state.service)
            if before is not None and before != now and last.state == now:
                self._kept[state.service] = now
                return  # the disk had taken it when it said that it failed
            if before is None or last.state != before:
                cause = None
            last, decided, drafts = rollout_log.extend(database, last, state, now, cause, self._max_log_bytes)
            drafts = [*(_draft(each, state, policy, decided) for each in entries), *drafts]
            if drafts:
                head = audit_file.append(database, self._path, drafts)
            database.execute(_KEEP_STATE, (state.service, body, last.number, last.hash, head.number, head.hash))
            _keep_documents(database, documents or {})
        self._kept[state.service] = now
        if entries:  # else it may not be on the disk yet, and the second copy is never ahead
            audit_file.keep_head(self._path, head)

    def facts(self, service: str, attempt: int) -> Iterator[Logged]:
        """The log of an attempt, oldest first, as far back as it is kept; it begins with a state."""
        with self._reading() as database:
            yield from rollout_log.read(database, service, attempt)

    def attempts(self) -> dict[str, list[int]]:
        """By service those that something is left of in the log, oldest first."""
        with self._reading() as database:
            return rollout_log.attempts(database)

    # What goes with states.

    def keep(self, documents: Mapping[str, bytes | None], entry: Entry, service: str = "") -> None:
        """Keep documents, or forget those that are None, and say in the audit why."""
        draft = Draft(entry.at, entry.by, entry.action, service, encode_json(entry.what), entry.why)
        with self._transaction(lasting=True) as database:
            _keep_documents(database, documents)
            head = audit_file.append(database, self._path, [draft])
        audit_file.keep_head(self._path, head)

    def documents(self) -> dict[str, bytes]:
        with self._transaction() as database:
            return dict(database.execute("SELECT key, body FROM documents").fetchall())

    def document(self, key: str) -> bytes | None:
        """One of them, for any thread, without making a file."""
        with self._reading() as database:
            row = database.execute("SELECT body FROM documents WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        if self._database:
            self._database.close()
            self._database = None

    # The file.

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own, for any thread; it makes no file."""
        try:
            with closing(schema.open_reader(self._path)) as database:
                yield database
        except (*schema.ERRORS, msgspec.MsgspecError, zlib.error) as error:
            raise StoreError(f"{self._path}: {error}") from error

    @contextmanager
    def _transaction(self, *, lasting: bool = False) -> Iterator[sqlite3.Connection]:
        """`lasting`: on disk when it is over; else it survives the death of the process, not that of the machine."""
        try:
            database = self._connected()
            database.execute(f"PRAGMA synchronous = {'FULL' if lasting else 'NORMAL'}")
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")
        except schema.ERRORS as error:
            self.close()
            raise StoreError(audit_file.failed(self._path, error)) from error

    def _connected(self) -> sqlite3.Connection:
        if self._database and not schema.is_same_file(self._path, self._inode):
            if not self._path.exists():
                self._restore(self._database)
            self.close()
        if self._database is None:
            self._database = audit_file.open_writer(self._path)
            self._inode = self._path.stat().st_ino
        return self._database

    def _restore(self, database: sqlite3.Connection) -> None:
        """Somebody deleted the file: what is still open is all there is of it."""
        log.error("%s was deleted while it was in use; it is written again", self._path)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_name(self._path.name + ".new")
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(new)) as copy:
            database.backup(copy)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        new.replace(self._path)


def _draft(entry: Entry, state: State, policy: str, item: rollout_log.Item) -> Draft:
    return Draft(
        at=entry.at,
        who=entry.by,
        action=entry.action,
        service=state.service,
        what=encode_json(entry.what),
        reason=entry.why,
        attempt=state.attempt,
        plan=state.plan.hash,
        policy=policy,
        log=item.number,
        facts=item.hash,
    )


def _keep_documents(database: sqlite3.Connection, documents: Mapping[str, bytes | None]) -> None:
    for key, body in documents.items():
        if body is None:
            database.execute("DELETE FROM documents WHERE key = ?", (key,))
        else:
            database.execute("INSERT OR REPLACE INTO documents VALUES (?, ?)", (key, body))
