"""Templates are learned from what keeps coming, never from what somebody walks through, and never without bound."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowproxy.endpoints.learner import (
    MAX_NODES,
    MAX_RESOURCES,
    MAX_SEGMENTS,
    MIN_SEEN,
    PATIENCE,
    Learner,
    is_template,
)

UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
SLUGS = [
    f"{colour}-{thing}"
    for colour in ("red", "blue", "old", "new", "big")
    for thing in ("shoe", "hat", "car", "pen", "cup")
]


def learner(paths: Iterable[str], published: Iterable[str] = ()) -> Learner:
    """All of it seen at once."""
    made = Learner(published)
    for path in paths:
        made.see(path.encode(), 0.0)
    return made


def learned(paths: Iterable[str], published: Iterable[str] = ()) -> set[str]:
    """The templates once patience has been had."""
    return set(learner(paths, published).ready(PATIENCE))


def shuffled(paths: Iterable[str], seed: int = 1) -> list[str]:
    found = list(paths)
    random.Random(seed).shuffle(found)
    return found


def test_segments_become_placeholders_by_their_looks() -> None:
    paths = [f"/users/{i}/orders/{UUID}" for i in range(30)] + [f"/users/{i}" for i in range(30)]
    assert learned(shuffled(paths)) == {"/users/{id}", "/users/{id}/orders/{uuid}"}


def test_a_template_has_to_be_seen_often_enough() -> None:
    assert learned([f"/users/{i}" for i in range(MIN_SEEN - 1)]) == set()
    assert learned([f"/users/{i}" for i in range(MIN_SEEN)]) == {"/users/{id}"}


def test_the_most_seen_comes_first() -> None:
    paths = [f"/a/{i}" for i in range(20)] + [f"/b/{i}" for i in range(40)] + [f"/c/{i}" for i in range(30)]
    assert learner(shuffled(paths)).ready(PATIENCE) == ["/b/{id}", "/c/{id}", "/a/{id}"]


def test_literals_stay_literals_while_they_are_few() -> None:
    paths = [f"/api/v{v}/{what}" for v in (1, 2) for what in ("users", "orders", "health") for _ in range(20)]
    assert learned(shuffled(paths)) == {f"/api/v{v}/{w}" for v in (1, 2) for w in ("users", "orders", "health")}


@pytest.mark.parametrize("times", [1, 20])
@pytest.mark.parametrize("order", ["one by one", "in turns", "at random"])
def test_names_of_things_fold(times: int, order: str) -> None:
    each = [f"/products/{slug}" for slug in SLUGS]
    paths = {
        "one by one": [path for path in each for _ in range(times)],
        "in turns": each * times,
        "at random": shuffled(each * times),
    }
    assert learned(paths[order]) == {"/products/{name}"}


def test_whoever_walks_through_names_leaves_no_stray_routes_on_the_way() -> None:
    made, now = Learner(), 0.0
    published: list[str] = []
    for slug in SLUGS:
        for _ in range(50):
            made.see(f"/products/{slug}".encode(), now)
            now += 0.02
            published += made.ready(now)
    assert set(published) == {"/products/{name}"}


def test_what_lies_below_folded_names_is_learned_with_them() -> None:
    paths = [f"/products/{slug}/reviews/{i}" for i in range(20) for slug in SLUGS]
    assert learned(shuffled(paths)) == {"/products/{name}/reviews/{id}"}


def test_what_few_have_below_them_stays_literal_when_they_fold_and_what_many_have_folds_as_well() -> None:
    sections = [f"/products/{slug}/{section}" for slug in SLUGS for section in ("reviews", "stock")]
    assert learned(shuffled(sections * 2)) == {"/products/{name}/reviews", "/products/{name}/stock"}
    photos = [f"/products/{slug}/{slug[::-1]}" for slug in SLUGS]
    assert learned(shuffled(photos * 2)) == {"/products/{name}/{name}"}


@pytest.mark.parametrize("seed", range(8))
def test_names_fold_whatever_had_folded_below_them_before(seed: int) -> None:
    photos = [f"/products/{slug}/{photo}" for slug in SLUGS[:8] for photo in SLUGS]
    rest = [f"/products/{slug}/{photo}" for slug in SLUGS[8:] for photo in SLUGS[:3]]
    paths = shuffled(photos, seed) + shuffled(rest, seed)
    assert learned([*paths, *shuffled(paths, seed)]) == {"/products/{name}/{name}"}


def test_folded_stays_folded() -> None:
    made = learner(f"/products/{slug}" for slug in SLUGS * 2)
    for _ in range(500):
        made.see(b"/products/popular", 1.0)
    assert made.ready(100.0) == ["/products/{name}"]


def test_tokens_fold_with_the_names_that_they_are_hard_to_tell_from() -> None:
    tokens = ["V1StGXR8_Z5jdHi6B-myT", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]
    assert learned(shuffled([f"/t/{each}" for each in (*SLUGS, *tokens) for _ in range(9)])) == {"/t/{name}"}


def test_an_api_may_have_more_resources_than_a_shelf_has_names() -> None:
    resources = [f"/{prefix}resource-{chr(i + 97)}" for prefix in ("", "api/v1/") for i in range(25)]
    paths = [f"{resource}/{i}" for resource in resources for i in range(40)]
    assert learned(shuffled(paths)) == {f"{resource}/{{id}}" for resource in resources}


def test_pages_at_the_top_fold_and_resources_beside_them_stay() -> None:
    pages = [f"/{slug}" for slug in SLUGS] * 20
    users = [f"/users/{i}" for i in range(200)]
    assert learned(shuffled(pages + users)) == {"/{name}", "/users/{id}"}


def test_resources_without_end_fold() -> None:
    paths = [f"/org-{chr(97 + i // 26)}{chr(97 + i % 26)}/{j}" for i in range(MAX_RESOURCES + 10) for j in range(20)]
    assert learned(shuffled(paths)) == {"/{name}/{id}"}


def test_assets_are_files() -> None:
    paths = [f"/static/js/app.{i:08x}.js" for i in range(40)] + [f"/{name}.ico" for name in "abcdefghijklmno"]
    assert learned(shuffled(paths)) == {"/static/js/{file}", "/{file}"}


def test_slashes_keep_their_meaning() -> None:
    paths = [path for i in range(20) for path in (f"/users/{i}", f"/users/{i}/", f"/users//{i}", "/", "//")]
    assert learned(paths) == {"/users/{id}", "/users/{id}/", "/users//{id}", "/", "//"}


def test_encoding_is_kept_as_it_came() -> None:
    assert learned(["/caf%C3%A9/1", "/caf%c3%a9/1"] * 20) == {"/caf%C3%A9/{id}", "/caf%c3%a9/{id}"}


@pytest.mark.parametrize(
    "path",
    [
        "*",
        "users/1",
        "/a b",
        '/a"b',
        "/a<b",
        "/{id}",
        "/a*",
        "/caf\xe9",
        "/%zz",
        "/a/../b",
        "/./b",
        "/a" * (MAX_SEGMENTS + 1),
        "/" + "a" * 600,
        "/" * 400,
    ],
)
def test_what_could_not_be_written_as_a_template_is_not_learned(path: str) -> None:
    made = Learner()
    for _ in range(100):
        made.see(path.encode("latin-1"), 0.0)
    assert made.ready(100.0) == []
    assert len(made) == 1


def test_what_is_published_is_not_ready_again() -> None:
    made = learner([f"/users/{i}" for i in range(20)])
    made.publish(["/users/{id}"])
    made.publish(["/users/{id}"])
    for i in range(20):
        made.see(b"/users/%d" % i, 1.0)
    assert made.ready(100.0) == []
    assert made.published == {"/users/{id}"}


def test_published_literals_stay_when_what_is_around_them_folds() -> None:
    found = learner([f"/products/{slug}" for slug in SLUGS * 2], ["/products/new"])
    for _ in range(20):
        found.see(b"/products/new/arrivals", 0.0)
    assert set(found.ready(PATIENCE)) == {"/products/{name}", "/products/new/arrivals"}


def test_a_restart_remembers_what_had_folded() -> None:
    assert learned(["/products/popular/reviews"] * 20, ["/products/{name}"]) == {"/products/{name}/reviews"}


def test_something_new_below_a_published_resource_need_not_wait_for_its_neighbours() -> None:
    made = learner([f"/users/{i}/photos" for i in range(20)], ["/users/{id}"])
    made.see(b"/brand-new", PATIENCE)
    assert made.ready(PATIENCE) == ["/users/{id}/photos"]


def test_what_does_not_come_again_is_forgotten() -> None:
    made = learner(["/a/b/c", *["/d"] * 16], ["/users/{id}"])
    size = len(made)
    made.age()
    assert len(made) == size - 3
    for _ in range(4):
        made.age()
    assert len(made) == 3  # the root, and what is published
    assert made.ready(100.0) == []


def test_what_comes_now_and_then_is_learned_all_the_same() -> None:
    made = Learner()
    for hour in range(4):
        for i in range(8):
            made.see(b"/rare/%d" % i, hour * 3600.0)
        made.age()
    assert made.ready(1e6) == []
    for i in range(8):
        made.see(b"/rare/%d" % i, 1e6)
    assert made.ready(2e6) == ["/rare/{id}"]


def test_a_flood_of_paths_is_bounded_in_memory_and_time() -> None:
    draw = random.Random(1)
    made = Learner([f"/kept{i}" for i in range(200)])
    started = time.perf_counter()
    for i in range(4_000):
        depth = draw.randrange(1, MAX_SEGMENTS + 1)
        path = "".join(draw.choice((f"/w{draw.randrange(9**9):x}y", "/7", f"/{UUID}")) for _ in range(depth))
        made.see(path.encode(), i / 100)
        assert len(made) <= MAX_NODES
    assert time.perf_counter() - started < 10
    for _ in range(40):
        made.see(b"/users/7", 50.0)
    assert "/users/{id}" in made.ready(100.0) or "/{name}/{id}" in made.ready(100.0)


def test_a_tree_full_of_published_templates_takes_no_more_and_does_not_stall() -> None:
    made = Learner(f"/a{i}" + "/x" * 11 for i in range(MAX_NODES // 12 + 1))
    for i in range(20):
        made.see(b"/b/%d" % i, 0.0)
    assert made.ready(100.0) == []


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("/users/{id}", True),
        ("/", True),
        ("/caf%C3%A9/{name}/", True),
        ("users", False),
        ("/users/{userId}", False),
        ("/users/{id}.json", False),
        ("/a/../b", False),
        ("/a b", False),
        ("/é", False),
        ("", False),
        ("/a" * 13, False),
        ("/" + "a" * 600, False),
    ],
)
def test_templates_that_come_back_from_a_disk_are_checked(text: str, right: bool) -> None:
    assert is_template(text) is right


SEGMENT = st.sampled_from(["", "a", "b", "api", "v1", "1", "22", UUID, "x.js", "c", "d%20e", *SLUGS])
PATH = st.lists(SEGMENT, min_size=1, max_size=4).map(lambda segments: "/" + "/".join(segments))


@settings(max_examples=60)
@given(st.lists(PATH, min_size=1, max_size=25), st.integers(1, 30))
def test_learning_is_deterministic_bounded_and_stable(paths: list[str], times: int) -> None:
    once, twice = learner(paths * times), learner(paths * times)
    found = once.ready(PATIENCE)
    assert found == twice.ready(PATIENCE)
    assert all(map(is_template, found))
    assert len(found) == len(set(found)) <= len(paths) * times // MIN_SEEN
    assert len(once) <= 1 + sum(path.count("/") for path in paths)
    once.publish(found)
    size = len(once)
    once.publish(found)
    assert (len(once), once.ready(PATIENCE)) == (size, [])
    restored = Learner(found)
    assert restored.published == set(found)
    assert restored.ready(PATIENCE) == []
