"""What one request and one response cost in `shadowproxy.http1`, in microseconds: the least of many repeats.

Run: `python benchmarks/http1_micro.py`
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

from shadowproxy.http1 import (
    CHUNKED,
    ChunkedReader,
    HeadReader,
    encode_chunk,
    forward_request,
    forward_response,
    parse_request,
    parse_response,
)
from shadowproxy.model.policy import LimitsPolicy

REQUEST = (
    b"GET /items/42?color=blue HTTP/1.1\r\nHost: shop.example\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0\r\nAccept: application/json\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n"
    b"Cookie: session=0123456789abcdef0123456789abcdef\r\nConnection: keep-alive\r\n\r\n"
)
POST = (
    b"POST /orders HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: service/1.0\r\nContent-Type: application/json\r\n"
    b"Content-Length: 136\r\nX-Forwarded-For: 10.1.2.3\r\nX-Request-Id: 0123456789abcdef\r\nAccept: */*\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2048\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
    b'Connection: keep-alive\r\nETag: "65920080-800"\r\nAccept-Ranges: bytes\r\n\r\n'
)
OWN = b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Request-Id: 0123456789abcdef\r\nVia: 1.1 sp-1f2e\r\n"
STRIP = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id", b"via", b"x-shadow-request"})
DATE = b"Mon, 01 Jan 2024 00:00:00 GMT"
LIMITS = LimitsPolicy()


def main() -> None:
    get, post = parse_request(REQUEST, LIMITS), parse_request(POST, LIMITS)
    answer = parse_response(RESPONSE, b"GET", LIMITS)
    reader = HeadReader(LIMITS, request=True)
    chunks = encode_chunk(b"x" * 4096) * 16
    cases: dict[str, Callable[[], object]] = {
        "HeadReader.feed, one head": lambda: reader.feed(REQUEST),
        "parse_request, GET of 7 fields": lambda: parse_request(REQUEST, LIMITS),
        "parse_request, POST of 7 fields behind a proxy": lambda: parse_request(POST, LIMITS),
        "RequestHead.fields": lambda: get.fields,
        "forward_request, GET": lambda: forward_request(get, OWN, STRIP, get.framing),
        "forward_request, POST with two fields replaced": lambda: forward_request(post, OWN, STRIP, post.framing),
        "parse_response, 8 fields": lambda: parse_response(RESPONSE, b"GET", LIMITS),
        "forward_response": lambda: forward_response(answer, b"", answer.framing, DATE),
        "ChunkedReader.feed, 16 chunks of 4 KiB": lambda: ChunkedReader(LIMITS, request=False).feed(chunks),
        "forward_response, chunked": lambda: forward_response(answer, b"", CHUNKED, DATE),
    }
    for name, case in cases.items():
        loops = 20_000
        print(f"{min(timeit.repeat(case, number=loops, repeat=15)) / loops * 1e6:7.2f} µs  {name}")


if __name__ == "__main__":
    main()
