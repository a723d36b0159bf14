"""The description of the API against the running application: every path and method, every answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from shadowproxy.admin.api import OPERATIONS, application
from shadowproxy.admin.reference import reference
from shadowproxy.control.state import State
from shadowproxy.model.pair import FieldCount
from shadowproxy.model.policy import Bind, Launch
from shadowproxy.rollout.values import CheckResult, Hold
from tests.admin.conftest import MemoryStore
from tests.admin.rollouts import Rollouts, with_flags, with_rollout
from tests.admin.test_api import COUNT, Client, heard
from tests.metrics.world import World

WHY = {"reason": "a test"}
REQUESTS: dict[tuple[str, str], dict[str, Any]] = {
    ("get", "/healthz"): {},
    ("get", "/readyz"): {},
    ("get", "/metrics"): {},
    ("get", "/api/v1/status"): {},
    ("get", "/api/v1/services"): {},
    ("get", "/api/v1/routes"): {},
    ("get", "/api/v1/diffs"): {},
    ("get", "/api/v1/diffs/{id}"): {"id": "ex00001"},
    ("get", "/api/v1/diffs/{id}/bodies"): {"id": "ex00001"},
    ("get", "/api/v1/diffs/rules"): {"params": {"id": "c-price"}},
    ("get", "/api/v1/causes"): {},
    ("get", "/api/v1/causes/{id}"): {"id": "c-price"},
    ("get", "/api/v1/report"): {},
    ("get", "/api/v1/series"): {"params": {"service": "shop", "span": "1h"}},
    ("post", "/api/v1/diffs/accept"): {"json": WHY},
    ("post", "/api/v1/diffs/reset"): {"json": {**WHY, "service": "shop"}},
    ("get", "/api/v1/rollout"): {},
    ("post", "/api/v1/rollout/start"): {"json": {"attempt": 1}},
    ("post", "/api/v1/rollout/pause"): {"json": WHY},
    ("post", "/api/v1/rollout/resume"): {},
    ("post", "/api/v1/rollout/approve"): {},
    ("post", "/api/v1/rollout/promote"): {"json": {**WHY, "full": False}},
    ("post", "/api/v1/rollout/rollback"): {},
    ("post", "/api/v1/rollout/retry"): {"json": {"stage": "first users"}},
    ("post", "/api/v1/rollout/abort"): {},
    ("get", "/api/v1/rollout/history"): {},
    ("get", "/api/v1/rollout/explain"): {},
    ("post", "/api/v1/freeze/start"): {"json": {**WHY, "until": "2h"}},
    ("get", "/api/v1/freeze"): {},
    ("get", "/api/v1/freeze/calendar"): {"params": {"days": "7"}},
    ("post", "/api/v1/freeze/end"): {"json": WHY},
    ("get", "/api/v1/flags"): {},
    ("post", "/api/v1/flags/set"): {"json": {**WHY, "flag": "new-checkout", "variant": "on"}},
    ("post", "/api/v1/flags/ramp"): {"json": {**WHY, "flag": "new-checkout", "variant": "on", "share": "10%"}},
    ("get", "/api/v1/flags/{key}"): {"key": "new-checkout"},
    ("post", "/api/v1/flags/disable"): {"json": {"flag": "new-checkout"}},
    ("post", "/api/v1/flags/enable"): {"json": {"flag": "new-checkout"}},
    ("post", "/api/v1/flags/kill"): {"json": {**WHY, "flag": "new-checkout", "version": 5}},
    ("get", "/api/v1/flags/history"): {},
    ("post", "/api/v1/flags/revert"): {"json": {**WHY, "to": 1}},
    ("post", "/ofrep/v1/evaluate/flags"): {"json": {"context": {"targetingKey": "ann"}}},
    ("post", "/ofrep/v1/evaluate/flags/{key}"): {"key": "size", "json": {"context": {}}},
    ("post", "/api/v1/watch"): {"json": {"action": "hold"}},
    ("get", "/api/v1/audit"): {},
    ("get", "/api/v1/session"): {},
    ("post", "/api/v1/session"): {"json": {"token": "nobody's"}},
    ("delete", "/api/v1/session"): {},
    ("get", "/openapi.json"): {},
    ("get", "/"): {},
    ("get", "/ui/{file}"): {"file": "main.js"},
}
"""One request for everything that the description has, in an order in which they make sense."""
EVENTS = {("get", "/api/v1/events"), ("get", "/ofrep/v1/events")}
"""Have no end; others follow them."""
REFUSED = {
    ("post", "/api/v1/session"): 401,
    ("post", "/api/v1/diffs/accept"): 400,
    ("post", "/api/v1/rollout/approve"): 409,
    ("get", "/readyz"): 503,
}


@pytest.fixture
async def client(world: World, store: MemoryStore, tmp_path: Path) -> AsyncIterator[Client]:
    policy = with_flags(with_rollout(world.policy, "shop"), tmp_path)
    state = State(Launch(workers=1, data_dir=str(tmp_path)), policy, world.registry, world.counters, store)
    heard(state, COUNT)
    state.tally.fields.add([FieldCount("shop", "item", "$.price", "body_type", 1)])
    state.audit.append(5.0, "ann", "started", "shop", {"attempt": 1}, "ann started it")
    state.rollouts = Rollouts(policy)
    state.rollouts.states["shop"] = replace(
        state.rollouts.states["shop"],
        holds=(Hold("freeze", 5.0, detail="weekend is active"),),
        results=(CheckResult("error_rate", "error_rate", "enforce", "pass", "", 0.5, 5.3, 0.001, 0.001, 900, 60.0),),
    )
    await state.flags.look()
    async with TestClient(TestServer(application(state, Bind("127.0.0.1", 1)))) as client:
        yield client


def operations(document: dict[str, Any]) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield (method, path), operation


async def test_every_path_answers_as_it_is_described(client: Client) -> None:
    document = await (await client.get("/openapi.json")).json()
    described = dict(operations(document))
    assert set(described) == {*REQUESTS, *EVENTS}
    for place, request in REQUESTS.items():
        method, path = place
        options = {name: value for name, value in request.items() if name not in {"id", "key", "file"}}
        async with client.request(method, path.format(**request), **options) as response:
            answers = described[place]["responses"]
            assert response.status == REFUSED.get(place, 200), await response.text()
            content = answers[str(response.status)]["content"]
            assert response.content_type in content, place
            if response.content_type.endswith("json"):
                whole = {**content[response.content_type]["schema"], "components": document["components"]}
                jsonschema.Draft202012Validator(whole).validate(await response.json())
            if "json" in request:
                (taken,) = described[place]["requestBody"]["content"].values()
                body = {**taken["schema"], "components": document["components"]}
                if response.status == 200:
                    jsonschema.Draft202012Validator(body).validate(request["json"])


async def test_no_path_is_served_that_is_not_described(client: Client) -> None:
    document = await (await client.get("/openapi.json")).json()
    described = {place for place, _ in operations(document)}
    app = client.app
    assert app is not None
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    listed = {(endpoint.method.lower(), endpoint.path.replace(":.+}", "}")) for endpoint in OPERATIONS}
    assert served == described == listed


async def test_a_body_that_need_not_be_is_described_so(client: Client) -> None:
    document = await (await client.get("/openapi.json")).json()
    required = {path: operation["requestBody"]["required"] for (_, path), operation in operations(document)
                if "requestBody" in operation}  # fmt: skip
    assert required["/api/v1/rollout/rollback"] is False
    assert required["/api/v1/freeze/start"] is True


async def test_values_of_closed_lists_are_described(client: Client) -> None:
    schemas = (await (await client.get("/openapi.json")).json())["components"]["schemas"]
    assert set(schemas["WatchChange"]["properties"]["action"]["enum"]) == {"hold", "renew", "release", "handover"}
    assert set(schemas["FreezeStart"]["properties"]["in_flight"]["enum"]) == {"hold", "continue", "rollback"}
    assert "required" not in schemas["RolloutChange"] or not schemas["RolloutChange"]["required"]


async def test_everything_that_can_be_said_has_a_description(client: Client) -> None:
    document = await (await client.get("/openapi.json")).json()
    for place, operation in operations(document):
        assert operation["summary"], place
        assert operation["x-role"], place
        assert [each["name"] for each in operation.get("parameters", ()) if not each["description"]] == [], place
        assert all(answer.get("description") or "$ref" in answer for answer in operation["responses"].values()), place


async def test_every_field_has_a_description(client: Client) -> None:
    schemas = (await (await client.get("/openapi.json")).json())["components"]["schemas"]
    silent = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, inner in schema.get("properties", {}).items()
        if not inner.get("description")
    ]
    assert silent == []
    assert [name for name, schema in schemas.items() if not schema.get("description")] == []


async def test_what_types_say_of_their_fields_is_in_the_description(client: Client) -> None:
    schemas = (await (await client.get("/openapi.json")).json())["components"]["schemas"]
    assert schemas["RolloutStatus"]["properties"]["missing"]["description"].startswith("What the present part still")
    assert "description" in schemas["RolloutStatus"]["properties"]["flags"]


async def refusals(client: Client, place: tuple[str, str], body: bool) -> AsyncIterator[tuple[int, str]]:
    """How it says no to what nobody should send."""
    method, path = place
    sends: list[dict[str, Any]] = [{"params": {"nobody_asked": "1"}}]
    if body:
        sends += [{"data": b"x=1", "headers": {"Content-Type": "text/plain"}}, {"data": b"x" * 200_000}]
        json = {"Content-Type": "application/json"}
        sends += [{"data": b"{", "headers": json}, {"data": b'{"nobody": 1}', "headers": json}]
    for send in sends:
        async with client.request(method, path.format(id="nobody", key="nobody", file="nobody"), **send) as response:
            yield response.status, response.content_type


async def test_each_refusal_is_one_that_is_described(client: Client) -> None:
    document = await (await client.get("/openapi.json")).json()
    for place, operation in operations(document):
        if place in EVENTS or place[1] in {"/", "/ui/{file}", "/openapi.json", "/metrics", "/healthz", "/readyz"}:
            continue
        async for status, kind in refusals(client, place, "requestBody" in operation):
            assert str(status) in operation["responses"], (place, status)
            assert status == 200 or kind in operation["responses"][str(status)]["content"], (place, status, kind)


async def test_a_foreign_host_is_refused_as_described(client: Client) -> None:
    document = await (await client.get("/openapi.json")).json()
    for place, operation in operations(document):
        if "403" in operation["responses"] and place not in EVENTS:
            path = place[1].format(id="a", key="a", file="a")
            async with client.request(place[0], path, headers={"Host": "evil.example"}) as response:
                assert response.status == 403, place


def test_the_page_is_made_from_the_description() -> None:
    page = Path(__file__).parents[2] / "docs" / "api.md"
    assert page.read_text(encoding="utf-8") == reference(), "`make docs` makes it again"
