"""Every mistake at once, each with its place and with what would be right."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from shadowproxy.config import ConfigError, Overrides, Problem, load
from shadowproxy.config.loading import MAX_PROBLEMS
from shadowproxy.config.messages import sentence
from shadowproxy.config.source import MAX_BYTES
from shadowproxy.metrics.layout import MAX_ROUTES, MAX_SERVICES
from shadowproxy.model.policy import Registry
from tests.config.builders import MIRRORED, PLAIN, loaded, problems, said, write


def test_every_mistake_is_found_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
listen: [8080, "127.0.0.1:8081"]
workers: yes
upstreams:
  primary: {urls: [http://a, http://a/b]}
  candidate:
    urls: http://x
    timeouts: {connect: 10}
shadow: {sample: 0.25, max_bdy: 1, headers: {candidate: {set: {Host: x}}}}
routes:
  - name: a
    match: {path: items}
  - match: {path: "/x/{id}"}
  - name: b
  - name: b
admin: {listen: 0.0.0.0:9900}
empty:
"""
    found = [str(problem) for problem in problems(tmp_path, text)]
    assert [line.split(": ")[0] + ": " + line.split(": ")[1] for line in found] == [
        "proxy.yaml:1:10: listen[0]",
        "proxy.yaml:2:10: workers",
        "proxy.yaml:4:30: upstreams.primary.urls[1]",
        "proxy.yaml:6:11: upstreams.candidate.urls",
        "proxy.yaml:7:25: upstreams.candidate.timeouts.connect",
        "proxy.yaml:8:18: shadow.sample",
        "proxy.yaml:8:24: shadow.max_bdy",
        "proxy.yaml:8:64: shadow.headers.candidate.set.Host",
        "proxy.yaml:11:19: routes[0].match.path",
        "proxy.yaml:12:5: routes[1].name",
        "proxy.yaml:14:5: routes[3]",
        "proxy.yaml:14:11: routes[3].name",
        "proxy.yaml:15:17: admin.listen",
        "proxy.yaml:16:1: empty",
    ]
    assert all("\n" not in line for line in found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lisen: x", "lisen: unknown key: did you mean listen?"),
        ("shadow: {smaple: 5%}", "shadow.smaple: unknown key: did you mean sample?"),
        ("drain: {zzz: 1}", "drain.zzz: unknown key: known here are delay, timeout"),
        ("drain: 30s", "drain: must be a mapping with keys of its own: delay, timeout"),
        ("drain: [30s]", "drain: must be a mapping with keys of its own: delay, timeout"),
        ("drain: {timeout: {a: 1}}", "drain.timeout: cannot be used: write a duration: one value, not a mapping"),
        ("routes: {a: 1}", "routes: must be a list: put [ and ] around it"),
        ("shadow: {methods: GET}", "shadow.methods: must be a list: put [ and ] around it"),
        ("shadow: {headers: {candidate: {set: X}}}", "shadow.headers.candidate.set: must be a mapping: write a key"),
        (
            "compare: {tolerance: {status: 1}}",
            "compare.tolerance.status: this name cannot be used: is no path into JSON",
        ),
        ("workers: 0", 'workers: cannot be "0": write a whole number from 1 to 256, or auto'),
        (
            "workers: [1]",
            "workers: cannot be used: write a whole number from 1 to 256, or auto for one per processor: one",
        ),
        ("comparers: 1.5", 'comparers: cannot be "1.5": write a whole number from 1 to 64'),
        ("comparers: true", 'comparers: cannot be "true": write a whole number from 1 to 64'),
        ("proxy_protocol: yes", 'proxy_protocol: cannot be "yes": write true or false (in YAML 1.2 yes, no, on'),
        ("drain: {timeout: 30}", 'drain.timeout: cannot be "30": write a duration with its unit, such as 250ms'),
        ("limits: {line: 1B}", 'limits.line: cannot be "1B": write at least 256B'),
        ("log: {format: xml}", 'log.format: cannot be "xml": write one of: auto, json, text'),
        ("service: 5", 'service: cannot be "5": this is text: put quotes around it'),
        ("service: [a]", "service: cannot be used: write a name: one value, not a list"),
        ("listen: {a: b}", "listen: cannot be used: write a address: one value, not a mapping"),
        ("timeouts: {idle: 0s}", 'timeouts.idle: cannot be "0s": write at least 1ms'),
        ("compare: {tolerance: {$.a: -1}}", 'compare.tolerance["$.a"]: cannot be "-1": write the largest difference'),
        (
            "compare: {tolerance: {$.a: .inf}}",
            'compare.tolerance["$.a"]: cannot be ".inf": write the largest difference',
        ),
        (
            "compare: {tolerance: {$.a: 101%}}",
            'compare.tolerance["$.a"]: cannot be "101%": write the largest difference',
        ),
        (
            "compare: {tolerance: {$.a: near}}",
            'compare.tolerance["$.a"]: cannot be "near": write the largest difference',
        ),
        (
            "compare: {identity: {$.a: '$.id'}}",
            'compare.identity["$.a"]: cannot be "$.id": leads to no member of an element: write its name, such as id',
        ),
        ("compare: {identity: {$.a: 'a.*'}}", 'compare.identity["$.a"]: cannot be "a.*": leads to no member'),
        ("compare: {identity: {$.a: ''}}", 'compare.identity["$.a"]: cannot be "": leads to no member'),
        ("compare: {identity: {$.a: 5}}", 'compare.identity["$.a"]: cannot be "5": this is text: put quotes around it'),
        (
            "compare: {identity: {status: id}}",
            "compare.identity.status: this name cannot be used: is no path into JSON",
        ),
        (
            "compare: {ignore: [price]}",
            'compare.ignore[0]: cannot be "price": is no field: write status, line, body, header',
        ),
        ("compare: {unordered: [status]}", 'compare.unordered[0]: cannot be "status": is no path into JSON'),
        ("compare: {redact_patterns: ['(a+)+']}", 'compare.redact_patterns[0]: cannot be "(a+)+": repeats something'),
        ("compare: {redact_patterns: [5]}", 'compare.redact_patterns[0]: cannot be "5": write a regular expression'),
        ("data_dir: ''", 'data_dir: cannot be "": write the path of a file'),
    ],
)
def test_a_wrong_value_is_told_what_would_be_right(text: str, message: str, tmp_path: Path) -> None:
    [found] = said(tmp_path, MIRRORED + text)
    assert found.startswith(message)


