from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from shadowproxy.admin.api import application, metrics_application
from shadowproxy.control.state import State
from shadowproxy.metrics import layout as at
from shadowproxy.model.pair import Aggregate, CauseCount, Example, FieldCount
from shadowproxy.model.policy import AdminPolicy, Bind, Launch, TokenPolicy
from shadowproxy.report import Report
from shadowproxy.report import build as report_of
from shadowproxy.store import DiffQuery, StoreError
from tests.admin.conftest import MemoryStore
from tests.metrics.world import World
from tests.store.examples import example

Client = TestClient[Any, Any]


@pytest.fixture
async def client(state: State) -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(state, Bind("127.0.0.1", 1)))) as client:
        yield client


async def problem(client: Client, path: str, status: int, method: str = "GET", **options: Any) -> str:
    async with client.request(method, path, **options) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        found = await response.json()
    assert found["status"] == status
    assert found["title"]
    return str(found["detail"])


async def test_health_readiness_and_metrics(client: Client, world: World) -> None:
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/readyz")).status == 503
    world.counters.block(0)[at.HEARTBEAT] = int(time.monotonic() * 1000)
    assert (await client.get("/readyz")).status == 200
    world.counters.block(0)[at.DRAINING] = 1
    assert (await client.get("/readyz")).status == 503
    response = await client.get("/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'route="item",service="shop",verdict="mismatch"} 10.0' in await response.text()


async def test_status_says_what_runs(client: Client, world: World) -> None:
    world.counters.block(0)[at.HEARTBEAT] = int(time.monotonic() * 1000)
    world.counters.block(0)[at.OVERLOADED] = 1
    found = await (await client.get("/api/v1/status")).json()
    assert found["ready"] is True
    assert [worker["block"] for worker in found["workers"]] == [0]
    assert found["workers"][0]["overloaded"] is True
    assert [service["name"] for service in found["services"]] == ["shop", "mail"]
    shop = found["services"][0]
    assert (shop["requests"], shop["compared"], shop["differ"]) == (100, 100, 10)
    assert (shop["isolation"]["state"], shop["isolation"]["hold_out"]) == ("starting", 0.05)
    assert found["services"][1]["isolation"] is None
    assert set(shop["upstreams"]) == {"primary", "candidate"}
    assert found["started_at"] == 1_700_000_000.0
    one = await (await client.get("/api/v1/status?service=mail")).json()
    assert [service["name"] for service in one["services"]] == ["mail"]


async def test_services_and_routes(client: Client) -> None:
    services = await (await client.get("/api/v1/services?service=shop")).json()
    assert [each["routes"] for each in services] == [["item", "other"]]
    found = await (await client.get("/api/v1/routes")).json()
    assert [(each["service"], each["name"]) for each in found] == [
        ("shop", "item"),
        ("shop", "other"),
        ("mail", "other"),
    ]
    assert (found[0]["path"], found[0]["origin"]) == ("/items/{id}", "configured")
    assert found[0]["differ"] == 10


async def test_diffs_are_listed_and_shown(client: Client, store: MemoryStore) -> None:
    page = await (
        await client.get("/api/v1/diffs?service=shop&route=item&kind=status&field=$.a&limit=7&offset=2")
    ).json()
    assert page["items"][0]["id"] == "ex00001"
    assert store.asked == [DiffQuery("shop", "item", None, "$.a", "status", 7, 2)]
    shown = await (await client.get("/api/v1/diffs/ex0")).json()
    assert shown["differences"][0]["field"] == "$.price"
    assert "begins with 'zz'" in await problem(client, "/api/v1/diffs/zz", 404)


COUNT = CauseCount(
    "shop", "item", "candidate", "c-price", (("$.price", "body_type"),), 200, 200, "", 7, 0.0, 0.0,
    suggestion="compare: {}", words="$.price is a string instead of a number.",
)  # fmt: skip


def heard(state: State, *counts: CauseCount) -> None:
    now = time.time()
    state.hear(Aggregate([], causes=[replace(each, first_at=now - 60, last_at=now) for each in counts]))


async def test_causes_are_listed_by_impact_and_shown(client: Client, state: State) -> None:
    heard(state, replace(COUNT, id="c-other", route="other", pairs=2), COUNT)
    page = await (await client.get("/api/v1/causes")).json()
    assert [each["id"] for each in page["items"]] == ["c-price", "c-other"]
    assert page["total"] == 2
    first = page["items"][0]
    assert (first["service"], first["pairs"], first["share"], first["suggestion"]) == ("shop", 7, 0.07, "compare: {}")
    assert first["example"]["id"] == "ex00001"
    one = await (await client.get("/api/v1/causes?service=shop&route=other&limit=1")).json()
    assert [each["id"] for each in one["items"]] == ["c-other"]
    beyond = await (await client.get("/api/v1/causes?offset=2")).json()
    assert (beyond["items"], beyond["total"]) == ([], 2)

    shown = await (await client.get("/api/v1/causes/c-pr")).json()
    assert shown["cause"]["id"] == "c-price"
    assert shown["example"]["primary_body"] == '{"price": 1.5, "name": "cup"}'
    assert (await (await client.get("/api/v1/causes/c-other")).json())["example"] is None
    for wrong in ("c-", "c-zz", "ex0"):
        assert f"begins with {wrong!r}" in await problem(client, f"/api/v1/causes/{wrong}", 404)


async def test_the_report_has_the_causes_of_this_instance(client: Client, state: State, store: MemoryStore) -> None:
    heard(state, COUNT)
    state.causes.restore(store.learned)
    report = await (await client.get("/api/v1/report?service=shop")).json()
    (cause,) = report["services"][0]["causes"]
    assert (cause["words"], cause["share"]) == ("$.price is a string instead of a number.", 0.07)
    assert cause["example"]["curl"].startswith("curl ")
    assert {item.kind for item in store.learned} == {"cause"}
    earlier = replace(state.policy, epoch="another")
    later = State(state.launch, earlier, state.registry, state.counters, store)
    later.causes.restore(store.known("cause"))
    assert (await later.facts(time.time())).causes[0].before == 7
    assert not report_of(await later.facts(time.time())).services[0].causes


async def test_the_report_in_each_form(client: Client) -> None:
    response = await client.get("/api/v1/report")
    assert response.content_type == "application/json"
    shop = (await response.json())["services"][0]
    assert (shop["mismatches"], shop["isolation"]["slots"]) == (10, 0)
    text = await client.get("/api/v1/report?format=text&service=shop")
    assert "✗ regression: 10 of 100 pairs differ" in await text.text()
    assert (await client.get("/api/v1/report?format=markdown")).content_type == "text/markdown"
    junit = await client.get("/api/v1/report?format=junit")
    assert (junit.content_type, junit.charset) == ("application/xml", "utf-8")
    assert (await junit.text()).startswith("<?xml")


async def test_the_report_as_a_page_shows_whole_examples_and_runs_nothing(client: Client, state: State) -> None:
    state.tally.fields.add([FieldCount("shop", "item", "$.price", "body_type", 1)])
    response = await client.get("/api/v1/report?format=html")
    page = await response.text()
    assert (response.content_type, response.charset) == ("text/html", "utf-8")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert policy.endswith("sandbox")
    assert response.headers["Content-Disposition"].startswith("inline; filename=")
    assert page.startswith("<!doctype html>")
    assert "<script" not in page


async def test_whole_examples_come_where_they_are_asked_for(client: Client, state: State, store: MemoryStore) -> None:
    state.tally.fields.add([FieldCount("shop", "item", "$.price", "body_type", 1)])
    assert (await (await client.get("/api/v1/report")).json())["examples"] == []
    found = await (await client.get("/api/v1/report?examples=20")).json()
    assert [each["id"] for each in found["examples"]] == ["ex00001"]
    assert found["examples"][0]["primary_body"] == '{"price": 1.5, "name": "cup"}'
    store.examples.clear()
    assert (await (await client.get("/api/v1/report?examples=20")).json())["examples"] == []


async def test_examples_that_cannot_be_read_cost_no_report(
    client: Client, state: State, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_prefix: str) -> Example | None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(store, "example", broken)
    report = await (await client.get("/api/v1/report?examples=1")).json()
    assert report["examples"] == []
    assert "bodies are missing: the disk is gone" not in report["notes"]  # there was nothing to read
    state.tally.fields.add([FieldCount("shop", "item", "$.price", "body_type", 1)])
    report = await (await client.get("/api/v1/report?examples=1")).json()
    assert "bodies are missing: the disk is gone" in report["notes"]


async def test_only_recorded_reports_are_what_later_ones_are_compared_with(client: Client, world: World) -> None:
    async def changes(query: str = "") -> Any:
        return (await (await client.get(f"/api/v1/report?service=shop{query}")).json())["services"][0]["changes"]

    assert await changes() is None
    assert await changes("&record=false") is None
    assert await changes("&record=true") is None
    first = await changes("&record=true")
    assert (first["before"], first["after"], first["pairs"]) == ("fail", "fail", 0)
    world.mirrored(50)
    assert (await changes())["pairs"] == 50
    assert (await changes("&since=2h"))["since"] < first["since"] + 60
    assert "What changed" in await (await client.get("/api/v1/report?format=html")).text()


async def test_a_history_that_cannot_be_read_costs_no_report(client: Client, store: MemoryStore) -> None:
    store.broken = True
    report = await (await client.get("/api/v1/report?record=true&examples=3")).json()
    assert "what changed is not known: the disk is gone" in report["notes"]
    store.broken = False
    assert (await (await client.get("/api/v1/report")).json())["services"][0]["changes"] is None


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("examples=21", "from 0 to 20"),
        ("since=yesterday", "since: write a duration"),
        ("record=yes", "record 'yes' is not one of true, false"),
        ("full=1", "unknown parameter 'full'; there are service, format, examples, since, record"),
    ],
)
async def test_wrong_parameters_of_a_report_are_explained(client: Client, query: str, says: str) -> None:
    assert says in await problem(client, f"/api/v1/report?{query}", 400)


