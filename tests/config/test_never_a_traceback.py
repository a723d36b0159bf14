"""Whatever a file holds, reading it gives a policy or problems with places; never another exception."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from shadowproxy.config import ConfigError, Overrides, Problem, describe, load
from shadowproxy.config.outline import all_sections
from shadowproxy.model.policy import Registry

EXAMPLES = sorted((Path(__file__).parents[2] / "config").glob("*.yaml"))
KEYS = sorted({name for section in all_sections() for name in section.model_fields})

reuse = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def check(path: Path, content: bytes, overrides: Overrides | None = None) -> None:
    path.write_bytes(content)
    problems: list[Problem] = []
    try:
        assert describe(load(path, overrides or Overrides(), Registry(), {"A": "1", "B": "25%"}))
    except ConfigError as error:
        problems = error.problems
    assert all(problem.line >= 1 and problem.column >= 1 and problem.message for problem in problems)
    assert not any("\n" in str(problem) for problem in problems)


@reuse
@given(content=st.binary(max_size=300))
@example(content=b"\xff")
@example(content=b"a: \xed\xa0\x80")
def test_any_bytes(content: bytes, tmp_path: Path) -> None:
    check(tmp_path / "f.yaml", content)


@reuse
@given(content=st.text("{}[]:,-?&*!|>'\"%@`# \n\tab1<~$.\0\x85\ufeff", max_size=80))
@example(content="? a\n? b\n")
@example(content="&a a: *a")
@example(content="*a : b")
@example(content="a: *a\n<<: 1")
@example(content="'' : 1")
@example(content="- &a\n- *a")
@example(content="a: &a\nb: *a")
@example(content="&a {a: &a {a: *a}}")
def test_any_yaml_punctuation(content: str, tmp_path: Path) -> None:
    check(tmp_path / "f.yaml", content.encode())


scalars = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(max_size=12),
    st.sampled_from(
        ["25%", "10s", "1MiB", "GET", "/a/{b}", "http://a", "127.0.0.1:1", "none", "auto", "$.a", "${A}", "${B}"]
    ),
    st.sampled_from(["${file:/}", "${NOPE}", "$${", "unix:a", "*.a", "a", "::", "(a*)*", "header:a", "\0", "\ud7ff"]),
)
names = st.one_of(st.sampled_from(KEYS), st.text(max_size=5))
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=5)),
    max_leaves=25,
)


def dumped(data: Any, path: Path) -> bytes:
    with path.open("wb") as file:
        YAML(typ="safe", pure=True).dump(data, file)
    return path.read_bytes()


@reuse
@given(data=st.dictionaries(names, documents, max_size=8))
def test_any_document_of_known_keys(data: dict[str, Any], tmp_path: Path) -> None:
    check(tmp_path / "f.yaml", dumped(data, tmp_path / "g.yaml"))


def paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(deeper for step, item in steps for deeper in paths(item, (*path, step)))]


@pytest.mark.no_cover
@pytest.mark.parametrize("example_file", EXAMPLES, ids=lambda path: path.stem)
@settings(parent=reuse, max_examples=30)
@given(data=st.data())
def test_an_example_with_anything_in_one_place(example_file: Path, data: st.DataObject, tmp_path: Path) -> None:
    loaded = YAML(typ="safe", pure=True).load(example_file)
    path = data.draw(st.sampled_from(paths(loaded)[1:]))
    parent = loaded
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = data.draw(st.one_of(documents, st.none()))
    check(tmp_path / "f.yaml", dumped(loaded, tmp_path / "g.yaml"))


texts = st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["http://a", "127.0.0.1:1", "unix:a", "5", "25%"]))


@reuse
@given(
    overrides=st.builds(
        Overrides,
        primary=texts,
        candidate=texts,
        secondary=texts,
        listen=st.lists(st.text(max_size=20), max_size=2).map(tuple),
        admin=texts,
        sample=texts,
        workers=texts,
        data_dir=texts,
        probe=texts,
        metrics=texts,
    ),
    content=st.sampled_from([b"", b"admin: 5", b"services: {a: {}, b: {}}", b"services: {a: 5}", b"upstreams: [1]"]),
)
def test_any_options(overrides: Overrides, content: bytes, tmp_path: Path) -> None:
    check(tmp_path / "f.yaml", content, overrides)
