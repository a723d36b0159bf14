"""Lines never wait, never mix, and are one event each."""

from __future__ import annotations

import json
import logging
import os
import pty
from collections.abc import Generator
from pathlib import Path

import pytest

from shadowproxy.runtime.logs import LINE, Log, as_json, as_text, capture_logging, open_log

AT = 1_700_000_000.25


class Lines:
    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.full = False

    def write(self, line: bytes) -> bool:
        if not self.full:
            self.lines.append(line)
        return not self.full

    def log(self) -> Log:
        return Log("worker:0", as_json, self.write)

    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.lines]


def test_json_is_one_object_a_line_with_the_time_in_utc() -> None:
    line = as_json(AT, "info", "control", "hello\nworld", {"path": Path("/x"), "n": 1})
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "at": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "role": "control",
        "event": "hello\nworld",
        "path": "/x",
        "n": 1,
    }


def test_text_is_for_people() -> None:
    line = as_text(AT, "info", "supervisor", "serves", {"listen": ["a", "b"], "admin": "c"})
    assert line == b"22:13:20.250 supervisor: serves listen=a,b admin=c\n"
    assert as_text(AT, "warning", "w", "careful", {}) == b"22:13:20.250 w: warning: careful\n"


def test_levels() -> None:
    lines = Lines()
    log = lines.log()
    log.info("a")
    log.warning("b")
    log.named("other").error("c", x=1)
    assert [(e["level"], e["role"], e["event"]) for e in lines.events()] == [
        ("info", "worker:0", "a"),
        ("warning", "worker:0", "b"),
        ("error", "other", "c"),
    ]


def test_a_crash_shows_the_end_of_its_traceback() -> None:
    lines = Lines()
    try:
        raise ValueError("x" * 10_000)
    except ValueError as error:
        lines.log().crash("crashed", error, child=3)
    (event,) = lines.events()
    assert event["child"] == 3
    assert len(lines.lines[0]) <= LINE
    assert str(event["traceback"]).endswith("xxx")


def test_a_line_that_would_not_be_atomic_is_cut_to_its_event() -> None:
    lines = Lines()
    lines.log().info("much", **{f"k{n}": "v" * 900 for n in range(10)})
    (event,) = lines.events()
    assert event["event"] == "much"
    assert event["cut"] is True


def test_dropped_lines_are_counted_in_the_next_that_fits() -> None:
    lines = Lines()
    log = lines.log()
    lines.full = True
    log.info("lost")
    log.info("lost too")
    lines.full = False
    log.info("back")
    log.info("again")
    assert [event.get("lines_dropped") for event in lines.events()] == [2, None]


def test_a_full_pipe_drops_and_stops_nobody() -> None:
    receiving, sending = os.pipe()
    log = open_log("w", "json", sending)
    for _ in range(2000):
        log.info("x" * 500)
    assert log.dropped > 0
    assert os.get_blocking(sending), "the description that others share stays as it was"
    read = 0
    while read < 30_000:
        read += len(os.read(receiving, 65536))
    log.info("back")
    os.close(sending)
    rest = os.read(receiving, 1 << 20)
    assert b"lines_dropped" in rest
    os.close(receiving)


def test_a_closed_pipe_drops() -> None:
    receiving, sending = os.pipe()
    log = open_log("w", "json", sending)
    os.close(receiving)
    log.info("nobody there")
    assert log.dropped == 1
    os.close(sending)


def test_a_file_is_written_in_order_with_what_others_write_to_it(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb", buffering=0) as file:
        log = open_log("w", "text", file.fileno())
        file.write(b"first\n")
        log.info("second")
        file.write(b"third\n")
    assert [line.split()[-1] for line in (tmp_path / "log").read_text().splitlines()] == ["first", "second", "third"]


def test_a_terminal_gets_text_and_anything_else_json(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    open_log("w", "auto", follower).info("hello")
    assert os.read(leader, 1000).endswith(b" w: hello\r\n")
    os.close(leader)
    os.close(follower)
    with (tmp_path / "log").open("wb") as file:
        open_log("w", "auto", file.fileno()).info("hello")
    assert json.loads((tmp_path / "log").read_text())["event"] == "hello"


@pytest.fixture
def root() -> Generator[logging.Logger, None, None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("root")
def test_what_libraries_log_comes_out_the_same_way() -> None:
    lines = Lines()
    capture_logging(lines.log())
    logger = logging.getLogger("some.library")
    logger.debug("no")
    logger.info("%d", 1)
    logger.warning("2")
    logger.error("3")
    try:
        raise KeyError("four")
    except KeyError:
        logger.exception("4")
    assert [(e["level"], e["event"], e["logger"]) for e in lines.events()] == [
        ("info", "1", "some.library"),
        ("warning", "2", "some.library"),
        ("error", "3", "some.library"),
        ("error", "4", "some.library"),
    ]
    assert "KeyError" in str(lines.events()[-1]["traceback"])
