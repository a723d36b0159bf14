"""Which template a path matches: the more specific one, whatever stands beside it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.endpoints.tree import Entry, Tree

UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def learned(*templates: str) -> Tree[str]:
    return Tree([Entry(template, True, template) for template in templates])


def written(*templates: str) -> Tree[str]:
    return Tree([Entry(template, False, template) for template in templates])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/users/1", "/users/{id}"),
        (f"/users/{UUID}", "/users/{uuid}"),
        ("/users/me", "/users/me"),
        ("/users/ann", None),
        ("/users/1/", "/users/{id}/"),
        ("/users//1", None),
        ("/users", None),
        (f"/users/1/orders/{UUID}", "/users/{id}/orders/{uuid}"),
        ("/users/me/orders/1", "/users/{name}/orders/{id}"),
        ("/products/red-shoes", "/products/{name}"),
        ("/products/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/products/{name}"),
        ("/products/17", None),
        ("/products/", None),
        ("/t/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/t/{token}"),
        ("/", "/"),
        ("//", None),
        ("*", None),
        ("users/1", None),
        ("/users/1/2/3/4/5/6/7/8", None),
    ],
)
def test_placeholders_of_learned_templates_take_what_looks_like_them(path: str, expected: str | None) -> None:
    tree = learned(
        "/users/{id}",
        "/users/{uuid}",
        "/users/me",
        "/users/{id}/",
        "/users/{id}/orders/{uuid}",
        "/users/{name}/orders/{id}",
        "/products/{name}",
        "/t/{token}",
        "/t/{name}",
        "/",
    )
    assert tree.find(path.encode()) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/users/ann", "/users/{userId}"),
        (b"/users/\xff", "/users/{userId}"),
        (b"/users/new", "/users/new"),
        (b"/users/", None),
        (b"/users/a/b", None),
        (b"/items/7.json", "/items/{id}.json"),
        (b"/items/.json", "/items/{id}"),
        (b"/items/7.xml", "/items/{id}"),
        (b"/items/7:cancel", "/items/{id}:cancel"),
        (b"/items/2024-05...2024-06", "/items/{from}...{to}"),
        (b"/items/2024-05...", "/items/{id}"),
        (b"/items/a...b...c", "/items/{from}...{to}"),
    ],
)
def test_placeholders_of_written_templates_take_anything(path: bytes, expected: str | None) -> None:
    tree = written(
        "/users/{userId}",
        "/users/new",
        "/items/{id}",
        "/items/{id}.json",
        "/items/{id}:cancel",
        "/items/{from}...{to}",
        "/items/{number}.json",
    )
    assert tree.find(path) == expected


def test_a_literal_that_leads_nowhere_does_not_hide_the_placeholder_beside_it() -> None:
    tree = written("/a/{x}/c", "/a/b/d", "/{y}/b/e")
    assert [tree.find(path) for path in (b"/a/b/c", b"/a/b/d", b"/a/b/e", b"/a/b/f")] == [
        "/a/{x}/c",
        "/a/b/d",
        "/{y}/b/e",
        None,
    ]


def test_of_two_that_take_the_same_the_first_counts() -> None:
    assert written("/a/{x}", "/a/{y}").find(b"/a/1") == "/a/{x}"


def test_learned_and_written_ones_stand_beside_each_other() -> None:
    tree = Tree([Entry("/users/{userId}", False, "written"), Entry("/users/{id}/orders/{id}", True, "learned")])
    assert [tree.find(path) for path in (b"/users/1", b"/users/1/orders/2", b"/users/a/orders/2")] == [
        "written",
        "learned",
        None,
    ]


def test_hostile_paths_cost_next_to_nothing() -> None:
    tree = written(*(f"/{{a{i}}}" + "/x" * i + "/{b}" for i in range(12)), "/items/{a}-{b}-{c}-{d}")
    started = time.perf_counter()
    for path in (b"/x" * 4000, b"/" * 8000, b"/items/" + b"-" * 8000 + b"/", b"/items/" + b"a-" * 4000):
        tree.find(path)
    assert time.perf_counter() - started < 0.05


PLAIN = st.sampled_from(["", "a", "b", "1", "22", UUID, "red-shoes"])
SEGMENT = PLAIN | st.sampled_from(["{id}", "{uuid}", "{name}"])
TEMPLATE = st.lists(SEGMENT, min_size=1, max_size=4).map(lambda segments: "/" + "/".join(segments))


@given(st.lists(TEMPLATE, max_size=12), st.lists(PLAIN, min_size=1, max_size=4))
def test_the_tree_finds_a_template_where_one_matches_segment_by_segment(templates: list[str], path: list[str]) -> None:
    looks = {"1": "{id}", "22": "{id}", UUID: "{uuid}"}

    def takes(template: str) -> bool:
        segments = template[1:].split("/")
        return len(segments) == len(path) and all(
            one == other or (other != "" and one == looks.get(other, "{name}"))
            for one, other in zip(segments, path, strict=True)
        )

    found = learned(*templates).find(("/" + "/".join(path)).encode())
    assert (found is not None) == any(map(takes, templates))
    assert found is None or takes(found)
