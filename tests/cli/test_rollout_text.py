from __future__ import annotations

from msgspec.structs import replace

from shadowproxy.admin.rollout_values import FreezeStatus, HistoryEntry, HistoryPage, StepStatus, WatchStatus
from shadowproxy.cli.rollout_text import changes, clock, freezes, history, outcome, render
from shadowproxy.report.terminal import WIDTH, Paint
from shadowproxy.rollout.values import Hold
from tests.cli.rollouts import AT, HALFWAY, rollout

PLAIN = Paint(False)


def test_a_rollout_is_shown_with_its_plan_bake_checks_and_holds() -> None:
    lines = list(render(HALFWAY, PLAIN))
    assert max(map(len, lines)) <= WIDTH
    for line in (
        "checkout-v2 · attempt 2 · running · first users · 5% to the candidate",
        "  service shop · canary · feature change · primary v1 · candidate v2 · plan 3fa9c2d18b7e6f50",
        "  hold       freeze for 12 min: weekend is active",
        "  ✓ go                   approval",
        "  ▸ first users      5%  bakes 1 d, 20,000 requests    until about Wed 09:20 UTC",
        "  time       ████████████░░░░░░░░  14 h 40 min of 1 d",
        "  requests   ████████████████░░░░  16,210 of 20,000",
        "  ✓ error_rate         candidate 0.11%, primary 0.12%: passes",
        "  ? latency_p99        p99 of the candidate 230 ms in 12, primary 225 ms in 480: needs more",
        "  ✗ memory             it grows by 7% an hour, at most 5% is right; observed only",
        "  missing    9 h 20 min of bake; more data for latency_p99",
        "  next       ramp 25%, 25% of the users are the candidate's",
        "  finish     about Thu 09:30 UTC if it goes on now",
        "  watch      ann holds it for 5 min",
        "  earlier    attempt 1 rolled back Sun 19:13 UTC: error_rate failed",
    ):
        assert line in lines


def test_what_a_check_says_is_said_once_and_named_elsewhere() -> None:
    lacks = "latency_p99: " + HALFWAY.checks[1].words
    held = rollout(holds=[Hold("inconclusive", AT - 5, "shadowproxy", lacks)], why=f"held: {lacks}")
    lines = list(render(held, PLAIN))
    assert "  hold       inconclusive for 5 s: latency_p99 lacks data" in lines
    assert sum("230 ms in 12" in line for line in lines) == 1
    assert not any(line.startswith(("  missing", "  why")) for line in lines)
    passing = replace(HALFWAY.checks[0], words="candidate 0%: passes; not shown not to be worse")
    waits = [Hold("inconclusive", AT - 5, "shadowproxy", f"{passing.name}: {passing.words}")]
    lines = list(render(rollout(holds=waits, checks=[passing]), PLAIN))
    assert "  hold       inconclusive for 5 s: error_rate has not shown that it is not worse" in lines
    failing = replace(HALFWAY.checks[0], verdict="fail", words="twice as many: fails")
    back = rollout(
        phase="rolled_back", checks=[failing], why="rolled back: error_rate: twice as many: fails", bake=None
    )
    lines = list(render(back, PLAIN))
    assert "  ✗ error_rate         twice as many: fails" in lines
    assert "  why        rolled back: error_rate fails" in lines


def test_it_fits_a_narrow_terminal() -> None:
    lines = list(render(HALFWAY, PLAIN, 80))
    assert max(map(len, lines)) <= 80
    assert "  ? latency_p99        p99 of the candidate 230 ms in 12, primary 225 ms in 480:" in lines


def test_on_a_low_terminal_what_passes_is_told_in_a_line() -> None:
    words = "candidate 0.11% of 20,123 users, primary 0.12% of 390,455 users; evidence against it 0.2: passes"
    long = rollout(checks=[replace(HALFWAY.checks[0], words=words), replace(HALFWAY.checks[1], words=words)])
    lines = list(render(long, PLAIN, 80, is_brief=True))
    at = next(i for i, line in enumerate(lines) if "error_rate" in line)
    assert lines[at].endswith("…")
    assert lines[at + 1].startswith("  ? latency_p99")
    assert lines[at + 2].endswith(": passes"), "what lacks data is told in full"


