from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from shadowproxy.admin.api import application
from shadowproxy.control.state import State
from shadowproxy.model.policy import AdminPolicy, Bind, Launch, TokenPolicy
from tests.admin.conftest import MemoryStore
from tests.admin.test_api import Client, problem
from tests.metrics.world import World

TOKENS = (
    TokenPolicy("ann", "operator", "s3cret"),
    TokenPolicy("bob", "viewer", "l00k"),
    TokenPolicy("app", "evaluator", "fl4gs"),
)
PATH = "/api/v1/session"


@pytest.fixture
async def client(world: World, store: MemoryStore, tmp_path: Path) -> AsyncIterator[Client]:
    launch = Launch(admin=AdminPolicy(tokens=TOKENS), data_dir=str(tmp_path))
    state = State(launch, world.policy, world.registry, world.counters, store)
    async with TestClient(TestServer(application(state, Bind("127.0.0.1", 1)))) as client:
        yield client


def own(client: Client) -> dict[str, str]:
    return {"Origin": str(client.make_url("/")).rstrip("/")}


async def test_somebody_signs_in_reads_and_signs_out(client: Client) -> None:
    assert await (await client.get(PATH)).json() == {"needed": True, "name": "", "role": ""}
    await problem(client, "/api/v1/status", 401)
    response = await client.post(PATH, json={"token": " l00k "}, headers=own(client))
    assert await response.json() == {"needed": True, "name": "bob", "role": "viewer"}
    cookie = response.headers["Set-Cookie"]
    assert "l00k" not in cookie
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="))
    assert "Secure" not in cookie  # this listener has no TLS
    assert (await client.get("/api/v1/status")).status == 200
    assert await (await client.get(PATH)).json() == {"needed": True, "name": "bob", "role": "viewer"}
    assert (await client.delete(PATH, headers=own(client))).status == 200
    await problem(client, "/api/v1/status", 401)


async def test_a_viewer_changes_nothing_and_an_operator_does(client: Client) -> None:
    await client.post(PATH, json={"token": "l00k"}, headers=own(client))
    change = {"reason": "a test", "service": "shop"}
    detail = await problem(client, "/api/v1/diffs/reset", 403, "POST", json=change, headers=own(client))
    assert "operator" in detail
    await client.post(PATH, json={"token": "s3cret"}, headers=own(client))
    async with client.post("/api/v1/diffs/reset", json=change, headers=own(client)) as response:
        assert response.status == 200


async def test_what_another_page_sends_with_the_cookie_does_nothing(client: Client) -> None:
    await client.post(PATH, json={"token": "s3cret"}, headers=own(client))
    change = {"reason": "a test", "service": "shop"}
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {}):
        await problem(client, "/api/v1/diffs/reset", 403, "POST", json=change, headers=headers)


async def test_a_token_beside_the_cookie_is_what_counts(client: Client) -> None:
    await client.post(PATH, json={"token": "s3cret"}, headers=own(client))
    await problem(client, "/api/v1/diffs/reset", 403, "POST", json={}, headers={"Authorization": "Bearer l00k"})
    await problem(client, "/api/v1/status", 401, headers={"Authorization": "Bearer wrong"})


async def test_nobody_signs_in_with_what_is_not_known_or_asks_for_flags_alone(client: Client) -> None:
    assert "not known" in await problem(client, PATH, 401, "POST", json={"token": "guess"})
    assert "OFREP" in await problem(client, PATH, 403, "POST", json={"token": "fl4gs"})
    assert "tocken" in await problem(client, PATH, 400, "POST", json={"tocken": "s3cret"})
    await problem(client, PATH, 403, "POST", json={"token": "s3cret"}, headers={"Origin": "http://evil.example"})
    assert "Set-Cookie" not in (await client.get(PATH)).headers


async def test_where_no_tokens_are_nobody_has_to_sign_in(state: State) -> None:
    async with TestClient(TestServer(application(state, Bind("127.0.0.1", 1)))) as client:
        assert await (await client.get(PATH)).json() == {"needed": False, "name": "local", "role": "operator"}
        assert "nobody has to" in await problem(client, PATH, 401, "POST", json={"token": "s3cret"})
