"""Copies of writes: which methods `writes` adds and takes away, orders that contradict themselves, and the warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.builders import MIRRORED, loaded, said

READS = ("GET", "HEAD", "OPTIONS")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
BOTH = "upstreams: {primary: {urls: [http://a]}, candidate: {urls: [http://b]}, secondary: {urls: [http://c]}}\n"
SANDBOX = "headers: {candidate: {set: {X-Dry-Run: '1'}}}"


@pytest.mark.parametrize(
    ("service", "route", "of_route", "of_others"),
    [
        ("", "", READS, READS),
        ("writes: allow", "", (*READS, *WRITES), (*READS, *WRITES)),
        ("writes: never", "", READS, READS),
        ("methods: [GET, POST]", "", ("GET", "POST"), ("GET", "POST")),
        ("methods: [GET, DELETE], writes: allow", "", ("GET", "DELETE", "POST", "PUT", "PATCH"), None),
        ("", "writes: allow", (*READS, *WRITES), READS),
        ("", "methods: [PUT], writes: allow", ("PUT", "POST", "PATCH", "DELETE"), READS),
        ("writes: allow", "writes: never", READS, (*READS, *WRITES)),
        ("methods: [GET, POST, PURGE, SEARCH]", "writes: never", ("GET", "SEARCH"), ("GET", "POST", "PURGE", "SEARCH")),
        # A route that lists its methods means them, as it always did.
        ("writes: allow", "methods: [GET]", ("GET",), (*READS, *WRITES)),
        ("writes: never", "methods: [GET, POST]", ("GET", "POST"), READS),
        ("writes: never", "writes: allow", (*READS, *WRITES), READS),
        ("writes: allow", "sample: 5%", (*READS, *WRITES), (*READS, *WRITES)),
    ],
)
def test_the_methods_that_come_of_it(
    service: str, route: str, of_route: tuple[str, ...], of_others: tuple[str, ...] | None, tmp_path: Path
) -> None:
    text = f"shadow: {{{service}}}\nroutes: [{{name: a, match: {{path: /a}}, shadow: {{{route}}}}}]"
    [found] = loaded(tmp_path, MIRRORED + text).policy.services
    assert found.routes[0].shadow.methods == of_route
    assert found.other.shadow.methods == (of_others or of_route)


@pytest.mark.parametrize(
    ("service", "route", "expected"),
    [
        ("", "writes: allow", ("MKCOL", "LOCK")),
        ("writes: allow", "", ("MKCOL", "LOCK")),
        ("writes: allow", "methods: [GET]", ()),
        ("methods: [MKCOL]", "writes: never", ()),
        ("", "", ()),
    ],
)
def test_what_a_route_is_about_is_allowed_with_it(
    service: str, route: str, expected: tuple[str, ...], tmp_path: Path
) -> None:
    match = "match: {path: /a, methods: [MKCOL, LOCK, POST]}"
    text = f"shadow: {{{service}}}\nroutes: [{{name: a, {match}, shadow: {{{route}}}}}]"
    methods = loaded(tmp_path, MIRRORED + text).policy.services[0].routes[0].shadow.methods
    assert tuple(method for method in methods if method not in {*READS, *WRITES}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "shadow: {writes: never, methods: [GET, POST]}",
            "shadow.methods[1]: POST writes, and writes beside it says never: write allow there, or delete POST here",
        ),
        (
            "routes: [{name: a, shadow: {methods: [MKCOL], writes: never}}]",
            "routes[0].shadow.methods[0]: MKCOL writes, and writes beside it says never",
        ),
        (
            "routes: [{name: a, match: {methods: [GET, HEAD]}, shadow: {writes: allow}}]",
            "routes[0].shadow.writes: no write gets here: match.methods is GET, HEAD alone: add one there, or delete",
        ),
        ("shadow: {writes: maybe}", "shadow.writes: cannot be "),
        ("shadow: {writes: true}", "shadow.writes: cannot be "),
    ],
)
def test_an_order_that_contradicts_itself(text: str, expected: str, tmp_path: Path) -> None:
    [found] = said(tmp_path, MIRRORED + text)
    assert found.startswith(expected)


def test_what_a_service_allows_may_be_more_than_a_route_gets(tmp_path: Path) -> None:
    text = "shadow: {writes: allow}\nroutes: [{name: a, match: {methods: [GET]}}]"
    assert said(tmp_path, MIRRORED + text) == []


WARNED = "{}: writes of {} are mirrored, and the {} will execute them for real: set a sandbox header"
ONE_BARE = "{name: a, match: {path: /a}, shadow: {methods: [POST]}}"
ONE_CHANGED = "{name: b, match: {path: /b}, shadow: {writes: allow, headers: {secondary: {remove: [Cookie]}}}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("shadow: {writes: never}", []),
        ("shadow: {methods: [GET, SEARCH]}", []),
        ("shadow: {writes: allow}", [("shadow.writes", "other", "candidate and the secondary")]),
        ("shadow: {methods: [POST]}", [("shadow.methods", "other", "candidate and the secondary")]),
        (f"shadow: {{writes: allow, {SANDBOX}}}", [("shadow.writes", "other", "secondary")]),
        ("shadow: {writes: allow, sample: 0%}", []),
        (
            "shadow: {writes: allow}\nroutes: [{name: a, match: {path: /a}}, {name: b, match: {methods: [GET]}}]",
            [("shadow.writes", "a, other", "candidate and the secondary")],
        ),
        (
            f"shadow: {{{SANDBOX}}}\nroutes: [{ONE_BARE}, {ONE_CHANGED}]",
            [("routes[0].shadow.methods", "a", "secondary")],
        ),
        (
            "shadow: {writes: allow, headers: {candidate: {set: {}}}}",
            [("shadow.writes", "other", "candidate and the secondary")],
        ),
    ],
)
def test_an_arm_that_gets_writes_as_they_are_is_named(
    text: str, expected: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    warnings = [line.partition(" ")[2] for line in loaded(tmp_path, BOTH + text).warnings]
    assert len(warnings) == len(expected)
    for warning, words in zip(warnings, expected, strict=True):
        assert warning.startswith(WARNED.format(*words))


def test_of_many_routes_the_first_are_named(tmp_path: Path) -> None:
    routes = ", ".join(f"{{name: r{n}, match: {{path: /{n}}}}}" for n in range(20))
    [warning] = loaded(tmp_path, MIRRORED + f"shadow: {{writes: allow}}\nroutes: [{routes}]").warnings
    assert "writes of r0, r1, r2, r3, r4 and 16 more are mirrored" in warning
