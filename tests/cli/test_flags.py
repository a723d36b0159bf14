from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shadowproxy.admin.flag_values import (
    FlagAnswer,
    FlagDetail,
    FlagHistory,
    FlagList,
    FlagStatus,
    FlagVersion,
    LastChange,
    Share,
)
from shadowproxy.cli.client import ClientError
from tests.cli.conftest import Run
from tests.cli.rollouts import AT

FLAG = FlagStatus(
    key="new-checkout",
    state="ENABLED",
    variants=["on", "off"],
    default="off",
    targeting=False,
    killed=False,
    source="file",
    change_class="feature",
    header_name="new-checkout",
    in_header=True,
    evaluations=1234,
)
DEFINITION = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}


def listed(*flags: FlagStatus, **more: Any) -> FlagList:
    values = {"in_force": True, "problems": [], "warnings": [], **more}
    return FlagList(7, "flags.json", items=list(flags), **values)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "off for everybody"),
        ({"default": None}, "the caller's default for everybody"),
        ({"targeting": True}, "by targeting, else off"),
        ({"ramp": Share("on", 0.25)}, "on for 25.0%, else off"),
        ({"killed": True}, "KILLED: off for everybody"),
        ({"state": "DISABLED"}, "disabled: the caller's default"),
        ({"overlays": [Share("on", 0.1, "shop")]}, "off for everybody; the rollout of shop gives on to 10.0%"),
        ({"source": "api"}, "off for everybody; changed here, not in the file"),
        ({"held": "the sale is on"}, "off for everybody; an edit of the file waits: the sale is on"),
        ({"in_header": False}, "off for everybody; in no request's header"),
    ],
)
def test_what_a_flag_gives_is_said_in_words(
    run: Run, answers: dict[str, Any], changed: dict[str, Any], words: str
) -> None:
    answers["/api/v1/flags"] = listed(replace(FLAG, **changed))
    code, out, _ = run("flags", "list")
    assert (code, out) == (0, f"version 7 of flags.json, every worker has it\n  new-checkout  {words}\n")


def test_what_is_wrong_with_the_file_stands_above_the_flags(run: Run, answers: dict[str, Any]) -> None:
    answers["/api/v1/flags"] = listed(FLAG, in_force=False, problems=["flags.json:3:1: a: bad"], warnings=["b\x1b[31m"])
    assert run("flags", "list")[1].splitlines()[:3] == [
        "version 7 of flags.json, not every worker has it yet",
        "the file cannot be used: flags.json:3:1: a: bad",
        "warning: b\\x1b[31m",
    ]
    assert json.loads(run("flags", "list", "-o", "json")[1])["items"][0]["key"] == "new-checkout"


def test_one_flag_is_shown_with_its_definition_and_who_changed_it(run: Run, answers: dict[str, Any]) -> None:
    last = LastChange("ann", "pager", AT)
    answers["/api/v1/flags/a%2Fb"] = FlagDetail(replace(FLAG, key="a/b"), 7, DEFINITION, None, last)
    code, out, _ = run("flags", "get", "a/b")
    assert code == 0
    assert out.startswith("a/b: off for everybody\n  variants     on, off\n  header       new-checkout\n")
    assert "  evaluations  1,234\n  changed      by ann: pager\nversion 7:\n{\n" in out
    assert json.loads(run("flags", "get", "a/b", "-o", "json")[1])["definition"] == DEFINITION


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (("set", "new-checkout", "on"), "set", {"variant": "on"}),
        (("set", "new-checkout", "on", "--default"), "set", {"variant": "on", "default": True}),
        (("ramp", "new-checkout", "on", "10%"), "ramp", {"variant": "on", "share": "10%"}),
        (("kill", "new-checkout"), "kill", {}),
        (("enable", "new-checkout", "--override"), "enable", {"override": True}),
        (("disable", "new-checkout", "--version", "7"), "disable", {"version": 7}),
        (("revert", "new-checkout", "--to", "3"), "revert", {"to": 3}),
    ],
)
def test_each_command_is_one_order(
    run: Run, orders: dict[str, Any], arguments: tuple[str, ...], path: str, body: dict[str, Any]
) -> None:
    orders[f"/api/v1/flags/{path}"] = FlagAnswer(8, True, FLAG)
    code, out, _ = run("flags", *arguments, "-m", "a test")
    assert (code, out) == (0, "new-checkout: off for everybody\nversion 8, every worker has it\n")
    [(_, sent)] = orders["sent"]
    assert sent == {"flag": "new-checkout", "reason": "a test", **body}
    assert json.loads(run("flags", *arguments, "-o", "json")[1])["version"] == 8


def test_a_definition_comes_from_a_file_or_from_standard_input(
    run: Run, orders: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders["/api/v1/flags/set"] = FlagAnswer(8, False, None)
    path = tmp_path / "flag.json"
    path.write_text(json.dumps(DEFINITION))
    assert run("flags", "set", "fresh", "--definition", str(path))[1] == (
        "version 8, not every worker has it yet: see shadowproxy status\n"
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(DEFINITION)))
    assert run("flags", "set", "fresh", "--definition", "-")[0] == 0
    assert [body["definition"] for _, body in orders["sent"]] == [DEFINITION, DEFINITION]
    path.write_text("{")
    for wrong, why in ((path, "Expecting"), (tmp_path / "none.json", "No such file")):
        code, _, err = run("flags", "set", "fresh", "--definition", str(wrong))
        assert (code, why in err, err.count("\n")) == (2, True, 1), err
    assert run("flags", "set", "fresh")[0] == run("flags", "set", "fresh", "on", "--definition", "x")[0] == 2
    assert len(orders["sent"]) == 2


def test_versions_are_listed_with_who_and_why(run: Run, answers: dict[str, Any]) -> None:
    many = FlagVersion(3, AT, "ann", "all of them", "api", "revert to version 1", [f"f{n}" for n in range(9)], 9)
    first = FlagVersion(1, AT, "shadowproxy", "", "file", "load", ["a"], 1)
    answers["/api/v1/flags/history"] = FlagHistory([many, first], 2, 20, 0)
    code, out, _ = run("flags", "history", "a", "-n", "5")
    assert code == 0
    assert "  ann  revert to version 1\n       f0, f1, f2, f3, f4 and 4 more · all of them\n    1  " in out
    assert out.endswith("  shadowproxy  load\n       a\n")
    assert answers["asked"][0][3] == {"flag": "a", "limit": 5}
    answers["/api/v1/flags/history"] = FlagHistory([], 0, 20, 0)
    assert run("flags", "history")[1] == "nothing was changed yet\n"
    assert json.loads(run("flags", "history", "-o", "json")[1])["items"] == []


def test_what_is_refused_is_said_in_one_line(run: Run, orders: dict[str, Any]) -> None:
    orders["/api/v1/flags/set"] = ClientError("", status=409, detail="new-checkout is not switched on: the sale is on")
    assert run("flags", "set", "new-checkout", "on") == (
        1,
        "",
        "shadowproxy: new-checkout is not switched on: the sale is on\n",
    )
