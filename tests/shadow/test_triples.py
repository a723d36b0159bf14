"""The candidate's copy and a second answer of the primary's version: judged together, each counted once."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import msgspec
import pytest

from shadowproxy.channel import FrameReader
from shadowproxy.model.pair import FromWorker, Pair, Sightings
from shadowproxy.model.policy import ComparePolicy, NoisePolicy, RoutePolicy, ShadowPolicy, VersionPolicy
from shadowproxy.shadow import resampling, tap
from tests.fakes.stage import GET, OK, Stage, policy

OTHER = OK.replace(b"hello", b"other")
ORDERS = list(permutations(("primary", "candidate", "secondary")))
MATCH = {"eligible": 1, "sent": 1, "match": 1}
POST = b"POST /items HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\n\r\nbody"


def sent(s: Stage) -> list[FromWorker]:
    return [msgspec.msgpack.decode(f, type=FromWorker) for f in FrameReader().feed(s.comparer.take())]


def pairs(s: Stage) -> list[Pair]:
    return [message for message in sent(s) if isinstance(message, Pair)]


def nothing_is_held(s: Stage) -> None:
    assert [(arm.held, list(arm.live)) for arm in s.site.snapshot.arms] == [(0, [])] * len(s.site.snapshot.arms)


@pytest.mark.parametrize("order", ORDERS)
def test_three_equal_answers_match_whichever_comes_last(order: tuple[str, ...]) -> None:
    s = Stage(policy("candidate", "secondary"))
    s.client().send(GET)
    for arm in order:
        s.at(arm).feed(OK)
    assert s.books("candidate") == s.books("secondary") == MATCH
    assert (s.triples(), pairs(s)) == (1, [])
    nothing_is_held(s)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("differs", ["candidate", "secondary"])
def test_where_one_differs_the_comparer_sees_all_three(order: tuple[str, ...], differs: str) -> None:
    s = Stage(policy("candidate", "secondary"))
    s.client().send(GET)
    for arm in order:
        s.at(arm).feed(OTHER if arm == differs else OK)
    (pair,) = pairs(s)
    assert pair.second is not None
    assert pair.shadow is not None
    bodies = {"primary": pair.primary.body, pair.arm: pair.shadow.body, pair.second.arm: pair.second.response.body}
    assert bodies == {"primary": b"hello", "candidate": b"hello", "secondary": b"hello", differs: b"other"}
    assert s.books("candidate")["in_flight"] == s.books("secondary")["in_flight"] == 1
    s.verdict(pair.id, "noise", (), "mismatch", ("body_bytes",))
    assert s.books("candidate") == {"eligible": 1, "sent": 1, "noise": 1}
    assert s.books("secondary") == {"eligible": 1, "sent": 1, "mismatch": 1}
    assert (s.kinds("candidate"), s.kinds("secondary")) == ({}, {"body_bytes": 1})
    nothing_is_held(s)


@pytest.mark.parametrize("broken", ["candidate", "secondary"])
@pytest.mark.parametrize("first", [True, False])
def test_where_one_gives_no_answer_the_other_is_judged_alone(broken: str, first: bool) -> None:
    s = Stage(policy("candidate", "secondary"))
    s.client().send(GET)
    other = "secondary" if broken == "candidate" else "candidate"
    s.at().feed(OK)
    for arm in (broken, other) if first else (other, broken):
        if arm == broken:
            s.at(arm).lose(ConnectionResetError())
        else:
            s.at(arm).feed(OTHER)
    assert s.books(broken) == {"eligible": 1, "sent": 1, "mismatch": 1}
    (pair,) = [each for each in pairs(s) if each.answer]
    assert (pair.arm, pair.second, s.triples()) == (other, None, 0)
    s.verdict(pair.id, "mismatch", ("body_bytes",))
    assert s.books(other) == {"eligible": 1, "sent": 1, "mismatch": 1}
    nothing_is_held(s)


def test_a_second_answer_that_never_comes_holds_the_other_up_until_its_own_deadline() -> None:
    s = Stage(policy("candidate", "secondary"))
    s.client().send(GET)
    s.at().feed(OK)
    s.at("candidate").feed(OK)
    assert s.books("candidate")["in_flight"] == 1
    s.tick(11)
    assert s.books("candidate") == MATCH
    assert s.kinds("secondary") == {"candidate_timeout": 1}
    nothing_is_held(s)


def test_a_broken_channel_loses_both_of_a_triple() -> None:
    s = Stage(policy("candidate", "secondary"))
    s.client().send(GET)
    for arm, answer in (("primary", OK), ("candidate", OTHER), ("secondary", OTHER)):
        s.at(arm).feed(answer)
    s.comparer.lose(None)
    gone = {"eligible": 1, "sent": 1, "lost:comparer_gone": 1}
    assert s.books("candidate") == s.books("secondary") == gone
    nothing_is_held(s)


def test_without_a_channel_both_of_a_triple_are_lost() -> None:
    s = Stage(policy("candidate", "secondary"))
    s.loop.answers["/comparer"] = ConnectionRefusedError()
    s.comparer.lose(None)
    s.client().send(GET)
    for arm, answer in (("primary", OK), ("candidate", OTHER), ("secondary", OK)):
        s.at(arm).feed(answer)
    gone = {"eligible": 1, "sent": 1, "lost:comparer_gone": 1}
    assert s.books("candidate") == s.books("secondary") == gone
    nothing_is_held(s)


def test_a_primary_that_breaks_loses_both() -> None:
    s = Stage(policy("candidate", "secondary"))
    s.client().send(GET)
    s.at("candidate").feed(OK)
    s.at().lose(ConnectionResetError())
    s.at("secondary").feed(OK)
    gone = {"eligible": 1, "sent": 1, "lost:primary_incomplete": 1}
    assert s.books("candidate") == s.books("secondary") == gone
    nothing_is_held(s)


def test_the_order_in_which_the_two_are_sent_is_random(monkeypatch: pytest.MonkeyPatch) -> None:
    for bit, first in ((0, "candidate"), (1, "secondary")):
        monkeypatch.setattr(tap, "getrandbits", lambda _, bit=bit: bit)
        s = Stage(policy("candidate", "secondary"))
        dialled = len(s.loop.dialled)
        s.client().send(GET)
        ports = [port for port, _ in s.loop.dialled[dialled:] if port != 1]
        assert ports == ([2, 3] if first == "candidate" else [3, 2])


def resampled(monkeypatch: pytest.MonkeyPatch, chance: float, **more: Any) -> Stage:
    """A stage that asks the primary once more for half of the requests, where `chance` is the number drawn."""
    monkeypatch.setattr(resampling, "random", lambda: chance)
    route = RoutePolicy("other", 0, shadow=ShadowPolicy(methods=("GET", "POST")))
    return Stage(policy("candidate", noise=NoisePolicy(resample=0.5), route=route, **more))


def test_the_primary_is_asked_once_more_over_a_connection_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    s = resampled(monkeypatch, 0.4)
    s.client().send(GET)
    heads = {b"X-Shadow-Request" in transport.take(): transport for transport in s.loop.made[1]}
    user, again = heads[False], heads[True]
    user.feed(OK)
    again.feed(OTHER)
    s.at("candidate").feed(OTHER)
    (pair,) = pairs(s)
    assert pair.second is not None
    assert (pair.second.arm, pair.second.response.body, pair.spared) == ("resample", b"other", False)
    assert s.resamples() == {"sent": 1}
    s.verdict(pair.id, "noise", (), "mismatch", ("body_bytes",))
    assert s.resamples() == {"sent": 1, "compared": 1}
    assert s.books("candidate") == {"eligible": 1, "sent": 1, "noise": 1}
    assert s.books("secondary") == {}
    nothing_is_held(s)


def test_a_resample_says_what_it_is_and_changes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    s = resampled(monkeypatch, 0.4)
    s.client().send(GET)
    one, other = sorted((t.take() for t in s.loop.made[1]), key=len)
    assert other == one[:-2] + b"X-Shadow-Request: secondary\r\n\r\n"


def test_what_chance_spared_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    s = resampled(monkeypatch, 0.6)
    s.client().send(GET)
    assert len(s.loop.made[1]) == 1
    s.at().feed(OK)
    s.at("candidate").feed(OTHER)
    (pair,) = pairs(s)
    assert (pair.second, pair.spared, s.resamples()) == (None, True, {})


def test_writes_are_never_asked_twice_and_do_not_count_as_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    s = resampled(monkeypatch, 0.0)
    s.client().send(POST)
    assert len(s.loop.made[1]) == 1
    s.at().feed(OK)
    s.at("candidate").feed(OTHER)
    (pair,) = pairs(s)
    assert (pair.second, pair.spared) == (None, None)


def test_a_resample_without_an_answer_leaves_the_candidate_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    s = resampled(monkeypatch, 0.0)
    s.client().send(GET)
    heads = [(t, t.take()) for t in s.loop.made[1]]
    for transport, head in heads:
        if b"X-Shadow-Request" in head:
            transport.lose(ConnectionResetError())
        else:
            transport.feed(OK)
    s.at("candidate").feed(OK)
    assert (s.books(), s.resamples(), s.triples()) == (MATCH, {"sent": 1, "wasted": 1}, 0)
    nothing_is_held(s)


def test_a_resample_that_fails_was_drawn_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    s = resampled(monkeypatch, 0.0)
    s.client().send(GET)
    for transport in s.loop.made[1]:
        if b"X-Shadow-Request" in transport.take():
            transport.lose(ConnectionResetError())
        else:
            transport.feed(OK)
    s.at("candidate").feed(OTHER)
    (pair,) = pairs(s)
    assert (pair.second, pair.spared) == (None, False)


def test_resamples_beyond_their_budget_are_not_made_but_were_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    s = resampled(monkeypatch, 0.0)
    for _ in range(resampling.MAX_IN_FLIGHT + 3):
        s.client().send(GET)
    s.at().feed(OK)
    s.at("candidate").feed(OTHER)
    assert [(pair.second, pair.spared) for pair in pairs(s)] == [(None, False)]
    assert s.resamples() == {"sent": resampling.MAX_IN_FLIGHT, "dropped": 3}
    assert s.books()["eligible"] == resampling.MAX_IN_FLIGHT + 3


def test_with_a_secondary_the_primary_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "random", lambda: 0.0)
    s = Stage(policy("candidate", "secondary", noise=NoisePolicy(resample=1.0)))
    s.client().send(GET)
    assert (len(s.loop.made[1]), len(s.loop.made[3])) == (1, 1)


def test_versions_that_a_header_names_are_told_and_are_no_difference() -> None:
    route = RoutePolicy("other", 0, compare=ComparePolicy(by_nature=("x-app-version",)))
    s = Stage(policy("candidate", route=route, version=VersionPolicy(header="x-app-version")))
    named = [OK.replace(b"\r\nDate", f"\r\nX-App-Version: v{n}\r\nDate".encode()) for n in (1, 2)]
    for _ in range(2):
        s.client().send(GET)
        s.at().feed(named[0])
        s.at("candidate").feed(named[1])
    assert s.books() == {"eligible": 2, "sent": 2, "match": 2}
    with s.loop.running():
        s.link.flush()
        s.link.flush()
    (message,) = sent(s)
    assert isinstance(message, Sightings)
    assert set(message.seen) == {("default", "primary", "v1", 2), ("default", "candidate", "v2", 2)}
