from __future__ import annotations

from pathlib import Path

import pytest

from shadowproxy.config.expand import MAX_FILE, Expanded, expand, expand_all
from shadowproxy.config.problems import BadValueError
from shadowproxy.config.tree import read
from tests.config.builders import MIRRORED, loaded, problems, said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain $.a {b}", "plain $.a {b}"),
        ("${A}", "one"),
        ("x${A}y${A}z", "xoneyonez"),
        ("${A:-two}", "one"),
        ("${B:-two}", "two"),
        ("${B:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-two}", "two"),
        ("${B:-a:b}", "a:b"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A", "$A"),
        ("${LOOP}", "${A}"),
    ],
)
def test_references_are_replaced_as_a_shell_would(text: str, expected: str, tmp_path: Path) -> None:
    assert expand(text, {"A": "one", "EMPTY": "", "LOOP": "${A}"}, tmp_path) == expected


def test_what_was_expanded_is_known_as_such(tmp_path: Path) -> None:
    assert isinstance(expand("${A}", {"A": "5"}, tmp_path), Expanded)
    assert not isinstance(expand("5", {}, tmp_path), Expanded)


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A-b}", "${A:=b}", "a ${ b", "${file:}"])
def test_a_broken_reference_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadValueError, match=r"write \$\{NAME\}, \$\{NAME:-default\} or \$\{file:/path\}"):
        expand(text, {"A": "one"}, tmp_path)


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadValueError, match=r"the variable TOKEN is not set: .* as in \$\{TOKEN:-…\}"):
        expand("${TOKEN}", {}, tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"), [(b"s3cret\n", "s3cret"), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b"", "")]
)
def test_a_file_is_read_without_its_last_line_end(content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert expand("${file:secret}", {}, tmp_path) == expected
    assert expand(f"${{file:{tmp_path}/secret}}", {}, Path("/")) == expected


def test_a_file_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "big").write_bytes(b"x" * (MAX_FILE + 1))
    for name, why in {
        "absent": "does not exist",
        ".": "is no regular file",
        "binary": "is not UTF-8",
        "big": "larger than 64KiB",
        "\0": "does not exist",
    }.items():
        with pytest.raises(BadValueError, match=why):
            expand(f"${{file:{name}}}", {}, tmp_path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("x")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(BadValueError, match="Permission denied"):
        expand("${file:secret}", {}, tmp_path)


def test_a_value_that_cannot_be_expanded_is_one_problem(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, "upstreams: {primary: {urls: ['${NOPE}']}}")
    assert (problem.path, problem.column) == ("upstreams.primary.urls[0]", 30)


def test_only_strings_are_expanded_and_failures_have_their_paths(tmp_path: Path) -> None:
    tree = read('a: ["${A}", 5, {b: "${NOPE}"}]', "f")
    assert [path for path, _ in expand_all(tree, {"A": "x"}, tmp_path)] == [("a", 2, "b")]
    assert tree.data["a"][:2] == ["x", 5]


def test_an_expanded_value_may_be_a_number_a_share_or_a_truth_value(tmp_path: Path) -> None:
    text = MIRRORED + "workers: ${W}\nshadow: {sample: '${S}', timeout: '${T}'}\nproxy_protocol: ${P}\n"
    got = loaded(tmp_path, text, environ={"W": "2", "S": "12.5%", "T": "3s", "P": "true"})
    assert got.launch.workers == 2
    assert got.policy.proxy_protocol is True
    assert (got.policy.services[0].shadow.sample, got.policy.services[0].shadow.timeout) == (0.125, 3.0)


def test_a_quoted_number_is_still_text_where_a_number_is_wanted(tmp_path: Path) -> None:
    assert said(tmp_path, MIRRORED + "workers: '2'") == [
        'workers: cannot be "2": write a whole number from 1 to 256, or auto for one per processor'
    ]


def test_an_expanded_value_cannot_add_keys(tmp_path: Path) -> None:
    text = MIRRORED + "service: ${NAME}\n"
    [problem] = problems(tmp_path, text, environ={"NAME": "x\nworkers: 5"})
    assert problem.path == "service"


def test_what_a_value_expands_to_is_never_shown(tmp_path: Path) -> None:
    hidden = "hunter2-s3cret"
    text = """\
listen: ${X}
workers: ${X}
drain: {delay: "${X}"}
limits: {line: "${X}", fields: "${X}"}
timeouts: {body_rate: "${X}"}
access_log: {sample: "${X}"}
log: {format: "${X}"}
trusted_proxies: ["${X}"]
proxy_protocol: ${X}
admin: {tokens: [{name: "a/${X}", role: "${X}", token: "a b ${X}"}]}
tls: {cert: "${X}", key: "${X}"}
upstreams:
  primary: {urls: ["${X}"]}
  candidate: {urls: ["http://user:${X}@host"]}
shadow:
  methods: ["a b${X}"]
  headers: {candidate: {remove: ["${X} "], set: {A: "é${X}"}}}
compare: {ignore: ["${X}"], redact_patterns: ["(${X}"], tolerance: {$.a: "${X}"}}
routes: [{name: a, match: {path: "${X}", host: "${X}:80"}}]
"""
    found = problems(tmp_path, text, environ={"X": hidden})
    assert len(found) >= 24
    assert hidden not in "\n".join(str(problem) for problem in found)
    assert any("${X}" in problem.message for problem in found)
