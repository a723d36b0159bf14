"""What cannot be written waits in order, within a bound, and holds nobody up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from msgspec.structs import replace

from shadowproxy.control.rollout import journal
from shadowproxy.control.rollout.journal import MAX_WAITING, Journal, Note, Record
from shadowproxy.model.rollout import Plan
from shadowproxy.rollout.facts import Facts
from shadowproxy.rollout.values import Entry, State
from shadowproxy.store import StoreError
from shadowproxy.store.rollouts import RolloutStore

STATE = State("shop", Plan("checkout-v2", ()))


class Disk:
    """Stands for a store: it takes what comes, fails while `why` says so, and hangs while `answers` is not set."""

    def __init__(self) -> None:
        self.why: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()
        self.written: list[tuple[float, bool]] = []
        """Of each state its time, and whether it was derived."""
        self.entries: list[str] = []
        self.documents: dict[str, bytes | None] = {}

    def commit(
        self,
        state: State,
        cause: object,
        entries: Sequence[Entry],
        *,
        policy: str,
        documents: Mapping[str, bytes | None],
    ) -> None:
        self._wait()
        assert policy == "f00d"
        self.written.append((state.at, cause is not None))
        self.entries += [entry.action for entry in entries]
        self.documents |= documents

    def keep(self, documents: Mapping[str, bytes | None], entry: Entry, service: str) -> None:
        self._wait()
        self.entries.append(entry.action)
        self.documents |= documents

    def _wait(self) -> None:
        self.answers.wait(10)
        if self.why:
            raise self.why


def record(at: float, **more: Any) -> Record:
    return Record(replace(STATE, at=at), Facts(at), **more)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def log(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setattr(journal, "RETRY_EVERY", 0.0)
    monkeypatch.setattr(journal, "WITHIN", 0.5)
    return Journal(cast("RolloutStore", disk), lambda: "f00d")


async def test_what_is_written_is_on_disk_when_it_says_so(disk: Disk, log: Journal) -> None:
    entry = Entry("paused", 1.0, "ada", "lunch")
    assert await log.write(record(1.0, entries=(entry,), documents={"a": b"1"}))
    assert await log.write(Note(replace(entry, action="watch_taken"), {"b": b"2"}))
    assert disk.written == [(1.0, True)]
    assert disk.entries == ["paused", "watch_taken"]
    assert disk.documents == {"a": b"1", "b": b"2"}
    await log.close(1.0)


@pytest.mark.parametrize("error", [StoreError("full"), ValueError("a mistake")])
async def test_what_fails_waits_in_order_until_it_does_not(disk: Disk, log: Journal, error: Exception) -> None:
    disk.why = error
    assert not await log.write(record(1.0))
    assert not log.is_well
    assert not await log.write(record(2.0))
    disk.why = None
    await log.close(5.0)
    assert log.is_well
    assert disk.written == [(1.0, True), (2.0, True)]


async def test_what_is_taken_back_is_not_written(disk: Disk, log: Journal) -> None:
    disk.why = StoreError("full")
    first, second = record(1.0), record(2.0)
    await log.write(first)
    await log.write(second)
    assert log.take_back(second)
    disk.why = None
    await log.close(5.0)
    assert disk.written == [(1.0, True)]


async def test_a_disk_that_hangs_is_waited_for_once(disk: Disk, log: Journal) -> None:
    disk.answers.clear()
    hanging = record(1.0)
    assert not await log.write(hanging)
    assert not log.is_well
    assert not log.take_back(hanging), "nobody knows what comes of it"
    async with asyncio.timeout(0.04):
        assert not await log.write(record(2.0))
    disk.answers.set()
    await log.close(5.0)
    assert log.is_well
    assert disk.written == [(1.0, True), (2.0, True)]


async def test_beyond_the_bound_ticks_are_joined_and_no_decision_is_lost(disk: Disk, log: Journal) -> None:
    disk.why = StoreError("full")
    for at in range(MAX_WAITING + 50):
        entries = (Entry(f"e{at}", float(at), "shadowproxy", ""),) if at % 100 == 0 else ()
        await log.write(record(float(at), entries=entries, documents={f"d{at % 7}": b"%d" % at}))
    assert len(log._waiting) <= MAX_WAITING
    disk.why = None
    await log.close(5.0)
    assert disk.entries == [f"e{at}" for at in range(0, MAX_WAITING + 50, 100)]
    assert disk.written[-1] == (MAX_WAITING + 49.0, True)
    assert (MAX_WAITING * 1.0, False) in disk.written, "the log says that there is a gap"
    assert disk.documents["d0"] == b"%d" % (7 * ((MAX_WAITING + 49) // 7))


async def test_notes_are_bounded_too(disk: Disk, log: Journal, caplog: pytest.LogCaptureFixture) -> None:
    disk.why = StoreError("full")
    for number in range(2 * MAX_WAITING + 1):
        assert not await log.write(Note(Entry("watch_taken", float(number), "ada", "")))
    assert len(log._waiting) == 2 * MAX_WAITING
    assert "is not kept" in caplog.text
    disk.why = None
    await log.close(5.0)
    assert len(disk.entries) == 2 * MAX_WAITING
