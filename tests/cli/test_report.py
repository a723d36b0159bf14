from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shadowproxy.cli import formats
from tests.cli.test_commands import Run, answers, run
from tests.report.reports import full, of, rich

__all__ = ["answers", "run"]


@pytest.fixture
def report(answers: dict[str, Any], run: Run) -> Callable[..., tuple[int, str, str]]:
    """The command, against an API that has a report in which everything is wrong."""
    answers["/api/v1/report"] = full()
    return lambda *arguments: run("report", *arguments)


Report = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 1),
        (("--fail-on", "latency"), 1),
        (("--fail-on", "none"), 0),
        (("--fail-on", "incomparable"), 0),
        (("--fail-on", "incomparable,expired"), 1),
        (("--fail-on", "incomparable", "--fail-on", "expired"), 1),
    ],
)
def test_fail_on_chooses_the_exit_code(report: Report, arguments: tuple[str, ...], code: int) -> None:
    found, out, err = report(*arguments)
    assert (found, err) == (code, "")
    assert out.endswith(f"(exit code {code})\n")


def test_every_format_is_of_the_judged_report(report: Report) -> None:
    for output in ("json", "markdown", "junit"):
        code, out, _ = report("-o", output, "--fail-on", "expired")
        assert code == 1
        assert "failed by expired" in out
    assert json.loads(report("-o", "json", "--fail-on", "none")[1])["fail_on"] == ["none"]


@pytest.mark.parametrize(
    ("words", "says"),
    [("slow", "'slow' is not one of fields, errors, latency"), ("none,open", "'none' stands alone, not with open")],
)
def test_wrong_words_are_one_line(report: Report, words: str, says: str) -> None:
    code, out, err = report("--fail-on", words)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert f"'--fail-on': {says}" in err


def test_full_leaves_nothing_out(report: Report) -> None:
    assert "calm · 60 requests" not in report()[1]
    assert "calm · 60 requests" in report("--full")[1]


def test_a_file_is_written_whole_and_without_colour(report: Report, tmp_path: Path) -> None:
    target = tmp_path / "report.md"
    target.write_text("the one before")
    link = tmp_path / "link.md"
    link.symlink_to(target)
    code, out, err = report("-o", "markdown", "--out", str(link))
    assert (code, out, err) == (1, "", "")
    assert target.read_text().startswith("# ❌ shadowproxy")
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.md", "report.md"]


def test_a_file_that_cannot_be_written_is_one_line_and_leaves_nothing(report: Report, tmp_path: Path) -> None:
    code, out, err = report("--out", str(tmp_path / "nowhere" / "report.md"))
    assert (code, out) == (2, "")
    assert "nowhere/report.md: No such file or directory" in err
    assert report("--out", str(tmp_path))[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.md"
    target.write_text("the one before")

    def full_disk(path: Path, data: bytes) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        formats.write(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
    assert target.read_text() == "the one before"


def test_a_device_is_written_to(report: Report) -> None:
    assert report("--out", os.devnull)[0] == 1


def test_json_is_the_report_as_it_was(report: Report) -> None:
    from shadowproxy.report import Report as Values

    assert msgspec.json.decode(report("-o", "json")[1], type=Values) == full()


def test_several_services(answers: dict[str, Any], run: Run) -> None:
    from msgspec.structs import replace

    answers["/api/v1/report"] = of(rich(), replace(rich(), name="mail"))
    out = run("report", "--fail-on", "latency")[1]
    assert "✗ mail: failed by latency: p50 of the paired difference" in out
