"""Bodies made to hurt: each is bounded in time and memory and costs one verdict at most (faults.md, 13, 14, 15)."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from shadowproxy.compare import Engine
from shadowproxy.model.pair import Aggregate, Answer, CapturedResponse, Fields
from shadowproxy.model.policy import MIB, ComparePolicy
from tests.compare.builders import BYTES, FORM, JSON, TEXT, pair, policy, response

WHOLE = 8 * MIB - 64
"""As large as a decoded body may be."""
MANY = 500_000


def coded(body: bytes, coding: str) -> CapturedResponse:
    return response(body, [*JSON, (b"Content-Encoding", coding.encode())])


def keys(prefix: str, value: int) -> bytes:
    return json.dumps({f"{prefix}{n}": value for n in range(MANY)}).encode()[:WHOLE]


def nested(depth: int, leaf: bytes) -> bytes:
    return b"[" * depth + leaf + b"]" * depth


def wide_and_nested(leaf: bytes) -> bytes:
    one = nested(60, leaf)
    return b"[" + b",".join([one] * (WHOLE // (len(one) + 1) - 1)) + b"]"


def bomb(coding: str) -> bytes:
    zeros = b"\0" * (64 * MIB)
    match coding:
        case "gzip":
            return gzip.compress(zeros)
        case "deflate":
            return zlib.compress(zeros)
        case "br":
            return bytes(brotli.compress(zeros, quality=1))
    return bytes(zstandard.ZstdCompressor().compress(zeros))


BODIES: dict[str, Callable[[], tuple[CapturedResponse, CapturedResponse]]] = {
    "deep, never closed": lambda: (response(b"[" * WHOLE), response(b"[]")),
    "deep objects": lambda: (response(b'{"a":' * 1_000_000 + b"1" + b"}" * 1_000_000), response(b"{}")),
    "deep within the cap, and wide": lambda: (response(wide_and_nested(b"1")), response(wide_and_nested(b"2"))),
    "quotes alone": lambda: (response(b'"' * WHOLE), response(b'"' * (WHOLE - 1))),
    "backslashes": lambda: (response(b'["' + b"\\" * (WHOLE - 64) + b'"]'), response(b"[" * 65)),
    "half a million keys": lambda: (response(keys("k", 1)), response(keys("k", 2))),
    "half a million other keys": lambda: (
        response(json.dumps({f"a{n}": 1 for n in range(MANY)}).encode()),
        response(json.dumps({f"b{n}": 1 for n in range(MANY)}).encode()),
    ),
    "half a million repeats of a key": lambda: (
        response(b"{" + b'"a":1,' * MANY + b'"a":2}'),
        response(b"{" + b'"a":3,' * MANY + b'"a":2}'),
    ),
    "a wide array": lambda: (response(list(range(MANY))), response(list(range(1, MANY + 1)))),
    "a wide array reversed": lambda: (response(list(range(MANY))), response(list(range(MANY))[::-1])),
    "huge integers": lambda: (response(b"[%s]" % (b"9" * (WHOLE - 9))), response(b"[%s8]" % (b"9" * (WHOLE - 10)))),
    "many large integers": lambda: (
        response(b"[%s]" % b",".join([b"7" * 3999] * 2000)),
        response(b"[%s]" % b",".join([b"7" * 3998 + b"8"] * 2000)),
    ),
    "huge exponents": lambda: (response(b"[1e999999999]"), response(b"[2e999999999]")),
    "a long fraction": lambda: (response(b"[0.%s]" % (b"1" * 8_000_000)), response(b"[0.%s]" % (b"2" * 8_000_000))),
    "invalid UTF-8": lambda: (response(b'["' + b"\xff" * (WHOLE - 9) + b'"]'), response(b'["\xfe"]')),
    "lone surrogates": lambda: (response(b'["\\ud800"]'), response(b'["\\udfff"]')),
    "empty lines": lambda: (response(b"\n" * WHOLE, TEXT), response(b"\n" * (WHOLE - 1), TEXT)),
    "lines": lambda: (
        response(b"".join(b"%d\n" % n for n in range(99_999)), TEXT),
        response(b"".join(b"%d\n" % n for n in range(99_999, 0, -1)), TEXT),
    ),
    "a form of ampersands": lambda: (response(b"&" * WHOLE, FORM), response(b"&" * (WHOLE - 1), FORM)),
    "a form of fields": lambda: (
        response(b"&".join(b"f%d=1" % n for n in range(9_999)), FORM),
        response(b"&".join(b"f%d=2" % n for n in range(9_999)), FORM),
    ),
    "bytes": lambda: (response(b"\0" * WHOLE, BYTES), response(b"\0" * (WHOLE - 1) + b"\1", BYTES)),
    "a gzip bomb": lambda: (coded(bomb("gzip"), "gzip"), response(b"{}")),
    "a deflate bomb": lambda: (coded(bomb("deflate"), "deflate"), response(b"{}")),
    "a brotli bomb": lambda: (coded(bomb("br"), "br"), response(b"{}")),
    "a zstd bomb": lambda: (coded(bomb("zstd"), "zstd"), response(b"{}")),
    "a bomb in a bomb": lambda: (coded(gzip.compress(bomb("gzip")), "gzip, gzip"), response(b"{}")),
    "tiny gzip members": lambda: (coded(gzip.compress(b"") * 200_000, "gzip"), response(b"{}")),
    "secrets": lambda: (response(b"eyJ" * 700_000, TEXT), response(b"token" * 400_000, TEXT)),
    "secrets in JSON": lambda: (
        response({"a": "eyJ-eyJ." * 7_000, "token" * 9_000: "password" * 8_000}),
        response({"a": "token=" * 10_000}),
    ),
    "many header fields": lambda: (
        response(b"", [(b"x%d" % n, b"a" * 200) for n in range(2_000)]),
        response(b"", [(b"y%d" % n, b"token=" * 40) for n in range(2_000)]),
    ),
}


def engine() -> Engine:
    rules = ComparePolicy(ignore=("$..nothing",), redact_patterns=(r"[a-z]+@[a-z]+", r"\d{4}-\d{4}"))
    return Engine(policy(rules), b"key", time.monotonic)


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_bounded_in_time(name: str) -> None:
    primary, shadow = BODIES[name]()
    hit = engine()
    started = time.process_time()
    answers = [hit.handle(pair(primary, shadow)), hit.handle(pair(shadow, primary))]
    spent = time.process_time() - started
    aggregate, examples = hit.harvest()
    assert spent / len(answers) < 1.0
    assert all(isinstance(answer, Answer) and answer.verdict in ("mismatch", "incomparable") for answer in answers)
    assert isinstance(aggregate, Aggregate)
    assert ("shop", "item", "internal") not in {count[:3] for count in aggregate.incomparable}
    assert "failed" not in aggregate.suppressed
    assert all(len(example.primary_body) <= 70_000 for example in examples)


@pytest.mark.parametrize("name", [name for name in BODIES if "bomb" in name or "members" in name])
def test_a_bomb_is_bounded_in_memory(name: str) -> None:
    primary, shadow = BODIES[name]()
    hit = engine()
    hit.handle(pair(response({"a": 1}), response({"a": 2})))
    tracemalloc.start()
    try:
        hit.handle(pair(primary, shadow))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 * MIB


def test_fields_that_never_end_stay_bounded() -> None:
    hit = engine()
    for n in range(300):
        body = {f"key{chr(97 + i % 26)}{n}_{i}": {f"sub{n}_{i}": 1} for i in range(40)}
        headers: Fields = [*JSON, (b"x-%d" % n, b"1")]
        hit.handle(pair(response(body), response({key: {"other": 2} for key in body}, headers)))
    aggregate, _ = hit.harvest()
    assert len(aggregate.fields) <= 1024 + 3
    hit.harvest()
