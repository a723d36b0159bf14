"""Splitting users between two arms: who serves whom, what the primary takes over, and what counts as evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from shadowproxy.metrics import layout as at
from shadowproxy.model.policy import AccessLogPolicy, Policy, RoutePolicy, ShadowPolicy, UpstreamTimeouts, VersionPolicy
from shadowproxy.model.rollout import Chosen, Failures, Split, Sticky
from shadowproxy.model.sampling import share
from shadowproxy.model.terms import FALLBACK_REASONS
from shadowproxy.proxy.access_log import AccessLog, Entry
from shadowproxy.proxy.serving import FAILURES, SILENCE
from tests.fakes.stage import GET, OK, PORTS, Client, Stage, policy, status, upstream

SALT = b"default"
DATED = b"HTTP/1.1 %d X\r\nDate: x\r\nContent-Length: 0\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
ALL = Split("r", weight=1.0, leased=False)
"""Everybody is the candidate's."""


def split_policy(split: Split | None, *arms: str, candidate: dict[str, Any] | None = None, **rest: Any) -> Policy:
    what = policy("candidate", *arms, **rest)
    (service,) = what.services
    upstreams = service.upstreams | {"candidate": upstream(PORTS["candidate"], **(candidate or {}))}
    return msgspec.structs.replace(what, services=(msgspec.structs.replace(service, upstreams=upstreams, split=split),))


def stage(split: Split | None, *arms: str, **rest: Any) -> Stage:
    s = Stage(split_policy(split, *arms, **rest))
    s.site.snapshot.hear(s.all_counters.control, s.loop.time())
    return s


def weighing(weight: float, **rest: Any) -> Split:
    return Split("r", weight=weight, leased=False, **rest)


def request(*lines: bytes, path: bytes = b"/items/1", method: bytes = b"GET") -> bytes:
    return method + b" " + path + b" HTTP/1.1\r\nHost: a\r\n" + b"".join(b"%b\r\n" % line for line in lines) + b"\r\n"


def named(number: int) -> bytes:
    return b"X-Request-Id: %d" % number


def ids(below: float, above: float = 0.0) -> list[int]:
    """Request ids whose share is in [above, below)."""
    return [i for i in range(2000) if above <= share(SALT, b"%d" % i) < below]


def asked(s: Stage, arm: str) -> bytes:
    """What was sent to an arm since the last look."""
    return b"".join(transport.take() for transport in s.loop.made.get(PORTS[arm], []))


def served_by(s: Stage, client: Client, data: bytes) -> str:
    """The arm that is asked; it answers."""
    client.send(data)
    found = [arm for arm in ("primary", "candidate") if asked(s, arm)]
    assert found
    arm = found[0]
    s.at(arm).feed(OK)
    assert status(client.take()) == 200
    return arm


def counts(s: Stage) -> dict[str, tuple[int, ...]]:
    """Requests, failed and client errors of each arm that was drawn; of chosen users requests and failed."""
    first = at.route_row(0) + at.SPLIT
    words = s.counters[first : first + 8].tolist()
    return {"primary": tuple(words[:3]), "candidate": tuple(words[3:6]), "chosen": tuple(words[6:])}


def fallbacks(s: Stage) -> dict[str, int]:
    row = at.route_row(0)
    return {r: n for r in FALLBACK_REASONS if (n := s.counters[at.fallback_word(row, r)])}


def codes(s: Stage, arm: int) -> dict[str, int]:
    names = ("1xx", "2xx", "3xx", "4xx", "5xx", "error")
    first = at.requests_word(at.route_row(0), arm, 0)
    return {name: n for i, name in enumerate(names) if (n := s.counters[first + i])}


def durations(s: Stage) -> tuple[int, int]:
    """Answers in the fine histograms of both arms."""
    return binned(s, at.split_fine_word)


def firsts(s: Stage) -> tuple[int, int]:
    """Of these the first ones of sticky keys."""
    return binned(s, at.first_fine_word)


