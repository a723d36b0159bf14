"""A copy from the offer to its verdict: each state and what may happen in it, counted exactly once."""

from __future__ import annotations

import ssl
from typing import Any

import msgspec
import pytest

from shadowproxy.channel import FrameReader
from shadowproxy.metrics import layout as at
from shadowproxy.model.pair import Pair
from shadowproxy.model.policy import RoutePolicy, ShadowPolicy
from tests.fakes.stage import GET, OK, Client, Stage, policy, upstream

POST = b"POST /items HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 8\r\n\r\n"
OTHER = OK.replace(b"hello", b"other")
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT")


def stage(*arms: str, **shadow: Any) -> Stage:
    rules = ShadowPolicy(**({"methods": METHODS} | shadow))
    return Stage(policy(*(arms or ("candidate",)), route=RoutePolicy("other", 0, shadow=rules)))


def asked(request: bytes = GET, **shadow: Any) -> tuple[Stage, Client]:
    s = stage(**shadow)
    return s, s.client().send(request)


def pairs(s: Stage) -> list[Pair]:
    return [msgspec.msgpack.decode(f, type=Pair) for f in FrameReader().feed(s.comparer.take())]


def settled(s: Stage, **books: int) -> None:
    """The books say this and nothing is held any more."""
    assert s.books() == {"eligible": 1} | {name.replace("__", ":"): value for name, value in books.items()}
    assert (s.arm().held, list(s.arm().live)) == (0, [])


def test_equal_answers_are_a_match_and_never_leave_the_worker() -> None:
    s, _ = asked()
    assert s.books() == {"eligible": 1, "sent": 1, "in_flight": 1}
    s.at().feed(OK)
    s.at("candidate").feed(OK)
    settled(s, sent=1, match=1)
    assert pairs(s) == []


def test_unequal_answers_go_to_the_comparer_in_either_order() -> None:
    for order in (("primary", "candidate"), ("candidate", "primary")):
        s, _ = asked()
        for arm in order:
            s.at(arm).feed(OK if arm == "primary" else OTHER)
        (pair,) = pairs(s)
        assert (pair.primary.body, pair.shadow and pair.shadow.body, pair.failure) == (b"hello", b"other", None)
        assert (pair.service, pair.route, pair.arm, pair.request.method) == ("default", "other", "candidate", b"GET")
        assert s.books()["in_flight"] == 1
        s.verdict(pair.id, "mismatch", ("body_value",))
        settled(s, sent=1, mismatch=1)


def test_the_copy_leaves_with_the_request_and_says_what_it_is() -> None:
    s, _ = asked()
    own, copy = s.at().take(), s.at("candidate").take()
    assert copy == own[:-2] + b"X-Shadow-Request: candidate\r\n\r\n"


def test_a_body_is_held_until_it_is_whole_and_sent_with_its_length() -> None:
    s = stage()
    client = s.client().send(
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n4\r\nbody\r\n"
    )
    assert 2 not in s.loop.made
    assert s.arm().held == 4
    client.send(b"4\r\nmore\r\n0\r\nX-Sum: 1\r\n\r\n")
    copy = s.at("candidate").take()
    assert copy.endswith(b"\r\n\r\nbodymore")
    assert b"Content-Length: 8\r\n" in copy
    assert b"Expect" not in copy
    assert b"Transfer-Encoding" not in copy


@pytest.mark.parametrize(
    ("reason", "shadow", "sent"),
    [("max_body", {"max_body": 7}, POST), ("bytes", {"max_bytes": 7}, POST), ("in_flight", {"max_in_flight": 0}, POST)],
)
def test_what_is_known_to_be_too_much_is_dropped_beforehand(reason: str, shadow: dict[str, int], sent: bytes) -> None:
    s, client = asked(sent, **shadow)
    settled(s, **{f"dropped__{reason}": 1})
    client.send(b"bodymore")
    assert 2 not in s.loop.made


