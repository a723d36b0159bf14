from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.store.shelf import Shelf, Slot


def fill(shelf: Shelf, *kept: tuple[str, int]) -> None:
    for cause, row in kept:
        shelf.add(cause, Slot(row, float(row), 10))


def test_nothing_goes_while_there_is_room() -> None:
    shelf = Shelf(10, 1000, 1000.0)
    fill(shelf, ("a", 1), ("b", 2))
    assert shelf.evict(10.0) == []
    assert (shelf.count, shelf.bytes) == (2, 20)


def test_the_oldest_of_the_most_numerous_goes_first() -> None:
    shelf = Shelf(3, 1000, 1000.0)
    fill(shelf, ("rare", 1), ("loud", 2), ("loud", 3), ("loud", 4), ("loud", 5))
    assert shelf.evict(10.0) == [2, 3]


def test_among_equally_numerous_the_oldest_goes() -> None:
    shelf = Shelf(2, 1000, 1000.0)
    fill(shelf, ("b", 1), ("a", 2), ("c", 3))
    assert shelf.evict(10.0) == [1]


def test_bytes_are_bounded_too() -> None:
    shelf = Shelf(100, 25, 1000.0)
    fill(shelf, ("a", 1), ("a", 2), ("b", 3))
    assert shelf.evict(10.0) == [1]
    assert shelf.bytes == 20


def test_what_is_too_old_goes_whatever_room_there_is() -> None:
    shelf = Shelf(100, 1000, 5.0)
    fill(shelf, ("a", 1), ("a", 4), ("b", 2))
    assert shelf.evict(7.5) == [1, 2]
    assert shelf.evict(100.0) == [4]
    assert (shelf.count, shelf.bytes) == (0, 0)


@given(st.lists(st.sampled_from("abcdefgh"), max_size=60), st.integers(8, 12))
def test_no_cause_is_lost_while_there_is_a_place_for_each(causes: list[str], places: int) -> None:
    shelf = Shelf(places, 10**9, 10**9)
    held: dict[int, str] = {}
    for row, cause in enumerate(causes):
        shelf.add(cause, Slot(row, float(row), 1))
        held[row] = cause
        for gone in shelf.evict(float(row)):
            del held[gone]
        assert len(held) == shelf.count <= places
        assert set(held.values()) == set(causes[: row + 1])
        assert row in held, "the newest is kept"


def test_the_smallest_stays_as_long_as_another_can_go() -> None:
    shelf = Shelf(3, 10_000, 1000.0)
    for row, size in enumerate((50, 9, 80, 70, 60)):
        shelf.add("a", Slot(row, float(row), size))
    assert shelf.evict(10.0) == [0, 2]
    shelf.add("a", Slot(5, 5.0, 8))
    assert shelf.evict(10.0) == [1], "it is the smallest no more"
    assert (shelf.count, shelf.bytes) == (3, 138)
    tight = Shelf(1, 10_000, 1000.0)
    tight.add("a", Slot(1, 1.0, 5))
    tight.add("b", Slot(2, 2.0, 5))
    assert tight.evict(10.0) == [1], "bounds hold in any case"


def test_the_smallest_goes_when_its_time_is_over() -> None:
    shelf = Shelf(10, 10_000, 5.0)
    for row, size in ((1, 5), (4, 70), (6, 60)):
        shelf.add("a", Slot(row, float(row), size))
    assert shelf.evict(7.0) == [1]
    assert shelf.evict(9.5) == [4]
    shelf.add("a", Slot(9, 9.0, 90))
    assert shelf.evict(13.0) == [6]
    assert shelf.evict(20.0) == [9]
    assert (shelf.count, shelf.bytes) == (0, 0)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50), st.integers(0, 3)), max_size=60),
    st.integers(4, 8),
)
def test_of_every_cause_the_smallest_is_kept(added: list[tuple[str, int, int]], places: int) -> None:
    shelf = Shelf(places, 10**9, 10**9)
    held: dict[int, tuple[str, int]] = {}
    for row, (cause, size, late) in enumerate(added):
        shelf.add(cause, Slot(row, float(row - late), size))
        held[row] = cause, size
        for gone in shelf.evict(float(row)):
            del held[gone]
        assert len(held) == shelf.count <= places
        assert sum(size for _, size in held.values()) == shelf.bytes
        for name in {cause for cause, _, _ in added[: row + 1]}:
            smallest = min(size for cause, size, _ in added[: row + 1] if cause == name)
            assert smallest in [size for cause, size in held.values() if cause == name]
