"""What control knows of each accepted difference, and what of the past it excuses."""

from __future__ import annotations

import time
from typing import Any

import pytest
from msgspec.structs import replace

from shadowproxy.compare.causes import cause_id
from shadowproxy.control import accepted as room
from shadowproxy.control.accepted import ENOUGH, KNOWN, SETTLING, AcceptedBook
from shadowproxy.control.state import HEARD_WITHIN, CauseQuery, State
from shadowproxy.control.tally import Tally
from shadowproxy.metrics import layout as at
from shadowproxy.model.commands import Apply
from shadowproxy.model.pair import AcceptedCount, Aggregate, CauseCount, FieldBits, FieldCount
from shadowproxy.model.policy import AcceptedPolicy, Launch, Policy, RoutePolicy, ServicePolicy
from shadowproxy.report import Report, build, judge, render_html, render_markdown, render_text
from shadowproxy.store import Known
from tests.admin.conftest import MemoryStore
from tests.metrics.world import World
from tests.report.facts import mirror, route
from tests.report.facts import service as service_of

NOW = 1_700_000_000.0
DAY = 86400.0


def entry(field: str = "$.price", kind: str = "body_value", route: str = "item", **more: Any) -> AcceptedPolicy:
    return AcceptedPolicy(route, field, kind, "ann", "by design", **more)


def policy(*entries: AcceptedPolicy, epoch: str = "e1", routes: tuple[str, ...] = ("item",)) -> Policy:
    shop = replace(service_of(), routes=tuple(RoutePolicy(name, 1) for name in routes), accepted=entries)
    return Policy((shop,), epoch=epoch)


def book(*entries: AcceptedPolicy, **more: Any) -> AcceptedBook:
    return AcceptedBook(policy(*entries, **more), NOW, DAY)


def compared(table: AcceptedBook, pairs: int, name: str = "item") -> None:
    table.observe([route(mirror(match=pairs), name=name)])


def states(table: AcceptedBook, now: float = NOW) -> list[str]:
    return [each.state for each in table.report(now)["shop"]]


def test_entries_are_counted_apart_and_remember_when_they_matched() -> None:
    table = book(entry(), entry("$.a"))
    table.hear([AcceptedCount("shop", entry().id, 2, NOW), AcceptedCount("shop", "", 2, NOW)])
    table.hear([AcceptedCount("shop", entry().id, 3, NOW - 9), AcceptedCount("shop", "", 3, NOW)])
    table.hear([AcceptedCount("shop", "a-gone", 3, NOW), AcceptedCount("mail", "", 3, NOW)])
    first, second = table.report(NOW)["shop"]
    assert (first.pairs, first.last_at, first.state) == (5, NOW, "active")
    assert (second.pairs, second.last_at, second.owner, second.reason) == (0, None, "ann", "by design")
    assert table.figures(NOW) == {"shop": (5, {"active": 2, "expired": 0, "dead": 0})}


def test_an_entry_expires_at_its_second() -> None:
    table = book(entry(expires="2023-11-14", until=NOW))
    assert states(table, NOW - 0.1) == ["active"]
    assert states(table, NOW) == ["expired"]
    assert table.report(NOW)["shop"][0].expires == "2023-11-14"


def test_an_entry_that_nothing_matches_is_dead_after_enough_pairs_of_its_route() -> None:
    table = book(routes=("item", "cart"))
    table.apply(policy(entry(), entry("$.a", route="*"), routes=("item", "cart")), NOW)
    compared(table, 1000)  # before it was there
    compared(table, 1000 + ENOUGH - 1)
    assert states(table) == ["active", "active"]
    table.observe([route(mirror(match=1000 + ENOUGH - 1), name="item"), route(mirror(match=1), name="cart")])
    assert states(table) == ["active", "dead"]
    table.hear([AcceptedCount("shop", entry().id, 1, NOW)])
    compared(table, 9000)
    assert states(table) == ["active", "dead"]


def test_an_entry_that_is_there_from_the_start_has_seen_all_pairs() -> None:
    table = book(entry())
    compared(table, ENOUGH)
    assert states(table) == ["dead"]


def test_an_entry_of_a_route_that_is_not_there_is_dead_at_once() -> None:
    table = book(entry(route="itme"), entry(route="other"))
    assert states(table) == ["dead", "active"]
    table.apply(policy(entry(route="itme"), entry(route="other"), routes=("item", "itme")), NOW)
    assert states(table) == ["active", "active"]


def test_a_new_version_has_to_show_that_it_still_differs() -> None:
    table = book(entry())
    table.hear([AcceptedCount("shop", entry().id, 7, NOW)])
    compared(table, 500)
    table.begin("shop", Tally())
    table.begin("no such service", Tally())
    compared(table, 500)
    assert states(table) == ["active"]
    compared(table, 500 + ENOUGH)
    assert [(each.state, each.pairs) for each in table.report(NOW)["shop"]] == [("dead", 7)]


