from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from shadowproxy.control.names import Resolver, host_names, lookup
from shadowproxy.model.policy import Endpoint, Policy, ServicePolicy, UpstreamPolicy


def test_only_names_are_looked_up() -> None:
    hosts = ("api.internal", "10.0.0.1", "::1", "db.internal")
    endpoints = (*(Endpoint("x", host=host) for host in hosts), Endpoint("u", unix="/run/x"))
    policy = Policy((ServicePolicy("shop", 0, {"primary": UpstreamPolicy(endpoints)}),))
    assert host_names(policy) == {"api.internal", "db.internal"}


class Names:
    """A resolver's answers, changed by hand; an exception is raised, None never comes."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = answers

    async def __call__(self, name: str) -> tuple[str, ...]:
        answer = self.answers[name]
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return tuple(answer)


async def test_answers_are_kept_and_only_new_ones_are_news() -> None:
    names = Names(a=["1.1.1.1", "2.2.2.2"], b=["3.3.3.3"])
    resolver = Resolver(names)
    assert await resolver.refresh({"a", "b"})
    assert resolver.addresses == {"a": ("1.1.1.1", "2.2.2.2"), "b": ("3.3.3.3",)}
    names.answers["a"] = ["2.2.2.2", "1.1.1.1"]
    assert not await resolver.refresh({"a", "b"}), "another order is no news"
    names.answers["a"] = ["2.2.2.2"]
    assert await resolver.refresh({"a", "b"})
    assert resolver.addresses["a"] == ("2.2.2.2",)


@pytest.mark.parametrize("failure", [OSError("no such name"), None, ()])
async def test_the_last_good_answer_stays_whatever_happens(failure: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    names = Names(a=["1.1.1.1"], b=["2.2.2.2"])
    resolver = Resolver(names, timeout=0.01)
    await resolver.refresh({"a", "b"})
    names.answers["a"] = failure
    names.answers["b"] = ["4.4.4.4"]
    assert await resolver.refresh({"a", "b"})
    assert not await resolver.refresh({"a", "b"})
    assert resolver.addresses == {"a": ("1.1.1.1",), "b": ("4.4.4.4",)}
    names.answers["a"] = ["1.1.1.1"]
    assert not await resolver.refresh({"a", "b"})
    if failure != ():
        assert len(caplog.records) == 2, "said once when it began and once when it ended"


async def test_a_name_that_never_resolved_is_absent_and_one_not_wanted_any_more_is_forgotten() -> None:
    resolver = Resolver(Names(a=["1.1.1.1"], b=OSError("no")))
    await resolver.refresh({"a", "b"})
    assert resolver.addresses == {"a": ("1.1.1.1",)}
    await resolver.refresh({"b"})
    assert resolver.addresses == {}


async def test_localhost_resolves_to_loopback_once_per_address() -> None:
    found = await lookup("localhost")
    assert set(found) <= {"127.0.0.1", "::1"}
    assert len(set(found)) == len(found)
