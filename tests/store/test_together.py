"""One chain, whoever writes: threads of one process, and a process that is killed between any two writes."""

from __future__ import annotations

import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shadowproxy.rollout.chain import canonical
from shadowproxy.rollout.values import State
from shadowproxy.store import audit_file
from shadowproxy.store.audit import AuditLog
from shadowproxy.store.rollouts import RolloutStore
from tests.store.rollouts import START, entry, facts, fill, state

_ENDLESS = """
import sys
from pathlib import Path
from shadowproxy.store.rollouts import RolloutStore
from tests.store.rollouts import START, entry, facts, state
store = RolloutStore(Path(sys.argv[1]))
known = store.load().get("checkout")
if known is None:
    known = START
    store.commit(known)
at = known.at
while True:
    print("again", flush=True)
    at += 1.0
    entries = [entry(at), entry(at, "released")] if at % 3 == 0 else []
    store.commit(state(at, attempt=1 + int(at - 1000.0) // 50), facts(at), entries, documents={"at": str(at).encode()})
"""


def test_changes_and_rollouts_write_one_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_file, "_BUSY_MS", 60_000)

    def change(number: int) -> None:
        AuditLog(tmp_path).append(1.0 * number, "ann", "diffs.reset", "shop", {}, "why not")

    def roll(service: str) -> None:
        store = RolloutStore(tmp_path)
        fill(store, 30, service)
        store.close()

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(roll, service) for service in ("checkout", "mail")]
        list(pool.map(change, range(40)))
        for each in running:
            each.result()
    log = AuditLog(tmp_path)
    assert log.page(None, 1, 0).total == 40 + 2 * 12
    assert log.verify() == []


def test_a_process_that_is_killed_leaves_whole_commits(tmp_path: Path) -> None:
    draw = random.Random(7)
    last = 0.0
    for _ in range(6):
        with subprocess.Popen([sys.executable, "-c", _ENDLESS, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(draw.randint(1, 120)):
                assert process.stdout.readline() == b"again\n"
            process.send_signal(signal.SIGKILL)
        assert AuditLog(tmp_path).verify() == []
        store = RolloutStore(tmp_path)
        found = store.load()["checkout"]
        assert found.at >= last
        last = found.at
        if found.at > START.at:
            assert canonical(found) == canonical(state(found.at, attempt=found.attempt))
            assert store.documents() == {"at": str(found.at).encode()}
            *_, item = store.facts("checkout", found.attempt)
            assert item.cause == facts(found.at) or isinstance(item.cause, State)
            decided = AuditLog(tmp_path).page("checkout", 2, 0)
            newest = found.at // 3 * 3
            if newest > START.at:
                assert [each.at for each in decided.items] == [newest, newest]
        store.close()
    assert last > START.at


def median(action: Callable[[int], object], times: int) -> float:
    taken = []
    for number in range(times):
        begin = time.perf_counter()
        action(number)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def test_a_tick_costs_little_more_than_the_least_transaction(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path / "rollouts")
    store.commit(START)
    tick = median(lambda n: store.commit(state(1001.0 + n), facts(1001.0 + n)), 300)
    decision = median(lambda n: store.commit(state(1401.0 + n), facts(1401.0 + n), [entry(1401.0 + n)]), 50)
    store.close()
    least = sqlite3.connect(tmp_path / "least.sqlite", isolation_level=None)
    least.execute("PRAGMA journal_mode = WAL")
    least.execute("PRAGMA synchronous = NORMAL")
    least.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body BLOB)")

    def write(number: int) -> None:
        least.execute("BEGIN IMMEDIATE")
        least.execute("INSERT INTO t VALUES (?, ?)", (number, b"x" * 1000))
        least.execute("COMMIT")

    transaction = median(write, 300)
    least.close()
    assert tick < 30 * transaction
    assert tick < decision, "a tick does not wait for the disk"
