"""How many pairs one comparer handles per second, by size of the body and number of differences.

What is measured is a comparer's whole work on one pair: decode the frame that the worker sent, compare with
aggregates and examples on, encode the answer. Best of several rounds, on one core, without the socket.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from typing import Any

import msgspec

from shadowproxy.compare import Engine
from shadowproxy.model.pair import CapturedRequest, CapturedResponse, Fields, Pair
from shadowproxy.model.policy import ComparePolicy, Policy, RoutePolicy, ServicePolicy
from shadowproxy.runtime.comparer import settle_collector

SIZES = {"small": 150, "2 KB": 2_000, "12 KB": 12_000, "120 KB": 120_000}
DIFFERENCES = (0, 1, 20)
ROUNDS = 5
SECONDS = 0.3
RULES = ComparePolicy(
    ignore=("header:server", "$.updated_at", "$..trace_id"), unordered=("$.tags",), tolerance={"$.score": 0.001}
)
HEAD: Fields = [
    (b"Content-Type", b"application/json"),
    (b"Cache-Control", b"private, max-age=0"),
    (b"Vary", b"Accept-Encoding"),
    (b"X-Frame-Options", b"DENY"),
    (b"Connection", b"keep-alive"),
]
REQUEST = CapturedRequest(
    b"GET",
    b"/items/42?expand=all",
    [
        (b"Host", b"shop.example"),
        (b"User-Agent", b"Mozilla/5.0"),
        (b"Accept", b"application/json"),
        (b"Cookie", b"session=0123456789abcdef"),
    ],
)


def written(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def document(size: int) -> dict[str, Any]:
    """A JSON object of about `size` bytes: a head and a list of items, or so many short members where it is small."""
    rng = random.Random(7)
    if size < 1000:
        return {"id": 42, "name": "Widget", **{chr(97 + n): n for n in range(min((size - 30) // 6, 26))}}
    value: dict[str, Any] = {"id": 42, "name": "Widget", "score": 0.5, "tags": ["new", "sale"], "items": []}
    while len(written(value)) < size:
        n = len(value["items"])
        item = {"sku": f"sku-{n:05d}", "qty": rng.randrange(100), "price": rng.randrange(10_000) / 100, "ok": n % 3 > 0}
        value["items"].append(item | {"note": "as described", "trace_id": f"{rng.getrandbits(64):016x}"})
    return value


def changed(value: dict[str, Any], count: int) -> dict[str, Any]:
    """A copy with `count` values changed, spread over the document; none of them is ignored by a rule."""
    copy: dict[str, Any] = json.loads(json.dumps(value))
    places = [(copy, key) for key, held in copy.items() if key not in ("score", "tags", "items")]
    places += [(item, key) for key in ("price", "qty", "note", "sku") for item in copy.get("items", ())]
    step = max(1, len(places) // count) if count else 1
    for holder, key in places[::step][:count]:
        holder[key] = f"{holder[key]}x" if isinstance(holder[key], str) else holder[key] + 1
    return copy


def frame(size: int, count: int) -> bytes:
    """A pair as a worker sends it. Without differences the members come in another order: bytes differ, values not."""
    value = document(size)
    other = changed(value, count)
    if not count:
        other = dict(reversed(other.items()))
    bodies = [written(value), written(other)]
    responses = []
    for body, second in zip(bodies, (b"01", b"02"), strict=True):
        fields = [*HEAD, (b"Date", b"Mon, 01 Jan 2024 00:00:" + second), (b"Content-Length", b"%d" % len(body))]
        responses.append(CapturedResponse(200, fields, body, 0.012))
    pair = Pair(1, "shop", "item", "candidate", "0123456789abcdef", 1.7e9, REQUEST, responses[0], responses[1])
    return msgspec.msgpack.encode(pair)


def rate(payload: bytes) -> float:
    """Pairs per second, the best of `ROUNDS`."""
    route = RoutePolicy("item", 0, compare=RULES)
    engine = Engine(Policy((ServicePolicy("shop", 0, {}, (route,)),)), b"key", time.monotonic)
    decode, encode = msgspec.msgpack.Decoder(Pair).decode, msgspec.msgpack.Encoder().encode
    settle_collector()
    best = 0.0
    for _ in range(ROUNDS):
        pairs, started = 0, time.process_time()
        while (spent := time.process_time() - started) < SECONDS:
            for _ in range(10):
                encode(engine.handle(decode(payload)))
            pairs += 10
        engine.harvest()
        best = max(best, pairs / spent)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    asked = parser.parse_args()
    rows = []
    for name, size in SIZES.items():
        for count in DIFFERENCES:
            per_second = rate(frame(size, count))
            rows.append({"body": name, "differences": count, "pairs_per_s": per_second, "us": 1e6 / per_second})
    if asked.json:
        json.dump(rows, sys.stdout)
        return
    print(f"{'body':>8} {'differences':>12} {'pairs/s':>10} {'µs/pair':>9}")
    for row in rows:
        print(f"{row['body']:>8} {row['differences']:>12} {row['pairs_per_s']:>10,.0f} {row['us']:>9.1f}")


if __name__ == "__main__":
    main()
