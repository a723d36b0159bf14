"""Who failed, of a pair: one rule for both arms, whatever becomes of the comparison; whose durations are weighed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shadowproxy.metrics import layout as at
from shadowproxy.metrics.reading import routes
from shadowproxy.model.policy import Registry, RoutePolicy, ShadowPolicy, UpstreamTimeouts
from shadowproxy.model.totals import MirrorTotals
from shadowproxy.proxy import exchange
from shadowproxy.shadow import copy
from tests.fakes.stage import GET, OK, Stage, policy, upstream

POST = b"POST /items HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 8\r\n\r\n"
OOPS = b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"
WHAT = b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"
GONE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Stage]]:
    """Durations are taken from the stage's clock."""
    stages: list[Stage] = []

    def now() -> float:
        return stages[-1].loop.time()

    for module in (exchange, copy):
        monkeypatch.setattr(module, "perf_counter", now)
    yield stages  # noqa: PT022 - a test puts its stage here


def stage(clock: list[Stage], *arms: str) -> Stage:
    rules = ShadowPolicy(methods=("GET", "POST"), timeout=10.0)
    primary = upstream(1, timeouts=UpstreamTimeouts(first_byte=60.0, idle=60.0), max_connections=2, max_waiting=1)
    found = Stage(policy(*(arms or ("candidate",)), primary=primary, route=RoutePolicy("other", 0, shadow=rules)))
    clock.append(found)
    return found


def totals(s: Stage, arm: str = "candidate") -> MirrorTotals:
    return next(routes(s.all_counters, Registry(routes={"default\nother": 0}), s.policy)).mirrors[arm]


def breaks(s: Stage, arm: str) -> None:
    s.at(arm).lose(ConnectionResetError())


def breaks_off(s: Stage, arm: str) -> None:
    s.at(arm).feed(LONG + b"part")
    s.at(arm).feed_eof()


def answers(with_: bytes) -> Callable[[Stage, str], None]:
    return lambda s, arm: s.at(arm).feed(with_)


GOOD = [answers(OK), answers(GONE)]
BAD = [answers(OOPS), answers(WHAT), breaks, breaks_off]


@pytest.mark.parametrize("candidate_first", [True, False])
@pytest.mark.parametrize("primary", [*GOOD, *BAD])
@pytest.mark.parametrize("candidate", [*GOOD, *BAD])
def test_one_rule_says_who_failed(
    clock: list[Stage],
    primary: Callable[[Stage, str], None],
    candidate: Callable[[Stage, str], None],
    candidate_first: bool,
) -> None:
    s = stage(clock)
    s.client().send(GET)
    steps = [(primary, "primary"), (candidate, "candidate")]
    for step, arm in reversed(steps) if candidate_first else steps:
        step(s, arm)
    bits = (candidate in BAD) + 2 * (primary in BAD)
    assert s.outcomes() == {("neither", "shadow_only", "primary_only", "both")[bits]: 1}
    assert totals(s).delta.count == (bits == 0), "durations are compared where neither failed"


def test_the_deadline_is_the_same_for_both(clock: list[Stage]) -> None:
    s = stage(clock)
    s.client().send(GET)
    s.tick(9.0)
    s.at("candidate").feed(OK)
    s.tick(2.0)
    s.at().feed(OK)
    assert s.outcomes() == {"primary_only": 1}, "the primary was later than the copy may be"
    s.client().send(GET)
    s.at().feed(OK)
    s.tick(10.2)
    assert s.outcomes() == {"primary_only": 1, "shadow_only": 1}
    s.client().send(GET)
    s.tick(10.2)
    s.at().feed(OK)
    assert s.outcomes() == {"primary_only": 1, "shadow_only": 1}, "a long poll says nothing of either"


