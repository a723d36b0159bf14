from __future__ import annotations

import time

import pytest

from shadowproxy.control.state import State
from tests.admin.test_api import Client
from tests.admin.test_rollouts import client, post, refused, state

__all__ = ["client", "state"]

PATH = "/api/v1/watch"


async def test_a_watch_is_held_renewed_and_released(client: Client) -> None:
    held = await post(client, PATH, action="hold")
    assert (held["holder"], held["required"], held["ttl"]) == ("ann", True, 60.0)
    assert held["until"] == pytest.approx(time.time() + 60, abs=30)
    assert (await (await client.get("/api/v1/rollout")).json())["watch"]["holder"] == "ann"
    assert (await post(client, PATH, action="renew"))["since"] == held["since"]
    assert "ann holds the watch" in await refused(client, 409, PATH, token="b", action="hold")
    assert (await post(client, PATH, action="release"))["holder"] == ""
    assert "taken again" in await refused(client, 409, PATH, action="renew")


async def test_a_watch_is_handed_over_to_somebody_who_is_there(client: Client) -> None:
    await post(client, PATH, action="hold", service="shop")
    for nobody in ("bne", "eve", ""):
        assert "there are ann, ben" in await refused(client, 400, PATH, action="handover", to=nobody)
    assert (await post(client, PATH, action="handover", to="ben", reason="lunch"))["holder"] == "ben"
    assert (await post(client, PATH, token="b", action="renew"))["holder"] == "ben"


async def test_a_wrong_watch_is_explained(client: Client, state: State) -> None:
    assert "Invalid enum value 'take'" in await refused(client, 400, PATH, action="take")
    assert "the service mail has no rollout" in await refused(client, 404, PATH, action="hold", service="mail")