def kept(table: AcceptedBook, now: float = NOW) -> list[Known]:
    return [item for item in table.take_changed(now) if item.value is not None]


def test_all_of_it_outlives_the_instance() -> None:
    before = book(entry(), entry("$.a"), entry("$.b"))
    before.hear([AcceptedCount("shop", entry().id, 2, NOW), AcceptedCount("shop", "", 2, NOW)])
    compared(before, 0)
    compared(before, ENOUGH - 50)
    items = kept(before)
    assert {item.kind for item in items} == {KNOWN}
    assert kept(before) == []

    again = book(entry(), entry("$.a"))
    again.restore(items)
    assert again.figures(NOW)["shop"][0] == 2
    later = book(entry(), entry("$.a"), epoch="e2")
    later.restore([*items, Known(KNOWN, "mail", "a-1", b"x"), Known(KNOWN, "shop", entry().id, b"\xc1")])
    assert later.figures(NOW)["shop"][0] == 0
    assert [each.pairs for each in later.report(NOW)["shop"]] == [2, 0]
    compared(later, 49)
    assert states(later) == ["active", "active"]
    compared(later, 50)
    assert states(later) == ["active", "dead"]
    assert (entry("$.b").id, None) in {(item.key, item.value) for item in later.take_changed(NOW)}


def test_what_is_known_is_written_anew_before_the_store_forgets_it() -> None:
    table = book(entry())
    table.take_changed(NOW)
    assert table.take_changed(NOW + DAY / 4 - 1) == []
    assert {item.key for item in table.take_changed(NOW + DAY / 4)} == {"", entry().id}
    assert table.take_changed(NOW + DAY / 4) == []


def test_what_is_known_of_an_entry_that_was_taken_out_is_forgotten() -> None:
    table = book(entry())
    table.take_changed(NOW)
    table.apply(policy(), NOW)
    assert table.take_changed(NOW) == [Known(KNOWN, "shop", entry().id, None)]
    table.apply(Policy((), epoch="e1"), NOW)
    table.hear([AcceptedCount("shop", "", 1, NOW)])
    assert table.report(NOW) == {}


# What is excused, by the whole of control.


@pytest.fixture(name="world")
def _world() -> World:
    world = World()
    world.counters.supervisor[at.STARTED_AT] = 1_000_000
    return world


@pytest.fixture(name="store")
def _store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(name="state")
def _state(world: World, store: MemoryStore) -> State:
    return control(world, store)


def control(world: World, store: MemoryStore) -> State:
    return State(Launch(workers=1), world.policy, world.registry, world.counters, store)


def differs(state: State, world: World, *keys: tuple[str, str], pairs: int = 10, mixed: bool = False) -> None:
    """Pairs with mismatches in these fields, as workers count them and comparers tell them."""
    world.mirrored(pairs, pairs)
    now = time.time()
    name = cause_id(("shop", "item", "candidate", 200, 200, ""), keys, mixed=mixed)
    cause = CauseCount("shop", "item", "candidate", name, keys, 200, 200, "", pairs, now, now, mixed=mixed)
    state.hear(Aggregate([FieldCount("shop", "item", *key, pairs) for key in keys], causes=[cause]))


def accept(state: State, *entries: AcceptedPolicy) -> None:
    shop, mail = state.policy.services
    services = (replace(shop, accepted=entries), mail)
    state.apply(Apply(replace(state.policy, services=services), state.registry))


async def reported(state: State, now: float | None = None) -> Report:
    return build(await state.facts(now or time.time()), "shop")


PRICE = ("$.price", "body_value")
NAME = ("$.name", "body_value")


async def test_once_it_is_accepted_a_difference_makes_no_report_fail(state: State, world: World) -> None:
    world.mirrored(100)
    differs(state, world, PRICE)
    before = await reported(state)
    assert (before.exit_code, before.services[0].mismatches) == (1, 10)
    accept(state, entry())
    report = await reported(state)
    (service,) = report.services
    assert (report.exit_code, service.mismatches, service.causes, service.routes[0].fields) == (0, 0, [], [])
    assert service.routes[0].verdicts["candidate"]["mismatch"] == service.routes[0].excused == 10
    assert [each.id for each in service.accepted] == [entry().id]
    assert judge(report, ["mismatches", "fields", "open"]).exit_code == 0
    for rendered in (render_text(report), render_text(report, full=True), render_markdown(report), render_html(report)):
        assert "10 pairs of the mismatches accepted since" in rendered


