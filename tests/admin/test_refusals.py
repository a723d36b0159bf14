"""Every status that the description speaks of comes, in the form that it says, and no other does."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from shadowproxy.admin import changes, flags, rollouts, sessions
from shadowproxy.admin.api import application
from shadowproxy.admin.status import status
from shadowproxy.control.flags import desk
from shadowproxy.control.rollout.freezes import MAX_FREEZES
from shadowproxy.control.rollout.notifying import event_of
from shadowproxy.control.state import State
from shadowproxy.control.watchers import MAX_WATCHERS, Watchers
from shadowproxy.metrics import layout as at
from shadowproxy.model.pair import Examples, FieldCount
from shadowproxy.model.policy import AdminPolicy, Bind, Launch, Policy, TokenPolicy
from shadowproxy.rollout.values import Entry
from shadowproxy.store import StoreError
from tests.admin.conftest import MemoryStore
from tests.admin.description import Client, Description, Place
from tests.admin.rollouts import Rollouts, with_flags, with_rollout
from tests.admin.test_api import COUNT, heard
from tests.admin.test_openapi import REQUESTS
from tests.metrics.world import World
from tests.store.examples import example

OPEN = {"/healthz", "/readyz", "/metrics"}
JSON = {"Content-Type": "application/json"}
ANN = TokenPolicy("ann", "operator", "o" * 32)
SDK = TokenPolicy("sdk", "evaluator", "e" * 32)
MUST = {
    ("get", "/api/v1/series"): {"params": {"service": "shop"}},
    ("get", "/api/v1/diffs/rules"): {"params": {"id": "ex00001"}},
    ("post", "/api/v1/diffs/accept"): {"json": {"owner": "ann", "reason": "meant", "cause": "c-price"}},
}
"""Requests that the others of `REQUESTS` do not make, or not so."""
SIZES = {"/api/v1/events": "l", "/ofrep/v1/events": "s"}
"""What the flag is set to while each stream is followed."""
BY_BODY = {("post", "/api/v1/freeze/start"): "services"}
"""Who names services elsewhere than in the query or under `service`."""

Served = Callable[..., AbstractAsyncContextManager[tuple[Client, State]]]


@pytest.fixture(name="served")
def _served(world: World, store: MemoryStore, tmp_path: Path) -> Served:
    """Serves the world: a policy of one's own, tokens."""

    @asynccontextmanager
    async def serve(policy: Policy, *tokens: TokenPolicy) -> AsyncIterator[tuple[Client, State]]:
        admin = AdminPolicy(Bind("127.0.0.1", 1), tokens=tokens)
        launch = Launch(workers=1, data_dir=str(tmp_path), admin=admin)
        state = State(launch, policy, world.registry, world.counters, store)
        heard(state, COUNT)
        state.tally.fields.add([FieldCount("shop", "item", "$.price", "body_type", 1)])
        state.rollouts = Rollouts(policy)
        if policy.flags is not None:
            await state.flags.look()
        async with TestClient(TestServer(application(state, Bind("127.0.0.1", 1)))) as client:
            yield client, state

    return serve


