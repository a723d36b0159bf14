"""Rollouts over HTTP: where one is, what it may be had to do, and how it says no."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from shadowproxy.admin import rollouts
from shadowproxy.admin.api import application
from shadowproxy.control.state import State
from shadowproxy.model.policy import AdminPolicy, Bind, Launch, TokenPolicy
from shadowproxy.model.rollout import ROLLED_BACK
from shadowproxy.rollout.holds import FAILED, placed
from shadowproxy.rollout.values import CheckResult, Tick
from tests.admin.conftest import MemoryStore
from tests.admin.rollouts import PLAN, Rollouts, with_rollout
from tests.admin.test_api import Client, problem
from tests.metrics.world import World

PATH = "/api/v1/rollout"
TOKENS = (TokenPolicy("ann", "operator", "a"), TokenPolicy("ben", "operator", "b"), TokenPolicy("eve", "viewer", "e"))


@pytest.fixture
def state(world: World, store: MemoryStore, tmp_path: Path) -> State:
    policy = with_rollout(world.policy, "shop")
    launch = Launch(workers=1, data_dir=str(tmp_path), admin=AdminPolicy(tokens=TOKENS))
    state = State(launch, policy, world.registry, world.counters, store)
    state.rollouts = Rollouts(policy)
    return state


@pytest.fixture
async def client(state: State) -> AsyncIterator[Client]:
    server = TestServer(application(state, Bind("127.0.0.1", 1)))
    async with TestClient(server, headers={"Authorization": "Bearer a"}) as client:
        yield client


async def post(client: Client, path: str, token: str = "a", **body: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with client.post(path, json=body, headers=headers) as response:
        found: dict[str, Any] = await response.json()
        assert response.status == 200, found
        return found


async def refused(client: Client, status: int, path: str, token: str = "a", **body: Any) -> str:
    return await problem(client, path, status, "POST", json=body, headers={"Authorization": f"Bearer {token}"})


async def test_a_rollout_that_waits_says_so(client: Client) -> None:
    found = await (await client.get(PATH)).json()
    assert [found[name] for name in ("service", "name", "attempt", "phase", "stage", "weight")] == [
        "shop", "cup-v2", 1, "pending", "", 0.0,
    ]  # fmt: skip
    assert (found["holds"], found["why"]) == ([], "waits to be started")
    assert [step["state"] for step in found["steps"]] == ["coming"] * 4
    assert found["identity"] == {"candidate": "v2"}
    assert found["watch"] == {"required": True, "ttl": 60.0, "holder": "", "since": None, "until": None}
    assert found["finish_at"] >= found["at"] + 5460
    assert found["next"] == "`start` begins it"
    assert (found["bake"], found["started_at"], found["ended_at"], found["settled"]) == (None, None, None, True)
    assert "ledger" not in found


async def test_a_rollout_is_started_by_whom_the_token_names(client: Client, state: State) -> None:
    found = await post(client, f"{PATH}/start", token="b", reason="it is time", service="shop")
    assert (found["phase"], found["stage"]) == ("running", "mirror")
    assert [step["state"] for step in found["steps"]] == ["now", "coming", "coming", "coming"]
    assert found["bake"]["needed_requests"] == 5000
    assert found["missing"][0] == "30 min of bake"
    assert found["next"] == "go, which waits for an approval"
    assert found["finish_at"] > found["at"]
    (command,) = state.rollouts.commands
    assert (command.action, command.who, command.reason) == ("start", "ben", "it is time")
    assert (await post(client, f"{PATH}/start"))["attempt"] == 1


@pytest.mark.parametrize(("seconds", "why"), [(1.0, ""), (60.0, "the candidate gets no requests")])
async def test_a_part_that_has_just_begun_is_not_said_to_get_no_requests(
    client: Client, state: State, seconds: float, why: str
) -> None:
    await post(client, f"{PATH}/start")
    begun = state.rollouts.states["shop"]
    state.rollouts.states["shop"] = replace(begun, progress=replace(begun.progress, recent=(Tick(seconds, 0),)))
    found = await (await client.get(PATH)).json()
    assert (found["finish_why"], found["finish_at"] is None) == (why, bool(why))


async def test_what_the_configuration_does_not_have_any_more_is_not_to_be_started(client: Client, state: State) -> None:
    state.rollouts.states["shop"] = replace(state.rollouts.states["shop"], is_configured=False)
    found = await (await client.get(PATH)).json()
    assert (found["next"], found["finish_at"]) == ("nothing: the configuration has no rollout any more", None)


async def test_what_a_failed_check_holds_is_not_projected(client: Client, state: State) -> None:
    await post(client, f"{PATH}/start")
    state.rollouts.states["shop"] = placed(state.rollouts.states["shop"], FAILED, "error_rate: fails")
    found = await (await client.get(PATH)).json()
    assert (found["missing"], found["finish_at"], found["finish_why"]) == ([], None, "")
    assert found["next"] == "`retry` starts attempt 2, `rollback` and `abort` end this one"


async def test_two_operators_get_one_winner_and_one_clear_answer(client: Client) -> None:
    await post(client, f"{PATH}/start")
    await post(client, f"{PATH}/abort", attempt=1)
    await post(client, f"{PATH}/retry", token="b")
    assert "attempt 1 is over; 2 is running" in await refused(client, 409, f"{PATH}/rollback", attempt=1)
    assert "nothing waits for approval" in await refused(client, 409, f"{PATH}/approve")


async def test_going_back_needs_neither_a_body_nor_a_reason(client: Client) -> None:
    await post(client, f"{PATH}/start")
    async with client.post(f"{PATH}/rollback?service=shop") as response:
        found = await response.json()
    assert (response.status, found["phase"], found["weight"]) == (200, "rolled_back", 0.0)
    assert [step["state"] for step in found["steps"]] == ["stopped", "coming", "coming", "coming"]
    assert found["next"] == "`retry` starts attempt 2"


async def test_no_reason_is_too_ugly_to_go_back(client: Client, state: State) -> None:
    await post(client, f"{PATH}/start")
    assert (await post(client, f"{PATH}/abort", reason="\x1b[2J" + "no " * 500))["phase"] == "aborted"
    reason = state.rollouts.commands[-1].reason
    assert (len(reason), reason[:8]) == (500, "\\x1b[2Jn")


async def test_a_promotion_passes_over_what_is_left_only_with_a_reason(client: Client) -> None:
    await post(client, f"{PATH}/start")
    assert "say why" in await refused(client, 400, f"{PATH}/promote", full=True, reason=" ")
    assert (await post(client, f"{PATH}/promote"))["stage"] == "go"
    found = await post(client, f"{PATH}/promote", full=True, reason="a sale begins")
    assert (found["phase"], found["weight"], found["settled"]) == ("promoted", 1.0, False)
    assert {step["state"] for step in found["steps"]} == {"over"}
    assert found["next"].startswith("make the promoted version the configuration's primary")


async def test_a_freeze_is_overridden_with_a_reason_and_an_end(client: Client, state: State) -> None:
    weekend = replace(state.policy.freeze[0], cron="* * * * *", manual=True)
    state.rollouts.states["shop"] = replace(state.rollouts.states["shop"], windows=(weekend,))
    assert "an override with a reason would do it" in await refused(client, 409, f"{PATH}/start")
    assert "say why" in await refused(client, 400, f"{PATH}/start", override={"until": "2h"})
    for until, says in (("soon", "override.until: write a duration"), ("2020-01-01", "is over already")):
        assert says in await refused(client, 400, f"{PATH}/start", reason="x", override={"until": until})
    found = await post(client, f"{PATH}/start", reason="a fix", override={"until": "2h"})
    assert found["override_until"] == pytest.approx(time.time() + 7200, abs=60)


async def test_a_retry_may_begin_at_a_stage(client: Client) -> None:
    await post(client, f"{PATH}/start")
    await post(client, f"{PATH}/rollback", reason="slow")
    assert "there are mirror, go, first users, soak" in await refused(client, 409, f"{PATH}/retry", stage="nope")
    found = await post(client, f"{PATH}/retry", stage="first users")
    assert (found["attempt"], found["stage"], found["weight"]) == (2, "first users", 0.05)
    assert [(each["number"], each["phase"]) for each in found["earlier"]] == [(1, "rolled_back")]


async def test_checks_that_lack_data_are_what_is_missing(client: Client, state: State) -> None:
    await post(client, f"{PATH}/start")
    lacks = CheckResult("error_rate", "error_rate", "enforce", "inconclusive", "needs about 20 more requests")
    passes = replace(lacks, name="latency", verdict="pass")
    state.rollouts.states["shop"] = replace(state.rollouts.states["shop"], results=(lacks, passes))
    found = await (await client.get(PATH)).json()
    assert found["missing"][-1] == "more data for error_rate"
    assert [check["verdict"] for check in found["checks"]] == ["inconclusive", "pass"]


async def test_viewers_look_and_change_nothing(client: Client) -> None:
    for path in (PATH, f"{PATH}/history", f"{PATH}/explain", "/api/v1/freeze"):
        assert (await client.get(path, headers={"Authorization": "Bearer e"})).status == 200
    for path in (f"{PATH}/rollback", "/api/v1/freeze/start", "/api/v1/watch"):
        assert "takes the role operator" in await refused(client, 403, path, token="e")


@pytest.mark.parametrize(
    ("action", "body", "says"),
    [
        ("start", {"reson": "x"}, "unknown field `reson`"),
        ("rollback", {"override": {"until": "2h"}}, "unknown field `override`"),
        ("promote", {"full": "yes"}, "Expected `bool`"),
        ("start", {"service": "shop", "attempt": "1"}, "Expected `int"),
    ],
)
async def test_a_wrong_body_is_explained(client: Client, action: str, body: dict[str, Any], says: str) -> None:
    assert says in await refused(client, 400, f"{PATH}/{action}", **body)


async def test_the_service_is_the_one_that_is_named_or_the_only_one_with_a_rollout(
    client: Client, state: State
) -> None:
    assert "there are shop, mail" in await problem(client, f"{PATH}?service=x", 404)
    assert "the service mail has no rollout" in await problem(client, f"{PATH}?service=mail", 404)
    assert "two services are named" in await refused(client, 400, f"{PATH}/start?service=mail", service="shop")
    assert "there is no rollout" in await refused(client, 409, f"{PATH}/start", service="mail")
    state.policy = with_rollout(state.policy, "shop", "mail")
    assert "which service? there are shop, mail" in await problem(client, PATH, 400)
    assert "which service?" in await refused(client, 400, f"{PATH}/start")
    assert "unknown parameter 'colour'" in await problem(client, f"{PATH}?colour=red", 400)


async def test_what_is_not_read_yet_is_not_denied(
    client: Client, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.rollouts.known.clear()
    monkeypatch.setattr(rollouts, "KNOWN_WITHIN", 0.0)
    assert "not read yet" in await problem(client, PATH, 503)
    assert "not read yet" in await refused(client, 503, f"{PATH}/start")
    assert "it has not started" in await refused(client, 409, f"{PATH}/rollback")


async def test_without_any_rollout_the_answer_says_where_one_comes_from(client: Client, state: State) -> None:
    state.policy = replace(state.policy, services=(replace(state.policy.services[0], rollout=None),))
    state.rollouts.states.clear()
    assert "give it one with `rollout:`" in await problem(client, PATH, 404)


async def test_the_history_is_that_of_the_audit_with_its_chain(client: Client, state: State) -> None:
    empty = await (await client.get(f"{PATH}/history")).json()
    assert (empty["items"], empty["total"], empty["problems"]) == ([], 0, [])
    for who, error in (("ann", ""), ("ben", "the disk is full")):
        state.audit.append(5.0, who, "watch_taken", "shop", {}, f"{who} holds the watch", error)
    found = await (await client.get(f"{PATH}/history?limit=1")).json()
    assert (found["service"], found["total"], found["problems"]) == ("shop", 2, [])
    (newest,) = found["items"]
    assert (newest["by"], newest["why"]) == ("ben", "ben holds the watch; not done: the disk is full")
    assert (await (await client.get(f"{PATH}/history?attempt=1")).json())["total"] == 0
    assert "from 1 to" in await problem(client, f"{PATH}/history?attempt=0", 400)


async def test_an_explanation_is_sentences(client: Client) -> None:
    found = await (await client.get(f"{PATH}/explain")).json()
    assert found["service"] == "shop"
    assert found["sentences"][0] == "cup-v2 waits to be started; all users are with the primary."


async def test_a_plan_that_waits_is_shown(client: Client, state: State) -> None:
    changed = replace(PLAN, warmup=1.0)
    state.rollouts.states["shop"] = replace(state.rollouts.states["shop"], pending_plan=changed, phase=ROLLED_BACK)
    found = await (await client.get(PATH)).json()
    assert found["pending_plan"] == changed.hash != found["plan"]
