from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from shadowproxy.capture import ANSWER, REQUEST, Record, encode_record
from shadowproxy.model.policy import EndpointsPolicy, Loaded
from shadowproxy.replay.endpoints import with_learned
from shadowproxy.replay.recording import Recording
from shadowproxy.replay.rules import Targets, replay_policy


def learned(path: Path, endpoints: EndpointsPolicy | None = None) -> Loaded:
    loaded = replay_policy(Targets("http://127.0.0.1:2", "http://127.0.0.1:1"), None, None, ["GET"], "x", {})
    if endpoints is not None:
        (service,) = loaded.policy.services
        changed = msgspec.structs.replace(service, endpoints=endpoints)
        loaded = msgspec.structs.replace(loaded, policy=msgspec.structs.replace(loaded.policy, services=(changed,)))
    with contextlib.closing(Recording.read([str(path)])) as recording:
        return with_learned(loaded, recording)


def recorded(path: Path) -> Path:
    """Thirty orders that were there, thirty pages that were not, and something that is no request."""
    text = b""
    for number in range(60):
        target, status = (f"/orders/{number}?a=b", 200) if number % 2 else (f"/nothing/{number}", 404)
        request = f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        answer = f"HTTP/1.1 {status} X\r\n\r\n".encode()
        text += encode_record(Record(REQUEST, f"r{number}", number, request)) or b""
        text += encode_record(Record(ANSWER, f"r{number}", number, answer)) or b""
    path.write_bytes(text + (encode_record(Record(REQUEST, "x", 99, b"nonsense")) or b""))
    return path


def test_every_request_has_the_route_that_the_recording_shows(tmp_path: Path) -> None:
    loaded = learned(recorded(tmp_path / "a.gor"))
    (service,) = loaded.policy.services
    assert [(route.name, route.shadow.sample) for route in service.routes] == [("/orders/{id}", 1.0)]
    assert loaded.registry.routes == {"default\nother": 0, "default\n/orders/{id}": 1}


def test_who_does_not_want_that_gets_none(tmp_path: Path) -> None:
    loaded = learned(recorded(tmp_path / "a.gor"), EndpointsPolicy(learn=False))
    assert loaded.policy.services[0].routes == ()


def test_of_many_requests_some_are_looked_at(tmp_path: Path) -> None:
    with contextlib.closing(Recording.read([str(recorded(tmp_path / "a.gor"))])) as recording:
        assert len(list(recording.paths(1000))) == 30
        assert len(list(recording.paths(21))) == 10