@pytest.fixture(autouse=True)
def _nobody_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no workers, and no supervisor that reloads."""
    monkeypatch.setattr(desk, "TOLD_WITHIN", 0.001)
    monkeypatch.setattr(changes, "IN_FORCE_WITHIN", 0.001)
    monkeypatch.setattr(sessions, "_WAIT", 0.001)


@pytest.fixture(name="policy")
def _policy(world: World, tmp_path: Path) -> Policy:
    shop, mail = world.policy.services
    accepting = replace(world.policy, services=(replace(shop, accepted_file=str(tmp_path / "accepted.yaml")), mail))
    return with_flags(with_rollout(accepting, "shop"), tmp_path)


def request_of(place: Place) -> tuple[dict[str, str], dict[str, Any]]:
    """Parts of the path, and the rest, of one that is right."""
    found = {**REQUESTS.get(place, {}), **MUST.get(place, {})}
    names = {name: value for name, value in found.items() if name in {"id", "key", "file"}}
    return names, {name: value for name, value in found.items() if name not in names}


async def what_is_right(said: Description, client: Client) -> None:
    for place in (*REQUESTS, ("get", "/api/v1/events"), ("get", "/ofrep/v1/events")):
        names, options = request_of(place)
        await said.ask(client, place, names, **options)
    for form in ("text", "markdown", "junit", "html"):
        await said.ask(client, ("get", "/api/v1/report"), params={"format": form, "examples": "1"})


async def what_nobody_takes(said: Description, client: Client) -> None:
    for place in said.operations:
        if place[1] in OPEN:
            continue
        names, options = request_of(place)
        assert await said.ask(client, place, names, **{**options, "params": {"nobody": "asked"}}) == 400, place
        assert await said.ask(client, place, names, **options, headers={"Host": "evil.example"}) == 403, place
        if said.takes_body(place):
            assert await said.ask(client, place, names, data=b"x=1", headers={"Content-Type": "text/plain"}) == 415
            assert await said.ask(client, place, names, data=b"[" * 70_000, headers=JSON) == 413, place
            assert await said.ask(client, place, names, data=b"{", headers=JSON) == 400, place


async def what_is_not_there(said: Description, client: Client) -> None:
    for place in said.operations:
        if 404 not in said.statuses(place):
            continue
        _, options = request_of(place)
        nobody = {"id": "nobody", "key": "nobody", "file": "nobody"}
        body = dict(options.pop("json", {}))
        params = dict(options.pop("params", {}))
        if "service" in said.parameters(place):
            params["service"] = "nobody"
        elif "id" in params:
            params["id"] = "nobody"
        elif place in BY_BODY:
            body[BY_BODY[place]] = ["nobody"]
        elif place[1].startswith("/api/v1/diffs/"):
            body["service"] = "nobody"
        elif "flag" in body or place[1].endswith("/revert"):
            body["flag"] = "nobody"
        sent = {"json": body} if said.takes_body(place) else {}
        await said.ask(client, place, nobody, params=params, **sent)


async def what_somebody_has_already(said: Description, client: Client) -> None:
    for place in said.operations:
        if 304 in said.statuses(place):
            names, options = request_of(place)
            async with client.request(place[0], place[1].format(**{**names, "file": "main.js"}), **options) as response:
                known = {"If-None-Match": response.headers["ETag"]}
            assert await said.ask(client, place, names, headers=known, **options) == 304


async def what_does_not_apply(said: Description, client: Client) -> None:
    """With a rollout that waited for an approval and got it: what is sent then is for another attempt."""
    why = {"reason": "a test"}
    for action in ("start", "promote", "approve"):
        assert await said.ask(client, ("post", f"/api/v1/rollout/{action}")) == 200, action
    wrong: list[tuple[str, dict[str, Any]]] = [
        *((f"rollout/{action}", {"attempt": 9}) for action in rollouts.BODIES),
        ("watch", {"action": "renew"}),
        ("freeze/end", {**why, "id": "f-none"}),
        *(("freeze/start", why) for _ in range(MAX_FREEZES + 1)),
        ("diffs/accept", {**why, "owner": "ann", "cause": "c-price", "shape": True}),
        ("diffs/reset", {**why, "service": "mail"}),
        *(
            (f"flags/{action}", {**why, "flag": "size", "version": 99} | more)
            for action, more in (
                ("set", {"variant": "l"}),
                ("ramp", {"variant": "l", "share": "10%"}),
                ("kill", {}),
                ("enable", {}),
                ("disable", {}),
                ("revert", {"to": 1}),
            )
        ),
    ]
    for path, body in wrong:
        await said.ask(client, ("post", f"/api/v1/{path}"), json=body)


async def what_nobody_may(said: Description, client: Client) -> None:
    """Where tokens are configured and none is sent."""
    for place in said.operations:
        if 401 in said.statuses(place):
            names, options = request_of(place)
            assert await said.ask(client, place, names, **options) == 401, place
    signing = ("post", "/api/v1/session")
    assert await said.ask(client, signing, json={"token": ANN.token}) == 200
    assert await said.ask(client, signing, json={"token": SDK.token}) == 403


class Dead:
    """A store of nothing that can be reached."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def fail(*_: object, **__: object) -> None:
            raise StoreError("the disk is gone")

        return fail