async def test_a_broken_store_costs_examples_but_no_report(client: Client, store: MemoryStore) -> None:
    store.broken = True
    report = await (await client.get("/api/v1/report")).json()
    assert report["notes"][0] == "examples are missing: the disk is gone"
    assert "the disk is gone" in await problem(client, "/api/v1/diffs", 503)
    assert "the disk is gone" in await problem(client, "/api/v1/causes", 503)


async def test_a_report_says_that_a_dead_comparer_took_counts_of_fields_along(client: Client, state: State) -> None:
    state.counters.supervisor[at.RESTARTS["comparer"]] = 2
    report = await (await client.get("/api/v1/report")).json()
    assert report["notes"] == ["fields may be counted too low; restarts of comparers and control: 2"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=0", "from 1 to 500"),
        ("limit=501", "from 1 to 500"),
        ("limit=ten", "whole number"),
        ("limit=", "whole number"),
        ("limit=%D9%A3", "whole number"),
        ("limit=" + "9" * 5000, "whole number"),
        ("offset=-1", "whole number"),
        ("kind=nope", "not one of status, header"),
        ("arm=primary", "not one of candidate, secondary"),
        ("route=nope", "not one of item, other"),
        ("service=mail&route=item", "not one of other"),
        ("colour=red", "unknown parameter 'colour'; there are service, route"),
        ("limit=1&limit=2", "given twice"),
    ],
)
async def test_wrong_parameters_are_explained(client: Client, query: str, says: str) -> None:
    assert says in await problem(client, f"/api/v1/diffs?{query}", 400)
    if not query.startswith(("kind", "arm")):
        assert says in await problem(client, f"/api/v1/causes?{query}", 400)


