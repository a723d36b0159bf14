"""From paths to proposals: what is ready, once, as far as there is room, and the policy in force is the truth."""

from __future__ import annotations

import logging

import pytest
from msgspec.structs import replace

from shadowproxy.control.learning import AGE_EVERY, Learning
from shadowproxy.endpoints.routes import with_templates
from shadowproxy.model.commands import Paths, Templates
from shadowproxy.model.policy import EndpointsPolicy, Policy, Registry, ServicePolicy

LATER = 60.0
USERS = [("shop", b"/users/%d" % i) for i in range(20)]


def policy(**endpoints: int) -> Policy:
    settings = EndpointsPolicy(**endpoints)  # type: ignore[arg-type]
    return Policy((ServicePolicy("shop", 0, {}, endpoints=settings), ServicePolicy("mail", 1, {})))


def published(policy: Policy, *templates: str) -> Policy:
    return with_templates(policy, Registry(), {"shop": templates}, "learned", 1024)[0]


def learning(policy: Policy, *paths: list[tuple[str, bytes]]) -> Learning:
    made = Learning(policy, 0.0)
    for each in paths:
        made.hear(Paths(each), 0.0)
    return made


def test_what_is_ready_is_proposed_once() -> None:
    found = learning(policy(), USERS, [("mail", b"/inbox")] * 20, [("gone", b"/x")] * 20)
    assert found.propose(0.0) is None, "patience has to be had"
    assert found.propose(LATER) == Templates({"shop": ("/users/{id}",), "mail": ("/inbox",)})
    assert found.propose(LATER) is None


def test_what_is_in_force_is_not_proposed() -> None:
    found = learning(published(policy(), "/users/{id}"), USERS)
    assert found.propose(LATER) is None


def test_what_others_learned_before_counts_as_known() -> None:
    found = learning(policy(), USERS)
    found.apply(published(policy(), "/users/{id}"))
    assert found.propose(LATER) is None


def test_there_is_room_for_so_many_and_that_it_is_used_up_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    paths = [("shop", f"/p{i}/{j}".encode()) for j in range(20) for i in "abcde"]
    found = learning(policy(max=3), paths)
    with caplog.at_level(logging.WARNING):
        first = found.propose(LATER)
        assert first is not None
        assert len(first.learned["shop"]) == 3
        assert found.propose(LATER) is None
        found.apply(published(policy(max=3), *first.learned["shop"]))
        assert found.propose(LATER) is None
    assert [record.getMessage() for record in caplog.records] == [
        "service shop has as many templates as it may have; endpoints beyond stay in `other`"
    ]


def test_a_reload_that_drops_templates_begins_anew() -> None:
    found = learning(published(policy(), "/users/{id}"))
    found.apply(policy())
    found.hear(Paths(USERS), LATER)
    assert found.propose(2 * LATER) == Templates({"shop": ("/users/{id}",)})


def test_a_service_that_is_gone_or_learns_no_more_takes_what_it_learned_along() -> None:
    for without in (replace(policy(), services=()), policy(learn=False)):
        found = learning(policy(), USERS)
        found.apply(without)
        assert found.propose(LATER) is None
        found.apply(policy())
        assert found.propose(LATER) is None
        found.hear(Paths(USERS), LATER)
        assert found.propose(2 * LATER) is not None


def test_time_makes_it_forget() -> None:
    found = learning(policy(), USERS[:9])
    assert found.propose(AGE_EVERY) is None
    found.hear(Paths(USERS[:5]), AGE_EVERY)
    assert found.propose(AGE_EVERY + LATER) is None
    found.hear(Paths(USERS[:1]), AGE_EVERY)
    assert found.propose(AGE_EVERY + LATER) == Templates({"shop": ("/users/{id}",)})
