from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from shadowproxy.control.history import KEPT, History
from shadowproxy.report import Report
from shadowproxy.store import Known, StoreError
from tests.report.reports import of, rich


class Shelf:
    """What a store knows, as far as a history asks it."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], bytes] = {}
        self.reads = 0
        self.broken = False

    def known(self, kind: str) -> list[Known]:
        self.reads += 1
        if self.broken:
            raise StoreError("the disk is gone")
        return [Known(kind, service, key, value) for (service, key), value in self.items.items()]

    def learn(self, items: Iterable[Known]) -> None:
        for item in items:
            assert item.kind == "report"
            if item.value is None:
                del self.items[item.service, item.key]
            else:
                self.items[item.service, item.key] = item.value


def report(at: float, compared: int = 100) -> Report:
    return replace(of(rich(compared=compared), replace(rich(), name="mail")), generated_at=at)


def history(shelf: Shelf) -> History:
    made = History(shelf)  # type: ignore[arg-type]
    made.load()
    return made


def test_the_last_one_is_found_also_by_the_next_process() -> None:
    shelf = Shelf()
    first = history(shelf)
    assert first.before("shop", 99.0) is None
    first.record(report(10.0, 100))
    first.record(report(20.0, 200))
    for each in (first, history(shelf)):
        found = each.before("shop", 99.0)
        assert found is not None
        assert (found.at, found.compared) == (20.0, 200)
        assert each.before("mail", 99.0) is not None
        assert each.before("other", 99.0) is None


def test_the_one_before_a_moment_is_found_else_the_oldest() -> None:
    made = history(Shelf())
    for at in (10.0, 20.0, 30.0):
        made.record(report(at))
    for at, expected in ((30.0, 30.0), (29.0, 20.0), (15.0, 10.0), (5.0, 10.0)):
        found = made.before("shop", at)
        assert found is not None
        assert found.at == expected


def test_few_are_kept_and_they_reach_far_back() -> None:
    shelf = Shelf()
    made = history(shelf)
    rare = [float(hour * 3600) for hour in range(20)]
    for at in rare:
        made.record(report(at))
    for second in range(200):
        made.record(report(rare[-1] + 1.0 + second))
    kept = sorted(float(key) for service, key in shelf.items if service == "shop")
    assert len(kept) == KEPT
    assert set(rare[:-1]) <= set(kept)
    assert kept[-1] == rare[-1] + 200.0


def test_a_store_that_cannot_be_read_is_asked_again() -> None:
    shelf = Shelf()
    shelf.items["shop", "1"] = b"what another version wrote"
    shelf.broken = True
    made = History(shelf)  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        made.load()
    made.record(report(10.0))
    assert made.before("shop", 99.0) is None
    shelf.broken = False
    made.load()
    made.load()
    assert shelf.reads == 2
    assert made.before("shop", 99.0) is None
    made.record(report(10.0))
    assert made.before("shop", 99.0) is not None
