"""HTTP/1.1 without I/O: bytes to heads and bodies, and back. Strict on both sides, for any split of the bytes."""

from shadowproxy.http1.body import BodyReader, ChunkedReader, CloseReader, LengthReader, body_reader
from shadowproxy.http1.forward import (
    LAST_CHUNK,
    encode_chunk,
    encode_trailers,
    forward_request,
    forward_response,
    plain_response,
)
from shadowproxy.http1.framing import CHUNKED, NO_BODY, UNTIL_CLOSE
from shadowproxy.http1.head_reader import HeadReader
from shadowproxy.http1.request import RequestHead, parse_request
from shadowproxy.http1.response import ResponseHead, parse_response

__all__ = [
    "CHUNKED",
    "LAST_CHUNK",
    "NO_BODY",
    "UNTIL_CLOSE",
    "BodyReader",
    "ChunkedReader",
    "CloseReader",
    "HeadReader",
    "LengthReader",
    "RequestHead",
    "ResponseHead",
    "body_reader",
    "encode_chunk",
    "encode_trailers",
    "forward_request",
    "forward_response",
    "parse_request",
    "parse_response",
    "plain_response",
]