def binned(s: Stage, word: Callable[[int, int], int]) -> tuple[int, int]:
    primary, candidate = (sum(s.counters[word(0, arm) : word(0, arm) + at.FINE_WORDS]) for arm in range(2))
    return primary, candidate


def keys(s: Stage) -> list[tuple[float, int]]:
    return [at.key_of(s.counters[at.KEYS_AT + i])[::2] for i in range(s.counters[at.KEYS_WRITTEN])]


# -- who serves


def test_weight_0_and_1_are_exact() -> None:
    for weight, arm in ((0.0, "primary"), (1.0, "candidate")):
        s = stage(weighing(weight), route=RoutePolicy("other", 0, shadow=ShadowPolicy(methods=())))
        client = s.client()
        assert {served_by(s, client, request(named(i))) for i in range(50)} == {arm}


def test_the_candidate_serves_whose_share_is_below_the_weight_so_that_more_weight_only_adds_users() -> None:
    s = stage(None, route=RoutePolicy("other", 0, shadow=ShadowPolicy(methods=())))
    client = s.client()
    before: set[int] = set()
    for weight in (0.05, 0.5, 0.9):
        s.apply(split_policy(weighing(weight), route=RoutePolicy("other", 0, shadow=ShadowPolicy(methods=()))))
        served = {i for i in range(60) if served_by(s, client, request(named(i))) == "candidate"}
        assert served == {i for i in ids(weight) if i < 60}
        assert before <= served
        before = served


@pytest.mark.parametrize(
    ("sticky", "line"),
    [
        (Sticky(header="x-user-id"), b"X-User-Id: %b"),
        (Sticky(cookie="uid"), b"Cookie: a=1; uid=%b; b=2"),
        (Sticky(header="x-user-id", fallback="client_ip"), b"X-User-Id: %b"),
    ],
)
def test_a_sticky_user_is_always_served_by_the_same_arm(sticky: Sticky, line: bytes) -> None:
    s = stage(weighing(0.5, sticky=sticky))
    client = s.client()
    for user in range(12):
        arms = {served_by(s, client, request(line % b"%d" % user, named(i))) for i in range(3)}
        assert arms == {"candidate" if share(SALT, b"%d" % user) < 0.5 else "primary"}


def test_users_without_the_key_are_told_apart_by_address_or_by_request() -> None:
    by_address = stage(weighing(0.5, sticky=Sticky(header="x-user-id", fallback="client_ip")))
    arm = "candidate" if share(SALT, b"192.0.2.7") < 0.5 else "primary"
    client = by_address.client()
    assert {served_by(by_address, client, request(named(i))) for i in range(12)} == {arm}
    by_request = stage(weighing(0.5, sticky=Sticky(header="x-user-id")))
    client = by_request.client()
    assert {served_by(by_request, client, request(named(i))) for i in range(12)} == {"primary", "candidate"}


def test_an_address_is_taken_from_a_trusted_proxy() -> None:
    s = stage(weighing(0.5, sticky=Sticky(cookie="uid", fallback="client_ip")), trusted_proxies=("192.0.2.0/24",))
    client = s.client()
    for i in range(12):
        address = b"198.51.100.%d" % i
        arm = "candidate" if share(SALT, address) < 0.5 else "primary"
        assert served_by(s, client, request(b"X-Forwarded-For: 9.9.9.9, " + address)) == arm


@pytest.mark.parametrize(
    ("line", "arm"),
    [
        (b"X-Canary: always", "candidate"),
        (b"X-Canary: never", "primary"),
        (b"X-Canary: Always", "drawn"),
        (b"X-Canary: ", "drawn"),
        (b"Cookie: preview=green", "candidate"),
        (b"Cookie: preview=always", "drawn"),
        (b"X-Canary: never\r\nCookie: preview=green", "primary"),
    ],
)
def test_chosen_users_come_before_the_weight(line: bytes, arm: str) -> None:
    rules = (Chosen(header="x-canary"), Chosen(cookie="preview", value="green"))
    for weight in (0.0, 1.0):
        s = stage(weighing(weight, chosen=rules))
        drawn = "candidate" if weight else "primary"
        assert served_by(s, s.client(), request(line)) == (drawn if arm == "drawn" else arm)
        expected = (1, 0, 0) if arm == "drawn" and weight else (0, 0, 0)
        assert counts(s)["candidate"] == expected
        assert counts(s)["primary"] == (0, 0, 0)
        assert counts(s)["chosen"] == ((1, 0) if arm == "candidate" else (0, 0))


