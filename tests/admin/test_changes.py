"""Changes over HTTP: who may make them, what they write, what the audit says of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from shadowproxy.admin import changes
from shadowproxy.admin.api import application
from shadowproxy.config.accepted import parse
from shadowproxy.control.state import State
from shadowproxy.model.commands import Apply
from shadowproxy.model.pair import CauseCount, Difference
from shadowproxy.model.policy import AdminPolicy, Bind, Launch, Policy, ServicePolicy, TokenPolicy
from tests.admin.conftest import MemoryStore
from tests.admin.test_api import Client, heard, problem
from tests.metrics.world import World
from tests.store.examples import example

ACCEPT = "/api/v1/diffs/accept"
RESET = "/api/v1/diffs/reset"
WHY = {"owner": "ann", "reason": "by design"}
COUNT = CauseCount(
    "shop", "item", "candidate", "c-price", (("$.price", "body_type"),), 200, 200, "", 7, 0.0, 0.0, words="w"
)  # fmt: skip


class Supervisor:
    """Reads the file of accepted differences when it is asked to, as the loader does; or refuses."""

    def __init__(self, state: State, file: Path) -> None:
        self.state = state
        self.file = file
        self.problems: tuple[str, ...] = ()
        self.is_there = True
        state.ask_for_reload = lambda: asyncio.get_running_loop().call_soon(self.reload)

    def reload(self) -> None:
        state = self.state
        policy = state.policy
        if not self.problems:
            entries = parse(self.file.read_text(), "f", ["shop", "mail", "second"]).entries.values()
            services = [
                replace(each, accepted=tuple(e.policy() for e in entries if e.service in {None, each.name}))
                if each.accepted_file
                else each
                for each in policy.services
            ]
            policy = replace(policy, services=tuple(services))
        if self.is_there:
            state.apply(Apply(policy, state.registry, self.problems))


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "accepted.yaml"


@pytest.fixture(name="state")
def _state(world: World, store: MemoryStore, tmp_path: Path, file: Path) -> State:
    shop, mail = world.policy.services
    world.policy = replace(world.policy, services=(replace(shop, accepted_file=str(file)), mail))
    return State(Launch(workers=1, data_dir=str(tmp_path)), world.policy, world.registry, world.counters, store)


@pytest.fixture(name="supervisor")
def _supervisor(state: State, file: Path) -> Supervisor:
    return Supervisor(state, file)


@pytest.fixture
async def client(state: State) -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(state, Bind("127.0.0.1", 1)))) as client:
        yield client


async def post(client: Client, path: str = ACCEPT, **body: Any) -> Any:
    async with client.post(path, json=body) as response:
        found = await response.json()
        assert response.status == 200, found
    return found


async def refused(client: Client, status: int, path: str = ACCEPT, **body: Any) -> str:
    return await problem(client, path, status, "POST", json=body)


async def audited(client: Client, query: str = "") -> list[dict[str, Any]]:
    async with client.get(f"/api/v1/audit{query}") as response:
        assert response.status == 200
        items: list[dict[str, Any]] = (await response.json())["items"]
    return items


async def test_an_example_is_accepted_written_in_force_and_audited(
    client: Client, supervisor: Supervisor, file: Path
) -> None:
    before = time.time()
    found = await post(client, example="ex0", **WHY, expires="2999-12-31")
    (entry,) = found["entries"]
    assert (found["service"], found["file"], found["in_force"], found["problems"]) == ("shop", str(file), True, [])
    assert file.read_text() == (
        "- route: item\n  field: $.price\n  kind: body_type\n  owner: ann\n  reason: by design\n  expires: 2999-12-31\n"
    )
    (accepted,) = supervisor.state.policy.services[0].accepted
    assert accepted.id == entry["id"]
    (audit,) = await audited(client)
    assert (audit["who"], audit["action"], audit["service"]) == ("local", "diffs.accept", "shop")
    assert (audit["reason"], audit["error"]) == ("by design", "")
    assert audit["what"] == {"file": str(file), "entries": [entry]}
    assert before <= audit["at"] <= time.time()
    report = await (await client.get("/api/v1/report?service=shop")).json()
    assert report["services"][0]["accepted"][0]["id"] == entry["id"]


async def test_accepting_it_again_changes_the_entry(client: Client, supervisor: Supervisor, file: Path) -> None:
    for reason in ("by design", "still so"):
        assert (await post(client, example="ex0", owner="ann", reason=reason))["in_force"]
    assert file.read_text().count("- route") == 1
    assert "reason: still so" in file.read_text()
    assert [each["reason"] for each in await audited(client)] == ["still so", "by design"]
    assert [each["reason"] for each in await audited(client, "?limit=1&offset=1&service=shop")] == ["by design"]
    assert await audited(client, "?service=mail") == []


async def test_a_cause_is_accepted_with_all_its_fields_or_with_one(
    client: Client, supervisor: Supervisor, state: State
) -> None:
    keys = (("$.name", "body_value"), ("$.price", "body_type"))
    heard(state, replace(COUNT, keys=keys))
    found = await post(client, cause="c-pr", **WHY)
    assert [(each["field"], each["kind"], each["shape"]) for each in found["entries"]] == [(*key, "") for key in keys]
    found = await post(client, cause="c-pr", field="$.price", kind="body_type", shape="text 1-4", **WHY)
    assert [(each["field"], each["shape"]) for each in found["entries"]] == [("$.price", "text 1-4")]
    assert "there is $.name body_value, $.price body_type" in await refused(
        client, 400, cause="c-p", field="$.x", **WHY
    )


async def test_the_shape_is_that_of_the_example(
    client: Client, supervisor: Supervisor, state: State, store: MemoryStore
) -> None:
    difference = Difference("$.price", "body_type", "1", '"1"', shape="integer")
    ruled = [replace(difference, field=f"$.{mark}", **{mark: True}) for mark in ("by_rule", "noise", "accepted")]
    store.examples[:] = [example(2, differences=[difference, *ruled])]
    heard(state, COUNT)
    for named in ({"example": "ex"}, {"cause": "c-price"}):
        found = await post(client, **named, shape=True, **WHY)
        assert [(each["field"], each["shape"]) for each in found["entries"]] == [("$.price", "integer")]
    store.examples.clear()
    assert "write the shape itself" in await refused(client, 409, cause="c-price", shape=True, **WHY)


async def test_a_field_can_be_named(client: Client, supervisor: Supervisor) -> None:
    found = await post(
        client, service="shop", route="*", field="$.items[].sku", kind="body_value", expires="30d", **WHY
    )
    (entry,) = found["entries"]
    assert (entry["route"], entry["field"], entry["service"]) == ("*", "$.items[].sku", "")
    assert entry["expires"] > "2026"
    assert len(entry["expires"]) == 10
    found = await post(client, service="shop", route="other", field="status", kind="status", expires="90m", **WHY)
    assert found["entries"][0]["expires"].endswith("Z")


async def test_a_file_for_several_services_says_which(
    client: Client, supervisor: Supervisor, state: State, file: Path
) -> None:
    shop, mail = state.policy.services
    second = replace(shop, name="second")
    state.apply(Apply(replace(state.policy, services=(shop, second, mail)), state.registry))
    assert (await post(client, example="ex0", **WHY))["entries"][0]["service"] == "shop"
    assert "  service: shop\n" in file.read_text()
    assert [len(each.accepted) for each in state.policy.services] == [1, 0, 0]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 400, "say what to accept: an example, a cause, or route"),
        ({"example": "ex0", "cause": "c-"}, 400, "one of them"),
        ({"example": "zz"}, 404, "begins with 'zz'"),
        ({"cause": "c-zz"}, 404, "begins with 'c-zz'"),
        ({"example": "ex0", "service": "mail"}, 404, "this is of the service shop, not of mail"),
        ({"route": "item"}, 400, "which service? there are shop, mail"),
        ({"route": "item", "service": "x"}, 404, "there are shop, mail"),
        ({"route": "item", "service": "mail"}, 409, "the service mail has no candidate"),
        ({"route": "item", "service": "shop"}, 400, "route needs field and kind"),
        ({"route": "itme", "service": "shop", "field": "$.a", "kind": "body_value"}, 400, "there are *, item, other"),
        ({"route": "item", "service": "shop", "field": "a", "kind": "body_value"}, 400, 'field cannot be "a": is no'),
        ({"route": "item", "service": "shop", "field": "$.a", "kind": "header"}, 400, 'kind cannot be "header"'),
        ({"example": "ex0", "reason": " "}, 400, 'reason cannot be " "'),
        ({"example": "ex0", "owner": "a" * 101}, 400, "owner cannot be"),
        ({"example": "ex0", "expires": "tomorrow"}, 400, "write a date such as"),
        ({"example": "ex0", "expires": "2020-01-01"}, 400, "expires: 2020-01-01 is over already"),
        ({"example": "ex0", "shape": "strnig"}, 400, 'shape cannot be "strnig"'),
        ({"example": "ex0", "shape": True}, 409, "what $.price looks like is not known here"),
        ({"example": "ex0", "severity": "low"}, 400, "unknown field `severity`"),
        ({"example": 7}, 400, "Expected `str | null`, got `int` - at `$.example`"),
    ],
)
async def test_a_change_that_says_nothing_useful_is_explained_and_changes_nothing(
    client: Client, supervisor: Supervisor, file: Path, body: dict[str, Any], status: int, says: str
) -> None:
    assert says in await refused(client, status, **{**WHY, **body})
    assert not file.exists()
    assert await audited(client) == []


async def test_what_failed_and_what_does_not_tell_its_fields_cannot_be_accepted(
    client: Client, supervisor: Supervisor, state: State, store: MemoryStore
) -> None:
    store.examples[:] = [example(3, failure="candidate_timeout"), example(4, arm="secondary")]
    assert "(candidate_timeout): that is a failure" in await refused(client, 409, example="ex00003", **WHY)
    assert "of the secondary" in await refused(client, 409, example="ex00004", **WHY)
    heard(
        state,
        replace(COUNT, id="c-f", keys=(), primary_status=0, shadow_status=None, failure="candidate_tls"),
        replace(COUNT, id="c-rest", keys=(), primary_status=0, shadow_status=None),
        replace(COUNT, id="c-many", left_out=40, primary_status=201),
    )
    assert "candidate_tls" in await refused(client, 409, cause="c-f", **WHY)
    assert "does not tell its fields" in await refused(client, 409, cause="c-rest", **WHY)
    assert "40 fields of this cause are not listed" in await refused(client, 409, cause="c-many", **WHY)
    assert len((await post(client, cause="c-many", field="$.price", **WHY))["entries"]) == 1


async def test_bodies_that_are_no_change_are_refused(client: Client) -> None:
    as_json = {"Content-Type": "application/json"}
    assert "Content-Type: application/json" in await problem(client, ACCEPT, 415, "POST", data=b"{}")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert "application/json" in await problem(client, RESET, 415, "POST", data=b"a=b", headers=form)
    for data in (b"", b"{", b"[]", b'"\xff"'):
        assert "/openapi.json" in await problem(client, ACCEPT, 400, "POST", data=data, headers=as_json)
    assert "at most" in await problem(client, ACCEPT, 413, "POST", data=b"x" * 70_000, headers=as_json)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b" " * 10_000

    assert "at most" in await problem(client, ACCEPT, 413, "POST", data=pieces(), headers=as_json)
    assert "there are none here" in await problem(client, f"{ACCEPT}?force=1", 400, "POST", json=WHY)
    foreign = {"Origin": "http://evil.example"}
    await problem(client, ACCEPT, 403, "POST", json=WHY, headers=foreign)
    await problem(client, ACCEPT, 403, "POST", json=WHY, headers={"Host": "evil.example"})
    assert "POST" in await problem(client, RESET, 405, "DELETE")


async def test_changes_take_an_operator_and_bear_the_name_of_the_token(state: State, file: Path) -> None:
    Supervisor(state, file)
    tokens = (TokenPolicy("ann", "operator", "s3cret"), TokenPolicy("bob", "viewer", "l00k"))
    state.launch = replace(state.launch, admin=AdminPolicy(tokens=tokens))
    async with TestClient(TestServer(application(state, Bind("127.0.0.1", 1)))) as client:
        await problem(client, ACCEPT, 401, "POST", json=WHY)
        for path in (ACCEPT, RESET):
            detail = await problem(client, path, 403, "POST", json=WHY, headers={"Authorization": "Bearer l00k"})
            assert "takes the role operator" in detail
        operator = {"Authorization": "Bearer s3cret"}
        async with client.post(ACCEPT, json={"example": "ex0", **WHY}, headers=operator) as response:
            assert response.status == 200
        async with client.get("/api/v1/audit", headers={"Authorization": "Bearer l00k"}) as response:
            assert [each["who"] for each in (await response.json())["items"]] == ["ann"]


async def test_a_file_that_cannot_be_written_is_named_with_the_entry(
    client: Client, supervisor: Supervisor, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuse)
        async with client.post(ACCEPT, json={"example": "ex0", **WHY}) as response:
            found = json.loads(await response.read())
    assert (response.status, response.content_type) == (409, "application/problem+json")
    assert found["detail"].startswith(f"{file} cannot be written: Read-only file system; nothing is accepted")
    assert found["entry"].startswith("- route: item\n  field: $.price\n")
    failed, tried = await audited(client)
    assert (tried["error"], failed["error"]) == ("", found["detail"])
    file.write_text("- {}\n")
    assert "[0].route: is missing" in await refused(client, 409, example="ex0", **WHY)


async def test_whatever_goes_wrong_the_audit_says_so_if_it_can(
    client: Client, supervisor: Supervisor, state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_args: object) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(state.knowledge, "renew", fail)
    assert "fault" not in await refused(client, 500, RESET, service="shop", reason="x")
    assert [each["error"] for each in await audited(client)] == ["ValueError: a fault of ours", ""]

    def fail_with_the_disk(*_args: object) -> None:
        (tmp_path / "audit.sqlite").unlink()
        (tmp_path / "audit.sqlite").mkdir()
        raise ValueError("a fault of ours")

    monkeypatch.setattr(state.knowledge, "renew", fail_with_the_disk)
    assert "its log says why" in await refused(client, 500, RESET, service="shop", reason="x")


async def test_an_entry_that_is_not_in_force_says_why(
    client: Client, supervisor: Supervisor, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor.problems = ("proxy.yaml:3:1: workers: cannot be used",)
    found = await post(client, example="ex0", **WHY)
    assert (found["in_force"], found["problems"]) == (False, list(supervisor.problems))
    assert file.exists()
    supervisor.problems, supervisor.is_there = (), False
    monkeypatch.setattr(changes, "IN_FORCE_WITHIN", 0.01)
    assert (await post(client, example="ex0", **WHY))["in_force"] is False


async def test_what_cannot_be_audited_is_not_done(
    client: Client, supervisor: Supervisor, state: State, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "audit.sqlite").mkdir()
    assert "audit.sqlite" in await refused(client, 503, example="ex0", **WHY)
    assert not file.exists()
    ledger = state.knowledge.services["shop"].ledger
    await refused(client, 503, RESET, service="shop", reason="anew")
    assert state.knowledge.services["shop"].ledger is ledger


async def test_the_evidence_begins_anew(client: Client, state: State) -> None:
    ledger = state.knowledge.services["shop"].ledger
    before = time.time()
    found = await post(client, RESET, service="shop", reason="the cache is warm now")
    assert found["service"] == "shop"
    assert before <= found["since"] <= time.time()
    assert state.knowledge.services["shop"].ledger is not ledger
    assert state.knowledge.services["shop"].ledger.since == found["since"]
    (audit,) = await audited(client)
    assert (audit["action"], audit["reason"], audit["what"]) == ("diffs.reset", "the cache is warm now", {})
    assert "reason: write why" in await refused(client, 400, RESET, service="shop", reason="")
    assert "no candidate" in await refused(client, 409, RESET, service="mail", reason="x")
    assert "missing required field `reason`" in await refused(client, 400, RESET, service="shop")
    assert len(await audited(client)) == 1


async def test_the_only_service_need_not_be_named(world: World, store: MemoryStore, tmp_path: Path) -> None:
    shop: ServicePolicy = world.policy.services[0]
    policy: Policy = replace(world.policy, services=(shop,))
    state = State(Launch(workers=1, data_dir=str(tmp_path)), policy, world.registry, world.counters, store)
    async with TestClient(TestServer(application(state, Bind("127.0.0.1", 1)))) as client:
        assert (await post(client, RESET, reason="x"))["service"] == "shop"


async def test_the_description_has_the_changes(client: Client) -> None:
    found = await (await client.get("/openapi.json")).json()
    operation = found["paths"][ACCEPT]["post"]
    (taken,) = operation["requestBody"]["content"].values()
    assert taken["schema"] == {"$ref": "#/components/schemas/AcceptChange"}
    assert found["components"]["schemas"]["AcceptChange"]["required"] == ["owner", "reason"]
    assert "get" in found["paths"]["/api/v1/audit"]
    assert "entry" not in found["components"]["schemas"]["Problem"]["required"]
