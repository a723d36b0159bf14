from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from shadowproxy import __version__
from shadowproxy.admin.values import (
    CauseAnswer,
    CausePage,
    Rule,
)
from shadowproxy.cli.main import main
from shadowproxy.report import build
from shadowproxy.store import DiffPage
from shadowproxy.store.rows import summary
from tests.cli.conftest import Run
from tests.report.facts import facts, mirror, route
from tests.report.reports import cause
from tests.store.examples import example


def test_the_version(run: Run) -> None:
    assert run("--version") == (0, f"shadowproxy {__version__}\n", "")


def test_help_lists_every_command(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for name in ("run", "check", "schema", "demo", "status", "report", "diffs", "rollout", "freeze", "watch"):
        assert f"\n  {name} " in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "shadowproxy: Missing command."),
        (("repot",), "Did you mean 'report'? See shadowproxy --help"),
        (("report", "--nope"), "shadowproxy report: No such option"),
        (
            ("report", "-o", "pdf"),
            ": 'pdf' is not one of 'text', 'json', 'markdown', 'junit', 'html'. See shadowproxy report --help",
        ),
        (("diffs", "list", "--limit", "0"), "shadowproxy diffs list: "),
        (("diffs", "show"), "Missing argument"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_two(run: Run, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert says in err
    assert "--help" in err


@pytest.mark.parametrize(("pairs", "mismatches", "code"), [(60, 0, 0), (59, 1, 1), (3, 0, 3)])
def test_the_reports_exit_code(run: Run, answers: dict[str, Any], pairs: int, mismatches: int, code: int) -> None:
    answers["/api/v1/report"] = build(facts(route(mirror(match=pairs, mismatch=mismatches))))
    found, out, err = run("report", "--service", "shop", "--admin", "there:1", "--token", "t")
    assert (found, err) == (code, "")
    assert f"(exit code {code})" in out
    assert "\x1b" not in out
    assert answers["asked"] == [("there:1", "t", "/api/v1/report", {"service": "shop", "record": "true"})]


def test_the_report_as_json_and_markdown(run: Run, answers: dict[str, Any]) -> None:
    answers["/api/v1/report"] = build(facts(route(mirror(match=60))))
    code, out, _ = run("report", "-o", "json")
    assert (code, json.loads(out)["verdict"]) == (0, "pass")
    assert run("report", "-o", "markdown")[1].startswith("# ✅ shadowproxy")


def test_the_environment_says_where_and_who(run: Run, answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHADOWPROXY_ADMIN", "elsewhere:2")
    monkeypatch.setenv("SHADOWPROXY_TOKEN", "secret")
    answers["/api/v1/diffs"] = DiffPage([], 0, 50, 0)
    assert run("diffs", "list")[0] == 0
    assert answers["asked"][0][:2] == ("elsewhere:2", "secret")


def test_diffs_are_listed(run: Run, answers: dict[str, Any]) -> None:
    several = example(1, differences=[*example().differences] * 3)
    failed = example(2, failure="candidate_timeout", differences=[])
    empty = example(3, differences=[])
    items = [summary(each) for each in (several, failed, empty)]
    answers["/api/v1/diffs"] = DiffPage(items, 9, 3, 0)
    code, out, _ = run("diffs", "list", "--route", "item", "--kind", "body_type", "--field", "$.price", "--limit", "3")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 110
    first, second, _, last = out.splitlines()
    assert first.startswith("ex00001 ")
    assert first.endswith("$.price body_type +2")
    assert second.endswith("candidate_timeout")
    assert last == "1 to 3 of 9; the next with --offset 3"
    assert answers["asked"][0][3] == {
        "route": "item",
        "kind": "body_type",
        "field": "$.price",
        "limit": 3,
        "offset": 0,
    }
    assert json.loads(run("diffs", "list", "-o", "json")[1])["total"] == 9


def test_no_diffs(run: Run, answers: dict[str, Any]) -> None:
    answers["/api/v1/diffs"] = DiffPage([], 0, 50, 0)
    assert run("diffs", "list")[1] == "no examples\n"
    answers["/api/v1/diffs"] = DiffPage([], 4, 50, 50)
    assert run("diffs", "list", "--offset", "50")[1] == "no examples from 50 on; there are 4\n"


def test_one_diff_is_shown(run: Run, answers: dict[str, Any]) -> None:
    answers["/api/v1/diffs/ex0"] = example(1)
    code, out, _ = run("diffs", "show", "ex0")
    assert code == 0
    assert '$.price body_type: 1.5 → "1.5"' in out
    assert json.loads(run("diffs", "show", "ex0", "-o", "json")[1])["id"] == "ex00001"


def test_causes_are_listed(run: Run, answers: dict[str, Any]) -> None:
    long = "# " + "words " * 40 + '\ncompare:\n  ignore: ["$.a"]'
    items = [
        cause(1, service="shop", suggestion=long, before=70),
        cause(2, service="shop", keys=[], failure="candidate_timeout", words="Late.", example=None, first_at=None),
    ]
    answers["/api/v1/causes"] = CausePage(items, 9, 2, 0)
    code, out, _ = run("diffs", "causes", "--route", "item", "--limit", "2")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    for part in (
        "c0001  99 pairs (70 before this start), 10.0% · shop · item · 200 → 200",
        "  $.price changed from a number to a string.",
        " · example ",
        "    # words words",
        '      ignore: ["$.a"]',
        "c0002  98 pairs, 10.0% · shop · item · no response",
        "  when is not known",
        "1 to 2 of 9; the next with --offset 2",
    ):
        assert part in out
    assert answers["asked"][0][3] == {"route": "item", "limit": 2, "offset": 0}
    assert json.loads(run("diffs", "causes", "-o", "json")[1])["total"] == 9


def test_no_causes(run: Run, answers: dict[str, Any]) -> None:
    answers["/api/v1/causes"] = CausePage([], 0, 50, 0)
    assert run("diffs", "causes")[1] == "no causes\n"
    answers["/api/v1/causes"] = CausePage([], 4, 50, 50)
    assert run("diffs", "causes", "--offset", "50")[1] == "no causes from 50 on; there are 4\n"


def test_a_cause_is_shown_with_its_smallest_example(run: Run, answers: dict[str, Any]) -> None:
    answers["/api/v1/causes/c-0"] = CauseAnswer(cause(1, id="c-0001", service="shop"), example(1))
    code, out, _ = run("diffs", "show", "c-0")
    assert code == 0
    for part in ("c-0001 · shop · item · 200 → 200", "suggestion:\ncompare:\n  tolerance:", "ex00001", "curl -sS"):
        assert part in out
    assert json.loads(run("diffs", "show", "c-0", "-o", "json")[1])["example"]["id"] == "ex00001"
    answers["/api/v1/causes/c-0"] = CauseAnswer(cause(1, suggestion=""), None)
    out = run("diffs", "show", "c-0")[1]
    assert "no example of it is kept" in out
    assert "suggestion" not in out


def test_an_id_cannot_lead_elsewhere(run: Run, answers: dict[str, Any]) -> None:
    answers["/api/v1/diffs/..%2F..%2Fmetrics%3Fx"] = example(1)
    assert run("diffs", "show", "../../metrics?x")[0] == 0


def test_a_reader_that_has_seen_enough_is_no_error(
    answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    answers["/api/v1/report"] = build(facts(route(mirror(match=60))))
    reading, writing = os.pipe()
    os.close(reading)
    with io.TextIOWrapper(os.fdopen(writing, "wb"), encoding="utf-8", write_through=True) as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        monkeypatch.setattr(sys, "argv", ["shadowproxy", "report"])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0
    assert capfd.readouterr().err == ""


def test_output_that_finds_no_room_is_one_line_and_no_regression(
    answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    answers["/api/v1/report"] = build(facts(route(mirror(match=60))))
    with io.TextIOWrapper(Path("/dev/full").open("wb", buffering=0), encoding="utf-8", write_through=True) as full:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "argv", ["shadowproxy", "report"])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
    assert capfd.readouterr().err == "shadowproxy: standard output: No space left on device\n"


def test_our_own_faults_are_not_hidden(answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["shadowproxy", "report"])
    with pytest.raises(KeyError):
        main()


def test_rules_that_settle_a_difference_can_be_pasted(run: Run, answers: dict[str, Any]) -> None:
    lines = "routes:\n  - name: item\n    compare: {ignore: [$.price]}\n"
    answers["/api/v1/diffs/rules"] = [Rule("ignore", ["$.price"], lines, "for every route")]
    assert run("diffs", "rules", "c-price")[1] == f"# ignore $.price; for every route\n{lines}"
    assert answers["asked"][0][3] == {"id": "c-price"}
    answers["/api/v1/diffs/rules"] = []
    assert "diffs accept" in run("diffs", "rules", "c-price")[1]
