from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shadowproxy.cli import formats
from tests.cli.conftest import Run
from tests.report.reports import full, of, rich


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
    answers["/api/v1/report"] = of(rich(), replace(rich(), name="mail"))
    out = run("report", "--fail-on", "latency")[1]
    assert "✗ mail: failed by latency: p50 of the paired difference" in out


def test_what_is_asked_of_the_proxy(report: Report, answers: dict[str, Any]) -> None:
    for arguments, query in (
        ((), {"record": "true"}),
        (("--no-record",), {}),
        (("--since", "2h"), {"since": "2h", "record": "true"}),
        (("-o", "html", "--no-record"), {"examples": 20}),
        (("-o", "json", "--examples", "3", "--no-record"), {"examples": 3}),
        (("-o", "html", "--examples", "0", "--no-record"), {}),
    ):
        answers["asked"].clear()
        assert report(*arguments)[0] == 1
        assert answers["asked"][0][3] == query


def test_the_page_is_written_to_a_file(report: Report, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert report("-o", "html", "--out", str(page)) == (1, "", "")
    assert page.read_text().startswith("<!doctype html>")


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_bytes(msgspec.json.encode(of(rich(), replace(rich(), name="mail"))))
    return path


def test_a_stored_report_needs_no_proxy(answers: dict[str, Any], run: Run, stored: Path) -> None:
    for output, says in (
        ("text", "(exit code 1)"),
        ("html", "<!doctype html>"),
        ("junit", "<?xml"),
        ("markdown", "# ❌"),
    ):
        code, out, err = run("report", "--from", str(stored), "-o", output)
        assert (code, err) == (1, "")
        assert says in out
    assert run("report", "--from", str(stored), "--fail-on", "none")[0] == 0
    assert answers["asked"] == []


def test_one_service_of_a_stored_report(run: Run, stored: Path) -> None:
    code, out, _ = run("report", "--from", str(stored), "--service", "mail")
    assert code == 1
    assert out.startswith("mail · ")
    assert "shop · " not in out
    code, out, err = run("report", "--from", str(stored), "--service", "post")
    assert (code, out) == (2, "")
    assert err.endswith("report.json has shop, mail\n")


def test_changes_since_a_stored_report(answers: dict[str, Any], run: Run, stored: Path, tmp_path: Path) -> None:
    answers["/api/v1/report"] = full()
    assert "changes    since just now: nothing changed; fail" in run("report", "--since", str(stored))[1]
    earlier = tmp_path / "earlier.json"
    earlier.write_bytes(msgspec.json.encode(of(rich(verdict="pass", exit_code=0))))
    out = run("report", "--from", str(stored), "--since", str(earlier))[1]
    assert "worse    verdict: pass → fail" in out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file or directory"),
        (b"", "not a report as JSON (Input data was truncated); write one with: shadowproxy report -o json --out FILE"),
        (b"{}", "not a report as JSON (Object missing required field `version`)"),
        (b"[1]", "not a report as JSON"),
        (b"\xff\xfe", "not a report as JSON"),
        (b'{"version": 1}', "Expected `str`, got `int`"),
        (b"<html>", "not a report as JSON"),
    ],
)
@pytest.mark.parametrize("option", ["--from", "--since"])
def test_a_file_that_is_no_report_is_one_line(
    report: Report, tmp_path: Path, option: str, content: bytes | None, says: str
) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    code, out, err = report(option, str(path))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith(f"shadowproxy: {option} {path}: ")
    assert says in err


def test_a_word_that_is_neither_a_duration_nor_a_file(report: Report) -> None:
    assert (
        "--since yesterday: No such file or directory, nor a duration such as 2h" in report("--since", "yesterday")[2]
    )


def test_a_huge_file_is_not_read(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_FILE", 1024 * 1024)
    path = tmp_path / "x.json"
    path.write_bytes(b" " * (1024 * 1024 + 1))
    assert "larger than 1 MiB" in report("--from", str(path))[2]


def test_a_stored_report_is_not_compared_by_age(report: Report, stored: Path) -> None:
    code, _, err = report("--from", str(stored), "--since", "2h")
    assert code == 2
    assert "'2h' asks a running proxy" in err


def test_the_help_and_the_document_know_every_word(run: Run) -> None:
    from shadowproxy.report.judging import WORDS

    document = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
    help_text = " ".join(run("report", "--help")[1].split())
    for word in WORDS:
        assert f"\n| `{word}` |" in document
        assert f" {word}," in help_text or f" {word}." in help_text
