"""`check` and `schema` on the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from shadowproxy.cli.check import check, schema

app = typer.Typer()
app.command()(check)
app.command()(schema)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(
        "upstreams: {primary: {urls: [http://a]}}\nadmin: {tokens: [{name: a, role: viewer, token: hunter2}], "
        "listen: 0.0.0.0:9900}\n"
    )
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.yaml"
    path.write_text("upstreams: {primary: {urls: [http://a]}}\nlisen: x\nworkers: 0\n")
    return path


def test_a_good_file_is_explained_and_warned_about(good: Path) -> None:
    done = run("check", good)
    assert done.exit_code == 0
    assert "admin      0.0.0.0:9900, tokens of a (viewer)" in done.stdout
    assert done.stderr == f"warning: {good}:2:68: admin.listen: tokens cross the network in the clear: add admin.tls\n"


def test_a_bad_file_is_one_line_a_problem_on_standard_error(bad: Path) -> None:
    done = run("check", bad)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"{bad}:2:1: lisen: unknown key: did you mean listen?",
        f'{bad}:3:10: workers: cannot be "0": write a whole number from 1 to 256, or auto for one per processor',
    ]


def test_the_same_as_json(good: Path, bad: Path) -> None:
    done = run("check", good, "-o", "json")
    answer = json.loads(done.stdout)
    assert answer["ok"] is True
    assert answer["policy"]["services"][0]["name"] == "default"
    assert answer["launch"]["admin"]["tokens"][0]["token"] == "***"
    assert "date" in answer["ignored_by_default"]

    done = run("check", bad, "-o", "json")
    assert done.exit_code == 2
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    assert answer["problems"][0] == {
        "file": str(bad),
        "line": 2,
        "column": 1,
        "path": "lisen",
        "message": "unknown key: did you mean listen?",
    }


def test_variables_come_from_the_environment(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHADOWPROXY_TEST_SERVICE", "shop")
    good.write_text("upstreams: {primary: {urls: [http://a]}}\nservice: ${SHADOWPROXY_TEST_SERVICE}\n")
    assert "service shop:" in run("check", good).stdout


def test_the_schema_is_printed_as_json() -> None:
    done = run("schema")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
