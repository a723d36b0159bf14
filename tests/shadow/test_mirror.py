"""Whether a request is copied, under which reason it is not, and how the copy's head looks."""

from __future__ import annotations

from typing import Any

import pytest

from shadowproxy.metrics import layout as at
from shadowproxy.model.policy import HeaderRules, RoutePolicy, ShadowPolicy
from tests.fakes.stage import GET, OK, Stage, policy


def stage(**shadow: Any) -> Stage:
    return Stage(policy("candidate", route=RoutePolicy("other", 0, shadow=ShadowPolicy(**shadow))))


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"PATCH / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
def test_other_methods_and_upgrades_are_not_eligible(request_bytes: bytes) -> None:
    s = stage()
    s.client().send(request_bytes)
    assert s.books() == {}


def test_a_copy_of_another_proxy_is_served_and_never_mirrored_again_if_it_is_believed() -> None:
    copy = GET[:-2] + b"X-Shadow-Request: candidate\r\n\r\n"
    trusting = Stage(policy("candidate", trusted_proxies=("192.0.2.0/24",)))
    trusting.client().send(copy)
    assert trusting.books() == {}
    assert trusting.counters[at.COPIES_RECEIVED] == 1
    assert b"X-Shadow-Request: candidate" in trusting.at().take()
    distrusting = stage()
    distrusting.client().send(copy)
    assert distrusting.books()["eligible"] == 1
    assert b"X-Shadow-Request" not in distrusting.at().take()


def test_what_is_not_sampled_is_counted_so() -> None:
    s = stage(sample=0.0)
    s.client().send(GET)
    assert s.books() == {"eligible": 1, "sampled_out": 1}
    s = stage(sample=0.5)
    for i in range(200):
        s.client().send(GET[:-2] + b"X-Request-Id: %d\r\n\r\n" % i)
    books = s.books()
    assert 60 < books["sampled_out"] < 140
    assert books["eligible"] == 200


def test_the_same_request_id_is_sampled_the_same_way_everywhere() -> None:
    outcomes = []
    for _ in range(2):
        s = stage(sample=0.3)
        for i in range(50):
            s.client().send(GET[:-2] + b"X-Request-Id: id-%d\r\n\r\n" % i)
        outcomes.append(s.at("candidate").loop is s.loop and s.books()["sampled_out"])
    assert outcomes[0] == outcomes[1]


def test_mirroring_is_shed_under_pressure_and_the_primary_serves_on() -> None:
    s = stage()
    s.pressure.observe(s.loop.time(), 1.0, 0)
    client = s.client().send(GET)
    s.at().feed(OK)
    assert client.take().endswith(b"hello")
    assert s.books() == {"eligible": 1, "dropped:overload": 1}


def test_in_flight_is_bounded_over_all_routes_and_room_comes_back() -> None:
    s = stage(max_in_flight=2)
    clients = [s.client().send(GET) for _ in range(3)]
    assert s.books() == {"eligible": 3, "sent": 2, "in_flight": 2, "dropped:in_flight": 1}
    s.loop.made[1][0].feed(OK)
    s.loop.made[2][0].feed(OK)
    clients[0].send(GET)
    assert s.books()["sent"] == 3


def test_own_credentials_replace_the_users_on_the_copy_alone() -> None:
    rules = HeaderRules(remove=("Cookie", "x-secret"), set={"Authorization": "Bearer shadow"})
    s = stage(headers={"candidate": rules})
    s.client().send(
        b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nX-SECRET: 1\r\nAuthorization: Bearer user\r\nX-Kept: 1\r\n\r\n"
    )
    own, copy = s.at().take(), s.at("candidate").take()
    assert b"Bearer user" in own
    assert b"Cookie: a=b" in own
    assert b"Bearer user" not in copy
    assert b"Cookie" not in copy
    assert b"SECRET" not in copy
    assert b"Authorization: Bearer shadow\r\n" in copy
    assert b"X-Kept: 1\r\n" in copy
    assert copy.index(b"Host: a") > 0


