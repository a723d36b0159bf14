from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.store.shelf import Shelf, Slot


def fill(shelf: Shelf, *kept: tuple[str, int]) -> None:
    for signature, row in kept:
        shelf.add(signature, Slot(row, float(row), 10))


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
def test_no_signature_is_lost_while_there_is_a_place_for_each(signatures: list[str], places: int) -> None:
    shelf = Shelf(places, 10**9, 10**9)
    held: dict[int, str] = {}
    for row, signature in enumerate(signatures):
        shelf.add(signature, Slot(row, float(row), 1))
        held[row] = signature
        for gone in shelf.evict(float(row)):
            del held[gone]
        assert len(held) == shelf.count <= places
        assert set(held.values()) == set(signatures[: row + 1])
        assert row in held, "the newest is kept"
