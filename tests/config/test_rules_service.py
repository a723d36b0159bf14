"""Rules about services: what must be there, options without effect, matches that nothing reaches."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadowproxy.config import Overrides
from tests.config.builders import MIRRORED, PLAIN, problems, said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("workers: 1", "upstreams: there is nothing to serve: write upstreams.primary.urls, or services, or use"),
        ("upstreams: {}", "upstreams.primary: is missing: serves users today"),
        ("upstreams: {candidate: {urls: [http://a]}}", "upstreams.primary: is missing: serves users today"),
        ("upstreams: {primary: {}}", "upstreams.primary.urls: is missing: `http://host:port`"),
        ("upstreams: {primary: {urls: []}}", "upstreams.primary.urls: is empty: write at least one URL"),
        (
            "upstreams: {primary: {urls: [http://a, http://A:80]}}",
            "upstreams.primary.urls[1]: stands twice in the list",
        ),
        ("services: {}", "services: has no service: write a name and below it upstreams.primary.urls"),
        ("services: {a: {}}", "services.a.upstreams: is missing: write upstreams.primary.urls"),
        ("services: {a: 5}", "services.a: must be a mapping with keys of its own: match, upstreams, shadow"),
        ("services: [a]", "services: must be a mapping: write a key, a colon and a value"),
        (PLAIN + "metrics: {}", "metrics.listen: is missing: where it listens"),
    ],
)
def test_what_must_be_there(text: str, expected: str, tmp_path: Path) -> None:
    [found] = said(tmp_path, text)
    assert found.startswith(expected)


def test_a_misspelled_key_is_not_reported_as_missing_too(tmp_path: Path) -> None:
    assert said(tmp_path, "upstreams: {primry: {urls: [http://a]}}") == [
        "upstreams.primry: unknown key: did you mean primary?"
    ]
    assert said(tmp_path, "upstreams: {primary: {urls: }}") == [
        "upstreams.primary.urls: has no value: give it one, or delete the key"
    ]


def test_a_service_stands_at_the_top_or_below_a_name(tmp_path: Path) -> None:
    assert said(tmp_path, "service: x\n" + MIRRORED + "services: {a: {" + PLAIN.strip() + "}}") == [
        "service: stands beside services: write it into one of them",
        "upstreams: stands beside services: write it into one of them",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shadow: {sample: 5%}", "shadow: needs upstreams.candidate: without it nothing is mirrored"),
        ("compare: {ignore: [status]}", "compare: needs upstreams.candidate: without it nothing is mirrored"),
        ("isolation: {hold_out: 0%}", "isolation: needs upstreams.candidate: without it nothing is mirrored"),
        ("routes: [{name: a, compare: {ignore: [status]}}]", "routes[0].compare: needs upstreams.candidate"),
    ],
)
def test_rules_for_copies_need_a_mirror(text: str, expected: str, tmp_path: Path) -> None:
    [found] = said(tmp_path, PLAIN + text)
    assert found.startswith(expected)
    assert said(tmp_path, MIRRORED + text) == []


def test_rules_for_an_arm_need_that_arm(tmp_path: Path) -> None:
    text = MIRRORED + "shadow: {headers: {secondary: {remove: [A]}}}"
    assert said(tmp_path, text) == ["shadow.headers.secondary: needs upstreams.secondary: there is none"]


def test_a_candidate_with_a_mistake_in_it_is_still_there(tmp_path: Path) -> None:
    text = "upstreams: {primary: {urls: [http://a]}, candidate: 5}\nshadow: {sample: 5%}"
    assert [line.split(":")[0] for line in said(tmp_path, text)] == ["upstreams.candidate"]


def test_a_secondary_alone_is_a_mirror(tmp_path: Path) -> None:
    text = "upstreams: {primary: {urls: [http://a]}, secondary: {urls: [http://b]}}\nshadow: {sample: 5%}"
    assert said(tmp_path, text) == []


def test_a_field_is_set_or_removed_once(tmp_path: Path) -> None:
    text = MIRRORED + "shadow: {headers: {candidate: {remove: [X-A, b], set: {x-a: '1', C: '2', c: '3'}}}}"
    assert said(tmp_path, text) == [
        "shadow.headers.candidate.remove[0]: is set as well, which removes it first: delete one",
        "shadow.headers.candidate.set.c: is set twice (case does not matter): keep one",
    ]


def test_header_values_are_never_shown(tmp_path: Path) -> None:
    text = MIRRORED + 'shadow: {headers: {candidate: {set: {A: "hunter2\\r\\nB: c", C: 5}}}}'
    found = said(tmp_path, text)
    assert len(found) == 2
    assert "hunter2" not in "".join(found)
    assert "visible ASCII" in found[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("limits: {line: 64KiB, head: 8KiB}", "limits.line: line (64KiB) is more than head (8KiB)"),
        ("limits: {head: 1KiB}", "limits.head: line (8KiB) is more than head (1KiB)"),
        ("shadow: {max_body: 32MiB}", "shadow.max_body: is more than max_bytes (16MiB)"),
        ("shadow: {max_bytes: 1MiB}", "shadow.max_response: is more than max_bytes (1MiB)"),
        (
            "routes: [{name: a, shadow: {max_body: 32MiB}}]",
            "routes[0].shadow.max_body: is more than max_bytes (16MiB): such a copy would never be held",
        ),
    ],
)
def test_no_limit_makes_another_one_unreachable(text: str, expected: str, tmp_path: Path) -> None:
    [found] = said(tmp_path, MIRRORED + text)
    assert found.startswith(expected)


def test_a_size_that_does_not_fit_is_named_once(tmp_path: Path) -> None:
    text = MIRRORED + "shadow: {max_body: 32MiB}\nroutes: [{name: a, shadow: {sample: 5%}}]"
    assert len(said(tmp_path, text)) == 1


def test_limits_of_an_arm_do_not_stand_in_a_route(tmp_path: Path) -> None:
    [found] = said(tmp_path, MIRRORED + "routes: [{name: a, shadow: {max_in_flight: 5}}]")
    assert found.startswith("routes[0].shadow.max_in_flight: unknown key")


def test_a_check_ends_before_the_next_begins(tmp_path: Path) -> None:
    text = "upstreams: {primary: {urls: [http://a], health: {interval: 1s, timeout: 2s}}}"
    [found] = said(tmp_path, text)
    assert found.startswith("upstreams.primary.health: timeout is longer than interval")


@pytest.mark.parametrize(
    ("first", "later", "hidden"),
    [
        ("", "match: {host: a.example}", True),
        ("match: {host: '*.example'}", "match: {host: a.example}", True),
        ("match: {path: /a}", "match: {path: /a/b}", True),
        ("match: {path: /a}", "match: {path: /ab}", False),
        ("match: {host: a.example, path: /a}", "match: {path: /a}", False),
        ("match: {host: a.example}", "", False),
        ("match: {host: 'bad host'}", "match: {host: a.example}", False),
    ],
)
def test_a_service_that_an_earlier_one_hides(first: str, later: str, hidden: bool, tmp_path: Path) -> None:
    def service(name: str, match: str) -> str:
        return f"  {name}: {{{match}{', ' if match else ''}{PLAIN.strip()}}}\n"

    found = said(tmp_path, "services:\n" + service("one", first) + service("two", later))
    expected = "services.two: is never reached: one takes all of it before: move it up, or narrow one"
    assert (expected in found) is hidden


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ("[{name: a}, {name: b, match: {path: /b}}]", ["routes[1]: is never reached: a takes all of it before"]),
        (
            "[{name: a, match: {path: '/{x}', methods: [GET, PUT]}}, {name: b, match: {path: /b, methods: [GET]}}]",
            ["routes[1]: is never reached: a takes all of it before: move it up, or narrow a"],
        ),
        ("[{name: a, match: {path: /b, methods: [GET]}}, {name: b, match: {path: '/{x}'}}]", []),
        ("[{name: other}]", ["routes[0].name: stands for requests that match no route: write another name"]),
        ("[{name: a, match: {methods: []}}]", ["routes[0].match.methods: is empty: write at least one method"]),
        ("[{match: {path: /a}}]", ["routes[0].name: is missing: its name"]),
        (
            "[{name: a, match: {path: x}}, {name: b, match: {path: /b}}]",
            ['routes[0].match.path: cannot be "x": write a path that begins with /'],
        ),
        ("[5, {name: b}]", ["routes[0]: must be a mapping with keys of its own: name, match, shadow, compare"]),
    ],
)
def test_a_route_that_nothing_reaches(routes: str, expected: list[str], tmp_path: Path) -> None:
    found = said(tmp_path, PLAIN + f"routes: {routes}")
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))


def test_a_route_outside_of_its_service(tmp_path: Path) -> None:
    text = PLAIN + "match: {host: a.example, path: /api}\nroutes:\n"
    text += "  - {name: a, match: {host: b.example}}\n  - {name: b, match: {path: /x}}\n"
    text += "  - {name: c, match: {host: a.example, path: '/api/{id}'}}\n"
    assert said(tmp_path, text) == [
        "routes[0].match.host: is never reached: its service takes a.example alone",
        "routes[1].match.path: is never reached: its service takes what begins with /api",
    ]


def test_options_for_one_service_do_not_fit_several(tmp_path: Path) -> None:
    text = "services: {a: {match: {path: /a}, " + PLAIN.strip() + "}, b: {" + PLAIN.strip() + "}}"
    found = problems(tmp_path, text, Overrides(primary="http://x", sample="5"))
    assert [str(problem) for problem in found] == [
        "command line:1:1: --primary: the file has 2 services: write it into one, such as services.a",
        "command line:1:1: --sample: the file has 2 services: write it into one, such as services.a",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20.1%", "write at most 20%, so that every slot has neighbours"),
        ("100%", "write at most 20%, so that every slot has neighbours"),
        ("0.05", "write a percentage from 0% to 100%, such as 25%"),
        ("-1%", "write a percentage from 0% to 100%, such as 25%"),
        ("[5%]", "write a percentage: one value, not a list"),
    ],
)
def test_a_share_that_cannot_be_held_out(value: str, expected: str, tmp_path: Path) -> None:
    [found] = said(tmp_path, MIRRORED + f"isolation: {{hold_out: {value}}}")
    assert found.startswith("isolation.hold_out: ")
    assert found.endswith(expected)


@pytest.mark.parametrize("value", ["0%", "0.5%", "20%"])
def test_shares_that_can(value: str, tmp_path: Path) -> None:
    assert said(tmp_path, MIRRORED + f"isolation: {{hold_out: {value}}}") == []


CAPTURE = "capture: {path: a.gor}\n"


def test_a_recording_needs_no_candidate_and_has_rules_of_its_own(tmp_path: Path) -> None:
    assert said(tmp_path, PLAIN + CAPTURE) == []
    assert said(tmp_path, PLAIN + CAPTURE + "shadow: {max_body: 4MiB}\ncompare: {redact: [$.email]}") == []
    assert said(tmp_path, PLAIN + CAPTURE + "routes: [{name: a, compare: {redact: [$.email]}}]") == []
    assert said(tmp_path, PLAIN + CAPTURE + "isolation: {hold_out: 0%}") == [
        "isolation: needs upstreams.candidate: without it nothing is mirrored"
    ]


@pytest.mark.parametrize(
    ("text", "key", "right"),
    [
        ("capture: {}", "path", "is missing: the newest file"),
        ("capture: {path: .}", "path", "is a directory: write the path of a file, such as shop.gor"),
        ("capture: {path: a.gor, sample: 5}", "sample", "write a percentage"),
        ("capture: {path: a.gor, files: 0}", "files", "write a whole number from 1 to 1000"),
        ("capture: {path: a.gor, max_file: 10B}", "max_file", "write at least 256B"),
        ("capture: {path: a.gor, methods: [get]}", "methods[0]", "methods are written in capitals: GET"),
        ("capture: {path: a.gor, mode: 5}", "mode", "unknown key"),
    ],
)
def test_a_recording_that_cannot_be(text: str, key: str, right: str, tmp_path: Path) -> None:
    [found] = said(tmp_path, PLAIN + text)
    assert found.startswith(f"capture.{key}: ")
    assert right in found


@pytest.mark.parametrize(("one", "two"), [("a.gor", "./a.gor"), ("a.gor", "a.3.gor"), ("b/../a.3.gor", "a.gor")])
def test_two_services_do_not_write_one_file(one: str, two: str, tmp_path: Path) -> None:
    services = [
        f"  {name}: {{match: {{host: {name}.example}}, {PLAIN.strip()}, capture: {{path: {path}}}}}"
        for name, path in (("x", one), ("y", two), ("z", "other.gor"))
    ]
    assert said(tmp_path, "services:\n" + "\n".join(services)) == [
        "services.y.capture.path: is a file of the service x as well: write another one"
    ]
