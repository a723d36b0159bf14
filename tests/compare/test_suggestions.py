"""Suggestions as users meet them: pairs in, configuration out, and the configuration does what it says."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shadowproxy.compare import traits
from shadowproxy.compare.suggestions import rounded_up, unknown_route
from shadowproxy.config import Overrides, load
from shadowproxy.model.pair import CapturedRequest, CapturedResponse, CauseCount, Pair
from shadowproxy.model.policy import ComparePolicy, Registry
from tests.compare.builders import JSON, engine, pair, response

AT = 1_700_000_000.0
Make = Callable[[random.Random, int], tuple[Any, Any]]


def asked(number: int) -> CapturedRequest:
    return CapturedRequest(b"GET", b"/items/%d" % (number % 7), [(b"Host", b"shop.example")])


def pairs(make: Make, count: int = 30) -> list[Pair]:
    """`count` pairs of JSON bodies, or of whole responses, over seven targets."""
    draw = random.Random(7)
    found = []
    for number in range(count):
        primary, shadow = (
            each if isinstance(each, CapturedResponse) else response(each) for each in make(draw, number)
        )
        found.append(pair(primary, shadow, asked(number), at=AT + number))
    return found


def causes(each: list[Pair], rules: ComparePolicy | None = None) -> list[CauseCount]:
    busy = engine(rules)
    for one in each:
        busy.handle(one)
    return busy.harvest()[0].causes


def suggested(make: Make, count: int = 30) -> str | None:
    """The suggestion of the only cause of such pairs."""
    (cause,) = causes(pairs(make, count))
    return cause.suggestion


def rules_of(suggestion: str, tmp_path: Path) -> ComparePolicy:
    """What a suggestion comes to when it is pasted into a configuration."""
    path = tmp_path / "shadowproxy.yaml"
    path.write_text("upstreams: {primary: {urls: ['http://a:1']}, candidate: {urls: ['http://b:1']}}\n" + suggestion)
    return load(path, Overrides(), Registry(), {}).policy.services[0].other.compare


def uuid(draw: random.Random) -> str:
    digits = f"{draw.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def moment(draw: random.Random, number: int) -> str:
    return datetime.fromtimestamp(AT + number + draw.random(), UTC).isoformat()


def jitter(draw: random.Random, number: int) -> tuple[Any, Any]:
    score = 10.0 + number % 7
    return {"score": score}, {"score": score * (1 + draw.uniform(-0.002, 0.002))}


def served_by(draw: random.Random, number: int) -> tuple[CapturedResponse, CapturedResponse]:
    a, b = ([*JSON, (b"X-Served-By", b"%s-%d" % (side, draw.randint(0, 9)))] for side in (b"a", b"b"))
    return response({"id": number}, a), response({"id": number}, b)


def constant(name: bytes) -> Make:
    return lambda draw, number: (response({}, [*JSON, (name, b"1.0")]), response({}, [*JSON, (name, b"2.0")]))


def nonce(draw: random.Random) -> CapturedResponse:
    return response({}, [*JSON, (b"X-Nonce", b"a%015x" % draw.getrandbits(60))])


SETTLED: dict[str, tuple[Make, str]] = {
    "another order": (
        lambda draw, number: ({"tags": [number, 1, 2]}, {"tags": [2, 1, number]}),
        'unordered: ["$.tags"]',
    ),
    "jitter": (jitter, 'tolerance: {"$.score": '),
    "one and the same number": (lambda draw, number: ({"n": number}, {"n": float(number)}), 'tolerance: {"$.n": 0}'),
    "uuid": (lambda draw, number: ({"id": uuid(draw)}, {"id": uuid(draw)}), 'ignore: ["$.id"]'),
    "token": (
        lambda draw, number: ({"t": [f"1{draw.getrandbits(64):016x}"]}, {"t": [f"1{draw.getrandbits(64):016x}"]}),
        'ignore: ["$.t[]"]',
    ),
    "time": (lambda draw, number: ({"at": moment(draw, number)}, {"at": moment(draw, number)}), 'ignore: ["$.at"]'),
    "epoch": (
        lambda draw, number: ({"a b": {"at": int(AT) + number}}, {"a b": {"at": int(AT) + number + 1}}),
        "ignore: [\"$['a b'].at\"]",
    ),
    "header that names the server": (served_by, 'ignore: ["header:x-served-by"]'),
    "header that names the version": (constant(b"X-Build"), 'ignore: ["header:x-build"]'),
    "header with a token": (
        lambda draw, number: (nonce(draw), nonce(draw)),
        'ignore: ["header:x-nonce"]',
    ),
    "several at once": (
        lambda draw, number: (
            {"id": uuid(draw), "at": moment(draw, number), "tags": [9 + number, 1, 2]},
            {"id": uuid(draw), "at": moment(draw, number), "tags": [1, 9 + number, 2]},
        ),
        'ignore: ["$.at", "$.id"]\n  unordered: ["$.tags"]',
    ),
}


@pytest.mark.parametrize("name", SETTLED)
def test_a_suggestion_settles_its_cause(name: str, tmp_path: Path) -> None:
    make, line = SETTLED[name]
    suggestion = suggested(make)
    assert suggestion is not None
    assert line in suggestion
    assert suggestion.startswith("# ")
    rules = rules_of(suggestion, tmp_path)
    assert causes(pairs(make), rules) == []


REGRESSIONS: dict[str, Make] = {
    "changed value": lambda draw, number: ({"price": number}, {"price": number + 5}),
    "another text": lambda draw, number: ({"name": f"lamp {number}"}, {"name": f"lamp {number}!"}),
    "changed type": lambda draw, number: ({"n": number}, {"n": str(number)}),
    "null": lambda draw, number: ({"id": uuid(draw)}, {"id": None}),
    "missing": lambda draw, number: ({"id": uuid(draw)}, {}),
    "new": lambda draw, number: ({}, {"id": uuid(draw)}),
    "an id that is another one's": lambda draw, number: (
        {"owner": uuid(random.Random(number % 7))},
        {"owner": uuid(random.Random(99 + number % 7))},
    ),
    "no id any more, once": lambda draw, number: (
        {"id": uuid(draw)},
        {"id": uuid(draw) if number != 11 else "N/A"},
    ),
    "a time of the data": lambda draw, number: (
        {"shipped_at": f"2023-03-{1 + number % 7:02}T10:00:00Z"},
        {"shipped_at": f"2023-03-{2 + number % 7:02}T10:00:00Z"},
    ),
    "a deadline": lambda draw, number: (
        {"expires": int(AT) + number + 900},
        {"expires": int(AT) + number + 300},
    ),
    "off by one": lambda draw, number: ({"stock": 1000 + number}, {"stock": 1001 + number}),
    "half a percent dearer": lambda draw, number: (
        {"price": 10.5 + number % 7},
        {"price": (10.5 + number % 7) * 1.005},
    ),
    "close, but once": lambda draw, number: (
        {"score": 10.0 + number},
        {"score": (10.0 + number) * (1 + draw.uniform(-0.002, 0.002) + 0.05 * (number == 9))},
    ),
    "close only where numbers are large": lambda draw, number: (
        {"score": 10.0 ** (number % 5)},
        {"score": 10.0 ** (number % 5) * (1 + draw.uniform(-0.005, 0.005))},
    ),
    "a header that caches act upon": constant(b"Cache-Control"),
    "a header that browsers act upon": constant(b"Content-Security-Policy"),
    "a header that is data": lambda draw, number: (
        response({}, [*JSON, (b"X-Total", b"%d" % number)]),
        response({}, [*JSON, (b"X-Total", b"%d" % (number + 1))]),
    ),
    "a lost header": lambda draw, number: (response({}, [*JSON, (b"X-Total", b"7")]), response({})),
    "another status": lambda draw, number: (response({"a": number}), response({"e": 1}, status=500)),
    "lines in another order": lambda draw, number: (
        response(b"a\nb\nc\n%d" % number, [(b"Content-Type", b"text/plain")]),
        response(b"c\nb\na\n%d" % number, [(b"Content-Type", b"text/plain")]),
    ),
    "one of two": lambda draw, number: (
        {"id": uuid(draw), "price": number},
        {"id": uuid(draw), "price": number + 5},
    ),
    "a name that a file would expand": lambda draw, number: ({"${HOME}": uuid(draw)}, {"${HOME}": uuid(draw)}),
    "a header that no rule can name": constant(b"X-\xe9"),
    "a name that is cut off": lambda draw, number: (
        {"a" * 60: {"b" * 60: {"c" * 60: {"d" * 60: uuid(draw)}}}},
        {"a" * 60: {"b" * 60: {"c" * 60: {"d" * 60: uuid(draw)}}}},
    ),
}


@pytest.mark.parametrize("name", REGRESSIONS)
def test_no_suggestion_hides_what_may_be_a_regression(name: str) -> None:
    assert {cause.suggestion for cause in causes(pairs(REGRESSIONS[name], 60))} == {""}


@pytest.mark.parametrize("name", SETTLED)
def test_few_pairs_say_nothing_yet(name: str) -> None:
    assert suggested(SETTLED[name][0], 2) is None


@pytest.mark.parametrize("name", ["jitter", "one and the same number", "uuid", "time", "header that names the version"])
def test_values_say_nothing_before_there_are_enough(name: str) -> None:
    assert suggested(SETTLED[name][0], 19) is None
    assert suggested(SETTLED[name][0], 20)


def test_of_fields_that_found_no_place_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traits, "MAX_TRAITS", 0)
    assert suggested(SETTLED["uuid"][0]) is None


def test_fields_that_vary_independently_are_settled_one_by_one(tmp_path: Path) -> None:
    def some(draw: random.Random, number: int) -> tuple[Any, Any]:
        ids = {name: uuid(draw) for name in "abcdef"}
        return ids, {name: uuid(draw) if draw.random() < 0.5 else value for name, value in ids.items()}

    each = pairs(some, 600)
    mixed = [cause for cause in causes(each) if cause.mixed]
    assert mixed
    names = set()
    for cause in mixed:
        assert cause.suggestion is not None
        assert "the others that differ beside it have causes of their own" in cause.suggestion
        names.update(rules_of(cause.suggestion, tmp_path).ignore)
    assert names == {field for cause in mixed for field, _ in cause.keys}


def test_what_comes_later_takes_a_suggestion_back() -> None:
    busy = engine()
    for each in pairs(SETTLED["uuid"][0]):
        busy.handle(each)
    assert busy.harvest()[0].causes[0].suggestion
    for each in pairs(lambda draw, number: ({"id": uuid(draw)}, {"id": "N/A"}), 10):
        busy.handle(each)
    assert busy.harvest()[0].causes[0].suggestion == ""


def test_without_a_repeated_request_an_id_is_suggested_with_a_condition() -> None:
    draw = random.Random(3)
    busy = engine()
    for number in range(25):
        sides = response({"id": uuid(draw)}), response({"id": uuid(draw)})
        busy.handle(pair(*sides, CapturedRequest(b"GET", b"/items/%d" % number, []), at=AT))
    (cause,) = busy.harvest()[0].causes
    assert cause.suggestion is not None
    assert "If it is made anew for each answer:" in cause.suggestion


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_only_the_primary_accepts(status: int, tmp_path: Path) -> None:
    suggestion = suggested(lambda draw, number: (response({"a": number}), response({"e": "no"}, status=status)))
    assert suggestion is not None
    path = tmp_path / "shadowproxy.yaml"
    path.write_text("upstreams: {primary: {urls: ['http://a:1']}, candidate: {urls: ['http://b:1']}}\n" + suggestion)
    rules = (
        load(path, Overrides(), Registry(), {"CANDIDATE_TOKEN": "s3cret"})
        .policy.services[0]
        .other.shadow.headers["candidate"]
    )
    assert dict(rules.set) == {"Authorization": "Bearer s3cret"}
    assert suggested(lambda draw, number: (response({}, status=401), response({"e": 1}, status=403))) == ""


def test_a_redirect_to_another_host_is_something_to_look_at() -> None:
    away = [*JSON, (b"Location", b"https://internal.example/items")]
    suggestion = suggested(lambda draw, number: (response({}), response({}, away, 302)))
    assert suggestion is not None
    assert "redirects to another host" in suggestion
    assert "internal.example" not in suggestion
    assert all(line.startswith("#") for line in suggestion.splitlines())
    here = [*JSON, (b"Location", b"/login")]
    assert suggested(lambda draw, number: (response({}), response({}, here, 302))) == ""
    both = suggested(lambda draw, number: (response({}, here, 302), response({}, away, 302)))
    assert both == suggestion


def test_a_route_that_the_candidate_does_not_know() -> None:
    assert "404" in unknown_route(200, 404, 96, 100)
    assert unknown_route(200, 404, 90, 100) == ""
    assert unknown_route(404, 404, 100, 100) == ""
    assert unknown_route(200, 500, 100, 100) == ""
    assert unknown_route(200, 404, 10, 10) == "", "too few to say"


@pytest.mark.parametrize(
    ("value", "up"),
    [
        (0.001, 0.001),
        (0.0011, 0.002),
        (0.003, 0.005),
        (0.07, 0.1),
        (1.0, 1.0),
        (43.0, 50.0),
        (99.0, 100.0),
        (3e-9, 5e-9),
    ],
)
def test_tolerances_are_round(value: float, up: float) -> None:
    assert rounded_up(value) == up
