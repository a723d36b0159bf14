"""An operator carries rollouts with commands: approves, freezes, watches, goes back; of two at once one wins."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.e2e import nursery
from tests.e2e.harness import Proxy, eventually, get
from tests.e2e.rollouts import GREEN, Load, Operator, RefusedError, rollout_settings, users, versions

SECONDS = 60.0
MIRROR = {"name": "mirror", "shadow": {"sample": "100%"}, "bake": {"for": "1s", "requests": 60}}
GO = {"name": "go", "approve": {"timeout": "1h"}}
USERS = {"name": "first users", "canary": {"weight": "20%"}, "bake": {"for": "1h"}}
ERRORS = [{"check": "error_rate"}]


@dataclass
class Desk:
    """Where an operator works: a proxy that carries a rollout, its users, and a terminal."""

    proxy: Proxy
    operator: Operator
    load: Load
    directory: Path

    def begin(self, *arguments: str, token: str = "") -> Terminal:
        """A command that goes on."""
        path = self.directory / f"{len(list(self.directory.iterdir()))}.out"
        env = {**os.environ, "SHADOWPROXY_ADMIN": self.proxy.admin, "SHADOWPROXY_TOKEN": token}
        with path.open("wb") as output:
            child = nursery.fork("shadowproxy.cli", [*arguments], cwd=self.directory, env=env, output=output)
        return Terminal(child, path)

    def run(self, *arguments: str) -> tuple[int, str]:
        """The exit code and everything that was said."""
        terminal = self.begin(*arguments)
        return terminal.child.wait(SECONDS), terminal.said()


@dataclass
class Terminal:
    child: nursery.Child
    path: Path

    def said(self) -> str:
        return self.path.read_text()


Make = Callable[..., Any]


@pytest.fixture
def desk(tmp_path: Path) -> Make:
    @contextmanager
    def made(*, top: dict[str, Any] | None = None, **plan: Any) -> Generator[Desk, None, None]:
        (tmp_path / "terminal").mkdir()
        with versions() as (blue, green):
            config = rollout_settings(blue, green, top=top, checks=ERRORS, **plan)
            with Proxy.start(tmp_path / "proxy", config) as proxy, users(proxy.port, rate=100.0) as load:
                yield Desk(proxy, Operator(proxy), load, tmp_path / "terminal")

    return made


def held(status: dict[str, Any]) -> set[str]:
    return {hold["reason"] for hold in status["holds"]}


def test_a_rollout_is_carried_by_commands_from_its_start_to_its_end(desk: Make) -> None:
    with desk(stages=[MIRROR, GO, USERS]) as at:
        code, out = at.run("rollout", "status")
        assert (code, "· pending · 0% to the candidate" in out) == (0, True)
        following = at.begin("rollout", "status", "--watch")
        code, out = at.run("rollout", "start", "-m", "it is time")
        assert (code, out.splitlines()[0]) == (0, "v2 · attempt 1 · running · mirror · 0% to the candidate")
        assert at.run("rollout", "approve")[0] == 1
        at.operator.until(lambda now: "approval" in held(now))
        assert "go waits for approval" in at.run("rollout", "explain")[1]
        eventually(lambda: "hold: approval" in following.said(), SECONDS)
        assert at.run("rollout", "approve", "-m", "looks well")[0] == 0
        at.operator.until_stage("first users")
        eventually(lambda: at.load.served()[GREEN] > 20)
        assert at.run("rollout", "pause", "-m", "lunch")[0] == 0
        assert held(at.operator.status()) >= {"operator"}
        code, out = at.run("rollout", "promote")
        assert (code, "paused by local (lunch)" in out) == (1, True)
        assert at.run("rollout", "resume")[0] == 0
        code, out = at.run("rollout", "promote", "--full")
        assert (code, "say why" in out) == (2, True)
        code, out = at.run("rollout", "promote", "--full", "-m", "a sale begins")
        assert (code, "promoted · 100% to the candidate" in out) == (0, True)
        assert following.child.wait(SECONDS) == 0
        assert "first users · 20% to the candidate" in following.said()
        assert "\x1b" not in following.said()
        metrics = at.proxy.metrics()
        assert metrics.total("shadowproxy_rollout_promotion_unsettled", rollout="v2") == 1
        assert metrics.total("shadowproxy_rollout_phase", phase="promoted") == 1
        assert at.run("rollout", "rollback")[0] == 0
        assert at.run("rollout", "status")[0] == 1
        code, out = at.run("rollout", "history")
        assert (code, "the chain holds" in out) == (0, True)
        actions = [line.split()[2] for line in out.splitlines()[:-1]]
        wanted = ["started", "approved", "paused", "resumed", "promoted", "rolled_back"]
        assert [action for action in actions if action in wanted] == wanted
        code, out = at.run("rollout", "replay", "--data", str(at.proxy.data))
        assert (code, "everything comes out as it did, bit for bit" in out) == (0, True), out
        assert not at.load.failures()


def test_of_two_operators_at_once_one_wins_and_the_other_one_reads_why(desk: Make) -> None:
    with desk(stages=[MIRROR, GO]) as at:
        at.operator.act("start")
        for attempt in (1, 2, 3):
            at.operator.act("rollback")
            answers: list[Any] = []

            def retry(attempt: int = attempt, answers: list[Any] = answers) -> None:
                try:
                    answers.append(at.operator.act("retry", attempt=attempt)["attempt"])
                except RefusedError as error:
                    answers.append(error)

            racers = [threading.Thread(target=retry) for _ in range(2)]
            for racer in racers:
                racer.start()
            for racer in racers:
                racer.join(SECONDS)
            winner, loser = sorted(answers, key=lambda answer: isinstance(answer, RefusedError))
            assert winner == attempt + 1
            assert isinstance(loser, RefusedError)
            assert loser.args[0] == 409
            assert f"attempt {attempt} is over; {attempt + 1} is running" in loser.args[1]


def test_a_freeze_in_the_middle_holds_and_going_back_is_never_frozen(desk: Make) -> None:
    with desk(stages=[MIRROR, GO, USERS]) as at:
        at.operator.act("start")
        at.operator.until(lambda now: "approval" in held(now))
        at.operator.act("approve")
        at.operator.until_stage("first users")
        code, out = at.run("freeze", "start", "-m", "the big sale", "--until", "2h")
        assert (code, "ACTIVE · until" in out) == (0, True)
        at.operator.until(lambda now: "freeze" in held(now), 10)
        code, out = at.run("rollout", "promote")
        assert (code, "the big sale" in out) == (1, True)
        assert at.operator.status()["finish_at"] > at.operator.status()["at"] + 7200
        assert "the big sale" in at.run("freeze", "list")[1]
        assert at.run("freeze", "end", "-m", "it is over")[0] == 0
        at.operator.until(lambda now: "freeze" not in held(now), 10)
        assert at.run("freeze", "start", "-m", "another")[0] == 0
        at.operator.until(lambda now: "freeze" in held(now), 10)
        code, out = at.run("rollout", "rollback")
        assert (code, "rolled back · 0% to the candidate" in out) == (0, True)


def test_nothing_advances_without_the_watch_and_a_dead_watcher_is_noticed(desk: Make) -> None:
    with desk(stages=[MIRROR, GO], supervise="required", watch={"ttl": "3s"}) as at:
        at.operator.act("start")
        at.operator.until(lambda now: "unsupervised" in held(now))
        watching = at.begin("watch")
        at.operator.until(lambda now: now["watch"]["holder"] == "local" and "unsupervised" not in held(now))
        at.operator.until_stage("go")
        watching.child.kill()
        lapsed = at.operator.until(lambda now: "unsupervised" in held(now), 20)
        assert lapsed["watch"]["holder"] == ""
        again = at.begin("watch")
        at.operator.until(lambda now: "unsupervised" not in held(now))
        again.child.send_signal(signal.SIGTERM)
        assert again.child.wait(SECONDS) == 0
        assert again.said().endswith("the watch is released\n")
        assert at.operator.status()["watch"]["holder"] == ""
        assert "watch_lapsed" in at.run("rollout", "history")[1]


def test_the_watch_is_handed_over_by_name(desk: Make) -> None:
    tokens = [{"name": name, "role": "operator", "token": name * 8} for name in ("ann", "ben")]
    with desk(stages=[MIRROR], top={"admin": {"tokens": tokens}}) as at:
        ann = at.begin("watch", token="annannannannannannannann")
        eventually(lambda: "ann holds it" in ann.said(), SECONDS)
        ben = at.begin("watch", token="benbenbenbenbenbenbenben")
        assert (ben.child.wait(SECONDS), "ann holds the watch" in ben.said()) == (1, True)
        given = at.begin("watch", "--handover", "ben", token="annannannannannannannann")
        assert given.child.wait(SECONDS) == 0
        assert "ben holds the watch now" in given.said()
        assert ann.child.wait(SECONDS) == 1
        assert "ben holds the watch" in ann.said()


def test_a_rollout_is_followed_through_the_death_of_control(desk: Make) -> None:
    with desk(stages=[MIRROR, GO]) as at:
        at.operator.act("start")
        following = at.begin("rollout", "status", "-w", "-o", "json")
        eventually(lambda: "running" in following.said(), SECONDS)
        (control,) = (
            pid for pid in at.proxy.tree() if Path(f"/proc/{pid}/comm").read_text().strip() == "shadowproxy:ctl"
        )
        os.kill(control, signal.SIGKILL)
        eventually(lambda: "no admin API answers" in following.said() or at.operator.status(), SECONDS)
        at.operator.until(lambda now: "approval" in held(now))
        at.operator.act("rollback")
        assert following.child.wait(SECONDS) == 1
        answers = [json.loads(line) for line in following.said().splitlines() if line.startswith("{")]
        assert {answer["attempt"] for answer in answers} == {1}
        assert answers[-1]["phase"] == "rolled_back"


def test_the_running_api_answers_as_it_is_described(desk: Make) -> None:
    flags = {"file": str(Path(__file__).parents[2] / "config" / "flags.json")}
    with desk(stages=[MIRROR, GO], top={"flags": flags}) as at:
        at.operator.act("start")
        at.operator.until(lambda now: "approval" in held(now))
        at.operator.post("freeze/start", reason="a test")
        status, body = get(f"{at.proxy.admin}/openapi.json")
        document = json.loads(body)
        for path, methods in document["paths"].items():
            if "get" not in methods or "{" in path or path.endswith("/events"):
                continue
            if any(each.get("required") for each in methods["get"].get("parameters", ())):
                continue
            status, body = get(at.proxy.admin + path)
            assert status == 200, (path, body)
            said = methods["get"]["responses"]["200"]["content"].get("application/json", {})
            if "schema" in said:
                schema = {**said["schema"], "components": document["components"]}
                jsonschema.Draft202012Validator(schema).validate(json.loads(body))
