from __future__ import annotations

from typing import Any

import pytest

from shadowproxy.config import tree
from shadowproxy.config.tree import Tree, read


def only_problem(text: str) -> tuple[int, int, str]:
    [problem] = read(text, "f.yaml").problems
    return problem.line, problem.column, problem.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-3", -3),
        ("+3", 3),
        ("007", 7),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("yes", "yes"),
        ("on", "on"),
        ("0x1f", 31),
        ("0o17", 15),
        ("1:20", "1:20"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        (".inf", ".inf"),
        ("25%", "25%"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("9" * 30, float("9" * 30)),
        ("9" * 50, "9" * 50),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    data = read(f"a: {text}", "f.yaml").data["a"]
    assert (data, type(data)) == (value, type(value))


def test_every_path_has_the_place_of_its_key_and_of_its_value() -> None:
    places = read("a:\n  b: [x, {c: 1}]\n", "f.yaml").places
    assert (places["a", "b"].line, places["a", "b"].column) == (2, 6)
    assert places["a", "b"].key == (2, 3)
    assert (places["a", "b", 1, "c"].line, places["a", "b", 1, "c"].column) == (2, 14)
    assert places["a", "b", 1, "c"].key == (2, 11)
    assert places["a", "b", 0].written == "x"


def test_keys_are_taken_as_written() -> None:
    assert read("1: a\ntrue: b\n'on': c", "f").data == {"1": "a", "true": "b", "on": "c"}


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\nb: 2\na: 3", 3, 1, "stands twice, first in line 1"),
        ("a:\n  - b\n  -\n", 3, 4, "has no value"),
        ("a:\nb: 1", 1, 1, "has no value"),
        ("a: ~", 1, 1, "has no value"),
        ("a: {x: null}", 1, 5, "has no value"),
        ("a:\n\tb: 1", 2, 1, "tab"),
        ("a: 1\nb: [1, 2", 2, 9, "but got '<stream end>': close the [ of line 2, and put commas between its items"),
        ("a: {b: 1", 1, 9, "close the { of line 1"),
        ("a: [}", 1, 5, "write a value here, or close what is open"),
        ("a: b: c", 1, 5, "mapping values are not allowed here: write each key on a line of its own"),
        ("a: 'it's'", 1, 8, "expected <block end>, but found '<scalar>': write each key"),
        (" a: b\nc: d", 2, 1, "write each key on a line of its own"),
        ("a: 'x", 1, 6, "unexpected end of stream: close the quote of line 1"),
        ("a: @x", 1, 4, "cannot start any token: put quotes around a value that begins with it"),
        ('a: "\\q"', 1, 6, "unknown escape character 'q': write \\\\ for a backslash"),
        ("a: b\nc\n", 3, 1, "could not find expected ':': write a colon and a space after a key"),
        ("a: {x: ${Y:-1}}", 1, 9, 'put quotes around a value with ${…}, as in "${NAME}"'),
        ("a: 1\n--- \nb: 1", 2, 1, "a second document begins here"),
        ("a: !!int 1", 1, 4, "tags are not used here"),
        ("a: !python/object:os.system 1", 1, 4, "tags are not used here"),
        ("a: *b", 1, 4, "no complete anchor"),
        ("*b", 1, 1, "no complete anchor"),
        ("a: &x [*x]", 1, 8, "no complete anchor"),
        ("a: &x {b: 1}\nc:\n  <<: *x", 3, 3, "merge keys"),
        ("? [a]\n: b", 1, 3, "a key must be a plain word"),
        ("a: b\x00c", 1, 5, "cannot stand in YAML"),
        ("a: 1\nb: \x07", 2, 4, "cannot stand in YAML"),
    ],
)
def test_a_mistake_in_the_yaml_has_its_place(text: str, line: int, column: int, message: str) -> None:
    found = only_problem(text)
    assert found[:2] == (line, column)
    assert message in found[2]


def test_mistakes_that_do_not_end_the_reading_are_found_together() -> None:
    found = read("a: 1\na: 2\nb:\nc: !x 3\nd: *e\nf: 4", "f.yaml")
    assert [p.line for p in found.problems] == [2, 3, 4, 5]
    assert found.whole
    assert found.data == {"a": 1, "c": "3" if found.data["c"] == "3" else 3, "f": 4}


def test_what_a_duplicate_key_holds_is_not_taken() -> None:
    found = read("a: {x: 1}\na: {y: [1, {z: 2}]}\nb: 3", "f.yaml")
    assert found.data == {"a": {"x": 1}, "b": 3}


def test_an_alias_is_a_copy_of_its_own_that_knows_where_it_was_written() -> None:
    found = read("a: &x {b: [1]}\nc: *x\nd: &y 5\ne: [*y]", "f.yaml")
    assert found.data == {"a": {"b": [1]}, "c": {"b": [1]}, "d": 5, "e": [5]}
    assert found.data["c"] is not found.data["a"]
    assert found.places["c", "b", 0].line == 1
    assert found.places["c",].key == (2, 1)


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_aliases_cannot_multiply_without_bound() -> None:
    found = read(bomb(12), "f.yaml")
    assert not found.whole
    assert "more than 100000 values" in found.problems[-1].message


def test_aliases_cannot_nest_without_bound() -> None:
    text = "a0: &a0 {b: 1}\n" + "\n".join(f"a{n}: &a{n} {{b: *a{n - 1}}}" for n in range(1, 50))
    found = read(text, "f.yaml")
    assert "nested more than 32 levels" in found.problems[-1].message


def test_depth_is_bounded() -> None:
    line, _, message = only_problem("[" * 5000)
    assert line == 1
    assert "nested more than 32 levels" in message


def test_the_number_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_NODES", 10)
    assert "more than 10 values" in only_problem("- 1\n" * 11)[2]


@pytest.mark.parametrize("text", ["- 1\n" * 2001, "".join(f"k{n}: 1\n" for n in range(2001))])
def test_no_list_or_mapping_is_endless(text: str) -> None:
    line, _, message = only_problem(text)
    assert line == 2001
    assert message == "more than 2000 items in one list or mapping"


@pytest.mark.parametrize(("text", "data"), [("", None), ("# only a comment\n", None), ("---\n", None), ("x", "x")])
def test_a_document_may_be_anything_at_its_top(text: str, data: Any) -> None:
    assert read(text, "f.yaml") == Tree(data, read(text, "f.yaml").places, [], set(), True)


def test_a_refused_character_does_not_reach_the_terminal() -> None:
    [problem] = read("a: 1\nb: \x1b[2Jx", "f.yaml").problems
    assert "\x1b" not in str(problem)
