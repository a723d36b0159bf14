from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from shadowproxy.compare import traits as room
from shadowproxy.compare.findings import ABSENT
from shadowproxy.compare.traits import Traits, TraitsTable, look_of
from shadowproxy.model.pair import CapturedRequest
from tests.compare.builders import pair, response

AT = 1_700_000_000.0
UUID = "0191e9c4-7c1d-7bb0-9d5f-3a5c1e0f2b77"


def asked(target: str = "/items/1", who: str = "", **more: Any) -> Any:
    fields = [(b"Host", b"shop.example"), (b"Authorization", who.encode())]
    return pair(response({}), response({}), CapturedRequest(b"GET", target.encode(), fields), at=AT, **more)


def seen(
    field: str, values: Iterable[tuple[Any, Any]], targets: Iterable[str] = (), kind: str = "body_value"
) -> Traits:
    found = Traits()
    kind = "header" if field.startswith("header:") else kind
    names = iter(targets)
    for number, both in enumerate(values):
        found.observe((field, kind), both, asked(next(names, f"/items/{number}")))
    return found


@pytest.mark.parametrize(
    ("value", "look"),
    [
        (UUID, "uuid"),
        (UUID.upper(), "uuid"),
        ("9f86d081884c7d65", "token"),
        ("1234567890123456", "token"),
        ("deadbeefdeadbeef", ""),
        ("9f86d081", ""),
        ("9f86d081884c7d6g", ""),
        ("a" * 100, ""),
        (AT, "epoch"),
        (int(AT), "epoch"),
        (int(AT * 1000) + 500, "epoch"),
        (AT * 1e6, "epoch"),
        (str(int(AT)), "epoch"),
        (AT + 3600, ""),
        (17, ""),
        (True, ""),
        ("2023-11-14T22:13:20Z", "time"),
        ("2023-11-14T22:13:20.123456+00:00", "time"),
        ("2023-11-15T00:13:20+02:00", "time"),
        ("2023-11-14 22:13", "time"),
        ("2023-11-15T08:13:20", "time"),
        ("2023-11-14T23:13:20Z", ""),
        ("2023-13-99T22:13:20Z", ""),
        ("2023-11-14", ""),
        (None, ""),
        ([UUID], ""),
    ],
)
def test_values_made_anew_have_a_look(value: object, look: str) -> None:
    assert look_of(value, AT) == look


def test_a_look_takes_every_pair_and_both_sides() -> None:
    other = UUID.replace("7", "8")
    assert seen("$.id", [(UUID, other)] * 3).look == "uuid"
    assert seen("$.id", [(UUID, other), (UUID, "N/A"), (UUID, other)]).look == ""
    assert seen("$.id", [(UUID, "9f86d081884c7d65")]).look == ""
    assert seen("$.id", [("N/A", "n/a"), (UUID, other)]).look == ""


def test_the_same_request_tells_data_from_what_is_made_anew() -> None:
    ids = [UUID.replace("7", digit) for digit in "12345678"]
    fresh = seen("$.id", zip(ids[::2], ids[1::2], strict=True), ["/a"] * 4)
    assert (fresh.anew, fresh.again) == (3, 0)
    kept = seen("$.id", [(ids[0], other) for other in ids[1:4]], ["/a"] * 3)
    assert (kept.anew, kept.again) == (0, 2)
    found = Traits()
    for number, who in enumerate(("ann", "bob")):
        found.observe(("$.id", "body_value"), (ids[number], ids[5]), asked("/me", who))
    assert (found.anew, found.again) == (0, 0), "another user asks another thing"


def test_few_requests_are_remembered() -> None:
    ids = [f"{number:016x}" for number in range(10**15, 10**15 + 100)]
    found = seen("$.id", zip(ids, reversed(ids), strict=True))
    assert found._targets is not None
    assert len(found._targets) == room._TARGETS


def test_numbers_have_distances() -> None:
    found = seen("$.score", [(10, 10.05), (20.0, 19.9), (8.0, 8)])
    assert (found.numeric, found.equal, found.larger, found.smaller) == (3, 1, 1, 1)
    assert found.apart == pytest.approx(0.1)
    assert found.share == pytest.approx(0.005, rel=0.01)
    assert found.least == 8.0
    assert not found.whole
    assert seen("$.n", [(1, 2)]).whole


def test_numbers_once_far_apart_are_not_looked_at_again() -> None:
    found = seen("$.n", [(1, 2), (5.0, 5.01), (1.0, 1.0)])
    assert (found.share, found.numeric) == (0.5, 1)


def test_dust_around_zero_is_no_difference_in_size() -> None:
    found = seen("$.x", [(0.0, 1e-17), (1.0, 1.0000000000000002)])
    assert found.share == 0
    assert found.apart == pytest.approx(2.2e-16, rel=0.1)


def test_numbers_beyond_floats_are_left_out() -> None:
    found = seen("$.n", [(10**400, 1.5), (1, 2)])
    assert (found.pairs, found.numeric) == (2, 1)


def test_types_are_known_as_long_as_they_do_not_vary() -> None:
    assert seen("$.x", [(1, "1"), (2, "2")], kind="body_type").types == ("integer", "string")
    assert seen("$.x", [(None, "1")], kind="body_type").types == ("null", "string")
    assert seen("$.x", [(1, "1"), (1.5, "2"), (1, "1")], kind="body_type").types is None


def test_header_fields_are_compared_as_single_values() -> None:
    assert seen("header:x-pod", [([b"a"], [b"b"])] * 3).constant
    assert not seen("header:x-pod", [([b"a"], [b"b"]), ([b"c"], [b"b"])]).constant
    assert not seen("header:x-pod", [([b"a", b"b"], [b"b"])]).constant
    assert seen("header:x-pod", [(ABSENT, [b"b"])] * 2).one_sided == 2


@pytest.mark.parametrize(
    ("location", "elsewhere"),
    [
        (b"https://other.example/login", 1),
        (b"//other.example:8443/login", 1),
        (b"https://user@other.example", 1),
        (b"https://SHOP.example/login", 0),
        (b"https://primary.example/x", 0),
        (b"/login?to=https://other.example", 0),
        (b"https://shop.example\\@x/", 0),
    ],
)
def test_a_redirect_that_leads_elsewhere(location: bytes, elsewhere: int) -> None:
    assert seen("header:location", [([b"https://primary.example/"], [location])]).elsewhere == elsewhere
    assert seen("header:location", [(ABSENT, [b"https://other.example/"])]).elsewhere == 1


def test_the_table_is_bounded_and_forgets_by_route(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_TRAITS", 2)
    table = TraitsTable()
    each = asked()
    table.observe(each, {("$.a", "body_value"): (1, 2), ("$.b", "body_value"): (1, 2), ("$.c", "body_value"): (1, 2)})
    assert set(table.of("shop", "item")) == {("$.a", "body_value"), ("$.b", "body_value")}
    table.forget("shop", "item")
    table.forget("shop", "item")
    assert table.of("shop", "item") == {}
    table.observe(each, {("$.c", "body_value"): (1, 2)})
    assert table.of("shop", "item")["$.c", "body_value"].pairs == 1
