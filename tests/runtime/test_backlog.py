"""What a comparer holds for control stays exact, and bounded."""

from __future__ import annotations

import msgspec
import pytest

from shadowproxy.model.pair import (
    AcceptedCount,
    Aggregate,
    CauseCount,
    Example,
    Examples,
    FieldBits,
    FieldCount,
    FieldShapes,
)
from shadowproxy.runtime import backlog as room
from shadowproxy.runtime.backlog import CONTROL_AWAY, Backlog, Delivery

MESSAGE = msgspec.msgpack.Decoder(Aggregate | Examples)


def example(name: str, size: int = 10) -> Example:
    return Example(
        id=name, service="s", route="r", arm="candidate", request_id="q", at=1.0, method="GET", target="/",
        request_fields=[], request_body="", primary_status=200, primary_fields=[], primary_body="x" * size,
        primary_seconds=0.1, shadow_status=None, shadow_fields=[], shadow_body="", shadow_seconds=None, failure=None,
        differences=[], explanation=[], curl="", cause="",
    )  # fmt: skip


def count(field: str, pairs: int = 1) -> FieldCount:
    return FieldCount("s", "r", field, "body_value", pairs)


def aggregate(*fields: FieldCount, **more: int) -> Aggregate:
    return Aggregate(list(fields), [("s", "r", reason, pairs) for reason, pairs in more.items()])


def messages(delivery: Delivery) -> list[Aggregate | Examples]:
    return [MESSAGE.decode(payload) for payload in delivery.payloads]


def test_nothing_to_say_is_no_message() -> None:
    assert Backlog().take().payloads == []


def test_harvests_are_merged_until_they_are_taken() -> None:
    backlog = Backlog()
    backlog.add(aggregate(count("$.a", 2), depth=1), [example("1")])
    backlog.add(aggregate(count("$.a", 3), count("$.b"), depth=4), [example("2")])
    told, examples = messages(backlog.take())
    assert told == Aggregate([count("$.a", 5), count("$.b")], [("s", "r", "depth", 5)])
    assert isinstance(examples, Examples)
    assert [item.id for item in examples.items] == ["1", "2"]
    assert backlog.take().payloads == []


def test_what_accepted_differences_covered_is_added_up_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_KEYS", 2)
    backlog = Backlog()
    for name, pairs, at in (("a-1", 2, 9.0), ("", 2, 9.0), ("a-1", 3, 5.0), ("a-2", 1, 1.0)):
        backlog.add(Aggregate([], accepted=[AcceptedCount("s", name, pairs, at)]), [])
    lost = backlog.take()
    assert lost.aggregate.accepted == [AcceptedCount("s", "a-1", 5, 9.0), AcceptedCount("s", "", 2, 9.0)]
    assert backlog.take().payloads == []
    backlog.put_back(lost)
    assert backlog.take().aggregate == lost.aggregate


def test_suppressed_alone_is_worth_a_message() -> None:
    backlog = Backlog()
    backlog.add(Aggregate([], [], {"budget": 3}), [])
    assert messages(backlog.take()) == [Aggregate([], [], {"budget": 3})]


def test_a_failed_delivery_keeps_its_counts_and_counts_its_examples_as_given_up() -> None:
    backlog = Backlog()
    backlog.add(aggregate(count("$.a", 2), depth=1), [example("1"), example("2")])
    lost = backlog.take()
    backlog.add(aggregate(count("$.a", 1)), [])
    backlog.put_back(lost)
    backlog.put_back(Delivery(Aggregate([]), 0, []))
    assert messages(backlog.take()) == [Aggregate([count("$.a", 3)], [("s", "r", "depth", 1)], {CONTROL_AWAY: 2})]


def test_the_newest_examples_are_kept_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_BYTES", 5000)
    backlog = Backlog()
    for number in range(20):
        backlog.add(Aggregate([]), [example(str(number), size=1000)])
    told, examples = messages(backlog.take())
    assert isinstance(told, Aggregate)
    assert isinstance(examples, Examples)
    kept = [item.id for item in examples.items]
    assert kept == [str(number) for number in range(20 - len(kept), 20)]
    assert 1 <= len(kept) < 5
    assert told.suppressed == {CONTROL_AWAY: 20 - len(kept)}


def test_more_fields_than_can_be_held_are_counted_as_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_KEYS", 3)
    backlog = Backlog()
    backlog.add(aggregate(*(count(f"$.{number}") for number in range(10)), count("$.0", 5)), [])
    (told,) = messages(backlog.take())
    assert isinstance(told, Aggregate)
    assert {item.field: item.pairs for item in told.fields} == {"$.0": 6, "$.1": 1, "$.2": 1, "other": 7}


def cause(name: str, pairs: int = 1) -> CauseCount:
    return CauseCount("s", "r", "candidate", name, (), 200, 500, "", pairs, 1.0, 2.0)


def test_causes_are_merged_and_come_back_with_a_failed_delivery() -> None:
    backlog = Backlog()
    backlog.add(Aggregate([], causes=[cause("c-1", 2)]), [])
    backlog.add(Aggregate([], causes=[cause("c-1", 3), cause("c-2")]), [])
    lost = backlog.take()
    assert messages(lost) == [Aggregate([], causes=[cause("c-1", 5), cause("c-2")])]
    backlog.put_back(lost)
    backlog.add(Aggregate([], causes=[cause("c-2", 4)]), [])
    (again,) = messages(backlog.take())
    assert isinstance(again, Aggregate)
    assert {each.id: each.pairs for each in again.causes} == {"c-1": 5, "c-2": 5}
    assert backlog.take().payloads == []


def test_too_many_causes_are_counted_as_the_rest_of_their_route(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_KEYS", 2)
    backlog = Backlog()
    backlog.add(Aggregate([], causes=[cause(f"c-{number}") for number in range(5)]), [])
    (told,) = messages(backlog.take())
    assert isinstance(told, Aggregate)
    assert [each.pairs for each in told.causes] == [1, 1, 3]
    assert told.causes[-1].primary_status == 0


def test_bits_and_versions_add_up_and_the_newest_looks_stay() -> None:
    backlog = Backlog()
    for n in (1, 2):
        bits = [FieldBits("s", "r", "$.a", "body_value", n, 0, 10 * n, 0, 5 * n)]
        shapes = [FieldShapes("s", "r", "$.a", {"uuid": n}, None)]
        backlog.add(Aggregate([], bits=bits, versions=[("s", "primary", "v1", n)], shapes=shapes), [])
    (told,) = messages(backlog.take())
    assert isinstance(told, Aggregate)
    assert told.bits == [FieldBits("s", "r", "$.a", "body_value", 3, 0, 30, 0, 15)]
    assert told.versions == [("s", "primary", "v1", 3)]
    assert told.shapes == [FieldShapes("s", "r", "$.a", {"uuid": 2}, None)]
    assert backlog.take().payloads == []


def test_what_is_known_of_noise_is_bounded_while_control_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_KEYS", 3)
    backlog = Backlog()
    for n in range(10):
        bits = [FieldBits("s", "r", f"$.{n}", "body_value", 1)]
        shapes = [FieldShapes("s", "r", f"$.{n}", {}, None)]
        backlog.add(Aggregate([], bits=bits, versions=[("s", "primary", f"v{n}", 1)], shapes=shapes), [])
    (told,) = messages(backlog.take())
    assert isinstance(told, Aggregate)
    assert (len(told.bits), len(told.versions), len(told.shapes)) == (3, 3, 3)