def test_of_earlier_attempts_the_newest_are_shown() -> None:
    earlier = [replace(HALFWAY.earlier[0], number=number) for number in range(1, 9)]
    shown = [line for line in render(rollout(earlier=earlier), PLAIN) if line.startswith("  earlier")]
    assert [line.split()[2] for line in shown] == ["8", "7", "6"]


def test_an_attempt_that_another_one_followed_does_not_run() -> None:
    left = replace(HALFWAY.earlier[0], phase="running", why="the candidate runs v3, no longer v2")
    lines = list(render(rollout(earlier=[left]), PLAIN))
    assert "  earlier    attempt 1 given up Sun 19:13 UTC: the candidate runs v3, no longer v2" in lines


def test_what_failed_is_told_once_when_it_fails() -> None:
    passing = replace(HALFWAY.checks[0], words="candidate 0%: passes; not shown not to be worse")
    waits = [Hold("inconclusive", AT - 5, "shadowproxy", f"{passing.name}: {passing.words}")]
    lines = list(render(rollout(holds=waits, checks=[passing]), PLAIN))
    assert "  hold       inconclusive for 5 s: error_rate has not shown that it is not worse" in lines
    failing = replace(HALFWAY.checks[0], verdict="fail", words="twice as many: fails")
    held = Hold("failed", AT, "shadowproxy", "error_rate: twice as many: fails")
    later = rollout(weight=0.0, why="all are back: error_rate: twice as many: fails", checks=[failing], holds=[held])
    assert [line.partition("  ")[2] for line in changes(HALFWAY, later)] == [
        "checkout-v2 · attempt 2 · running · first users · 0% to the candidate: all are back: error_rate fails",
        "hold: failed for 0 s: error_rate fails",
        "no hold any more: freeze",
        "check error_rate: fail: twice as many: fails",
    ]


def test_what_is_more_than_needed_is_not_told_as_a_part_of_it() -> None:
    assert HALFWAY.bake
    lines = list(render(rollout(bake=replace(HALFWAY.bake, seconds=13.2, needed_seconds=8.0, requests=0)), PLAIN))
    assert "  time       ████████████████████  13 s, 8 s needed" in lines
    assert "  requests   ░░░░░░░░░░░░░░░░░░░░  0 of 20,000" in lines


def test_colours_say_what_words_say() -> None:
    coloured = "\n".join(render(HALFWAY, Paint(True)))
    assert "\x1b[36mrunning\x1b[0m" in coloured
    assert "\x1b[31m✗ memory" in coloured
    assert "\x1b[1m  ▸ first users" in coloured


def test_what_is_not_the_rule_has_a_line_of_its_own() -> None:
    odd = rollout(
        steps=[StepStatus("green: preview", "blue_green", 0.0, True, 3600, 0, "coming")],
        settled=False,
        fault="OSError: no",
        finish_at=None,
        finish_why="no end in sight: a sale",
        pending_plan="77aa",
        override_until=AT + 4800,
        watch=WatchStatus(True, 60.0),
        bake=replace(HALFWAY.bake, warmup=90.0) if HALFWAY.bake else None,
    )
    lines = list(render(odd, PLAIN))
    assert "    green: preview  chosen  bakes 1 h" in lines
    assert "  warm-up    1 min 30 s left" in lines
    assert "  override   freezes do not hold it until Wed 01:20 UTC" in lines
    assert "  watch      nobody holds it, and nothing advances without" in lines
    assert any(line.startswith("  alert      the promotion is not in the configuration") for line in lines)
    assert "  alert      it cannot be driven: OSError: no" in lines
    assert "  finish     cannot be said: no end in sight: a sale" in lines
    assert "  plan       a changed plan (77aa) is for the next attempt" in lines


def test_words_of_strangers_cannot_speak_to_the_terminal() -> None:
    lines = "\n".join(render(rollout(why="\x1b[2J", identity={"candidate": "\x07v2"}), PLAIN))
    assert "\x1b" not in lines
    assert "\x07" not in lines


def test_a_command_answers_with_where_it_has_led() -> None:
    assert list(outcome(HALFWAY, PLAIN)) == [
        "checkout-v2 · attempt 2 · running · first users · 5% to the candidate",
        "  hold       freeze for 12 min: weekend is active",
        "  next       ramp 25%, 25% of the users are the candidate's",
    ]


