"""Who changed what, when and why: an append-only, hash-chained table, with the rollouts' decisions in it.

A change is written here before it is made; one that then could not be made has a second entry that says so.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from shadowproxy.rollout.chain import encode_json
from shadowproxy.store import StoreError, audit_file, schema, verifying
from shadowproxy.store.audit_file import FILE_NAME, Draft

_SHOWN: Final = """
number, at, who, action, service, coalesce(CAST(what AS BLOB), x''), reason, error, attempt, plan, policy, log,
lower(hex(facts)), lower(hex(previous)), lower(hex(hash))
"""
_OF: Final = """
FROM audit WHERE (:service IS NULL OR service IN (:service, '')) AND (:attempt IS NULL OR attempt = :attempt)
AND (:who = '' OR instr(lower(who), :who)) AND (:action = '' OR instr(lower(action), :action))
AND (:search = '' OR instr(lower(reason), :search) OR instr(lower(error), :search))
"""


class AuditEntry(Struct, frozen=True):
    """One change or decision."""

    number: int
    """Its place in the chain."""
    at: float
    who: str
    """A token's name, the subject of a client certificate, `local` or `shadowproxy`."""
    action: str
    """What was done, such as `diffs.accept`."""
    service: str
    """The service; empty: it is about none alone."""
    what: dict[str, Any]
    """What belongs to it, by action."""
    reason: str
    error: str = ""
    """Why it did not come about; else empty."""
    attempt: int | None = None
    """Of a decision of a rollout: its attempt."""
    plan: str = ""
    """Of a decision of a rollout: the hash of its plan."""
    policy: str = ""
    """Of a decision of a rollout: the hash of the policy it was made under."""
    log: int | None = None
    """Of a decision of a rollout: the number of the item of its log that it was made by."""
    facts: str = ""
    """The hash of that item."""
    previous: str = ""
    """The hash of the entry before."""
    hash: str = ""
    """Of `previous` and the rest of this entry."""


class Holding(NamedTuple):
    """Parts of who did it, of what was done, and of its reason, in any case. Empty does not filter."""

    who: str = ""
    action: str = ""
    search: str = ""


ANYTHING: Final = Holding()


class AuditPage(Struct, frozen=True):
    """Newest first."""

    items: list[AuditEntry]
    total: int
    limit: int
    offset: int


class AuditLog:
    """`audit.sqlite` in `directory`. Every call may wait for the disk and raises StoreError."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    def append(
        self, at: float, who: str, action: str, service: str, what: dict[str, Any], reason: str, error: str = ""
    ) -> None:
        """On disk when this returns."""
        draft = Draft(at, who, action, service, encode_json(what), reason, error)
        try:
            with closing(audit_file.open_writer(self._path)) as database:
                database.execute("BEGIN IMMEDIATE")
                head = audit_file.append(database, self._path, [draft])
                database.execute("COMMIT")
        except schema.ERRORS as error_:
            raise StoreError(audit_file.failed(self._path, error_)) from error_
        audit_file.keep_head(self._path, head)

    def page(
        self, service: str | None, limit: int, offset: int, attempt: int | None = None, holding: Holding = ANYTHING
    ) -> AuditPage:
        """Of all services, or of one with what concerns all; of all attempts and other changes, or of one attempt."""
        if not self._path.exists():
            return AuditPage([], 0, limit, offset)
        words = {name: text.lower() for name, text in holding._asdict().items()}
        values = {"service": service, "attempt": attempt, "limit": limit, "offset": offset, **words}
        try:
            with closing(self._reader()) as database:
                (total,) = database.execute(f"SELECT count(*) {_OF}", values).fetchone()
                rows = database.execute(
                    f"SELECT {_SHOWN} {_OF} ORDER BY number DESC LIMIT :limit OFFSET :offset", values
                )
                items = [_entry(row) for row in rows]
        except (*schema.ERRORS, msgspec.MsgspecError) as error:
            raise StoreError(f"{self._path}: {error}") from error
        return AuditPage(items, total, limit, offset)

    def verify(self, logs: bool = True) -> list[str]:
        """What was changed, taken away, put in or moved since it was written, in sentences; empty: nothing was.

        `logs`: of what rollouts were decided from as well, which takes some seconds for each day of it.
        """
        if not self._path.exists():
            head = audit_file.read_head(self._path)
            return [f"{self._path} is missing: it had {head.number} entries"] if head else []
        try:
            with closing(self._reader()) as database:
                return verifying.verify(database, audit_file.read_head(self._path), logs)
        except schema.ERRORS as error:
            raise StoreError(f"{self._path}: {error}") from error

    def _reader(self) -> sqlite3.Connection:
        database = schema.open_reader(self._path)
        try:
            if schema.version(database) == audit_file.VERSION:
                return database
        except BaseException:
            database.close()
            raise
        database.close()
        audit_file.open_writer(self._path).close()
        return schema.open_reader(self._path)


def _entry(row: tuple[Any, ...]) -> AuditEntry:
    """Of a row of `_SHOWN`, whose columns are the attributes."""
    values = list(row)
    values[5] = msgspec.json.decode(row[5])
    return AuditEntry(*values)
