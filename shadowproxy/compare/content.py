"""From the bytes on the wire to the bytes that are compared, and what they are.

Content codings (RFC 9110 section 8.4) are undone in streams: output is asked for in portions, so that a bomb is
stopped after `max_decoded` bytes, or once it has grown by more than `max_ratio`, whatever it would have become.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final

import brotli
import zstandard

from shadowproxy.compare.limits import Deadline, IncomparableError
from shadowproxy.model.pair import Fields
from shadowproxy.model.policy import KIB, MIB, ComparePolicy

_PORTION: Final = 64 * KIB
_SLICE: Final = 16 * KIB
"""Input is fed in slices: a gzip file of many tiny members copies what is left of a slice for each of them."""
_RATIO_FLOOR: Final = 64 * KIB
"""Below this much output no ratio is suspicious."""
_MAX_CODINGS: Final = 4
_ZSTD_WINDOW: Final = 8 * MIB
"""What a decoder has to support at most: RFC 9659."""
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ERRORS: Final = (zlib.error, brotli.error, zstandard.ZstdError)

JSON: Final = "json"
FORM: Final = "form"
XML: Final = "xml"
XHTML: Final = "xhtml"
HTML: Final = "html"
RECORDS: Final = "records"
EVENTS: Final = "events"
MULTIPART: Final = "multipart"
TEXT: Final = "text"
BYTES: Final = "bytes"
UNKNOWN: Final = ""
"""No content type was given."""

TEXTUAL: Final = frozenset({FORM, XML, XHTML, HTML, RECORDS, EVENTS, TEXT})
"""Kinds that are text whatever their charset."""
_KINDS: Final = {
    "application/x-www-form-urlencoded": FORM,
    "application/javascript": TEXT,
    "application/ecmascript": TEXT,
    "application/graphql": TEXT,
    "application/jsonl": RECORDS,
    "application/json-seq": RECORDS,
    "application/jsonlines": RECORDS,
    "application/ndjson": RECORDS,
    "application/sql": TEXT,
    "application/toml": TEXT,
    "application/x-javascript": TEXT,
    "application/x-json": JSON,
    "application/x-jsonlines": RECORDS,
    "application/x-ndjson": RECORDS,
    "application/x-yaml": TEXT,
    "application/xhtml+xml": XHTML,
    "application/xml": XML,
    "application/yaml": TEXT,
    "text/event-stream": EVENTS,
    "text/html": HTML,
    "text/json": JSON,
    "text/xml": XML,
}
_SUFFIXES: Final = {"+json": JSON, "+json-seq": RECORDS, "+xml": XML, "+yaml": TEXT, "/json": JSON}


class UndecodableError(Exception):
    """The body is not what its Content-Encoding says, or the coding is not known."""


def field_values(fields: Fields, name: bytes) -> list[bytes]:
    """Every value of a field, in order. `name` in lower case."""
    length = len(name)
    return [value for key, value in fields if len(key) == length and key.lower() == name]


def content_type(fields: Fields) -> str:
    """The media type with its parameters; empty when there is none."""
    values = field_values(fields, b"content-type")
    return values[0].decode("latin-1").strip() if values else ""


@lru_cache(256)
def kind_of(media_type: str) -> str:
    """What a body of this media type is compared as: `JSON`, `XML`, `TEXT`, … or `UNKNOWN`."""
    essence = media_type.partition(";")[0].strip().lower()
    if not essence:
        return UNKNOWN
    if essence in _KINDS:
        return _KINDS[essence]
    if essence.startswith("multipart/"):
        return MULTIPART
    for suffix, kind in _SUFFIXES.items():
        if essence.endswith(suffix):
            return kind
    return TEXT if essence.startswith("text/") else BYTES


def codings(fields: Fields) -> list[str]:
    """The content codings in the order in which they were applied, `identity` left out."""
    values = field_values(fields, b"content-encoding")
    if not values:
        return []
    listed = b",".join(values).decode("latin-1").lower()
    return [coding for part in listed.split(",") if (coding := part.strip()) not in ("", "identity")]


def decode(body: bytes, applied: list[str], policy: ComparePolicy, deadline: Deadline, *, partial: bool) -> bytes:
    """`body` with its codings undone. `partial`: it may end anywhere.

    Raises UndecodableError, and IncomparableError (`decoded_too_large`, `ratio`, `too_slow`).
    """
    if len(applied) > _MAX_CODINGS:
        raise UndecodableError(f"{len(applied)} codings")
    wire = len(body)
    for coding in reversed(applied):
        decoder = _DECODERS.get(coding)
        if decoder is None:
            raise UndecodableError(coding)
        if body:
            body = _bounded(decoder(body, partial), wire, policy, deadline)
    if len(body) > policy.max_decoded:
        raise IncomparableError("decoded_too_large")
    return body


def _bounded(portions: Iterable[bytes], wire: int, policy: ComparePolicy, deadline: Deadline) -> bytes:
    kept: list[bytes] = []
    size = 0
    try:
        for portion in portions:
            deadline.check()
            kept.append(portion)
            size += len(portion)
            if size > policy.max_decoded:
                raise IncomparableError("decoded_too_large")
            if size > _RATIO_FLOOR and size > wire * policy.max_ratio:
                raise IncomparableError("ratio")
    except _ERRORS as error:
        raise UndecodableError(str(error)) from None
    return b"".join(kept)


def _slices(body: bytes) -> Iterator[bytes]:
    return (body[start : start + _SLICE] for start in range(0, len(body), _SLICE))


def _gzip(body: bytes, partial: bool) -> Iterator[bytes]:
    """RFC 1952: members follow each other. What comes after the last and begins none is ignored, as gzip does."""
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    for data in _slices(body):
        while data:
            if member.eof:
                if not data.startswith(_GZIP_MAGIC[: len(data)]):
                    return
                member = zlib.decompressobj(16 + zlib.MAX_WBITS)
            yield member.decompress(data, _PORTION)
            data = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof and not partial:
        raise zlib.error("it ends too early")


def _deflate(body: bytes, partial: bool) -> Iterator[bytes]:
    """The zlib format of RFC 1950; or a bare deflate stream, which some servers send (RFC 9110 section 8.4.1.2)."""
    wrapped = body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0
    stream = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
    for data in _slices(body):
        while data and not stream.eof:
            yield stream.decompress(data, _PORTION)
            data = stream.unconsumed_tail
    if not stream.eof and not partial:
        raise zlib.error("it ends too early")


def _brotli(body: bytes, partial: bool) -> Iterator[bytes]:
    """RFC 7932. Once a limit was met, output is asked for without input until none comes and input is wanted again."""
    stream = brotli.Decompressor()
    for data in _slices(body):
        portion = stream.process(data, output_buffer_limit=_PORTION)
        while portion or not stream.can_accept_more_data():
            yield portion
            portion = stream.process(b"", output_buffer_limit=_PORTION)
    if not stream.is_finished() and not partial:
        raise brotli.error("it ends too early")


def _zstd(body: bytes, partial: bool) -> Iterator[bytes]:
    """RFC 8878. The reader does not tell a stream cut short from a whole one; a shorter body is what is compared."""
    del partial
    reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).stream_reader(body, read_across_frames=True)
    while portion := reader.read(_PORTION):
        yield portion


_DECODERS: Final[dict[str, Callable[[bytes, bool], Iterator[bytes]]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