def test_what_pydantic_may_say_one_day_is_said_in_its_words() -> None:
    assert sentence({"type": "new", "loc": ("a",), "msg": "Is odd"}, ("a",), {}) == "cannot be used: Is odd"


def test_a_path_with_other_characters_is_quoted(tmp_path: Path) -> None:
    assert said(tmp_path, 'services: {"a b": {' + MIRRORED.strip() + "}}")[0].startswith(
        'services["a b"]: this name cannot be used: write 1 to 64 letters'
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "1:1: the file is empty: write at least upstreams.primary.urls"),
        (b"# nothing\n", "1:1: the file is empty"),
        (b"- a\n", "1:1: the file must be a mapping"),
        (b"just text", "1:1: the file must be a mapping"),
        (b"a: \xff\xfe", "1:1: the file is not UTF-8 (byte 4, in line 1): save it as UTF-8"),
        (b"#" * (MAX_BYTES + 1), "1:1: the file is larger than 4MiB"),
        (b"a: [", "1:5: expected the node content"),
        (b"!x\na: 1", "1:1: tags are not used here"),
    ],
)
def test_a_file_that_is_no_configuration(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "proxy.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path, Overrides(), Registry(), {})
    assert str(caught.value.problems[0]).startswith(f"{path}:{message}")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "proxy.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + PLAIN.encode())
    assert load(path, Overrides(), Registry(), {}).policy.services[0].name == "default"


def test_a_file_that_is_not_there_is_no_file_or_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def why(path: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            load(path, Overrides(), Registry(), {})
        [problem] = caught.value.problems
        return problem.message

    assert why(tmp_path / "absent.yaml").startswith("there is no such file")
    assert why(tmp_path).startswith("this is a directory")
    assert why(Path("/dev/null")).startswith("the file is no regular file")
    path = write(tmp_path, PLAIN)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert why(path) == "the file cannot be read (Permission denied): let this user read it"


@pytest.mark.no_cover
def test_more_services_or_routes_than_can_be_counted(tmp_path: Path) -> None:
    def service(name: str, routes: int) -> str:
        listed = "".join(f"      - {{name: r{n}, match: {{path: /{name}/r{n}}}}}\n" for n in range(routes))
        return f"  {name}:\n    match: {{path: /{name}}}\n    {PLAIN}" + (f"    routes:\n{listed}" if routes else "")

    many = "services:\n" + "".join(service(f"s{n}", 0) for n in range(MAX_SERVICES + 1))
    assert said(tmp_path, many) == [f"services: 65 services, at most {MAX_SERVICES} can be counted"]
    full = "services:\n" + service("a", MAX_ROUTES - 1)
    assert said(tmp_path, full) == []
    assert said(tmp_path, full + service("b", 0)) == [
        f"services: 1025 routes (one `other` for each service), at most {MAX_ROUTES} can be counted"
    ]


def test_rows_of_earlier_reloads_count_too_and_stay_what_they_were(tmp_path: Path) -> None:
    before = Registry(services={f"s{n}": n for n in range(MAX_SERVICES)}, routes={"s0\nother": 0})
    [problem] = problems(tmp_path, PLAIN, registry=before)
    assert "those of earlier reloads included: restart to begin anew" in problem.message
    assert len(before.services) == MAX_SERVICES

    text = "services: {s5: {" + MIRRORED.strip() + ", routes: [{name: a, match: {path: /a}}]}}"
    known = Registry(services={"s5": 7}, routes={"s5\nother": 3})
    got = loaded(tmp_path, text, registry=known)
    [service] = got.policy.services
    assert (service.index, service.other.index, service.routes[0].index) == (7, 3, 1)
    assert known == Registry(services={"s5": 7}, routes={"s5\nother": 3})
    assert got.registry.routes == {"s5\nother": 3, "s5\na": 1}


@pytest.mark.no_cover
def test_a_file_of_nothing_but_mistakes_is_read_quickly(tmp_path: Path) -> None:
    """Guesses at what was meant are made for the first ones only, and neighbours are compared only when they fit."""
    keys = ", ".join(f"upstreem{n}: 1" for n in range(60))
    text = MIRRORED + "routes:\n" + f"  - {{name: a, {keys}}}\n" * 500
    assert len(said(tmp_path, text)) == MAX_PROBLEMS + 1
    assert any(line.endswith("and 29500 more: mend the others first") for line in said(tmp_path, text))
    text = MIRRORED + "routes:\n" + "".join(f"  - {{name: r{n}, match: {{path: '/r{n}'}}}}\n" for n in range(1999))
    assert said(tmp_path, text) == [
        f"routes: 2000 routes (one `other` for each service), at most {MAX_ROUTES} can be counted"
    ]


def test_a_name_of_a_file_stays_on_its_line() -> None:
    assert str(Problem("a\nb", 1, 2, "c", "d")) == "a\\nb:1:2: c: d"


def test_two_hundred_routes_are_read_quickly(tmp_path: Path) -> None:
    route = """\
  - name: item{n}
    match: {{path: "/items{n}/{{id}}", methods: [GET]}}
    shadow: {{sample: 25%}}
    compare:
      ignore:
        - $.stock.*
        - header:server
"""
    path = write(tmp_path, MIRRORED + "routes:\n" + "".join(route.format(n=n) for n in range(200)))
    load(path, Overrides(), Registry(), {})
    took = []
    for _ in range(3):
        start = time.process_time()
        load(path, Overrides(), Registry(), {})
        took.append(time.process_time() - start)
    traced = sys.gettrace() is not None  # by coverage, which takes several times as long
    assert min(took) < (4.0 if traced else 1.0)


def test_importing_the_room_costs_neither_pydantic_nor_a_parser() -> None:
    code = "import shadowproxy.config, sys; print(sorted({'pydantic', 'ruamel', 'ruamel.yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
