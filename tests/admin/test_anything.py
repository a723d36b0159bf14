"""Whatever is sent to the API, the answer is one that its description speaks of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shadowproxy.admin import changes, sessions
from shadowproxy.admin.api import application
from shadowproxy.control.flags import desk
from shadowproxy.control.state import State
from shadowproxy.model.policy import Bind, Launch
from tests.admin.conftest import MemoryStore
from tests.admin.description import Client, Description, Place
from tests.admin.rollouts import Rollouts, with_flags, with_rollout
from tests.admin.test_api import COUNT, heard
from tests.metrics.world import World

SAID = Description()
PLACES = [place for place in SAID.operations if not place[1].endswith("/events")]
TEXTS = st.text(max_size=8) | st.sampled_from(
    ["shop", "mail", "item", "new-checkout", "size", "on", "2h", "10%", "ex", "c-"]
)
JSONS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Of a schema, and now and then something else."""
    return of(schema) | JSONS


def of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return of(SAID.whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return st.one_of(*(of(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "properties" in schema:
        needed = set(schema.get("required", ()))
        fields = {name: values(inner) for name, inner in schema["properties"].items()}
        return st.fixed_dictionaries(
            {name: each for name, each in fields.items() if name in needed},
            optional={name: each for name, each in fields.items() if name not in needed},
        )
    kinds = {
        "string": TEXTS,
        "integer": st.integers(-1, 5) | st.integers(),
        "boolean": st.booleans(),
        "null": st.none(),
        "array": st.lists(TEXTS, max_size=3),
        "object": st.dictionaries(TEXTS, JSONS, max_size=3),
    }
    return kinds[schema["type"]]


def requests(place: Place) -> st.SearchStrategy[dict[str, Any]]:
    """Queries and bodies, mostly near what is taken."""
    operation = SAID.operations[place]
    queries = [each for each in operation.get("parameters", ()) if each["in"] == "query"]
    names = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"]
    path = st.fixed_dictionaries(dict.fromkeys(names, TEXTS.filter(lambda text: text not in {"", ".", ".."})))
    query = st.fixed_dictionaries({}, optional={each["name"]: of(each["schema"]).map(str) for each in queries})
    parts = {"names": path, "params": query}
    if SAID.takes_body(place):
        parts["json"] = of(operation["requestBody"]["content"]["application/json"]["schema"]) | JSONS
    return st.fixed_dictionaries(parts)


@pytest.fixture(name="served")
def _served(
    world: World, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[asyncio.Runner, Client]]:
    """One application for all examples: a change that one makes is what the next one finds."""
    monkeypatch.setattr(desk, "TOLD_WITHIN", 0.001)
    monkeypatch.setattr(changes, "IN_FORCE_WITHIN", 0.001)
    monkeypatch.setattr(sessions, "_WAIT", 0.001)
    shop, mail = world.policy.services
    accepting = replace(world.policy, services=(replace(shop, accepted_file=str(tmp_path / "accepted.yaml")), mail))
    policy = with_flags(with_rollout(accepting, "shop"), tmp_path)

    async def start() -> Client:
        state = State(Launch(workers=1, data_dir=str(tmp_path)), policy, world.registry, world.counters, store)
        heard(state, COUNT)
        state.rollouts = Rollouts(policy)
        await state.flags.look()
        client = TestClient(TestServer(application(state, Bind("127.0.0.1", 1))))
        await client.start_server()
        return client

    with asyncio.Runner() as runner:
        client = runner.run(start())
        yield runner, client
        runner.run(client.close())


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
def test_whatever_is_sent_is_answered_as_described(place: Place, served: tuple[asyncio.Runner, Client]) -> None:
    runner, client = served

    @settings(max_examples=10)
    @given(requests(place))
    def sent(options: dict[str, Any]) -> None:
        runner.run(SAID.ask(client, place, **options))

    sent()
