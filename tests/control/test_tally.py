from __future__ import annotations

from shadowproxy.control.tally import MAX_REASONS, Tally
from shadowproxy.model.pair import Aggregate, FieldCount


def aggregate(pairs: int = 1) -> Aggregate:
    return Aggregate(
        [FieldCount("shop", "item", "$.a", "body_value", pairs)], [("shop", "item", "depth", 2)], {"rate": 3}
    )


def test_reports_of_comparers_add_up() -> None:
    tally = Tally()
    tally.add(aggregate(1))
    tally.add(aggregate(4))
    assert list(tally.field_counts()) == [FieldCount("shop", "item", "$.a", "body_value", 5)]
    assert tally.incomparable == {("shop", "item", "depth"): 4}
    assert tally.suppressed == {"rate": 6}


def test_what_is_kept_brings_everything_back_and_is_taken_once() -> None:
    first = Tally()
    first.add(aggregate())
    kept = first.take_changed()
    again = first.take_changed()
    assert (list(again.fields), list(again.incomparable), list(again.suppressed)) == ([], [], [])
    second = Tally()
    second.restore(kept)
    second.add(aggregate(2))
    assert next(iter(second.field_counts())).pairs == 3
    assert second.incomparable == {("shop", "item", "depth"): 4}
    assert second.suppressed == {"rate": 6}


def test_reasons_are_bounded() -> None:
    tally = Tally()
    for i in range(1000):
        tally.add(Aggregate([], [("shop", "item", f"reason{i}", 1)], {f"why{i}": 1}))
    names = {reason for _, _, reason in tally.incomparable} | set(tally.suppressed)
    assert len(names) == MAX_REASONS + 1
    assert sum(tally.incomparable.values()) == 1000