def test_both_arms_are_sent_the_same_bytes() -> None:
    sent = set()
    for split in (None, ALL):
        s = stage(split, route=RoutePolicy("other", 0, shadow=ShadowPolicy(methods=())))
        s.client().send(request(named(1), b"X-Forwarded-For: 9.9.9.9", b"Cookie: a=b"))
        sent.add(asked(s, "candidate" if split else "primary"))
    assert len(sent) == 1
    assert b"Host: a\r\n" in sent.pop()


def test_a_service_without_a_candidate_is_not_split() -> None:
    what = policy()
    (service,) = what.services
    s = Stage(msgspec.structs.replace(what, services=(msgspec.structs.replace(service, split=ALL),)))
    assert s.site.snapshot.services[0].split is None


# -- leases


def test_a_leased_weight_holds_while_the_lease_does() -> None:
    s = stage(Split("r", weight=1.0, chosen=(Chosen(header="x-canary"),)))
    client = s.client()
    assert served_by(s, client, GET) == "primary"
    assert served_by(s, client, request(b"X-Canary: always")) == "primary"
    assert fallbacks(s) == {"lease_expired": 2}
    s.all_counters.control[at.LEASES] = int((s.loop.time() + 1.0) * 1000)
    s.tick()
    assert served_by(s, client, GET) == "candidate"
    assert served_by(s, client, request(b"X-Canary: always")) == "candidate"
    s.tick(1.0)
    assert served_by(s, client, GET) == "primary"
    assert fallbacks(s) == {"lease_expired": 3}
    assert counts(s) == {"primary": (0, 0, 0), "candidate": (1, 0, 0), "chosen": (1, 0)}


def test_whom_a_leased_weight_would_not_reach_no_lease_sends_back() -> None:
    s = stage(Split("r", weight=0.5, chosen=(Chosen(header="x-canary"),)))
    (number, *_) = ids(1.0, above=0.5)
    assert served_by(s, s.client(), request(named(number))) == "primary"
    assert served_by(s, s.client(), request(b"X-Canary: never")) == "primary"
    assert fallbacks(s) == {}


# -- mirroring


def test_users_of_the_candidate_are_not_mirrored_and_all_others_are() -> None:
    s = stage(weighing(0.5))
    client = s.client()
    (theirs, *_), (ours, *_) = ids(0.5), ids(1.0, above=0.5)
    assert served_by(s, client, request(named(theirs))) == "candidate"
    assert s.books() == {}
    assert served_by(s, client, request(named(ours))) == "primary"
    s.at("candidate").feed(OK)
    assert s.books() == {"eligible": 1, "sent": 1, "match": 1}


def test_the_split_caps_what_routes_sample_and_the_last_to_be_served_by_the_candidate_are_the_sampled() -> None:
    s = stage(weighing(0.3, sample=0.5))
    client = s.client()
    for number in (*ids(0.5, above=0.3)[:2], *ids(1.0, above=0.5)[:3]):
        assert served_by(s, client, request(named(number))) == "primary"
        if asked(s, "candidate"):
            s.at("candidate").feed(OK)
    assert s.books()["sampled_out"] == 2
    assert s.books()["eligible"] == 5


def test_sticky_users_are_sampled_as_they_are_split() -> None:
    sampling = RoutePolicy("other", 0, shadow=ShadowPolicy(sample=0.5))
    s = stage(weighing(0.0, sticky=Sticky(header="x-user-id")), route=sampling)
    client = s.client()
    for user in range(10):
        before = s.books().get("sampled_out", 0)
        for number in range(3):
            client.send(request(b"X-User-Id: %d" % user, named(number)))
            s.at().feed(OK)
            if asked(s, "candidate"):
                s.at("candidate").feed(OK)
        sampled = share(SALT, b"%d" % user) >= 0.5
        assert s.books().get("sampled_out", 0) - before == (0 if sampled else 3)


