"""What recording costs, for each exchange with 1 KiB of JSON: the worker, and the comparer that redacts.

Run: `python -m benchmarks.capture_micro`
"""

from __future__ import annotations

import json
import time
import timeit
from collections.abc import Callable
from time import process_time
from types import SimpleNamespace

from shadowproxy.compare import Engine
from shadowproxy.http1 import parse_request, parse_response
from shadowproxy.metrics.counters import Counters
from shadowproxy.model.pair import Exchange, Recorded, RecordedResponse
from shadowproxy.model.policy import CapturePolicy, LimitsPolicy, Policy, RoutePolicy, ServicePolicy
from shadowproxy.shadow.link import Link
from shadowproxy.shadow.recorder import Budget, Recorder
from shadowproxy.shadow.tap import transcribe

HEAD = (
    b"GET /items/1?ref=mail HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n"
    b"Accept: application/json\r\nAccept-Language: en, de;q=0.7\r\nCookie: sid=17\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"
)
BODY = json.dumps({"id": 1, "name": "oak bowl", "tags": ["oak", "felt"], "text": "a bowl made of oak. " * 47}).encode()
BLOCK = b"Content-Type: application/json\r\nContent-Length: %d\r\nDate: Mon, 23 Nov 2026 15:00:00 GMT\r\n" % len(BODY)


def microseconds(call: Callable[[], object], number: int) -> float:
    """Of the processor's time, so that other programs matter less: the least of many repeats."""
    return min(timeit.repeat(call, timer=process_time, number=number, repeat=20)) / number * 1e6


def main() -> None:
    service = ServicePolicy("shop", 0, {}, other=RoutePolicy("other", 0), capture=CapturePolicy("shop.gor"))
    assert service.capture is not None
    link = Link("nowhere")
    link.connection_made(SimpleNamespace(write=lambda data: None))  # type: ignore[arg-type]
    recorder = Recorder(service, service.capture, service.other, Budget(2**24), Counters(1).block(0), link, "mark")
    limits = LimitsPolicy()
    request = parse_request(HEAD, limits)
    response = parse_response(b"HTTP/1.1 200 OK\r\n" + BLOCK + b"\r\n", b"GET", limits)

    def record() -> None:
        tap = transcribe(None, recorder, request, b"id", 1.7e9, 1.0, 5)
        assert tap is not None
        tap.launch(request, b"", frozenset(), HEAD)
        tap.head = response
        tap.take(BODY)
        tap.decide(True, 0.01)
        link._written(Recorded(link._last_id))

    engine = Engine(Policy((service,)), b"key", time.monotonic)
    answer = RecordedResponse(200, b"OK", BLOCK, BODY, 0.01)
    exchange = Exchange(1, "shop", "other", "id", 1.7e9, "c1", HEAD, b"", answer)
    assert engine.transcribe(exchange) is not None
    print(f"worker: follow an exchange and hand it over   {microseconds(record, 5000):6.1f} µs")
    redact = microseconds(lambda: engine.transcribe(exchange), 500)
    print(f"comparer: redact it                           {redact:6.1f} µs")


if __name__ == "__main__":
    main()