@pytest.mark.parametrize(("reason", "shadow"), [("max_body", {"max_body": 7}), ("bytes", {"max_bytes": 7})])
def test_what_turns_out_to_be_too_much_is_dropped_on_the_way(reason: str, shadow: dict[str, int]) -> None:
    s, client = asked(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", **shadow)
    assert s.books() == {}
    client.send(b"4\r\nmore\r\n")
    settled(s, **{f"dropped__{reason}": 1})
    client.send(b"1\r\nx\r\n0\r\n\r\n")
    s.at().feed(OK)
    assert client.take().endswith(b"hello")


def test_a_client_that_aborts_its_upload_costs_the_copy_alone() -> None:
    s, client = asked(POST + b"body")
    client.transport.lose(ConnectionResetError())
    settled(s, dropped__request_incomplete=1)
    assert s.at().aborted


def test_a_primary_that_answers_before_the_body_is_whole_drops_the_copy() -> None:
    s, client = asked(POST + b"body")
    s.at().feed(OK)
    settled(s, dropped__request_incomplete=1)
    assert b"Connection: close" in client.take()


def test_a_client_gone_later_leaves_the_copy_to_finish_and_the_pair_is_lost() -> None:
    s, client = asked()
    client.transport.lose(ConnectionResetError())
    assert s.books()["in_flight"] == 1
    s.at("candidate").feed(OK)
    settled(s, sent=1, lost__primary_incomplete=1)
    assert s.counters[at.requests_word(at.route_row(0), 1, 1)] == 1


@pytest.mark.parametrize("first", ["primary", "candidate"])
def test_a_primary_that_fails_loses_the_pair_whatever_the_candidate_says(first: str) -> None:
    s, _ = asked()
    if first == "candidate":
        s.at("candidate").feed(OK)
    s.at().lose(ConnectionResetError())
    if first == "primary":
        s.at("candidate").feed(OK)
    settled(s, sent=1, lost__primary_incomplete=1)


def test_no_copy_is_left_behind_where_the_primary_has_no_room() -> None:
    s = Stage(policy("candidate", primary=upstream(1, max_connections=1, max_waiting=0)))
    s.client().send(GET)
    s.client().send(GET)
    assert s.books() == {"eligible": 2, "sent": 1, "in_flight": 1, "dropped:overload": 1}
    assert len(s.arm().live) == 1


FAILURES = [
    (lambda s: s.at("candidate").lose(ConnectionResetError()), "candidate_error"),
    (lambda s: s.at("candidate").lose(ssl.SSLError("x")), "candidate_tls"),
    (lambda s: s.at("candidate").feed(b"nonsense\r\n\r\n"), "candidate_malformed"),
    (lambda s: s.at("candidate").feed(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n"), "candidate_malformed"),
    (lambda s: (s.at("candidate").feed(OK[:-1]), s.at("candidate").feed_eof()), "candidate_truncated"),
    (lambda s: s.tick(10.2), "candidate_timeout"),
]


@pytest.mark.parametrize(("happens", "kind"), FAILURES)
@pytest.mark.parametrize("primary_first", [True, False])
def test_a_failed_candidate_was_compared_and_is_a_mismatch_of_its_kind(
    happens: Any, kind: str, primary_first: bool
) -> None:
    s, client = asked()
    if primary_first:
        s.at().feed(OK)
    happens(s)
    if not primary_first:
        s.at().feed(OK)
    settled(s, sent=1, mismatch=1)
    assert s.kinds() == {kind: 1}
    (example,) = pairs(s)
    assert (example.answer, example.failure) == (False, kind)
    assert client.take().endswith(b"hello")
    assert s.counters[at.requests_word(at.route_row(0), 1, 5)] == 1


@pytest.mark.parametrize(
    ("error", "kind"), [(ConnectionRefusedError(), "candidate_refused"), (ssl.SSLError("x"), "candidate_tls")]
)
def test_a_candidate_that_cannot_be_reached_was_sent_to_and_is_a_mismatch(error: Exception, kind: str) -> None:
    s = stage()
    s.loop.answers[2] = error
    s.client().send(GET)
    s.at().feed(OK)
    settled(s, sent=1, mismatch=1)
    assert s.kinds() == {kind: 1}


def full(s: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The candidate's pool has no room for a further connection."""
    monkeypatch.setattr(s.arm().origin.pool, "has_room", lambda: False)


def test_a_copy_that_finds_no_connection_in_time_is_dropped_by_age(monkeypatch: pytest.MonkeyPatch) -> None:
    s = stage(max_age=0.5)
    full(s, monkeypatch)
    s.client().send(GET)
    s.tick(0.4)
    assert s.books() == {}
    s.tick(0.2)
    settled(s, dropped__age=1)
    s.at().feed(OK)
    settled(s, dropped__age=1)


def test_a_candidate_that_takes_no_connection_in_time_is_late() -> None:
    s = stage(max_age=0.5, breaker_failures=1)
    s.loop.answers[2] = None
    s.client().send(GET)
    s.at().feed(OK)
    s.tick(0.6)
    settled(s, sent=1, mismatch=1)
    assert s.kinds() == {"candidate_timeout": 1}
    assert s.arm().breaker.open


def test_a_connection_that_comes_too_late_carries_nothing() -> None:
    s = stage(max_age=0.5)
    s.loop.answers[2] = None
    s.client().send(GET)
    s.tick(0.6)
    del s.loop.answers[2]
    s.tick(2.0)
    s.client().send(GET)
    assert s.at("candidate").take().count(b"GET ") == 1


def leave_room_for_one(s: Stage) -> None:
    service = s.policy.services[0]
    small = upstream(2, max_connections=1, max_waiting=0)
    service = msgspec.structs.replace(service, upstreams=service.upstreams | {"candidate": small})
    s.apply(msgspec.structs.replace(s.policy, services=(service,)))


def test_a_candidate_without_room_drops_the_copy_at_once() -> None:
    s = stage()
    full = upstream(2, max_connections=1, max_waiting=0)
    service = msgspec.structs.replace(
        s.policy.services[0], upstreams=s.policy.services[0].upstreams | {"candidate": full}
    )
    s.apply(msgspec.structs.replace(s.policy, services=(service,)))
    s.client().send(GET)
    s.client().send(GET)
    assert s.books() == {"eligible": 2, "sent": 1, "in_flight": 1, "dropped:age": 1}


def served_once(request: bytes = GET) -> Stage:
    """A candidate's connection is spare, and the next copy takes it."""
    s = stage()
    client = s.client().send(GET)
    s.at().feed(OK)
    s.at("candidate").feed(OK)
    client.send(request)
    return s


def test_a_stale_connection_is_retried_once_on_a_fresh_one() -> None:
    s = served_once()
    stale = s.at("candidate")
    stale.lose(None)
    assert s.at("candidate") is not stale
    s.at("candidate").feed(OK)
    s.at().feed(OK)
    assert s.books() == {"eligible": 2, "sent": 2, "match": 2}


def test_a_retry_that_fails_as_well_is_the_candidates_fault() -> None:
    s = served_once()
    s.at("candidate").lose(None)
    s.at("candidate").lose(None)
    s.at().feed(OK)
    assert s.books() == {"eligible": 2, "sent": 2, "match": 1, "mismatch": 1}
    assert s.kinds() == {"candidate_error": 1}


def test_a_retry_that_runs_out_of_time_is_late() -> None:
    s = served_once()
    s.loop.answers[2] = None
    s.at("candidate").lose(None)
    s.at().feed(OK)
    s.tick(10.2)
    assert s.kinds() == {"candidate_timeout": 1}
    assert s.arm().held == 0


def test_what_may_not_be_repeated_is_lost_with_a_stale_connection() -> None:
    s = served_once(POST + b"bodymore")
    s.at("candidate").lose(None)
    assert s.books()["lost:stale_connection"] == 1
    assert s.arm().held == 0


def test_a_retry_without_room_is_lost_with_its_stale_connection() -> None:
    s = stage()
    small = upstream(2, max_connections=1, max_waiting=0)
    service = msgspec.structs.replace(
        s.policy.services[0], upstreams=s.policy.services[0].upstreams | {"candidate": small}
    )
    s.apply(msgspec.structs.replace(s.policy, services=(service,)))
    client = s.client().send(GET)
    s.at().feed(OK)
    s.at("candidate").feed(OK)
    client.send(GET)
    s.origin("candidate").pool.connecting = 1  # the only room is taken meanwhile
    s.at("candidate").lose(None)
    assert s.books()["lost:stale_connection"] == 1


def test_a_candidate_that_sent_something_is_not_asked_again() -> None:
    s = served_once()
    s.at("candidate").feed(b"HTTP/1.1 2")
    s.at("candidate").lose(None)
    s.at().feed(OK)
    assert s.kinds() == {"candidate_malformed": 1}
    assert len(s.loop.made[2]) == 1


def test_interim_answers_of_the_candidate_are_not_compared() -> None:
    s, _ = asked()
    s.at("candidate").feed(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
    s.at().feed(OK)
    settled(s, sent=1, match=1)


def test_a_huge_answer_is_read_to_the_cap_and_no_further() -> None:
    s, client = asked(max_response=1000)
    s.at("candidate").feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n" + b"x" * 600)
    assert not s.at("candidate").closing
    s.at("candidate").feed(b"x" * 600)
    assert s.at("candidate").aborted
    assert s.arm().held == 1000
    s.at().feed(OK)
    (pair,) = pairs(s)
    assert pair.shadow is not None
    assert pair.shadow.truncated
    assert len(pair.shadow.body) == 1000
    s.verdict(pair.id, "incomparable")
    settled(s, sent=1, incomparable=1)
    assert client.take().endswith(b"hello")


def test_a_huge_answer_in_one_piece_is_cut_too() -> None:
    s, _ = asked(max_response=1000)
    s.at("candidate").feed(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + b"x" * 2000)
    assert s.at("candidate").aborted
    s, _ = asked(max_response=1000)
    chunks = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000 + b"\r\n0\r\nX-Sum: 1\r\n\r\n"
    )
    s.at("candidate").feed(chunks)
    s.at().feed(OK)
    assert len(pairs(s)) == 1
    assert s.origin("candidate").pool.open == 0


def test_the_primary_is_kept_only_while_a_copy_wants_it() -> None:
    s, client = asked(max_age=0.1)
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    s.at().feed(big + b"x" * 1000)
    assert s.arm().held == 1000
    s.at("candidate").lose(ConnectionResetError())
    s.tick(10.5)
    with s.loop.running():
        for copy in list(s.arm().live):
            copy.close()
    s.at().feed(b"x" * 99000)
    settled(s, sent=1, mismatch=1)
    assert len(client.take()) > 100_000


def test_what_was_dropped_keeps_nothing_of_the_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    s = stage(max_age=0.1)
    full(s, monkeypatch)
    s.client().send(GET)
    s.at().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1000)
    s.tick(0.3)
    settled(s, dropped__age=1)
    s.at().feed(b"x" * 1000)
    assert s.arm().held == 0


def test_two_arms_each_have_their_own_books() -> None:
    s = stage("candidate", "secondary")
    s.client().send(GET)
    s.at().feed(OK)
    assert s.arm("candidate").held == s.arm("secondary").held == 5
    s.at("secondary").feed(OK)
    s.at("candidate").lose(ConnectionResetError())
    assert s.books("secondary") == {"eligible": 1, "sent": 1, "match": 1}
    assert s.books("candidate") == {"eligible": 1, "sent": 1, "mismatch": 1}
    assert b"X-Shadow-Request: secondary" in s.at("secondary").take()


@pytest.mark.parametrize(
    ("request_bytes", "end", "books"),
    [
        (POST + b"body", "holding", {"eligible": 1, "dropped:shutdown": 1}),
        (GET, "waiting", {"eligible": 1, "dropped:shutdown": 1}),
        (GET, "sent", {"eligible": 1, "sent": 1, "lost:shutdown": 1}),
    ],
)
def test_at_the_end_of_the_worker_each_copy_is_accounted_for(
    request_bytes: bytes, end: str, books: dict[str, int]
) -> None:
    s = stage()
    if end == "waiting":
        s.loop.answers[2] = None
    client = s.client().send(request_bytes)
    with s.loop.running():
        s.arm().close()
    assert s.books() == books
    client.send(b"more" if end == "holding" else GET)
    s.at().feed(OK)
    assert (s.arm().held, list(s.arm().live)) == (0, [])
    assert sum(v for name, v in s.books().items() if name == "dropped:shutdown") >= ("lost:shutdown" not in books)


def test_the_breaker_rests_a_candidate_that_refuses_and_probes_it() -> None:
    s = stage(breaker_failures=2)
    s.loop.answers[2] = ConnectionRefusedError()
    for _ in range(4):
        s.client().send(GET)
        s.at().feed(OK)
    assert s.books() == {"eligible": 4, "sent": 2, "mismatch": 2, "dropped:breaker": 2}
    del s.loop.answers[2]
    s.tick(1.1)
    s.client().send(GET)
    s.at().feed(OK)
    s.at("candidate").feed(OK)
    s.client().send(GET)
    assert s.books()["sent"] == 4
    assert not s.arm().breaker.open


def test_a_storm_of_resets_rests_the_candidate_too() -> None:
    s = stage(breaker_failures=2)
    for _ in range(2):
        s.client().send(GET)
        s.at("candidate").lose(ConnectionResetError())
    assert s.arm().breaker.open


@pytest.mark.parametrize(
    ("junk", "found", "kinds"),
    [
        (b"HTTP/1.1 102 Processing\r\n\r\n" * 65, {"mismatch": 1}, {"candidate_malformed": 1}),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 9000, {}, {}),
    ],
)
def test_an_answer_that_costs_more_than_any_is_not_read_on_and_tires(
    junk: bytes, found: dict[str, int], kinds: dict[str, int]
) -> None:
    s, _ = asked(breaker_failures=1)
    s.at().feed(OK)
    s.at("candidate").feed(junk)
    assert s.at("candidate").aborted
    assert s.arm().breaker.open
    assert s.kinds() == kinds
    for pair in pairs(s):
        if pair.answer:
            assert pair.shadow
            assert pair.shadow.truncated
            s.verdict(pair.id, "incomparable")
    settled(s, sent=1, **(found or {"incomparable": 1}))


def test_some_interim_answers_and_many_chunks_tire_nobody() -> None:
    s, _ = asked(breaker_failures=1)
    s.at().feed(OK)
    s.at("candidate").feed(b"HTTP/1.1 102 Processing\r\n\r\n" * 10 + OK)
    settled(s, sent=1, match=1)
    assert not s.arm().breaker.open


def test_no_word_of_a_copy_is_spoken_after_it_was_settled() -> None:
    s, _ = asked()
    s.at().feed(OK)
    candidate = s.at("candidate")
    candidate.feed(OK[:-2])
    s.tick(10.2)
    settled(s, sent=1, mismatch=1)
    assert candidate.aborted
    protocol = candidate.get_protocol()
    with s.loop.running():
        protocol.data_received(b"lo")  # type: ignore[attr-defined]
    settled(s, sent=1, mismatch=1)
