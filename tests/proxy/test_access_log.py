"""The access log never blocks: it is bounded, counts what it drops, and writes whole lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.model.policy import AccessLogPolicy
from shadowproxy.proxy import access_log
from shadowproxy.proxy.access_log import AccessLog, Entry

ENTRY = Entry(1.5, "id", "192.0.2.1", "GET", "/\u00e9", 200, 0.25, 5)


def log_to(path: Path | str, sample: float = 1.0) -> tuple[AccessLog, memoryview]:
    counters = Counters(1).block(0)
    return AccessLog(AccessLogPolicy(sample, str(path)), counters), counters


def test_lines_are_json_with_what_is_known(tmp_path: Path) -> None:
    log, _ = log_to(tmp_path / "log")
    for _ in range(3):
        log.add(ENTRY)
    log.close()
    lines = (tmp_path / "log").read_text("utf-8").splitlines()
    assert len(lines) == 3
    assert json.loads(lines[0]) == {
        "at": 1.5,
        "request_id": "id",
        "peer": "192.0.2.1",
        "method": "GET",
        "target": "/\u00e9",
        "status": 200,
        "seconds": 0.25,
        "sent": 5,
    }


def test_off_it_has_no_thread_and_can_be_turned_on() -> None:
    log, _ = log_to("/dev/null", 0.0)
    assert not log.enabled
    log.close()
    log, _ = log_to("/dev/null", 0.0)
    log.apply(AccessLogPolicy(0.5, "/dev/null"))
    assert log.enabled
    log.close()


def test_failures_are_always_wanted_and_others_by_their_share() -> None:
    log, _ = log_to("/dev/null", 1e-12)
    assert log.wants(failed=True)
    assert not any(log.wants(failed=False) for _ in range(1000))
    log.close()
    log, _ = log_to("/dev/null")
    assert log.wants(failed=False)
    log.close()


def test_what_comes_on_top_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "_BOUND", 2)
    log, counters = log_to("/dev/null", 0.0)
    for _ in range(5):
        log.add(ENTRY)
    assert counters[at.LOG_DROPPED] == 3


def test_what_cannot_be_written_is_counted(tmp_path: Path) -> None:
    log, counters = log_to(tmp_path / "absent" / "log")
    log.add(ENTRY)
    log.close()
    assert counters[at.LOG_DROPPED] == 1


def test_standard_output_gets_whole_lines_however_little_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    written = bytearray()

    def write(descriptor: int, data: Any) -> int:
        assert descriptor == 1
        written.extend(data[:7])
        return min(7, len(data))

    monkeypatch.setattr(access_log.os, "write", write)
    log, _ = log_to("-")
    log.add(ENTRY)
    log.close()
    assert json.loads(written)["request_id"] == "id"
