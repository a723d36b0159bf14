from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.compare.paths import (
    CHILD,
    ELEMENT,
    MEMBER,
    PathError,
    Step,
    check_path,
    compile_names,
    compile_path,
    write_member,
)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("$", ()),
        ("$.a", (Step(MEMBER, "a"),)),
        ("$.a-b.$c", (Step(MEMBER, "a-b"), Step(MEMBER, "$c"))),
        ("$..trace_id", (Step(MEMBER, "trace_id", deep=True),)),
        ("$.stock.*", (Step(MEMBER, "stock"), Step(CHILD))),
        ("$..*", (Step(CHILD, deep=True),)),
        ("$.items[].sku", (Step(MEMBER, "items"), Step(ELEMENT), Step(MEMBER, "sku"))),
        ("$[*]", (Step(ELEMENT),)),
        ("$['a key']", (Step(MEMBER, "a key"),)),
        ('$["it\'s"].x', (Step(MEMBER, "it's"), Step(MEMBER, "x"))),
        (r"$['\'\\']", (Step(MEMBER, "'\\"),)),
        ("$..['a b']", (Step(MEMBER, "a b", deep=True),)),
    ],
)
def test_a_path_into_json_is_its_steps(text: str, steps: tuple[Step, ...]) -> None:
    assert compile_path(text).steps == steps
    assert compile_path(text).room == "json"


@pytest.mark.parametrize(
    ("text", "room", "name"),
    [
        ("status", "status", ""),
        ("line", "line", ""),
        ("body", "body", ""),
        ("header:ETag", "header", "etag"),
        ("form:user[name]", "form", "user[name]"),
    ],
)
def test_other_fields_have_a_room_and_a_name(text: str, room: str, name: str) -> None:
    path = compile_path(text)
    assert (path.room, path.name, path.steps) == (room, name, ())


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("", "header:name"),
        ("price", "$.items[].sku"),
        ("cookie:a", "header:name"),
        ("header:", "letters, digits and hyphens"),
        ("header:a b", "letters, digits and hyphens"),
        ("form:", "form:email"),
        ("$price", "character 2: a step begins with"),
        ("$.", "a name or * must follow"),
        ("$.a..", "character 6: a name or * must follow"),
        ("$.a b", "character 4: a step begins with"),
        ("$.items[0]", "write [] for every element"),
        ("$.items.[]", "write [] for every element"),
        ("$.['a']", "without a dot"),
        ("$['a", "write [] for every element"),
        ("$..[]", "write [] for every element"),
    ],
)
def test_a_bad_field_is_told_what_would_be_right(text: str, right: str) -> None:
    with pytest.raises(PathError) as refusal:
        compile_path(text)
    assert right in str(refusal.value)
    assert check_path(text) == str(refusal.value)


def test_a_good_field_passes_the_check() -> None:
    assert check_path("$.items[].sku") is None
    assert check_path("header:server") is None
    assert check_path("$.tags", json=True) is None


def test_rules_on_values_want_paths_into_json() -> None:
    message = check_path("header:server", json=True)
    assert message is not None
    assert "$.items[].price" in message


def test_a_status_cannot_be_masked() -> None:
    message = check_path("status", masked=True)
    assert message is not None
    assert "nothing to mask" in message
    assert check_path("body", masked=True) is None


@given(st.lists(st.text(), max_size=4))
def test_what_is_written_compiles_to_the_same_members(keys: list[str]) -> None:
    path = compile_path("$" + "".join(map(write_member, keys)))
    assert [step.name for step in path.steps] == keys


def test_the_way_to_a_name_is_members_alone() -> None:
    assert compile_names("id") == ("id",)
    assert compile_names("node.id") == ("node", "id")
    assert compile_names("['a b'].@id") == ("a b", "@id")
    for wrong in ("", "$", "$.id", "a.", "a[]", "*", "a..b", "..a", "['a'", "a b"):
        with pytest.raises(PathError, match=r"write its name, such as id"):
            compile_names(wrong)
