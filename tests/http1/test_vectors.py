"""Outside cases, at the level of this room: the bytes through head reader, parser and body reader, and back to bytes.

The cases are data that lies beside a checkout; without them these tests are skipped.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shadowproxy.http1 import (
    CHUNKED,
    UNTIL_CLOSE,
    RequestHead,
    ResponseHead,
    encode_chunk,
    encode_trailers,
    forward_request,
    forward_response,
)
from tests.e2e import wire
from tests.http1.drive import Message, Outcome, drive

VECTORS = Path(__file__).parents[3] / "shared" / "vectors"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason=f"no outside cases at {VECTORS}")


def vectors(name: str) -> list[Any]:
    cases = json.loads((VECTORS / name).read_text()) if VECTORS.is_dir() else []
    return [pytest.param(case, id=case["id"]) for case in cases]


def splits(raw: bytes) -> Iterator[list[bytes]]:
    for size in (1, 2, 3, 7, 64, max(len(raw), 1)):
        yield [raw[i : i + size] for i in range(0, len(raw), size)]


def same_for_all(raw: bytes, methods: list[bytes] | None = None) -> Outcome:
    first, *others = (drive(raw, pieces, methods=methods) for pieces in splits(raw))
    assert all(other == first for other in others)
    return first


def body_out(message: Message, chunked: bool) -> bytes:
    """The body as the proxy sends it on."""
    if not chunked:
        return message.body
    return encode_chunk(message.body) + (encode_trailers(message.trailers) if message.whole else b"")


@pytest.mark.parametrize("case", vectors("http1_requests.json"))
def test_request(case: dict[str, Any]) -> None:
    raw = base64.b64decode(case["raw_b64"])
    outcome = same_for_all(raw)
    if case["hard"] and case["expect"] == "reject":
        assert outcome.fault
        assert len(outcome.bodies) <= case["requests"]
    elif case["hard"]:
        assert not outcome.fault
        assert outcome.bodies == case["body_bytes"]
        assert outcome.waiting == case["incomplete"]
    emitted = b""
    for message in outcome.messages:
        assert isinstance(message.head, RequestHead)
        framing = message.head.framing
        emitted += forward_request(message.head, b"", frozenset(), framing, b"upstream.example")
        emitted += body_out(message, framing == CHUNKED)
    forwarded = wire.requests(emitted)
    assert [len(message.body) for message in forwarded if message.whole] == outcome.bodies
    assert len(forwarded) == len(outcome.messages)


@pytest.mark.parametrize("case", vectors("http1_responses.json"))
def test_response(case: dict[str, Any]) -> None:
    method = case["request_method"].encode()
    if method == b"CONNECT":
        pytest.skip("CONNECT is refused before there is an upstream")
    raw = base64.b64decode(case["raw_b64"])
    outcome = same_for_all(raw, [method, b"never asked"])
    if case["hard"] and case["expect"] == "reject":
        assert outcome.fault == "malformed"
    elif case["hard"]:
        verify_response(outcome, case)
    emitted = b""
    for message in outcome.messages[: len(case["interim"] or []) + 1]:
        assert isinstance(message.head, ResponseHead)
        framing = message.head.framing
        emitted += forward_response(message.head, b"", framing, b"Thu, 01 Jan 1970 00:00:00 GMT")
        emitted += body_out(message, framing == CHUNKED)
    forwarded = wire.responses(emitted, [method])
    assert [message.body for message in forwarded] == [message.body for message in outcome.messages[: len(forwarded)]]


def verify_response(outcome: Outcome, case: dict[str, Any]) -> None:
    """The vector's own reading of the interim responses, the final one, and whether that is whole."""
    heads = [message.head for message in outcome.messages if isinstance(message.head, ResponseHead)]
    interim = len(case["interim"])
    assert [head.status for head in heads[:interim]] == case["interim"]
    if case["status"] is None:
        assert len(heads) == interim
        return
    head, final = heads[interim], outcome.messages[interim]
    assert head.status == case["status"]
    if case["body_bytes"] is not None:
        assert len(final.body) == case["body_bytes"]
    assert (final.whole or head.framing == UNTIL_CLOSE) == case["complete"]