def test_excluded_paths_are_served_by_the_arm_that_was_drawn_and_are_evidence_of_nothing() -> None:
    s = stage(weighing(0.5, excluded=("/healthz", "/probes/{name}")))
    client = s.client()
    (theirs, *_), (ours, *_) = ids(0.5), ids(1.0, above=0.5)
    for path in (b"/healthz", b"/probes/1"):
        assert served_by(s, client, request(named(theirs), path=path)) == "candidate"
        assert served_by(s, client, request(named(ours), path=path)) == "primary"
    assert counts(s) == {"primary": (0, 0, 0), "candidate": (0, 0, 0), "chosen": (0, 0)}
    assert durations(s) == (0, 0)
    assert s.books() == {"eligible": 2, "sampled_out": 2}
    served_by(s, client, request(named(theirs), path=b"/healthz/x"))
    assert counts(s)["candidate"] == (1, 0, 0)


def test_where_nothing_is_excluded_probes_are_evidence_too() -> None:
    s = stage(weighing(1.0, excluded=()))
    assert served_by(s, s.client(), request(path=b"/healthz")) == "candidate"
    assert counts(s)["candidate"] == (1, 0, 0)


# -- evidence


@pytest.mark.parametrize(
    ("failures", "code", "expected"),
    [
        (Failures(), 200, (1, 0, 0)),
        (Failures(), 404, (1, 0, 1)),
        (Failures(), 503, (1, 1, 0)),
        (Failures(), 600, (1, 1, 0)),
        (Failures(classes=(4, 5)), 404, (1, 1, 1)),
        (Failures(classes=(), statuses=(503,)), 500, (1, 0, 0)),
        (Failures(classes=(), statuses=(503,)), 503, (1, 1, 0)),
    ],
)
def test_one_rule_says_of_both_arms_what_a_failure_is(failures: Failures, code: int, expected: tuple[int, ...]) -> None:
    s = stage(weighing(0.5, failures=failures))
    for arm, number in (("candidate", ids(0.5)[0]), ("primary", ids(1.0, above=0.5)[0])):
        s.client().send(request(named(number)))
        s.at(arm).feed(DATED % code)
        assert counts(s)[arm] == expected
    taken = 0 if expected[1] else 1
    assert durations(s) == (taken, taken)


def test_no_whole_answer_is_a_failure_of_the_primary_too() -> None:
    s = stage(weighing(0.5))
    client = s.client().send(request(named(ids(1.0, above=0.5)[0])))
    s.at().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
    s.at().lose()
    assert client.gone
    assert counts(s)["primary"] == (1, 1, 0)


def test_what_clients_break_off_counts_nowhere() -> None:
    s = stage(ALL)
    client = s.client().send(GET)
    client.transport.lose()
    assert counts(s)["candidate"] == (0, 0, 0)
    assert codes(s, 1) == {}
    assert not s.site.snapshot.servings[0].is_awaited


def test_the_arm_that_answers_has_the_request_and_the_log_says_which() -> None:
    s = stage(ALL)
    log: list[Entry] = []
    s.site.access_log = AccessLog(AccessLogPolicy(), s.counters)
    s.site.access_log.enabled = True
    s.site.access_log.wants = lambda failed: True  # type: ignore[method-assign]
    s.site.access_log.add = log.append  # type: ignore[method-assign]
    assert served_by(s, s.client(), GET) == "candidate"
    assert (codes(s, 0), codes(s, 1)) == ({}, {"2xx": 1})
    assert [entry.arm for entry in log] == ["candidate"]


