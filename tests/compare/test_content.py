from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.compare.content import UndecodableError, codings, content_type, decode, kind_of
from shadowproxy.compare.limits import Deadline, IncomparableError
from shadowproxy.model.policy import KIB, MIB, ComparePolicy
from tests.compare.builders import Clock


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: bytes(brotli.compress(body, quality=3)),
    "zstd": lambda body: bytes(zstandard.ZstdCompressor().compress(body)),
}


def undone(
    body: bytes,
    applied: list[str],
    rules: ComparePolicy | None = None,
    clock: Clock | None = None,
    *,
    partial: bool = False,
) -> bytes:
    return decode(body, applied, rules or ComparePolicy(), Deadline(clock or Clock(), 0.05), partial=partial)


@given(st.binary(max_size=500), st.lists(st.sampled_from(sorted(PACKERS)), max_size=4))
def test_what_was_packed_is_unpacked(body: bytes, applied: list[str]) -> None:
    packed = body
    for coding in applied:
        packed = PACKERS[coding](packed)
    assert undone(packed, applied) == body


@pytest.mark.parametrize("coding", PACKERS)
def test_large_bodies_are_unpacked_in_portions(coding: str) -> None:
    body = bytes(range(256)) * 2000
    assert undone(PACKERS[coding](body), [coding], ComparePolicy(max_ratio=10_000)) == body


def test_a_bare_deflate_stream_is_understood() -> None:
    body = b"hello " * 100
    assert undone(raw_deflate(body), ["deflate"]) == body
    assert undone(raw_deflate(body)[:-3], ["deflate"], partial=True)


def test_gzip_members_follow_each_other_and_other_ends_are_ignored() -> None:
    assert undone(gzip.compress(b"a") + gzip.compress(b"b"), ["gzip"]) == b"ab"
    assert undone(gzip.compress(b"a") + b"\0\0\0", ["gzip"]) == b"a"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_garbage_is_undecodable(coding: str) -> None:
    with pytest.raises(UndecodableError):
        undone(b"\xff\xfe this is not compressed at all", [coding])


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_stream_cut_short_is_undecodable_unless_only_its_beginning_was_captured(coding: str) -> None:
    body = bytes(range(256)) * 50
    cut = PACKERS[coding](body)[:-20]
    with pytest.raises(UndecodableError):
        undone(cut, [coding])
    beginning = undone(cut, [coding], partial=True)
    assert body.startswith(beginning)


def test_an_unknown_coding_and_too_many_of_them_are_undecodable() -> None:
    with pytest.raises(UndecodableError, match="compress"):
        undone(b"x", ["compress"])
    with pytest.raises(UndecodableError, match="5 codings"):
        undone(b"x", ["gzip"] * 5)


def test_an_empty_body_has_nothing_to_undo() -> None:
    assert undone(b"", ["gzip", "br"]) == b""


@pytest.mark.parametrize("coding", PACKERS)
def test_a_bomb_stops_at_the_cap_on_its_size(coding: str) -> None:
    bomb = PACKERS[coding](b"\0" * (4 * MIB))
    with pytest.raises(IncomparableError, match="decoded_too_large"):
        undone(bomb, [coding], ComparePolicy(max_decoded=MIB, max_ratio=10**9))


@pytest.mark.parametrize("coding", PACKERS)
def test_a_bomb_stops_at_the_cap_on_its_growth(coding: str) -> None:
    bomb = PACKERS[coding](b"\0" * MIB)
    with pytest.raises(IncomparableError, match="ratio"):
        undone(bomb, [coding])


def test_a_bomb_in_a_bomb_is_measured_by_what_came_over_the_wire() -> None:
    inner = gzip.compress(gzip.compress(b"\0" * (8 * MIB)))
    with pytest.raises(IncomparableError, match=r"ratio|decoded_too_large"):
        undone(inner, ["gzip", "gzip"])


def test_small_bodies_may_grow_by_any_ratio() -> None:
    assert len(undone(gzip.compress(b"a" * 60 * KIB), ["gzip"])) == 60 * KIB


def test_an_uncoded_body_has_the_same_cap() -> None:
    with pytest.raises(IncomparableError, match="decoded_too_large"):
        undone(b"x" * 11, [], ComparePolicy(max_decoded=10))


def test_a_slow_stream_ends_with_the_time() -> None:
    members = gzip.compress(b"") * 1000
    with pytest.raises(IncomparableError, match="too_slow"):
        undone(members, ["gzip"], clock=Clock(step=0.001))


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("application/json", "json"),
        ("application/json; charset=utf-8", "json"),
        ("application/problem+json", "json"),
        ("text/json", "json"),
        ("application/x-www-form-urlencoded", "form"),
        ("Text/HTML; charset=utf-8", "html"),
        ("application/xhtml+xml", "xhtml"),
        ("image/svg+xml", "xml"),
        ("application/xml", "xml"),
        ("text/xml;charset=utf-8", "xml"),
        ("application/x-ndjson", "records"),
        ("application/jsonl", "records"),
        ("application/geo+json-seq", "records"),
        ("text/event-stream", "events"),
        ("multipart/mixed; boundary=x", "multipart"),
        ("text/plain", "text"),
        ("application/yaml", "text"),
        ("image/png", "bytes"),
        ("application/octet-stream", "bytes"),
        ("", ""),
    ],
)
def test_the_content_type_says_what_a_body_is(media_type: str, kind: str) -> None:
    assert kind_of(media_type) == kind


def test_the_head_is_read_whatever_the_case() -> None:
    assert content_type([(b"content-TYPE", b" Text/HTML; Charset=UTF-8 ")]) == "Text/HTML; Charset=UTF-8"
    assert content_type([]) == ""
    assert codings([(b"Content-Encoding", b"GZip, identity"), (b"content-encoding", b" br,")]) == ["gzip", "br"]
