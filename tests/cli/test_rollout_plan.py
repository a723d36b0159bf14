"""`rollout plan`: the table, JSON, and what is wrong with a question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from shadowproxy.cli.rollout_plan import means, plan
from shadowproxy.model.rollout import Check
from tests.config.builders import MIRRORED, write

CONFIG = Path(__file__).parents[2] / "config"


def run(*arguments: str) -> Result:
    app = typer.Typer(rich_markup_mode=None)
    app.command()(plan)
    return CliRunner().invoke(app, arguments)


def asked(directory: Path, text: str, *arguments: str) -> Any:
    return json.loads(run(str(write(directory, MIRRORED + text)), "-o", "json", *arguments).stdout)


@pytest.mark.parametrize("strategy", ["shadow", "canary", "progressive", "blue-green", "rollout"])
def test_every_shipped_plan_can_be_shown(strategy: str) -> None:
    found = run(str(CONFIG / f"{strategy}.yaml"), "--rate", "100/s", "--at", "2026-12-01")
    assert found.exit_code == 0
    assert "all users are the candidate's at 2026-12-" in found.stdout


def test_a_table_shows_each_part_who_is_served_and_what_it_waits_for() -> None:
    lines = run(str(CONFIG / "rollout.yaml"), "--rate", "100/s", "--at", "2026-12-17").stdout.splitlines()
    assert lines[0] == "rollout checkout-v2 of default, a feature"
    assert lines[1] == "all users are the candidate's at 2026-12-21 17:20 UTC, 4 d 17 h after its begin"
    [row] = [line for line in lines if "first users" in line]
    assert row.split("  ")[0] == "3"
    for part in ("5% of the users; others mirrored", "1 d, 20,000 requests", "2026-12-17 00:30 UTC"):
        assert part in row
    assert "   waits for a freeze: weekend is active; until 2026-12-21 07:00 UTC" in lines
    assert "  error_rate: at most 10% and 0.1pp more than the primary's" in lines
    assert any("at most 1% of all attempts" in line for line in lines)
    assert "  approvals are given at once" in lines


def test_json_has_the_same_in_numbers(tmp_path: Path) -> None:
    text = "rollout: {name: v2, stages: [{canary: {weight: 20%}, bake: {for: 1h, requests: 9000}}]}"
    found = asked(tmp_path, text, "--at", "1970-01-02", "--rate", "300/m")
    [part] = found["parts"]
    assert (found["name"], found["service"], found["finishes_at"]) == ("v2", "default", 86400.0 + 9000)
    assert (part["part"], part["weight"], part["rate"]) == ("canary 20%", 0.2, 1.0)
    assert (part["begins_at"], part["ends_at"], part["waits_for"]) == (86400.0, 95400.0, [])


def test_it_says_what_is_not_guaranteed(tmp_path: Path) -> None:
    partly = asked(tmp_path, "rollout: {stages: [{canary: {weight: 20%}}], supervise: required}")
    assert any("from 20% to 100%" in line for line in partly["guarantees"])
    assert any("each request draws for itself" in line for line in partly["guarantees"])
    assert "somebody holds the watch all the time" in partly["assumes"]
    text = "rollout: {stages: [{progressive: {weights: [100%], holdback: 0%}, bake: {requests: 5}}]}"
    wholly = asked(tmp_path, text)
    assert any("at 100% nobody is left to compare with" in line for line in wholly["guarantees"])
    assert any("--rate" in line for line in wholly["assumes"])


def test_it_says_what_only_holds(tmp_path: Path) -> None:
    for check, is_said in (("sample_ratio", True), ("slow_burn", True), ("error_rate", False)):
        found = asked(tmp_path, f"rollout: {{stages: [{{canary: {{weight: 20%}}}}], checks: [{{check: {check}}}]}}")
        assert any("holds it and sends nobody back" in line for line in found["guarantees"]) == is_said


def test_a_name_alone_chooses_who_says_always(tmp_path: Path) -> None:
    match = 'match: [{header: x-canary}, {cookie: "beta=1"}]'
    found = asked(tmp_path, f"rollout: {{stages: [{{canary: {{weight: 20%, {match}}}}}]}}")
    assert found["parts"][0]["serves"].startswith("who sends x-canary=always, beta=1, and 20% of the users")


def test_a_freeze_without_an_end_leaves_the_finish_open(tmp_path: Path) -> None:
    text = "rollout: {strategy: canary}\nfreeze: [{name: past, kind: allow, start: 2020-01-01, end: 2020-01-02}]"
    found = run(str(write(tmp_path, MIRRORED + text)))
    assert "when it finishes cannot be said: no end in sight: outside of past" in found.stdout
    assert found.exit_code == 0


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (Check("a", "error_rate", max=0.05), "at most 5%"),
        (
            Check("a", "latency_p99", max_relative=0.2, max_absolute=0.02),
            "at most 20% and 20 ms more than the primary's",
        ),
        (Check("a", "promql", max=5.0, mode="observe"), "at most 5, observed only"),
        (Check("a", "slow_burn", max_slope=0.05 / 3600), "rises at most 5%/h"),
        (Check("a", "sample_ratio"), "users are split as configured"),
        (Check("a", "webhook"), "a webhook says yes"),
    ],
)
def test_a_check_is_said_in_words(check: Check, words: str) -> None:
    assert means(check) == words


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("rollout: {strategy: canary}", ("--rate", "5"), "write requests in a time, such as 100/s"),
        ("rollout: {strategy: canary}", ("--rate", "0/s"), "write requests in a time, such as 100/s"),
        ("rollout: {strategy: canary}", ("--at", "soon"), "write a date such as 2026-12-24"),
        (
            "rollout: {strategy: canary}",
            ("--service", "cart"),
            "--service cart: has no rollout; there is one for",
        ),
        ("rollout: {strategy: canaries}", (), "rollout.strategy: cannot be"),
        ("", (), "no service has a rollout: write one, such as rollout: {strategy: canary}"),
    ],
)
def test_a_question_that_cannot_be_answered_exits_2(
    text: str, arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    found = run(str(write(tmp_path, MIRRORED + text)), *arguments)
    assert found.exit_code == 2
    assert message in found.stderr


def test_one_of_several_services_is_named() -> None:
    found = run(str(CONFIG / "everything.yaml"))
    assert found.exit_code == 2
    assert "say which with --service, one of checkout, website" in found.stderr
    assert run(str(CONFIG / "everything.yaml"), "--service", "website").stdout.startswith("rollout of website,")