def test_an_answer_that_waits_for_its_client_says_nothing_of_the_arm() -> None:
    s = stage(ALL)
    client = s.client().send(GET)
    s.at("candidate").feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
    client.transport.block()
    client.transport.unblock()
    s.at("candidate").feed(b"llo")
    assert counts(s)["candidate"] == (1, 0, 0)
    assert durations(s) == (0, 0)


def test_at_weight_0_nothing_is_counted() -> None:
    s = stage(weighing(0.0))
    assert served_by(s, s.client(), GET) == "primary"
    assert counts(s)["primary"] == (0, 0, 0)
    assert durations(s) == (0, 0)


def test_each_sticky_key_is_told_once_and_its_first_answer_is_timed() -> None:
    s = stage(weighing(0.5, sticky=Sticky(header="x-user-id")))
    client = s.client()
    user = next(u for u in range(100) if share(SALT, b"%d" % u) < 0.5)
    h = share(SALT, b"%d" % user)
    for code in (500, 200, 404, 500, 200):
        client.send(request(b"X-User-Id: %d" % user))
        s.at("candidate").feed(DATED % code)
    assert keys(s) == [(h, at.KEY_SEEN), (h, at.KEY_FAILED), (h, at.KEY_CLIENT_ERROR)]
    assert counts(s)["candidate"] == (5, 2, 1)
    assert firsts(s) == (0, 1)
    assert durations(s) == (0, 3)  # a failure's duration says nothing
    s.all_counters.control[at.SPLIT_EPOCHS] += 1
    s.tick()
    client.send(request(b"X-User-Id: %d" % user))
    s.at("candidate").feed(OK)
    assert keys(s)[3:] == [(h, at.KEY_SEEN)]
    assert firsts(s) == (0, 2)


# -- the candidate fails a user


def test_a_refused_connection_costs_a_user_nothing_with_a_body_or_without() -> None:
    s = stage(ALL)
    s.loop.answers[PORTS["candidate"]] = ConnectionRefusedError()
    client = s.client()
    client.send(GET)
    s.at().feed(OK)
    assert status(client.take()) == 200
    client.send(UPLOAD + b"body")
    assert asked(s, "primary").endswith(b"body")
    s.at().feed(OK)
    assert status(client.take()) == 200
    assert fallbacks(s) == {"refused": 2}
    assert counts(s) == {"primary": (0, 0, 0), "candidate": (2, 2, 0), "chosen": (0, 0)}
    assert (codes(s, 0), codes(s, 1)) == ({"2xx": 2}, {"error": 2})
    assert durations(s) == (0, 0)
    assert s.books() == {}


def test_after_failures_in_a_row_users_do_not_even_try_but_one_that_can_be_repeated() -> None:
    s = stage(ALL)
    s.loop.answers[PORTS["candidate"]] = ConnectionRefusedError()
    client = s.client()
    for _ in range(FAILURES + 3):
        client.send(GET)
        s.at().feed(OK)
    assert fallbacks(s) == {"refused": FAILURES, "breaker": 3}
    assert counts(s)["candidate"] == (FAILURES + 3, FAILURES + 3, 0)
    s.tick(1.05)
    asked(s, "primary")
    del s.loop.answers[PORTS["candidate"]]
    assert served_by(s, s.client(), UPLOAD + b"body") == "primary"
    assert fallbacks(s)["breaker"] == 4
    client.take()
    assert served_by(s, client, GET) == "candidate"
    assert served_by(s, client, UPLOAD + b"body") == "candidate"


@pytest.mark.parametrize("way", ["reset", "late"])
def test_without_any_byte_of_an_answer_a_request_that_can_be_repeated_goes_to_the_primary(way: str) -> None:
    s = stage(ALL, candidate={"timeouts": UpstreamTimeouts(first_byte=0.5)})
    client = s.client().send(GET)
    if way == "reset":
        s.at("candidate").lose(ConnectionResetError())
    else:
        s.tick(0.6)
    s.at().feed(OK)
    assert status(client.take()) == 200
    assert fallbacks(s) == {"error" if way == "reset" else "timeout": 1}
    assert counts(s)["candidate"] == (1, 1, 0)


