"""Reading a Dockerfile, and what ours says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from shadowproxy.cli.run import run
from tools.image.dockerfile import DockerfileError, copied, stages

ROOT = Path(__file__).parents[2]
BUILD, IMAGE = stages((ROOT / "Dockerfile").read_text())
NAME = re.compile(r"^([a-z0-9.-]+)==(\S+)", re.MULTILINE)


def locked(file: str) -> dict[str, str]:
    return dict(NAME.findall((ROOT / file).read_text()))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=]", each)[0].replace("_", "-").replace(".", "-") for each in requirements}


def test_instructions_over_several_lines_are_one() -> None:
    (stage,) = stages("FROM a AS b\nRUN one \\\n# why\n  && two\nENV A=1 B='2 3'\n")
    assert (stage.base, stage.name) == ("a", "b")
    assert stage.steps[0].text.split() == ["one", "&&", "two"]
    assert stage.environment() == {"A": "1", "B": "2 3"}


def test_copy_with_options() -> None:
    assert copied("--from=build --chown=1:2 /a /b /c/") == ({"from": "build", "chown": "1:2"}, ["/a", "/b"], "/c/")


@pytest.mark.parametrize("text", ["FROM a\nONBUILD RUN b\n", "FROM a\nSHELL ['x']\n"])
def test_what_is_not_known_is_an_error(text: str) -> None:
    with pytest.raises(DockerfileError, match="not an instruction that is known here"):
        stages(text)


def test_the_shell_form_of_a_command_is_an_error() -> None:
    (stage,) = stages("FROM a\nENTRYPOINT shadowproxy run\n")
    with pytest.raises(DockerfileError, match="the exec form is a JSON array"):
        stage.argv("ENTRYPOINT")


def test_ours_is_built_from_a_slim_base_and_is_what_was_gathered() -> None:
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", BUILD.base)
    assert IMAGE.base == "scratch"


def test_it_runs_as_nobody_in_particular_and_ends_by_the_signal_that_drains() -> None:
    assert IMAGE.settings["USER"] == "10001:10001"
    assert IMAGE.settings["STOPSIGNAL"] == "SIGTERM"


def test_every_command_has_the_exec_form_and_is_one_of_ours() -> None:
    assert IMAGE.argv("ENTRYPOINT") == ["shadowproxy"]
    assert IMAGE.argv("CMD")[0] == run.__name__
    assert IMAGE.argv("HEALTHCHECK") == ["shadowproxy", "health"]


def test_everything_installed_is_locked_by_hash() -> None:
    installs = [step.text for step in BUILD.steps if step.word == "RUN"]
    calls = [call for text in installs for call in re.findall(r"pip (?:--python \S+ )?install[^&]*", text)]
    assert len(calls) == 3
    for call in calls:
        assert "--require-hashes" in call or "--no-index" in call


@pytest.mark.parametrize("file", ["requirements.lock", "requirements-build.lock"])
def test_each_package_of_a_lock_has_hashes_and_no_address(file: str) -> None:
    text = (ROOT / file).read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text.partition("\n")[2])
    assert [block.split("\n")[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in text


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert names(project["project"]["dependencies"]) - locked("requirements.lock").keys() == set()
    assert names(project["build-system"]["requires"]) - locked("requirements-build.lock").keys() == set()


def test_what_is_copied_is_in_the_context() -> None:
    admitted = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [copied(step.text) for step in BUILD.steps if step.word == "COPY"]
    assert {name.removeprefix("./") for _, sources, _ in copies for name in sources} == admitted