def test_rules_hold_for_copies_with_a_body_too() -> None:
    s = stage(methods=("POST",), headers={"candidate": HeaderRules(set={"X-Env": "shadow"})})
    s.client().send(b"POST / HTTP/1.1\r\nHost: a\r\nX-Env: live\r\nContent-Length: 2\r\n\r\nok")
    copy = s.at("candidate").take()
    assert copy.count(b"X-Env") == 1
    assert b"X-Env: shadow" in copy
    assert copy.endswith(b"\r\n\r\nok")


def test_durations_and_differences_are_counted() -> None:
    s = stage()
    s.client().send(GET)
    s.at("candidate").feed(OK)
    s.at().feed(OK)
    row = at.route_row(0)
    assert sum(s.counters[at.duration_word(row, 1) + i] for i in range(at.DURATION_WORDS - 1)) == 1
    assert sum(s.counters[at.delta_word(row, 0) + i] for i in range(at.DELTA_WORDS - 1)) == 1


def test_an_example_that_cannot_be_given_away_is_counted() -> None:
    s = stage()
    s.loop.answers["/comparer"] = ConnectionRefusedError()
    s.comparer.lose(None)
    s.client().send(GET)
    s.at("candidate").lose(ConnectionResetError())
    s.at().feed(OK)
    assert s.counters[at.EXAMPLES_SKIPPED] == 1
    assert s.books() == {"eligible": 1, "sent": 1, "mismatch": 1}


def test_a_pair_without_a_comparer_is_lost_to_it() -> None:
    s = stage()
    s.loop.answers["/comparer"] = ConnectionRefusedError()
    s.comparer.lose(None)
    s.client().send(GET)
    s.at().feed(OK)
    s.at("candidate").feed(OK.replace(b"hello", b"other"))
    assert s.books() == {"eligible": 1, "sent": 1, "lost:comparer_gone": 1}
    assert s.arm().held == 0


class Order:
    """Counters that remember which words were written, in order."""

    def __init__(self) -> None:
        self.written: list[int] = []

    def __getitem__(self, word: int) -> int:
        return 0

    def __setitem__(self, word: int, value: int) -> None:
        self.written.append(word)


def held_out(s: Stage) -> Stage:
    s.site.snapshot.services[0].held_out = True
    return s


def test_in_a_held_out_slot_every_arm_is_spared_and_the_books_balance() -> None:
    s = held_out(Stage(policy("candidate", "secondary")))
    client = s.client().send(GET)
    s.at().feed(OK)
    assert client.take().endswith(b"hello")
    for arm, port in (("candidate", 2), ("secondary", 3)):
        assert s.books(arm) == {"eligible": 1, "sampled_out": 1}
        assert port not in s.loop.made
    s.site.snapshot.services[0].held_out = False
    client.send(GET)
    assert s.books()["sent"] == 1


def test_what_is_not_eligible_is_not_held_out_either() -> None:
    s = held_out(Stage(policy("candidate", trusted_proxies=("192.0.2.0/24",))))
    s.client().send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    s.client().send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    s.client().send(GET[:-2] + b"X-Shadow-Request: candidate\r\n\r\n")
    assert s.books() == {}
    assert s.counters[at.COPIES_RECEIVED] == 1


def test_a_request_that_was_offered_before_the_slot_is_still_mirrored_and_one_in_it_never() -> None:
    s = stage(methods=("POST",))
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
    early = s.client().send(head)
    held_out(s)
    late = s.client().send(head)
    s.site.snapshot.services[0].held_out = False
    early.send(b"ok")
    late.send(b"ok")
    assert s.books() == {"eligible": 2, "sampled_out": 1, "sent": 1, "in_flight": 1}


def test_the_outcome_is_written_before_what_it_is_an_outcome_of() -> None:
    """A worker that is killed between the two words leaves `eligible` short: the next one makes it whole."""
    s = stage()
    (mirror,) = s.site.snapshot.services[0].table.find(b"GET", b"/", b"a").mirrors
    order = mirror._counters = Order()
    mirror.count_sampled_out()
    row = at.route_row(0)
    assert order.written == [row + at.SAMPLED_OUT, row + at.ELIGIBLE]