def test_a_timeout_is_a_failure_only_where_timeouts_are() -> None:
    timeouts = UpstreamTimeouts(first_byte=0.5)
    s = stage(weighing(1.0, failures=Failures(timeouts=False)), candidate={"timeouts": timeouts})
    s.client().send(GET)
    s.tick(0.6)
    assert fallbacks(s) == {"timeout": 1}
    assert counts(s)["candidate"] == (1, 0, 0)


def test_a_body_that_went_to_the_candidate_cannot_be_sent_again() -> None:
    s = stage(ALL)
    client = s.client().send(UPLOAD + b"body")
    s.at("candidate").lose()
    assert status(client.take()) == 502
    assert fallbacks(s) == {}
    assert counts(s)["candidate"] == (1, 1, 0)
    assert codes(s, 1) == {"error": 1}


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", b"HTTP/1.1 2"])
def test_after_a_byte_of_an_answer_the_primary_is_not_asked(data: bytes) -> None:
    s = stage(ALL)
    client = s.client().send(GET)
    s.at("candidate").feed(data)
    s.at("candidate").lose()
    assert client.gone or status(client.take()) == 502
    assert fallbacks(s) == {}
    assert counts(s)["candidate"] == (1, 1, 0)
    assert PORTS["primary"] not in s.loop.made


def test_a_connection_that_was_closed_meanwhile_is_no_failure_of_the_candidates() -> None:
    s = stage(ALL)
    client = s.client()
    assert served_by(s, client, GET) == "candidate"
    client.send(GET)
    s.at("candidate").lose()
    s.at("candidate").feed(OK)
    assert status(client.take()) == 200
    assert len(s.loop.made[PORTS["candidate"]]) == 2
    assert (counts(s)["candidate"], fallbacks(s)) == ((2, 0, 0), {})


def test_a_frozen_candidate_loses_its_users_within_about_a_second() -> None:
    s = stage(ALL)
    clients = [s.client().send(GET) for _ in range(FAILURES)]
    posting = s.client().send(UPLOAD + b"body")
    s.tick(SILENCE + 0.1)
    for client, transport in zip(clients, s.loop.made[PORTS["primary"]], strict=True):
        transport.feed(OK)
        assert status(client.take()) == 200
    assert fallbacks(s) == {"timeout": FAILURES}
    assert counts(s)["candidate"] == (FAILURES, FAILURES, 0)
    assert s.site.snapshot.servings[0].breaker.open
    assert served_by(s, clients[0], GET) == "primary"
    assert posting.take() == b""
    s.at("candidate").feed(OK)
    assert status(posting.take()) == 200
    assert not s.site.snapshot.servings[0].breaker.open


def test_a_probe_of_a_frozen_candidate_waits_no_longer() -> None:
    s = stage(ALL)
    for _ in range(FAILURES):
        s.client().send(GET)
    s.tick(SILENCE + 0.1)
    s.tick(1.1)
    asked(s, "primary"), asked(s, "candidate")
    probe = s.client().send(GET)
    assert asked(s, "candidate")
    s.tick(SILENCE + 0.1)
    assert asked(s, "primary")
    s.at().feed(OK)
    assert status(probe.take()) == 200


def test_where_the_primary_is_gone_a_promoted_candidate_is_asked_whatever_it_does() -> None:
    s = stage(ALL)
    s.loop.answers = {PORTS["candidate"]: ConnectionRefusedError(), PORTS["primary"]: ConnectionRefusedError()}
    for _ in range(FAILURES + 1):
        assert status(s.client().send(GET).take()) == 502
    del s.loop.answers[PORTS["candidate"]]
    assert served_by(s, s.client(), GET) == "candidate"
    assert fallbacks(s) == {"refused": 1}


def test_users_of_the_primary_are_never_moved_to_the_candidate() -> None:
    s = stage(weighing(0.5))
    s.loop.answers[PORTS["primary"]] = ConnectionRefusedError()
    client = s.client().send(request(named(ids(1.0, above=0.5)[0])))
    assert status(client.take()) == 502
    assert counts(s)["primary"] == (1, 1, 0)
    assert fallbacks(s) == {}


