"""Bodies made to hurt: each is bounded in time and memory and costs one verdict at most (faults.md, 13, 14, 15)."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
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
from tests.compare.builders import BYTES, FORM, JSON, TEXT, of, pair, policy, response

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


def xml(body: bytes) -> CapturedResponse:
    return of("application/xml", body)


def html(body: bytes) -> CapturedResponse:
    return of("text/html", body)


def doctype(*declarations: bytes, root: bytes = b"<a>&e;</a>") -> bytes:
    return b"<!DOCTYPE a [" + b"".join(declarations) + b"]>" + root


def laughs() -> bytes:
    entities = [b'<!ENTITY e0 "lol">', *(b'<!ENTITY e%d "%b">' % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 10))]
    return doctype(*entities, b'<!ENTITY e "&e9;">', root=b'<a b="&e;">&e;</a>')


def filled(piece: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """As many pieces as a decoded body may hold."""
    return before + piece * ((WHOLE - len(before) - len(after)) // len(piece)) + after


def numbered(pattern: bytes, before: bytes = b"", after: bytes = b"", size: int = WHOLE) -> bytes:
    """As many numbered pieces as fit."""
    pieces: list[bytes] = []
    left = size - len(before) - len(after)
    while left > 0:
        pieces.append(pattern % len(pieces))
        left -= len(pieces[-1])
    return before + b"".join(pieces[:-1]) + after


def parts(piece: bytes, boundary: str = "b") -> CapturedResponse:
    end = b"\r\n--%b--\r\n" % boundary.encode()
    return of(f"multipart/form-data; boundary={boundary}", filled(piece, after=end))


def named_alike() -> list[dict[str, object]]:
    names = ("_id", "Id", "ID", "uuid", "guid", "key", "sku", "code", "slug", "name")
    return [dict.fromkeys(names, n if n else 1) for n in range(20_000)]


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
    "a long fraction": lambda: (response(b"[0.%s]" % (b"1" * 8_000_000)), response(b"[9.%s]" % (b"2" * 8_000_000))),
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
    "billion laughs": lambda: (xml(laughs()), xml(b"<a>lol</a>")),
    "billion laughs in UTF-16": lambda: (xml(laughs().decode().encode("utf-16")), xml(b"<a/>")),
    "one long entity often": lambda: (
        xml(doctype(b'<!ENTITY e "%b">' % (b"x" * 100_000), root=filled(b"&e;", b"<a>", b"</a>")[:WHOLE])),
        xml(b"<a/>"),
    ),
    "an entity in itself": lambda: (xml(doctype(b'<!ENTITY e "&e;">')), xml(b"<a/>")),
    "external entities": lambda: (
        xml(doctype(b'<!ENTITY e SYSTEM "file:///etc/passwd">')),
        xml(doctype(b'<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;')),
    ),
    "an external document type": lambda: (
        xml(b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a>&e;</a>'),
        xml(b'<!DOCTYPE a PUBLIC "-//X" "file:///etc/passwd"><a/>'),
    ),
    "many entities": lambda: (xml(numbered(b'<!ENTITY e%d "x">', b"<!DOCTYPE a [", b"]><a/>")), xml(b"<a/>")),
    "deep XML": lambda: (xml(filled(b"<a>")), xml(b"<a/>")),
    "deep XML within the cap": lambda: (
        xml(b"<r>" + (b"<a>" * 60 + b"</a>" * 60) * 10_000 + b"</r>"),
        xml(b"<r>" + (b"<a>" * 60 + b"x" + b"</a>" * 60) * 10_000 + b"</r>"),
    ),
    "a million siblings": lambda: (
        xml(filled(b"<b/>", b"<a>", b"</a>")),
        xml(filled(b"<b/>", b"<a>", b"<c/></a>")),
    ),
    "siblings within the cap": lambda: (
        xml(b"<a>" + b"<b/>" * 240_000 + b"</a>"),
        xml(b"<a>" + b"<b/><c/>" * 120_000 + b"</a>"),
    ),
    "tags that never repeat": lambda: (
        xml(numbered(b"<t%d/>", b"<a>", b"</a>")),
        xml(numbered(b"<u%d/>", b"<a>", b"</a>")),
    ),
    "a huge attribute": lambda: (
        xml(b'<a b="' + b"x" * (WHOLE - 99) + b'"/>'),
        xml(b'<a b="' + b"y" * (WHOLE - 99) + b'"/>'),
    ),
    "a huge text": lambda: (
        xml(b"<a>" + b"x" * (WHOLE - 99) + b"</a>"),
        xml(b"<a>" + b"x y " * (WHOLE // 4 - 99) + b"</a>"),
    ),
    "attributes": lambda: (
        xml(numbered(b' a%d=""', b"<a", b"/>")),
        xml(numbered(b' a%d=""', b"<a", b"/>", size=1_200_000)),
    ),
    "namespaces": lambda: (
        xml(numbered(b' xmlns:n%d="u"', b"<a", b"/>")),
        xml(numbered(b' xmlns:n%d="u%%d"', b"<a", b"/>", size=1_500_000)),
    ),
    "a name without end": lambda: (xml(b"<" + b"a" * (WHOLE - 9)), xml(b"<" + b"a" * (WHOLE - 9) + b"/>")),
    "references to characters": lambda: (
        xml(filled(b"&#38;", b"<a>", b"</a>")),
        xml(filled(b"&amp;", b"<a>", b"</a>")),
    ),
    "a comment without end": lambda: (xml(filled(b"<!--")), html(filled(b"<!--"))),
    "CDATA without end": lambda: (xml(filled(b"<![CDATA[", b"<a>")), xml(b"<a/>")),
    "invalid UTF-8 in XML": lambda: (xml(b"<a>" + b"\xff" * (WHOLE - 9)), xml(b"<a>\xfe</a>")),
    "HTML attributes without values": lambda: (html(numbered(b" a%d", b"<p", b">")), html(b"<p>")),
    "HTML attributes between slashes": lambda: (html(numbered(b"/a%d", b"<p", b">")), html(b"<p>")),
    "one HTML attribute again and again": lambda: (html(filled(b" a=", b"<p", b">")), html(filled(b" a", b"<p", b">"))),
    "deep HTML": lambda: (html(filled(b"<div>")), html(filled(b"<b><i><p>"))),
    "HTML paragraphs": lambda: (html(filled(b"<p>")), html(filled(b"<p>x"))),
    "HTML tables": lambda: (html(filled(b"<table><tr>")), html(filled(b"<select><option>"))),
    "HTML without tags": lambda: (html(b"<" * WHOLE), html(b"<" * (WHOLE - 1))),
    "HTML entities": lambda: (html(filled(b"&nbsp;", b"<p>")), html(filled(b"&", b"<p>"))),
    "HTML of zeros": lambda: (html(b"<p>" + b"\0" * (WHOLE - 3)), html(b"<p>" + b"\0" * (WHOLE - 4))),
    "scripts without end": lambda: (html(filled(b"</scrip", b"<script>")), html(filled(b"<script>"))),
    "many parts": lambda: (
        parts(b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'),
        parts(b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n2\r\n'),
    ),
    "parts within the cap": lambda: tuple(  # type: ignore[return-value]
        of(
            "multipart/form-data; boundary=b",
            b"".join(
                b'--b\r\nContent-Disposition: form-data; name="a%d"\r\nContent-Type: application/json\r\n\r\n[%d]\r\n'
                % (n, n + plus)
                for n in range(9_000)
            )
            + b"--b--",
        )
        for plus in (0, 1)
    ),
    "a part with a head alone": lambda: (
        of("multipart/mixed; boundary=b", filled(b"a:b\r\n", b"--b\r\n", b"\r\n1\r\n--b--")),
        of("multipart/mixed; boundary=b", b"--b\r\n\r\n1\r\n--b--"),
    ),
    "a boundary of hyphens": lambda: (parts(b"-", "-"), parts(b"\r\n---", "-")),
    "multipart in multipart": lambda: (
        parts(b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"),
        parts(b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n1"),
    ),
    "events without end": lambda: (
        of("text/event-stream", filled(b"data:1\n\n")),
        of("text/event-stream", filled(b"data:2\n\n")),
    ),
    "events within the cap": lambda: (
        of("text/event-stream", b'data: {"a": 1}\n\n' * 100_000),
        of("text/event-stream", b'data: {"a": 2}\n\n' * 100_000),
    ),
    "an event of many lines": lambda: (
        of("text/event-stream", b"data:1\n" * 240_000),
        of("text/event-stream", b"data:2\n" * 240_000),
    ),
    "an event without end": lambda: (
        of("text/event-stream", b"data:" + b"x" * (WHOLE - 9)),
        of("text/event-stream", b"data:" + b"y" * (WHOLE - 9)),
    ),
    "carriage returns": lambda: (
        of("text/event-stream", b"\r" * WHOLE),
        of("text/event-stream", b"\r\n" * (WHOLE // 2)),
    ),
    "JSON lines without end": lambda: (
        of("application/x-ndjson", filled(b"[]\n")),
        of("application/x-ndjson", filled(b"{}\n")),
    ),
    "JSON lines within the cap": lambda: (
        of("application/x-ndjson", numbered(b'{"id":%d}\n')),
        of("application/x-ndjson", numbered(b'{"id":%d,"a":1}\n')),
    ),
    "JSON lines that are none": lambda: (
        of("application/x-ndjson", b"[1]\n" + b"[\n" * 240_000),
        of("application/x-ndjson", b"[1]\n" + b"x\n" * 240_000),
    ),
    "deep JSON lines": lambda: (
        of("application/x-ndjson", b"[1]\n" + b"[" * (WHOLE - 9)),
        of("application/x-ndjson", b"[" * 90 + b"]" * 90),
    ),
    "separators": lambda: (
        of("application/json-seq", b"\x1e" * WHOLE),
        of("application/json-seq", b"\x1e[1]\n" * 240_000),
    ),
    "JSON in texts": lambda: (
        response([json.dumps([n]) for n in range(200_000)]),
        response([json.dumps([-n]) for n in range(200_000)]),
    ),
    "deep JSON in texts": lambda: (
        response(["[" * 4_000_000]),
        response(["[" * 3_999_999 + "]"]),
    ),
    "large JSON in a text": lambda: (
        response([json.dumps(list(range(600_000)))]),
        response([json.dumps(list(range(1, 600_001)))]),
    ),
    "unordered JSON in texts": lambda: (
        response({"u": [json.dumps([n]) for n in range(100_000)]}),
        response({"u": [json.dumps([-n - 1]) for n in range(100_000)]}),
    ),
    "elements with many names": lambda: (
        response(named_alike()),
        response([{**each, "x": 1} for each in named_alike()][1:]),
    ),
    "elements that all moved": lambda: (
        response([{"id": n} for n in range(200_000)]),
        response([{"id": n, "x": 1} for n in range(200_000)][::-1]),
    ),
    "elements between each other": lambda: (
        response([{"n": n} for n in range(100_000)]),
        response([{"n": n ^ 1} for n in range(100_001)]),
    ),
    "names of elements that come and go": lambda: (
        response([{"id": n, "a": n} for n in range(150_000)]),
        response([{"id": n if n % 2 else -n, "a": n} for n in range(150_000)]),
    ),
    "numbers of many digits within a tolerance": lambda: (
        response(b"[%s]" % b",".join([b"9" * 19_000] * 400)),
        response(b"[%s]" % b",".join([b"9" * 18_999 + b"8"] * 400)),
    ),
    "exponents within a tolerance": lambda: (
        response(b"[%s]" % b",".join([b"1e999999999"] * 200_000)),
        response(b"[%s]" % b",".join([b"-1e-999999999"] * 200_000)),
    ),
    "many header fields": lambda: (
        response(b"", [(b"x%d" % n, b"a" * 200) for n in range(2_000)]),
        response(b"", [(b"y%d" % n, b"token=" * 40) for n in range(2_000)]),
    ),
}


def engine() -> Engine:
    rules = ComparePolicy(
        ignore=("$..nothing",),
        unordered=("$.u",),
        tolerance={"$[]": 1},
        redact_patterns=(r"[a-z]+@[a-z]+", r"\d{4}-\d{4}"),
    )
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


@pytest.mark.parametrize(
    "name", [name for name in BODIES if any(word in name for word in ("bomb", "members", "laughs", "entit"))]
)
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


def test_parsers_are_bounded_in_memory() -> None:
    """In a process of its own, since what a library in C takes is seen from outside alone."""
    code = (
        "import resource; from tests.compare.test_hostile import BODIES, engine, pair, xml;"
        "names = ['billion laughs', 'many entities', 'a million siblings', 'attributes', 'deep HTML', 'HTML tables'];"
        "bodies = [BODIES[name]() for name in names];"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "engine().handle(pair(xml(b'<a>1</a>'), xml(b'<a>2</a>'))); before = peak();"
        "[engine().handle(pair(*each)) for each in bodies]; print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert int(done.stdout) < 64 * 1024


def test_fields_that_never_end_stay_bounded() -> None:
    hit = engine()
    for n in range(300):
        body = {f"key{chr(97 + i % 26)}{n}_{i}": {f"sub{n}_{i}": 1} for i in range(40)}
        headers: Fields = [*JSON, (b"x-%d" % n, b"1")]
        hit.handle(pair(response(body), response({key: {"other": 2} for key in body}, headers)))
    aggregate, _ = hit.harvest()
    assert len(aggregate.fields) <= 1024 + 3
    hit.harvest()
