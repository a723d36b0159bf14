"""What a worker hands over to be recorded, through a whole data plane on a fake loop."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shadowproxy.channel import FrameReader, frame
from shadowproxy.metrics import layout as at
from shadowproxy.model.pair import Exchange, FromWorker, Recorded
from shadowproxy.model.policy import CapturePolicy, RoutePolicy, ShadowPolicy
from shadowproxy.shadow import link as room
from tests.fakes.stage import GET, OK, Stage, policy

POST = GET.replace(b"GET", b"POST")[:-2]


def stage(*arms: str, shadow: ShadowPolicy | None = None, **rules: Any) -> Stage:
    route = RoutePolicy("other", 0, shadow=shadow or ShadowPolicy())
    plain = policy(*arms, route=route)
    (service,) = plain.services
    recorded = msgspec.structs.replace(service, capture=CapturePolicy("/a.gor", **rules))
    return Stage(msgspec.structs.replace(plain, services=(recorded,)))


def counts(scene: Stage) -> dict[str, int]:
    """What is not zero: `written`, and every reason."""
    row, words = at.service_row(0), scene.counters
    found = {"written": words[row + at.CAPTURED]}
    found |= {reason: words[row + word] for reason, word in at.CAPTURE_INDEX.items()}
    return {name: n for name, n in found.items() if n}


def exchanges(scene: Stage) -> list[Exchange]:
    decode = msgspec.msgpack.Decoder(FromWorker).decode
    messages = [decode(each) for each in FrameReader().feed(scene.comparer.take())]
    return [message for message in messages if isinstance(message, Exchange)]


def recorded(scene: Stage, number: int, reason: str = "") -> None:
    scene.comparer.feed(frame(msgspec.msgpack.encode(Recorded(number, reason))))


def held(scene: Stage) -> int:
    return sum(budget.held for budget in scene.site.snapshot.budgets)


def test_an_exchange_without_any_candidate_is_recorded_whole() -> None:
    scene = stage()
    client = scene.client().send(GET)
    scene.at().feed(OK[:-3])
    scene.at().feed(OK[-3:])
    assert client.take().endswith(b"hello")
    (exchange,) = exchanges(scene)
    assert exchange.head == scene.at().take()
    assert b"\r\nX-Forwarded-For: 192.0.2.7\r\n" in exchange.head
    assert (exchange.service, exchange.route, exchange.body) == ("default", "other", b"")
    response = exchange.response
    assert response is not None
    assert (response.status, response.reason, response.body) == (200, b"OK", b"hello")
    assert response.block == b"Date: Mon, 23 Nov 2026 15:00:00 GMT\r\nContent-Length: 5\r\n"
    assert held(scene) == 0
    assert counts(scene) == {}
    recorded(scene, exchange.id)
    assert counts(scene) == {"written": 1}
    assert scene.link.recording == 0


def test_a_body_is_recorded_whole_and_without_its_framing() -> None:
    scene = stage()
    client = scene.client().send(POST + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
    client.send(b"3\r\nabc\r\n").send(b"2\r\nde\r\n0\r\n\r\n")
    assert held(scene) == 5
    scene.at().feed(OK)
    (exchange,) = exchanges(scene)
    assert exchange.body == b"abcde"
    assert b"\r\nContent-Length: 5\r\n" in exchange.head
    assert b"chunked" not in exchange.head
    assert b"Expect" not in exchange.head


def test_requests_of_a_connection_bear_its_name() -> None:
    scene = stage()
    one, other = scene.client(), scene.client()
    names = []
    for client in (one, other, one):
        client.send(GET)
        scene.at().feed(OK)
        names += [exchange.connection for exchange in exchanges(scene)]
    assert names[0] == names[2] != names[1]
    mark = names[0][:8]
    assert names[1].startswith(mark)
    again = stage()
    again.client().send(GET)
    again.at().feed(OK)
    assert not exchanges(again)[0].connection.startswith(mark)


def test_beside_copies_the_books_are_as_without_a_recording() -> None:
    scene = stage("candidate")
    scene.client().send(GET)
    scene.at().feed(OK)
    scene.at("candidate").feed(OK)
    assert len(exchanges(scene)) == 1
    assert scene.books() == {"eligible": 1, "sent": 1, "match": 1}
    assert scene.arm().held == 0
    assert held(scene) == 0


def test_the_response_is_kept_though_the_candidate_refused() -> None:
    scene = stage("candidate")
    scene.loop.answers[2] = ConnectionRefusedError()
    scene.client().send(GET)
    scene.at().feed(OK[:-3])
    scene.at().feed(OK[-3:])
    (exchange,) = exchanges(scene)
    assert exchange.response is not None
    assert exchange.response.body == b"hello"


def test_what_the_rules_leave_out_is_not_recorded_and_not_counted() -> None:
    for rules in ({"sample": 0.0}, {"methods": ("POST",)}):
        scene = stage(**rules)
        scene.client().send(GET)
        scene.at().feed(OK)
        assert exchanges(scene) == []
        assert counts(scene) == {}


def test_responses_are_left_out_where_they_are_not_wanted() -> None:
    scene = stage(responses=False)
    scene.client().send(GET)
    scene.at().feed(OK)
    (exchange,) = exchanges(scene)
    assert exchange.response is None
    assert counts(scene) == {}


def test_a_share_of_the_requests_is_a_share_of_them() -> None:
    scene = stage(sample=0.5)
    client = scene.client()
    for _ in range(60):
        client.send(GET)
        scene.at().feed(OK)
        for exchange in exchanges(scene):
            recorded(scene, exchange.id)
    assert 10 < counts(scene)["written"] < 50


@pytest.mark.parametrize(
    ("shadow", "body", "reason"),
    [
        (ShadowPolicy(max_body=4), b"Content-Length: 5\r\n\r\nabcde", "max_body"),
        (ShadowPolicy(max_body=4), b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", "max_body"),
        (ShadowPolicy(max_bytes=4), b"Content-Length: 5\r\n\r\nabcde", "bytes"),
        (ShadowPolicy(max_bytes=4), b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", "bytes"),
    ],
)
def test_a_body_beyond_the_bounds_is_given_up_with_its_reason(shadow: ShadowPolicy, body: bytes, reason: str) -> None:
    scene = stage(shadow=shadow)
    client = scene.client().send(POST + body)
    scene.at().feed(OK)
    assert client.take().endswith(b"hello")
    assert exchanges(scene) == []
    assert counts(scene) == {reason: 1}
    assert held(scene) == 0


def test_a_request_whose_client_went_away_is_not_recorded() -> None:
    scene = stage()
    client = scene.client().send(POST + b"Content-Length: 5\r\n\r\nabc")
    client.transport.lose()
    scene.loop.run()
    assert exchanges(scene) == []
    assert counts(scene) == {"request_incomplete": 1}
    assert held(scene) == 0


def test_a_whole_request_without_a_whole_answer_is_recorded_alone() -> None:
    scene = stage()
    scene.client().send(GET)
    scene.at().feed(OK[:-2])
    scene.at().lose()
    scene.loop.run()
    (exchange,) = exchanges(scene)
    assert exchange.response is None


def test_a_response_beyond_the_bound_is_left_out_and_counted() -> None:
    scene = stage(shadow=ShadowPolicy(max_response=4))
    scene.client().send(GET)
    scene.at().feed(OK)
    (exchange,) = exchanges(scene)
    assert exchange.response is None
    assert counts(scene) == {"max_response": 1}


def test_upgrades_are_not_recorded() -> None:
    scene = stage()
    scene.client().send(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    scene.at().feed(OK)
    assert exchanges(scene) == []
    assert counts(scene) == {}


def test_without_a_comparer_or_with_a_busy_one_nothing_waits() -> None:
    scene = stage()
    client = scene.client()
    for _ in range(room.MAX_RECORDED + 3):
        client.send(GET)
        scene.at().feed(OK)
    assert scene.link.recording == room.MAX_RECORDED
    assert counts(scene) == {"busy": 3}
    scene.loop.answers["/comparer"] = None
    scene.comparer.lose()
    scene.loop.run()
    assert counts(scene) == {"busy": 3, "comparer_gone": room.MAX_RECORDED}
    client.send(GET)
    scene.at().feed(OK)
    assert counts(scene)["comparer_gone"] == room.MAX_RECORDED + 1


def test_a_comparer_that_became_busy_meanwhile() -> None:
    scene = stage()
    scene.client().send(GET)
    waiting = scene.at()
    others = [scene.client() for _ in range(room.MAX_RECORDED)]
    for other in others:
        other.send(GET)
        scene.at().feed(OK)
    waiting.feed(OK)
    assert counts(scene) == {"busy": 1}


def test_bytes_on_their_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_RECORDED_BYTES", 100)
    scene = stage()
    client = scene.client()
    for _ in range(2):
        client.send(GET)
        scene.at().feed(OK)
    assert counts(scene) == {"busy": 1}
    recorded(scene, exchanges(scene)[0].id, "redaction")
    assert counts(scene) == {"busy": 1, "redaction": 1}
    client.send(GET)
    scene.at().feed(OK)
    assert len(exchanges(scene)) == 1


def test_the_worker_ends_before_it_is_known() -> None:
    scene = stage()
    scene.client().send(GET)
    scene.at().feed(OK)
    with scene.loop.running():
        scene.link.close()
    assert counts(scene) == {"shutdown": 1}


def test_a_comparer_that_makes_up_reasons_is_disconnected() -> None:
    scene = stage()
    scene.client().send(GET)
    scene.at().feed(OK)
    recorded(scene, 99)
    assert counts(scene) == {}
    recorded(scene, exchanges(scene)[0].id, "mood")
    scene.loop.run()
    assert counts(scene) == {"comparer_gone": 1}


def test_a_reload_can_begin_and_end_a_recording() -> None:
    scene = stage()
    recording = scene.policy
    (service,) = recording.services
    scene.apply(msgspec.structs.replace(recording, services=(msgspec.structs.replace(service, capture=None),)))
    client = scene.client().send(GET)
    scene.at().feed(OK)
    assert exchanges(scene) == []
    scene.apply(recording)
    client.send(GET)
    scene.at().feed(OK)
    assert len(exchanges(scene)) == 1


def test_while_nothing_is_mirrored_the_recording_goes_on() -> None:
    scene = stage("candidate")
    scene.site.snapshot.services[0].held_out = True
    scene.client().send(GET)
    scene.at().feed(OK)
    assert len(exchanges(scene)) == 1
    assert scene.books() == {"eligible": 1, "sampled_out": 1}


def test_copies_of_another_shadowproxy_are_not_recorded() -> None:
    scene = stage()
    scene.apply(msgspec.structs.replace(scene.policy, trusted_proxies=("192.0.2.0/24",)))
    scene.client().send(GET[:-2] + b"X-Shadow-Request: candidate\r\n\r\n")
    scene.at().feed(OK)
    assert exchanges(scene) == []