@pytest.mark.parametrize("path", ["status", "services", "routes", "diffs", "causes", "report"])
async def test_an_unknown_service_is_answered_with_the_known_ones(client: Client, path: str) -> None:
    assert "there are shop, mail" in await problem(client, f"/api/v1/{path}?service=x", 404)


async def test_every_error_is_a_problem(client: Client, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "/openapi.json" in await problem(client, "/nope", 404)
    assert "takes GET, HEAD" in await problem(client, "/api/v1/status", 405, "POST")
    assert "at most" in await problem(client, "/api/v1/status", 413, "POST", data=b"x" * 70_000)
    assert "format 'pdf'" in await problem(client, "/api/v1/report?format=pdf", 400)
    assert "there are none here" in await problem(client, "/api/v1/events?x=1", 400)
    monkeypatch.setattr(state, "facts", None)
    detail = await problem(client, "/api/v1/report", 500)
    assert "NoneType" not in detail


async def test_foreign_hosts_and_origins_are_refused_but_for_open_paths(client: Client) -> None:
    foreign = {"Host": "evil.example"}
    await problem(client, "/api/v1/status", 403, headers=foreign)
    await problem(client, "/", 403, headers=foreign)
    await problem(client, "/api/v1/status", 403, headers={"Origin": "http://evil.example"})
    for path in ("/metrics", "/healthz"):
        assert (await client.get(path, headers=foreign)).status == 200
    await problem(client, "/metrics", 403, "POST", headers=foreign)


async def test_tokens(world: World, store: MemoryStore) -> None:
    admin = AdminPolicy(tokens=(TokenPolicy("ann", "viewer", "s3cret"),))
    state = State(Launch(admin=admin), world.policy, world.registry, world.counters, store)
    async with TestClient(TestServer(application(state, Bind("127.0.0.1", 1)))) as client:
        async with client.get("/api/v1/status") as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
        known = {"Authorization": "Bearer s3cret"}
        assert (await client.get("/api/v1/status", headers=known)).status == 200
        await problem(client, "/api/v1/status", 403, "POST", headers=known)
        assert (await client.get("/metrics")).status == 200
        for page in ("/", "/ui/main.js"):
            assert (await client.get(page)).status == 200
            await problem(client, page, 403, headers={"Host": "evil.example"})
        assert "s3cret" not in await (await client.get("/api/v1/status", headers=known)).text()


async def test_the_page_runs_nothing_but_its_own_files(client: Client) -> None:
    response = await client.get("/")
    text = await response.text()
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", text)
    assert scripts == [(' type="module" src="/ui/main.js"', "")]
    assert not re.search(r"\son\w+=|style=|javascript:", text)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Server"] == "shadowproxy"


async def test_every_file_that_a_file_names_is_there_and_is_asked_for_once(client: Client) -> None:
    waiting, seen = ["/"], set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        async with client.get(path) as response:
            assert response.status == 200, path
            text, tag = await response.text(), response.headers["ETag"]
        async with client.get(path, headers={"If-None-Match": tag}) as again:
            assert (again.status, await again.read()) == (304, b"")
        found = re.findall(r"(?:href|src)=\"(/ui/[^\"]+)\"|from '\./([^']+)'", text)
        for absolute, relative in found:
            target = absolute or f"/ui/{relative}"
            if target not in seen and target not in waiting:
                waiting.append(target)
    assert {"/ui/main.js", "/ui/vendor/bundle.js", "/ui/style.css"} <= seen
    for outside in ("/ui/%2e%2e/api.py", "/ui/..%2fapi.py", "/ui//etc/passwd", "/ui/vendor"):
        await problem(client, outside, 404)
    assert "the dashboard has no file" in await problem(client, "/ui/none.js", 404)


async def test_the_description_names_every_path_and_resolves_every_reference(client: Client) -> None:
    document = await (await client.get("/openapi.json")).json()
    assert {"/metrics", "/api/v1/report", "/api/v1/diffs/{id}", "/openapi.json"} <= set(document["paths"])

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            mine = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return mine + [found for each in value.values() for found in references(each)]
        return [found for each in value for found in references(each)] if isinstance(value, list) else []

    for reference in references(document):
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    answer = document["paths"]["/api/v1/report"]["get"]["responses"]["200"]["content"]["application/json"]
    assert answer["schema"] == {"$ref": "#/components/schemas/Report"}
    assert set(document["components"]["schemas"]["Report"]["required"]) <= set(Report.__struct_fields__)


async def test_events_are_followed_until_the_end(client: Client, state: State) -> None:
    response = await client.get("/api/v1/events")
    assert response.content_type == "text/event-stream"
    assert await response.content.readuntil(b"\n\n") == b"retry: 2000\n\n"
    from shadowproxy.model.pair import Examples

    state.hear(Examples([example(5)]))
    event, data = (await response.content.readuntil(b"\n\n")).decode().strip().split("\n")
    assert event == "event: example"
    assert json.loads(data.removeprefix("data: "))["id"] == "ex00005"
    state.watchers.end()
    assert await response.content.read() == b""


async def test_too_many_followers_are_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from shadowproxy.control import watchers

    monkeypatch.setattr(watchers, "MAX_WATCHERS", 0)
    assert "too many" in await problem(client, "/api/v1/events", 503)


async def test_a_follower_that_goes_is_forgotten(client: Client, state: State) -> None:
    response = await client.get("/api/v1/events")
    await response.content.readuntil(b"\n\n")
    response.close()
    async with asyncio.timeout(10):
        while state.watchers:
            state.watchers.tell("status", {"filler": "x" * 100_000})
            await asyncio.sleep(0)


async def test_the_metrics_listener_has_metrics_alone(state: State) -> None:
    async with TestClient(TestServer(metrics_application(state))) as client:
        assert (await client.get("/metrics", headers={"Host": "anything"})).status == 200
        await problem(client, "/api/v1/status", 404)
        await problem(client, "/metrics", 405, "DELETE")


def test_what_comparers_say_reaches_the_store(state: State, store: MemoryStore) -> None:
    from shadowproxy.model.pair import Aggregate, Examples, FieldCount

    state.hear(Examples([example(9)]))
    state.hear(Aggregate([FieldCount("shop", "item", "$.a", "body_value", 2)]))
    assert isinstance(store.examples[-1], Example)
    assert store.changes[-1].fields[0][1].pairs == 2