async def test_another_kind_still_counts_and_so_does_what_differs_beside_it(state: State, world: World) -> None:
    world.mirrored(100)
    differs(state, world, PRICE)
    differs(state, world, ("$.price", "body_type"), pairs=3)
    differs(state, world, PRICE, NAME, pairs=2)
    accept(state, entry())
    (service,) = (await reported(state)).services
    assert (service.exit_code, service.mismatches) == (1, 5)
    assert {(each.field, each.kind, each.pairs) for each in service.routes[0].fields} == {
        ("$.price", "body_type", 3),
        ("$.name", "body_value", 2),
    }
    assert {each.pairs for each in service.causes} == {3, 2}
    accept(state, entry(), entry("$.name"), entry("$.price", "body_type"))
    assert (await reported(state)).exit_code == 0


async def test_what_comes_in_late_is_excused_as_well_and_for_an_entry_with_a_shape_at_first(
    state: State, world: World
) -> None:
    world.mirrored(100)
    accept(state, entry(), entry("$.name", shape="uuid"))
    differs(state, world, PRICE)
    differs(state, world, NAME)
    assert (await reported(state)).exit_code == 0
    differs(state, world, PRICE)
    assert (await reported(state, time.time() + SETTLING)).services[0].mismatches == 0
    differs(state, world, NAME, pairs=1)
    (service,) = (await reported(state, time.time() + SETTLING)).services
    assert (service.exit_code, service.mismatches, [each.pairs for each in service.causes]) == (1, 1, [1])


async def test_after_an_expiry_what_differs_counts_again_and_what_was_excused_does_not(
    state: State, world: World
) -> None:
    world.mirrored(100)
    differs(state, world, PRICE)
    until = time.time() + 60
    accept(state, entry(expires="soon", until=until))
    assert (await reported(state)).exit_code == 0
    expired = await reported(state, until)
    assert (expired.exit_code, expired.services[0].accepted[0].state) == (0, "expired")
    assert "expired" in render_text(expired)
    differs(state, world, PRICE, pairs=4)
    report = await reported(state, until)
    assert (report.exit_code, report.services[0].mismatches) == (1, 4)


async def test_causes_that_do_not_tell_their_fields_are_excused_with_all_fields_of_the_route(
    state: State, world: World
) -> None:
    world.mirrored(100)
    differs(state, world, PRICE, mixed=True)
    differs(state, world, PRICE, NAME)
    accept(state, entry())
    assert (await reported(state)).services[0].mismatches == 20
    accept(state, entry(), entry("$.name"))
    assert (await reported(state)).services[0].mismatches == 0


async def test_failed_exchanges_are_never_excused(state: State, world: World) -> None:
    world.mirrored(100)
    now = time.time()
    name = cause_id(("shop", "item", "candidate", 0, None, "candidate_timeout"), (), mixed=False)
    failed = CauseCount("shop", "item", "candidate", name, (), 0, None, "candidate_timeout", 3, now, now)
    state.hear(Aggregate([], causes=[failed]))
    world.add(at.compared_word(world.row(), 0, "mismatch"), 3)
    world.add(at.mismatch_word(world.row(), 0, "candidate_timeout"), 3)
    accept(state, entry("$..*"), entry("$..*", route="*"))
    (service,) = (await reported(state)).services
    assert (service.exit_code, service.mismatches, [each.pairs for each in service.causes]) == (1, 3, [3])


async def test_the_evidence_of_an_accepted_field_begins_anew(world: World, store: MemoryStore) -> None:
    shop, mail = world.policy.services
    arms = {**shop.upstreams, "secondary": shop.upstreams["candidate"]}
    world.policy = replace(world.policy, services=(replace(shop, upstreams=arms), mail))
    state = control(world, store)
    world.mirrored(1000)
    world.add(world.row() + at.TRIPLES, 1000)
    bits = [FieldBits("shop", "item", *PRICE, candidate=300), FieldBits("shop", "item", *NAME, candidate=300)]
    state.hear(Aggregate([], bits=bits))
    state.tick(time.time())
    report = await reported(state)
    assert report.exit_code == 1
    assert report.conclusion.startswith("regression: 2 fields regressed")
    accept(state, entry())
    assert "1 field regressed: $.name (body_value)" in (await reported(state)).conclusion
    (shown,) = (await reported(state)).services[0].routes[0].evidence
    assert (shown.field, shown.candidate_only) == ("$.name", 300)
    accept(state, entry(), entry("$.name"))
    assert (await reported(state)).exit_code == 0
    assert [each.regressed for each in state.tick(time.time())] == [[]]
    after = control(world, store)
    after.knowledge.restore(store.known)
    assert (await reported(after)).services[0].routes[0].evidence == []