def test_users_that_find_no_room_at_the_candidate_go_to_the_primary_and_rest_nothing() -> None:
    s = stage(ALL, candidate={"max_connections": 1, "max_waiting": 0})
    s.client().send(GET)
    for _ in range(FAILURES + 1):
        client = s.client().send(GET)
        s.at().feed(OK)
        assert status(client.take()) == 200
    assert fallbacks(s) == {"error": FAILURES + 1}
    assert not s.site.snapshot.servings[0].breaker.open


# -- changes


def test_a_request_under_way_keeps_its_arm_when_the_weight_changes() -> None:
    s = stage(ALL)
    client = s.client().send(GET)
    s.apply(split_policy(weighing(0.0)))
    s.at("candidate").feed(OK)
    assert status(client.take()) == 200
    assert counts(s)["candidate"] == (1, 0, 0)
    assert served_by(s, client, GET) == "primary"


def test_what_is_known_of_a_candidate_outlives_a_new_weight() -> None:
    s = stage(ALL)
    s.loop.answers[PORTS["candidate"]] = ConnectionRefusedError()
    client = s.client()
    for _ in range(FAILURES):
        client.send(GET)
        s.at().feed(OK)
    s.apply(split_policy(weighing(0.9)))
    assert s.site.snapshot.servings[0].breaker.open


def test_a_candidate_without_users_is_forgiven() -> None:
    s = stage(ALL)
    s.site.snapshot.servings[0].breaker.trip(0.0)
    s.apply(split_policy(weighing(0.0)))
    s.apply(split_policy(ALL))
    assert not s.site.snapshot.servings[0].breaker.open


def test_copies_that_wait_for_a_frozen_candidate_count_as_well() -> None:
    s = stage(weighing(0.5))
    (theirs, *_), ours = ids(0.5), ids(1.0, above=0.5)
    for number in ours[: FAILURES - 1]:
        s.client().send(request(named(number)))
        s.at().feed(OK)
    client = s.client().send(request(named(theirs)))
    asked(s, "primary")
    s.tick(SILENCE + 0.1)
    assert asked(s, "primary")
    s.at().feed(OK)
    assert status(client.take()) == 200
    assert fallbacks(s) == {"timeout": 1}


def test_who_waits_for_a_candidate_that_a_policy_replaced_still_goes_to_the_primary() -> None:
    s = stage(ALL)
    clients = [s.client().send(GET) for _ in range(FAILURES)]
    s.apply(split_policy(ALL, candidate={"max_connections": 7}))
    assert len(s.site.snapshot.servings) == 2
    s.tick(SILENCE + 0.1)
    for client, transport in zip(clients, s.loop.made[PORTS["primary"]], strict=True):
        transport.feed(OK)
        assert status(client.take()) == 200
    s.apply(split_policy(None))
    assert s.site.snapshot.servings == ()


def test_an_upgrade_goes_to_the_arm_that_was_drawn() -> None:
    s = stage(ALL)
    client = s.client().send(request(b"Connection: Upgrade", b"Upgrade: chat"))
    s.at("candidate").feed(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nhi")
    assert client.take().endswith(b"hi")
    s.apply(split_policy(None))
    s.at("candidate").feed(b"more")
    assert client.take() == b"more"
    assert counts(s)["candidate"] == (1, 0, 0)


def test_answers_to_users_name_the_version_of_their_arm() -> None:
    s = stage(weighing(0.5), version=VersionPolicy(header="x-app-version"))
    for arm, number in (("candidate", ids(0.5)[0]), ("primary", ids(1.0, above=0.5)[0])):
        s.client().send(request(named(number)))
        s.at(arm).feed(b"HTTP/1.1 200 OK\r\nX-App-Version: %b\r\nContent-Length: 0\r\n\r\n" % arm.encode())
    assert s.link._versions.keys() >= {("default", "candidate", "candidate"), ("default", "primary", "primary")}