def test_what_the_client_or_the_proxy_did_is_nobodys_failure(clock: list[Stage]) -> None:
    s = stage(clock)
    client = s.client().send(GET)
    client.transport.lose(ConnectionResetError())
    s.at("candidate").feed(OOPS)
    assert s.books() == {"eligible": 1, "sent": 1, "lost:primary_incomplete": 1}
    assert s.outcomes() == {}
    for _ in range(4):
        s.client().send(GET)
    assert s.rejected("pool_full") == 1
    for connection in s.loop.open(2):
        connection.feed(OK)
    assert s.outcomes() == {}


def test_a_secondary_has_a_table_of_its_own_and_no_evidence(clock: list[Stage]) -> None:
    s = stage(clock, "candidate", "secondary")
    s.client().send(GET)
    s.at().feed(OK)
    s.at("candidate").feed(OOPS)
    s.at("secondary").feed(OK)
    assert (s.outcomes(), s.outcomes("secondary")) == ({"shadow_only": 1}, {"neither": 1})
    with s.loop.running():
        s.strata.close()
    assert (totals(s).judged, totals(s, "secondary").judged, totals(s, "secondary").splits) == (0, 0, {})


def test_a_slow_upload_is_nobodys_slow_answer(clock: list[Stage]) -> None:
    s = stage(clock)
    client = s.client().send(POST)
    s.tick(4.0)
    client.send(b"12345678")
    s.tick(1.0)
    s.at().feed(OK)
    s.at("candidate").feed(OK)
    assert s.outcomes() == {"neither": 1}
    assert totals(s).delta.sum == pytest.approx(0.0, abs=0.01)


def test_a_slow_client_makes_nobody_slow(clock: list[Stage]) -> None:
    s = stage(clock)
    client = s.client().send(GET)
    s.at().feed(LONG + b"x" * 49)
    s.at("candidate").feed(OOPS)
    client.transport.block()
    s.tick(12.0)
    client.transport.unblock()
    s.at().feed(b"x")
    assert s.outcomes() == {"shadow_only": 1}, "12 s were the client's"
    client.send(GET)
    s.at("candidate").feed(OK)
    s.at().feed(LONG)
    client.transport.block()
    client.transport.unblock()
    s.at().feed(b"x" * 50)
    assert s.outcomes() == {"shadow_only": 1, "neither": 1}
    assert totals(s).delta.count == 0


def test_durations_reach_the_evidence_once_a_stratum_is_full(clock: list[Stage]) -> None:
    s = stage(clock)
    for _ in range(20):
        s.client().send(GET)
        s.at().feed(OK)
        s.tick(0.1)
        s.at("candidate").feed(OK)
    s.tick(0.2)
    assert totals(s).judged == 20
    assert totals(s).splits == {"p50": (20, 0), "p95": (0, 0), "p99": (0, 0)}, "all alike: no tail"
    assert totals(s).delta.count == 20


def test_the_counts_go_on_under_the_next_worker_and_the_next_policy(clock: list[Stage]) -> None:
    s = stage(clock)
    for _ in range(2):
        s.client().send(GET)
        s.at().feed(OK)
        s.at("candidate").feed(OOPS)
        s.apply(s.policy)
        s.start(0)
    assert s.outcomes() == {"shadow_only": 2}
    assert s.counters[at.outcome_word(at.route_row(0), 0) + 1] == 2


def test_with_a_second_answer_the_candidate_is_held_against_that_one(clock: list[Stage]) -> None:
    """Both are copies, measured in the same way; also where the primary's own duration says nothing."""
    s = stage(clock, "candidate", "secondary")
    for stalled in (False, True):
        for _ in range(20):
            client = s.client().send(GET)
            s.at().feed(LONG + b"x" * 49)
            if stalled:
                client.transport.block()
                client.transport.unblock()
            s.at().feed(b"x")
            s.tick(0.1)
            s.at("secondary").feed(OK)
            s.at("candidate").feed(OK)
        s.tick(0.2)
        assert totals(s).judged == (40 if stalled else 20)
        assert totals(s).splits["p50"][0] == 0, "slower than the primary, but no slower than the second answer"
    assert totals(s).delta.count == totals(s, "secondary").delta.count == 20
