from __future__ import annotations

import time

import pytest

from shadowproxy.control.state import State
from tests.admin.test_api import Client, problem
from tests.admin.test_rollouts import client, post, refused, state

__all__ = ["client", "state"]

PATH = "/api/v1/freeze"


async def test_windows_and_freezes_by_hand_are_listed(client: Client) -> None:
    (window,) = await (await client.get(PATH)).json()
    assert (window["name"], window["source"], window["kind"], window["classes"]) == (
        "weekend", "configuration", "deny", ["feature"],
    )  # fmt: skip
    assert (window["begins_at"] is None) == window["active"] == (window["ends_at"] is not None)
    started = await post(client, f"{PATH}/start", token="b", reason="a sale", until="2h", services=["shop"])
    assert (started["by"], started["reason"], started["active"]) == ("ben", "a sale", True)
    assert started["ends_at"] == pytest.approx(time.time() + 7200, abs=60)
    assert [each["name"] for each in await (await client.get(PATH)).json()] == [started["id"], "weekend"]
    assert [each["name"] for each in await (await client.get(f"{PATH}?service=mail")).json()] == ["weekend"]
    assert "there is no service" in await problem(client, f"{PATH}?service=x", 404)


async def test_a_freeze_stops_a_start_until_it_is_ended(client: Client) -> None:
    first = await post(client, f"{PATH}/start", reason="a sale")
    assert first["ends_at"] is None
    assert "a sale" in await refused(client, 409, "/api/v1/rollout/start")
    over = await post(client, f"{PATH}/end", reason="it is over")
    assert (over["id"], over["active"]) == (first["id"], False)
    assert over["ends_at"] == pytest.approx(time.time(), abs=60)
    assert (await post(client, "/api/v1/rollout/start"))["phase"] == "running"
    assert "no freeze was started by hand" in await refused(client, 409, f"{PATH}/end", reason="x")


async def test_a_freeze_may_end_with_a_day(client: Client) -> None:
    assert (await post(client, f"{PATH}/start", reason="a sale", until="2099-12-31"))["ends_at"] == 4_102_444_800


async def test_one_of_several_freezes_has_to_be_named(client: Client, state: State) -> None:
    ids = [(await post(client, f"{PATH}/start", reason="x"))["id"] for _ in range(2)]
    assert ", ".join(ids) in await refused(client, 400, f"{PATH}/end", reason="x")
    assert (await post(client, f"{PATH}/end", reason="x", id=ids[0]))["id"] == ids[0]
    assert "there is no freeze 'f-0'" in await refused(client, 409, f"{PATH}/end", reason="x", id="f-0")
    assert [each.id for each in state.rollouts.freezes(time.time())] == ids[1:]


async def test_a_wrong_freeze_is_explained(client: Client) -> None:
    start = f"{PATH}/start"
    assert "missing required field `reason`" in await refused(client, 400, start)
    assert "say why" in await refused(client, 400, start, reason=" ")
    assert "until: write a duration" in await refused(client, 400, start, reason="x", until="later")
    assert "is over already" in await refused(client, 400, start, reason="x", until="2020-01-01T00:00:00Z")
    assert "there are shop, mail" in await refused(client, 404, start, reason="x", services=["x"])
    assert "Invalid enum value 'bug'" in await refused(client, 400, start, reason="x", classes=["bug"])
    assert "name at least one" in await refused(client, 400, start, reason="x", classes=[])
    assert "Invalid enum value 'stop'" in await refused(client, 400, start, reason="x", in_flight="stop")