async def test_what_is_excused_outlives_control(state: State, world: World, store: MemoryStore) -> None:
    world.mirrored(100)
    differs(state, world, PRICE)
    until = time.time() + 60
    accept(state, entry(until=until))
    assert (await reported(state)).exit_code == 0
    world.policy = state.policy
    after = control(world, store)
    after.tally.fields.restore(row for kept in store.changes for row in kept.fields)
    after.causes.restore(store.known("cause"))
    after.accepted.restore(store.known(KNOWN))
    report = await reported(after, until)
    assert (report.exit_code, report.services[0].routes[0].fields, report.services[0].causes) == (0, [], [])


async def test_a_cause_that_is_accepted_is_no_longer_listed(state: State, world: World) -> None:
    differs(state, world, PRICE)
    query = CauseQuery()
    assert (await state.cause_page(time.time(), query))[1] == 1
    accept(state, entry())
    assert await state.cause_page(time.time(), query) == ([], 0)
    assert state.cause(time.time(), "c-") is not None


def test_the_scrape_counts_what_is_accepted(state: State) -> None:
    accept(state, entry(), entry(route="nowhere"))
    state.hear(Aggregate([], accepted=[AcceptedCount("shop", "", 4, NOW)]))
    assert state.scrape(0.0).accepted == {"shop": (4, {"active": 1, "expired": 0, "dead": 1})}


def test_services_without_entries_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    table = AcceptedBook(Policy((ServicePolicy("shop", 0, {}),)), NOW, DAY)
    monkeypatch.setattr(room, "partial", None)
    table.excuse(None, None, None, NOW)  # type: ignore[arg-type]


async def test_a_pair_that_two_entries_cover_is_one_pair_in_the_report(state: State) -> None:
    two = (entry(), entry("$.a"))
    accept(state, *two)
    counts = [AcceptedCount("shop", "", 3, NOW), *(AcceptedCount("shop", each.id, 3, NOW) for each in two)]
    state.hear(Aggregate([], accepted=counts))
    (shop, *_) = (await reported(state)).services
    assert ([each.pairs for each in shop.accepted], shop.covered) == ([3, 3], 3)
    assert "active 2; 3 pairs covered" in render_text(await reported(state))


# What a new version leaves behind.


async def test_a_report_is_about_the_versions_that_run(state: State, world: World, store: MemoryStore) -> None:
    differs(state, world, PRICE, NAME)
    world.mirrored(100)
    world.add(at.compared_word(world.row(), 0, "mismatch"), 3)
    world.add(at.mismatch_word(world.row(), 0, "candidate_timeout"), 3)
    world.add(at.compared_word(world.row(), 0, "incomparable"), 2)
    for word in (at.SENT, at.ELIGIBLE):
        world.add(world.row() + word, 5)
    state.hear(Aggregate([], incomparable=[("shop", "item", "too_slow", 2)]))
    assert (await reported(state)).exit_code == 1
    state.begin_evidence("shop")
    for each in (state, control(world, store)):
        each.accepted.restore(store.known(KNOWN))
        each.tally = state.tally
        each.causes = state.causes
        (service,) = (await reported(each, time.time() + HEARD_WITHIN + 1)).services
        assert (service.exit_code, service.compared, service.mismatches, service.causes) == (3, 0, 0, [])
        (route,) = service.routes
        assert (route.fields, route.failures, route.incomparable, route.kinds) == ([], [], {}, {})
        assert (route.earlier, route.books["candidate"].compared) == (115, 115)
        assert route.books["candidate"].unaccounted == (0, 0)
    assert (await state.cause_page(time.time(), CauseQuery()))[0] == []
    world.mirrored(60)
    report = await reported(state)
    assert (report.exit_code, report.services[0].compared) == (0, 60)
    assert "115 pairs of an earlier version left out" in render_text(report)
    differs(state, world, PRICE, pairs=4)
    (service,) = (await reported(state)).services
    assert (service.exit_code, service.mismatches) == (1, 4)
    assert [(each.field, each.pairs) for each in service.routes[0].fields] == [("$.price", 4)]
    assert [each.pairs for each in service.causes] == [4]


async def test_what_was_accepted_of_an_earlier_version_excuses_nothing_of_the_next(state: State, world: World) -> None:
    world.mirrored(100)
    differs(state, world, PRICE)
    accept(state, entry())
    await reported(state)
    state.begin_evidence("shop")
    await reported(state, time.time() + HEARD_WITHIN + 1)
    world.mirrored(60)
    differs(state, world, NAME, pairs=5)
    (service,) = (await reported(state)).services
    assert (service.exit_code, service.mismatches, service.routes[0].excused) == (1, 5, 0)
