"""The command's options: what is wrong is said in one line, with exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shadowproxy.cli.main import main
from shadowproxy.replay import run as module
from shadowproxy.report import Report, build
from tests.report.facts import facts, mirror, route

Run = Callable[..., tuple[int, str, str]]
TO = ("--candidate", "http://127.0.0.1:2")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options of every replay, which is not played."""
    seen: list[Any] = []

    def play(options: Any) -> Report:
        seen.append(options)
        return build(facts(route(mirror(match=60))))

    monkeypatch.setattr(module, "replay", play)
    return seen


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def start(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["shadowproxy", "replay", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, out, err

    return start


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (TO, "Missing argument 'FILE...'"),
        (("a.gor",), "Missing option '--candidate'"),
        (("a.gor", *TO, "--speed", "fast"), "such as 2x or 0.5x, or max"),
        (("a.gor", *TO, "--speed", "0x"), "such as 2x or 0.5x, or max"),
        (("a.gor", *TO, "--rate", "many"), "requests a second, such as 100/s"),
        (("a.gor", *TO, "--rate", "0/s"), "requests a second, such as 100/s"),
        (("a.gor", *TO, "--rate", "5/s", "--speed", "2x"), "give --speed or --rate, not both"),
        (("a.gor", *TO, "--header", "x"), "write a field as 'Name: value'"),
        (("a.gor", *TO, "--concurrency", "0"), "concurrency"),
        (("a.gor", *TO, "--out", "/nowhere/at/all/r.txt"), "there is no directory /nowhere/at/all"),
        (("a.gor", *TO, "-o", "pdf"), "pdf"),
    ],
)
def test_wrong_usage_is_one_line_and_2(run: Run, asked: list[Any], arguments: tuple[str, ...], says: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out, asked) == (2, "", [])
    assert says in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("absent.gor", *TO), "absent.gor: no such file"),
        (("empty.gor", *TO), "empty.gor: no record was found"),
        (("one.gor", *TO), "the recording has no answers that could be the primary's: give --primary URL"),
        (("one.gor", "--candidate", "127.0.0.1:2", "--primary", "http://a"), "--candidate"),
        (
            ("one.gor", *TO, "--primary", "http://no.such.name.invalid:1"),
            "the name no.such.name.invalid has no address",
        ),
        (("one.gor", *TO, "--primary", "http://127.0.0.1:1", "--config", "absent.yaml"), "absent.yaml"),
    ],
)
def test_what_cannot_be_replayed_is_one_line_and_2(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.gor").touch()
    Path("one.gor").write_bytes("1 a 5\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\n🐵🙈🙉\n".encode())
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.startswith("shadowproxy replay: ")
    assert len(err.splitlines()) == 1


def test_the_options_are_handed_on(run: Run, asked: list[Any]) -> None:
    more = (
        "--primary",
        "http://a",
        "--secondary",
        "http://b",
        "--speed",
        "2.5x",
        "--header",
        "A: b",
        "--header",
        "C: d",
    )
    run("a.gor", "b*.gor", *TO, *more, "--config", "c.yaml", "--service", "s", "--concurrency", "7", "--data-dir", "d")
    run("a.gor", *TO, "--rate", "100/s")
    run("a.gor", *TO, "--speed", "max")
    first, rated, fast = asked
    assert first.files == ["a.gor", "b*.gor"]
    assert msgspec.to_builtins(first.targets) == {
        "candidate": "http://127.0.0.1:2",
        "primary": "http://a",
        "secondary": "http://b",
    }
    assert (first.speed, first.rate, first.fields) == (2.5, None, {"A": "b", "C": "d"})
    assert (first.config, first.service, first.concurrency, first.data_dir) == (Path("c.yaml"), "s", 7, Path("d"))
    assert (rated.speed, rated.rate) == (1.0, 100.0)
    assert fast.speed is None


def test_the_report_is_written_where_and_as_wanted(run: Run, asked: list[Any], tmp_path: Path) -> None:
    code, out, err = run("a.gor", *TO)
    assert (code, err) == (0, "")
    assert "no regression" in out
    code, out, err = run("a.gor", *TO, "-o", "json", "--out", str(tmp_path / "r.json"))
    assert (code, out) == (0, "")
    assert "no regression" in err
    assert msgspec.json.decode((tmp_path / "r.json").read_bytes(), type=Report).exit_code == 0


def test_a_second_signal_is_the_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def play(options: Any) -> Report:
        raise module.Interrupted(2)

    monkeypatch.setattr(module, "replay", play)
    assert run("a.gor", *TO)[0] == 130