async def what_cannot_be_reached(said: Description, client: Client, state: State, store: MemoryStore) -> None:
    """Nothing is read yet, nothing can be read, and as many follow as may."""
    store.broken = True
    state.audit = Dead()  # type: ignore[assignment]
    state.rollouts.known.clear()
    state.flags.known.clear()
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_WATCHERS):
            stack.enter_context(state.watchers.joined())
        for place in said.operations:
            if 503 in said.statuses(place):
                names, options = request_of(place)
                assert await said.ask(client, place, names, **options) == 503, place


async def test_every_status_that_is_described_comes_and_no_other(
    served: Served, policy: Policy, world: World, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Description()
    world.counters.block(0)[at.HEARTBEAT] = 2**62
    async with served(policy) as (client, _):
        await what_is_right(said, client)
        await what_nobody_takes(said, client)
        await what_is_not_there(said, client)
        await what_somebody_has_already(said, client)
    async with served(policy) as (client, _):
        await what_does_not_apply(said, client)
    async with served(policy, ANN, SDK) as (client, _):
        await what_nobody_may(said, client)
    async with served(world.policy) as (client, _):  # neither flags nor a rollout
        await what_is_not_there(said, client)
    assert policy.flags is not None
    asked = replace(policy, flags=replace(policy.flags, ofrep=replace(policy.flags.ofrep, rate=1)))
    async with served(asked) as (client, _):
        for place in said.operations:
            if 429 in said.statuses(place):
                names, options = request_of(place)
                await asyncio.gather(*(said.ask(client, place, names, **options) for _ in range(3)))
    monkeypatch.setattr(rollouts, "KNOWN_WITHIN", 0.001)
    monkeypatch.setattr(flags, "KNOWN_WITHIN", 0.001)
    world.counters.block(0)[at.HEARTBEAT] = 0
    async with served(policy) as (client, state):
        state.flags.watchers = Watchers(0)
        await what_cannot_be_reached(said, client, state, store)
    missing = {place: left for place, found in said.described().items() if (left := found - said.seen[place])}
    assert missing == {}


async def test_the_roles_that_may_are_those_that_are_described(served: Served, policy: Policy) -> None:
    said = Description()
    bob = TokenPolicy("bob", "viewer", "v" * 32)
    async with served(policy, ANN, bob, SDK) as (client, _):
        for place, operation in said.operations.items():
            names, options = request_of(place)
            for token in (ANN, bob, SDK):
                may = {"Authorization": f"Bearer {token.token}"}
                found = await said.ask(client, place, names, **options, headers=may)
                if place[1] != "/api/v1/session":  # anybody may sign in and out; who somebody is says its own token
                    is_named = operation["x-role"] == "anybody" or token.role in operation["x-role"].split(", ")
                    assert (found != 403) == is_named, (place, token.role, found)


async def test_what_a_stream_tells_is_what_is_described(served: Served, policy: Policy) -> None:
    said = Description()
    told: dict[str, set[str]] = {}
    async with served(policy) as (client, state):
        for path in ("/api/v1/events", "/ofrep/v1/events"):
            events = said.operations["get", path]["x-events"]
            response = await client.get(path)
            await response.content.readuntil(b"\n\n")
            await said.ask(client, ("post", "/api/v1/flags/set"), json={"flag": "size", "variant": SIZES[path]})
            state.hear(Examples([example(5)]))
            state.watchers.tell("status", status(state, 0.0, 5.0))
            view = state.rollouts.view("shop", 5.0)
            assert view is not None
            state.watchers.tell("rollout", event_of("e1", view.state, "mirror", (Entry("started", 5.0, "ann", "go"),)))
            state.watchers.end()
            state.flags.watchers.end()
            for block in (await response.content.read()).decode().strip().split("\n\n"):
                fields = dict(line.split(": ", 1) for line in block.split("\n"))
                said.validate(events[fields["event"]]["schema"], json.loads(fields["data"]))
                told.setdefault(path, set()).add(fields["event"])
            assert told[path] == set(events)


def test_what_is_shown_as_a_body_is_one() -> None:
    said = Description()
    shown = 0
    for place, operation in said.operations.items():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "example" in content:
                said.validate(content["schema"], content["example"])
                assert json.dumps(content["example"], separators=(",", ":")) in operation["x-codeSamples"][0]["source"]
                shown += 1
        assert operation["x-codeSamples"][0]["source"].startswith("curl "), place
    assert shown > 15
