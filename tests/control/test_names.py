from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from shadowproxy.control.names import Lookups, Resolver, host_names
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


def answer(*addresses: str) -> list[Any]:
    return [(2, 1, 6, "", (address, 0)) for address in addresses]


async def test_each_address_comes_once_in_the_resolvers_order() -> None:
    lookups = Lookups(lambda name, port, **_: answer("2.2.2.2", "1.1.1.1", "2.2.2.2"))
    assert await lookups("a") == ("2.2.2.2", "1.1.1.1")
    lookups.close()


async def test_a_lookup_that_hangs_is_not_started_again_and_holds_nobody_up() -> None:
    asked: list[str] = []
    release = threading.Event()

    def getaddrinfo(name: str, port: None, **_: object) -> list[Any]:
        asked.append(name)
        if name == "slow" and not release.wait(10):
            raise TimeoutError
        return answer("1.1.1.1")

    lookups = Lookups(getaddrinfo)
    resolver = Resolver(lookups, timeout=0.2)
    for _ in range(2):
        await resolver.refresh({"slow", "quick"})
        assert resolver.addresses == {"quick": ("1.1.1.1",)}
    assert asked.count("slow") == 1
    again = asyncio.ensure_future(lookups("slow"))
    release.set()
    assert await again == ("1.1.1.1",)
    lookups.close()


async def test_a_failure_that_nobody_waits_for_is_no_complaint() -> None:
    release = threading.Event()

    def getaddrinfo(name: str, port: None, **_: object) -> list[Any]:
        release.wait(10)
        raise OSError("no such name")

    lookups = Lookups(getaddrinfo)
    resolver = Resolver(lookups, timeout=0.01)
    await resolver.refresh({"a"})
    pending = asyncio.ensure_future(lookups("a"))
    release.set()
    with pytest.raises(OSError, match="no such name"):
        await pending
    lookups.close()
