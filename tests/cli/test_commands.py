from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shadowproxy import __version__
from shadowproxy.admin.values import (
    CauseAnswer,
    CausePage,
    ReloadStatus,
    ServiceStatus,
    Status,
    UpstreamStatus,
    WorkerStatus,
)
from shadowproxy.cli.main import main
from shadowproxy.model.totals import Interval, Isolation, RolloutFigures, StoreFigures
from shadowproxy.report import build
from shadowproxy.store import DiffPage
from shadowproxy.store.rows import summary
from tests.cli.conftest import Run
from tests.report.facts import facts, mirror, route
from tests.report.reports import cause
from tests.store.examples import example

STATUS = Status(
    version="1.2.3",
    epoch="e",
    policy=4,
    fingerprint="abc",
    ready=True,
    started_at=1000.0,
    at=1090.0,
    services=[
        ServiceStatus(
            "shop",
            "*/",
            {
                "primary": UpstreamStatus(["http://a"], 1, {"active": 2, "idle": 0}, False),
                "candidate": UpstreamStatus(["http://b"], 0, {}, True),
            },
            ["item"],
            1234,
            10,
            1,
            9,
            3,
        )
    ],
    workers=[WorkerStatus(0, True, 0.1, 4, 12, 0, 2048, 0.0005, False, True)],
    restarts={"worker": 1, "comparer": 0, "control": 0},
    reloads=ReloadStatus(2, 0, True, 1000.0, []),
    store=StoreFigures(3, 900, True),
)


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
    answers["/api/v1/status"] = STATUS
    assert run("status")[0] == 0
    assert answers["asked"][0][:2] == ("elsewhere:2", "secret")


def test_status(run: Run, answers: dict[str, Any]) -> None:
    answers["/api/v1/status"] = STATUS
    code, out, _ = run("status")
    assert code == 0
    for part in (
        "shadowproxy 1.2.3 · ready · up 1m 30s · policy 4 (abc)",
        "shop  */  1,234 requests · 9 compared · 3 differ · 1 in flight",
        "primary    http://a  1 of 1 in rotation · 2 active",
        "candidate  http://b  0 of 1 in rotation · BREAKER OPEN",
        "worker 0   fresh · policy 4 · 12 connections · 2 KiB held · lag 500 µs · shedding",
        "restarts   worker 1 · comparer 0 · control 0",
        "store      examples 3 · 1 KiB",
    ):
        assert part in out
    assert json.loads(run("status", "-o", "json")[1])["fingerprint"] == "abc"


def test_a_status_shows_the_isolation_proof(run: Run, answers: dict[str, Any]) -> None:
    interval = Interval(0.002, 0.001, 0.003)
    known = Isolation("measuring", 0.05, 2.0, 400.0, 50.0, 9, {}, 1.0, {"p50": interval}, {"p95": 4, "p99": 40})
    answers["/api/v1/status"] = replace(STATUS, services=[replace(STATUS.services[0], isolation=known)])
    assert "\n  isolation  mirroring adds p50 +2.0 ms [+1.0, +3.0] to the primary's latency; p95 " in run("status")[1]
    answers["/api/v1/status"] = replace(
        STATUS, services=[replace(STATUS.services[0], isolation=replace(known, state="slow", slots=0, added={}))]
    )
    assert "  isolation  off below 50 requests/s (now 400)" in run("status")[1].splitlines()


def test_a_status_shows_where_a_rollout_is(run: Run, answers: dict[str, Any]) -> None:
    rollout = RolloutFigures("cup-v2", "running", 2, 0.05, ("approval", "freeze"))
    answers["/api/v1/status"] = replace(STATUS, services=[replace(STATUS.services[0], rollout=rollout)])
    line = "  rollout    cup-v2 · running · 5% to the candidate · held by approval, freeze"
    assert line in run("status")[1].splitlines()


def test_a_status_that_is_not_well(run: Run, answers: dict[str, Any]) -> None:
    answers["/api/v1/status"] = replace(
        STATUS,
        ready=False,
        workers=[replace(STATUS.workers[0], fresh=False, age=9.0, draining=True)],
        reloads=ReloadStatus(0, 1, False, 1.0, ["a.yaml:3:1: workers: not a number"]),
        store=StoreFigures(0, 0, False, {"unwritable": 7}, 0, "disk full"),
    )
    code, out, _ = run("status")
    assert code == 1
    for part in ("NOT READY", "silent for 9 s", "draining", "a.yaml:3:1", "7 given up", "cannot be written: disk full"):
        assert part in out


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
        "c0001  99 pairs (70 before this start), 10.0% · shop/item · 200 → 200",
        "  $.price changed from a number to a string.",
        " · example ",
        "    # words words",
        '      ignore: ["$.a"]',
        "c0002  98 pairs, 10.0% · shop/item · no response",
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