def test_only_what_changed_is_told() -> None:
    assert list(changes(HALFWAY, HALFWAY)) == []
    first, *rest = changes(None, HALFWAY)
    assert first.startswith("2025-11-26T00:00:00Z  checkout-v2 · attempt 2 · running · first users · 5%")
    assert [line.partition("  ")[2] for line in rest] == [
        "hold: freeze for 12 min: weekend is active",
        "check memory: fail: it grows by 7% an hour, at most 5% is right",
        "watch: ann holds it for 5 min",
    ]
    later = rollout(
        at=AT + 60,
        weight=0.25,
        stage="ramp",
        why="the bake is over",
        holds=[Hold("operator", AT + 60, "ben", "wait")],
        checks=[replace(HALFWAY.checks[0], verdict="fail", words="twice as many")],
        watch=WatchStatus(True, 60.0),
    )
    assert [line.partition("  ")[2] for line in changes(HALFWAY, later)] == [
        "checkout-v2 · attempt 2 · running · ramp · 25% to the candidate: the bake is over",
        "hold: operator by ben for 0 s: wait",
        "no hold any more: freeze",
        "check error_rate: fail: twice as many",
        "watch: nobody holds it, and nothing advances without",
    ]


def test_a_history_is_told_in_the_order_of_time_with_its_chain() -> None:
    items = [
        HistoryEntry(8, AT, "shadowproxy", "advanced", "the bake is over", {}),
        HistoryEntry(7, AT - 9, "ann", "approved", "looks well", {}),
    ]
    page = HistoryPage("shop", items, 9, 2, 0, [])
    assert list(history(page)) == [
        "    7  2025-11-25T23:59:51Z  approved          ann              looks well",
        "    8  2025-11-26T00:00:00Z  advanced          shadowproxy      the bake is over",
        "1 to 2 of 9, from the newest; older ones with --offset 2",
        "the chain holds: nothing was changed, nothing is missing (9 decisions)",
    ]
    assert list(history(replace(page, items=[], total=0, problems=["7 is missing"]))) == ["nothing was decided yet"]
    assert next(history(replace(page, items=[], offset=9))) == "nothing before that; there are 9"


def test_freezes_are_listed_with_what_they_stop() -> None:
    weekend = FreezeStatus(
        "weekend", "configuration", "deny", False, AT + 86400, None, ["feature"], [], "hold", "nobody is here"
    )
    by_hand = FreezeStatus(
        "f1", "manual", "deny", True, AT, None, ["feature", "fix"], ["shop"], "continue", "a sale", "f1", "ann"
    )
    assert list(freezes([weekend, by_hand], AT)) == [
        "weekend  deny · inactive · from Thu 00:00 UTC",
        "  stops feature changes of every service; a rollout that runs: hold",
        "  nobody is here",
        "f1  deny · ACTIVE · until it is ended",
        "  stops feature, fix changes of shop; a rollout that runs: continue",
        "  ann: a sale",
    ]
    assert list(freezes([replace(by_hand, ends_at=AT + 60), replace(weekend, begins_at=None)], AT))[::3] == [
        "f1  deny · ACTIVE · until 00:01:00 UTC",
        "weekend  deny · inactive · not again",
    ]
    assert list(freezes([], AT)) == ["no freezes"]


def test_what_is_over_shows_what_failed_it_and_no_watch() -> None:
    over = rollout(
        phase="rolled_back",
        bake=None,
        holds=[],
        missing=[],
        checks=[replace(HALFWAY.checks[0], verdict="fail", words="twice as many"), *HALFWAY.checks[1:2]],
        watch=WatchStatus(True, 60.0),
        steps=[replace(step, state="stopped") for step in HALFWAY.steps[:1]],
    )
    lines = list(render(over, PLAIN))
    assert "  ✗ mirror          bakes 30 min, 5,000 requests" in lines
    assert "  ✗ error_rate         twice as many" in lines
    assert not any("latency_p99" in line or line.startswith("  watch") for line in lines)


def test_a_hold_is_not_told_twice() -> None:
    held = rollout(why="held: weekend is active")
    assert not any(line.startswith("  why") for line in render(held, PLAIN))


def test_moments() -> None:
    assert clock(AT - 61, AT) == "23:58:59 UTC"
    assert clock(AT + 30 * 86400, AT) == "2025-12-26 00:00 UTC"
