"""The harness itself: it would be a pity if a test passed because its tools did not look."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.e2e import wire
from tests.e2e.clients import curl, node_fetch, send_raw
from tests.e2e.harness import Metrics, eventually, imbalances
from tests.e2e.rollouts import BLUE, GREEN, Load, Visit, users, versions
from tests.e2e.servers import nginx, node
from tests.e2e.upstreams import RawUpstream, answer, answers, by_path, closes, drips, echoes, resets

GET = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_raw_upstream_keeps_what_it_received() -> None:
    with RawUpstream(answers(answer(b"first"), answer(b"later"))).running() as upstream:
        replies = send_raw(upstream.port, GET * 3, half_close=True)
    assert [m.body for m in wire.responses(replies, [b"GET"] * 3)] == [b"first", b"later", b"later"]
    assert upstream.received == GET * 3


def test_a_raw_upstream_misbehaves_on_demand() -> None:
    with RawUpstream(closes(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")).running() as upstream:
        assert not wire.responses(send_raw(upstream.port, GET), [b"GET"])[0].whole
        upstream.script = resets()
        assert send_raw(upstream.port, GET) == b""
        upstream.script = drips(answer(b"x"), 0.001)
        assert send_raw(upstream.port, GET) == answer(b"x")
        upstream.script = by_path({"/a": answer(b"A")})
        assert send_raw(upstream.port, GET, half_close=True) == answer(b"A")


def test_three_clients_and_three_servers_understand_each_other(tmp_path: Path) -> None:
    with (
        RawUpstream(echoes).running() as raw,
        nginx(tmp_path / "nginx", {"/hello.json": '{"a":1}'}) as web,
        node(tmp_path / "node", "response.end('node ' + request.url)") as script,
    ):
        echo = curl(raw.url + "/x", "-X", "PUT", "-H", "Transfer-Encoding: chunked", body=b"hello")
        assert json.loads(echo.body)["body"] == "hello"
        assert curl(web.url + "/hello.json").body == b'{"a":1}'
        assert [r.body for r in node_fetch(script.url + "/y", times=2)] == [b"node /y"] * 2


@pytest.mark.parametrize(
    "data",
    [
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /#f HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x00\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    ],
)
def test_what_no_sender_may_generate_is_seen(data: bytes) -> None:
    with pytest.raises(wire.StrictError):
        wire.requests(data)


def test_messages_are_taken_apart() -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n"
    first, second, third = wire.requests(chunked + GET + chunked[:-4])
    assert (first.body, first.trailers, first.whole) == (b"abc", [(b"T", b"v")], True)
    assert second.start == (b"GET", b"/a?b=c")
    assert not third.whole
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert [m.status for m in wire.responses(interim + head + head + b"hello", [b"HEAD", b"GET"])] == [103, 200, 200]
    assert not wire.responses(b"HTTP/1.1 200 OK\r\n\r\nbody", [b"GET"], closed=False)[0].whole


def test_books_that_do_not_balance_are_found() -> None:
    text = """
shadowproxy_shadow_eligible_total{service="s",route="r",arm="candidate"} 5
shadowproxy_shadow_dropped_total{service="s",route="r",arm="candidate",reason="age"} 1
shadowproxy_shadow_sent_total{service="s",route="r",arm="candidate"} 4
shadowproxy_comparisons_total{service="s",route="r",arm="candidate",verdict="match"} %d
"""
    assert imbalances(Metrics.parse(text % 4)) == []
    assert imbalances(Metrics.parse(text % 3))[0].startswith("s/r/candidate: ")


def test_versions_misbehave_and_users_note_what_became_of_them() -> None:
    with versions(errors=0.5) as (blue, green), users(green.port, rate=400, count=10) as load:
        eventually(lambda: load.failures()[500] > 20 and load.served()[GREEN] > 20)
        green.errors, green.delay = 0.0, 0.05
        since = time.monotonic() + 1.0
        eventually(lambda: load.served(since)[GREEN] > 50)
        assert not load.failures(since)
        assert all(visit.seconds >= 0.05 for visit in load.visits if visit.at > since)
        green.die()
        eventually(lambda: load.served(since)[""] > 5)
        green.live()
        eventually(lambda: load.served(time.monotonic() - 0.1)[GREEN] > 1)
        assert (blue.requests, green.requests["copies"], load.share()) == ({}, 0, 1.0)


def test_a_flip_is_a_user_who_was_the_candidates_and_is_the_primarys_again() -> None:
    ways = [("a", BLUE, 0), ("a", GREEN, 1), ("b", GREEN, 1), ("b", BLUE, 1.5), ("b", "", 3), ("a", BLUE, 3)]
    load = Load(0, 1, 1, [Visit(at, user, 200, arm, 0.0) for user, arm, at in ways])
    assert load.flips() == ["a"]
