"""What control knows of noise and regressions: over versions, policies, restarts, and on disks that hold anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shadowproxy.control import knowledge as room
from shadowproxy.control.knowledge import FIELD, LEDGER, SETTLING, SHAPES, Knowledge
from shadowproxy.evidence import FieldRow
from shadowproxy.evidence.ledger import NOISE, REGRESSED
from shadowproxy.model.pair import Aggregate, FieldBits, FieldShapes, Learned
from shadowproxy.model.policy import Endpoint, NoisePolicy, Policy, ServicePolicy, UpstreamPolicy, VersionPolicy
from shadowproxy.store import Known

DAY = 86400.0
START = 1000.0
PRICE = ("item", "$.price", "body_value")
TIME = ("item", "$.at", "body_value")
HEADER = VersionPolicy(header="x-app-version")


class Shelf:
    """A store: the last value of each key, oldest first."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str, str], Known] = {}
        self.writes = 0

    def learn(self, items: Iterable[Known]) -> None:
        self.writes += 1
        for item in items:
            self.items.pop((item.kind, item.service, item.key), None)
            if item.value is not None:
                self.items[item.kind, item.service, item.key] = item

    def known(self, kind: str) -> list[Known]:
        return [item for item in self.items.values() if item.kind == kind]

    def put(self, kind: str, key: str, value: bytes, service: str = "shop") -> None:
        self.learn([Known(kind, service, key, value)])


def upstream(name: str) -> UpstreamPolicy:
    return UpstreamPolicy((Endpoint(f"http://{name}:80"),))


def service(name: str = "shop", arms: str = "primary candidate secondary", **changes: Any) -> ServicePolicy:
    made = ServicePolicy(name, 0, {arm: upstream(f"{arm}-{name}") for arm in arms.split()})
    return replace(made, **changes)


def moved(arm: str, **changes: Any) -> ServicePolicy:
    """The service with one arm somewhere else."""
    made = service(**changes)
    return replace(made, upstreams={**made.upstreams, arm: upstream("elsewhere")})


def policy(*services: ServicePolicy, epoch: str = "e1") -> Policy:
    return Policy(services or (service(),), epoch=epoch)


class Control:
    """Knowledge with a shelf and a clock, told of what comparers count."""

    def __init__(self, *services: ServicePolicy, shelf: Shelf | None = None, epoch: str = "e1", now: float = START):
        self.shelf = shelf or Shelf()
        self.now = now
        self.began: list[str] = []
        self.triples: dict[tuple[str, str], int] = {}
        self.knowledge = Knowledge(policy(*services, epoch=epoch), now, self.shelf.learn, self.began.append)
        self.unread = self.knowledge.restore(self.shelf.known)

    def hear(self, *bits: FieldBits, versions: dict[str, str] | None = None, **more: Any) -> None:
        named = [("shop", arm, version, 1) for arm, version in (versions or {}).items()]
        self.knowledge.hear(Aggregate([], bits=list(bits), versions=named, **more), self.now)

    def tick(self, triples: int = 0, seconds: float = 1.0, name: str = "shop") -> list[Learned]:
        """Time passes, in which the counters showed so many further triples."""
        self.now += seconds
        self.triples[name, "item"] = self.triples.get((name, "item"), 0) + triples
        return self.knowledge.tick(self.triples, self.now)

    def apply(self, *services: ServicePolicy) -> None:
        self.knowledge.apply(policy(*services), self.now)

    def settle(self) -> None:
        self.tick(seconds=SETTLING + 1)

    def state(self, key: tuple[str, str, str] = PRICE, name: str = "shop") -> str:
        here = self.knowledge.services[name]
        return here.ledger.judge(key, self.now, DAY).state if key in here.ledger.rows else ""

    def noisy(self, name: str = "shop") -> list[tuple[str, str, str]]:
        return self.knowledge.services[name].lesson(self.now).noisy

    def again(self, *services: ServicePolicy, epoch: str = "e1") -> Control:
        """Control after this one, with the same disk and counters."""
        after = Control(*services, shelf=self.shelf, epoch=epoch, now=self.now)
        after.triples = dict(self.triples) if epoch == "e1" else {}
        return after

    @property
    def ledger(self) -> Any:
        return self.knowledge.services["shop"].ledger

    def kept(self) -> set[str]:
        """The fields of which rows are kept."""
        return {item.key.split("\n")[1] for item in self.shelf.known(FIELD)}


def bits(key: tuple[str, str, str] = PRICE, name: str = "shop", **counts: int) -> FieldBits:
    return FieldBits(name, *key, **counts)


REGRESSION = bits(candidate=30)
NOISY = bits(TIME, candidate=20, second=21, both=300)


def looks(field: str = "$.at", name: str = "shop", shape: str = "time") -> FieldShapes:
    return FieldShapes(name, "item", field, {shape: 30}, None)


def learned_control(*services: ServicePolicy, **more: Any) -> Control:
    """One that knows a regression, a noisy field and its look."""
    control = Control(*services, **more)
    control.tick()
    control.hear(REGRESSION, NOISY, shapes=[looks()])
    control.tick(400)
    return control


# -- what comparers say, and what they are told


def test_comparers_are_told_what_is_noise_and_what_regressed_once() -> None:
    control = Control()
    (first,) = control.tick()
    assert (first.noisy, first.regressed, first.is_alike) == ([], [], True)
    assert control.tick() == []
    control.hear(NOISY, REGRESSION)
    (lesson,) = control.tick(400)
    assert (lesson.noisy, lesson.regressed, lesson.shapes) == ([TIME], [PRICE], [])
    assert control.tick(1) == []


def test_counts_of_several_comparers_add_up() -> None:
    control = Control()
    for _ in range(3):
        control.hear(bits(candidate=7, second=1, spared=2, missed=3))
    row = control.ledger.rows[PRICE]
    assert (row.candidate, row.second, row.spared, row.missed) == (21, 3, 6, 9)


def test_a_new_comparer_gets_everything_with_the_looks() -> None:
    control = learned_control()
    (lesson,) = control.knowledge.lessons()
    assert (lesson.noisy, lesson.regressed, lesson.shapes) == ([TIME], [PRICE], [looks()])


def test_a_comparer_that_comes_before_the_first_tick_is_greeted_too() -> None:
    (lesson,) = Control().knowledge.lessons()
    assert lesson.service == "shop"


def test_services_do_not_hear_each_other_and_strangers_are_ignored() -> None:
    control = Control(service(), service("mail"))
    control.hear(REGRESSION, bits(name="gone", candidate=9), shapes=[looks(name="gone")])
    control.tick(400)
    assert (control.state(), control.state(name="mail")) == (REGRESSED, "")
    assert [lesson.service for lesson in control.knowledge.lessons()] == ["shop", "mail"]


def test_figures_are_of_services_that_learn() -> None:
    control = learned_control(service(), service("plain", "primary candidate"), service("alone", "primary secondary"))
    assert control.knowledge.figures(control.now) == {"shop": (1, 1)}


@pytest.mark.parametrize(
    ("arms", "resample", "source"),
    [
        ("primary candidate secondary", 0.02, "secondary"),
        ("primary candidate", 0.02, "resample"),
        ("primary candidate", 0.0, ""),
        ("primary secondary", 0.0, ""),
    ],
)
def test_where_second_answers_come_from(arms: str, resample: float, source: str) -> None:
    control = Control(service(arms=arms, noise=NoisePolicy(resample=resample)))
    (learned,) = control.knowledge.learned(control.now).values()
    assert learned.source == source
    assert learned.ledger.share == (resample if source == "resample" else 0.0)


def test_a_report_gets_the_versions_that_answers_named() -> None:
    control = Control(service(version=HEADER))
    control.hear(versions={"primary": "v1", "candidate": "v2"})
    control.now += 1
    control.hear(versions={"candidate": "v3"})
    learned = control.knowledge.learned(control.now)["shop"]
    assert learned.versions == {"primary": "v1", "candidate": "v2"}
    assert learned.beside == {"candidate": ["v3"]}
    static = Control(service(version=VersionPolicy(static="v9"))).knowledge.learned(START)["shop"]
    assert set(static.versions.values()) == {"v9"}


# -- versions


@pytest.mark.parametrize("how", ["address", "header"])
def test_a_new_candidate_begins_a_new_ledger_and_inherits_the_noise(how: str) -> None:
    version = HEADER if how == "header" else VersionPolicy()
    control = Control(service(version=version))
    control.hear(versions={"primary": "v1", "candidate": "v2", "secondary": "v1"})
    control.tick()
    control.hear(REGRESSION, NOISY, shapes=[looks()])
    control.tick(400)
    assert (control.state(), control.state(TIME)) == (REGRESSED, NOISE)
    if how == "header":
        control.now += 10
        control.hear(versions={"primary": "v1", "candidate": "v3", "secondary": "v1"})
    else:
        control.apply(moved("candidate"))
    (lesson,) = control.tick()
    assert (lesson.generation, lesson.noisy, lesson.regressed) == (0, [TIME], [])
    assert (control.began, control.ledger.answers, dict(control.ledger.rows)) == (["shop"], 0, {})
    assert control.knowledge.lessons()[0].shapes == [looks()]
    assert control.kept() == set(), "rows of the ledger before are forgotten"


@pytest.mark.parametrize("arm", ["primary", "secondary"])
def test_another_primary_or_secondary_makes_noise_be_learned_anew(arm: str) -> None:
    control = learned_control()
    control.apply(moved(arm))
    (lesson,) = control.tick()
    assert (lesson.generation, lesson.noisy, lesson.regressed) == (1, [], [])
    assert control.knowledge.lessons()[0].shapes == []
    assert (control.kept(), control.shelf.known(SHAPES)) == (set(), [])
    assert control.began == ["shop"]


def test_what_is_still_of_the_version_before_is_not_heard() -> None:
    control = learned_control()
    control.apply(moved("candidate"))
    control.tick(50)
    control.hear(REGRESSION, shapes=[looks("$.late")])
    assert (control.state(), control.ledger.answers) == ("", 0)
    control.settle()
    control.hear(REGRESSION, shapes=[looks("$.soon")])
    control.tick(50)
    assert (control.state(), control.ledger.answers) == (REGRESSED, 50)
    assert [shapes.field for shapes in control.knowledge.lessons()[0].shapes] == ["$.at", "$.soon"]


def test_a_version_that_nobody_named_yet_changes_nothing() -> None:
    control = Control(service(version=HEADER))
    control.tick()
    control.hear(REGRESSION)
    control.tick(400)
    control.hear(versions={"primary": "v1", "candidate": "v2"})
    control.tick()
    assert (control.began, control.state()) == ([], REGRESSED)


def test_while_primary_and_secondary_run_different_versions_second_answers_are_none() -> None:
    control = Control(service(version=HEADER))
    control.hear(versions={"primary": "v1", "secondary": "v1"})
    control.tick()
    control.hear(NOISY)
    control.tick(400)
    assert control.noisy() == [TIME]
    control.now += 10
    control.hear(versions={"primary": "v1", "secondary": "v2"})
    (lesson,) = control.tick()
    assert (lesson.is_alike, lesson.noisy, control.began) == (False, [], ["shop"])
    control.settle()
    control.hear(NOISY)
    control.tick(400)
    learned = control.knowledge.learned(control.now)["shop"]
    assert (learned.is_alike, learned.ledger.answers, dict(learned.ledger.rows)) == (False, 0, {})
    control.now += 10
    control.hear(versions={"primary": "v2", "secondary": "v2"})
    (lesson,) = control.tick()
    assert lesson.is_alike
    control.settle()
    control.hear(NOISY)
    control.tick(400)
    assert (control.noisy(), control.ledger.answers) == ([TIME], 400)


def test_a_secondary_that_differs_from_the_beginning_teaches_nothing() -> None:
    control = Control(service(version=HEADER))
    control.hear(NOISY, versions={"primary": "v1", "secondary": "v2"})
    (lesson,) = control.tick(400)
    assert (lesson.is_alike, lesson.noisy, control.ledger.answers) == (False, [], 0)


def test_a_static_version_stands_for_all() -> None:
    control = learned_control(service(version=VersionPolicy(static="v1")))
    control.apply(service(version=VersionPolicy(static="v1")))
    assert control.tick() == []
    control.apply(service(version=VersionPolicy(static="v2")))
    assert control.tick()[0].regressed == []


# -- policies


def test_from_resamples_to_a_secondary_is_another_ledger_with_the_same_noise() -> None:
    before = service(arms="primary candidate", noise=NoisePolicy(resample=0.1))
    control = learned_control(before)
    assert control.ledger.share == 0.1
    control.apply(service(noise=NoisePolicy(resample=0.1)))
    assert (control.ledger.share, dict(control.ledger.rows), control.kept()) == (0.0, {}, set())
    control.hear(REGRESSION)
    assert control.state() == "", "copies in flight were drawn by the policy before"
    control.settle()
    assert (control.noisy(), control.began) == ([TIME], [])


def test_another_false_discovery_rate_is_stated_at_once() -> None:
    control = Control()
    control.tick()
    control.hear(bits(candidate=17))
    control.tick(400)
    assert control.knowledge.services["shop"].lesson(control.now).regressed == []
    control.apply(service(noise=NoisePolicy(fdr=0.5)))
    (lesson,) = control.tick()
    assert lesson.regressed == [PRICE]


def test_a_service_that_goes_and_comes_back_begins_anew() -> None:
    control = learned_control(service(), service("mail"))
    control.apply(service("mail"))
    control.hear(REGRESSION, shapes=[looks("$.gone")])
    control.tick(100)
    assert list(control.knowledge.services) == ["mail"]
    control.apply(service(), service("mail"))
    (lesson,) = control.tick(7)
    assert (lesson.service, lesson.noisy) == ("shop", [])
    assert control.ledger.answers == 7, "what was counted before is not this ledger's"
    control.hear(REGRESSION)
    control.tick()
    after = control.again(service(), service("mail"))
    assert set(after.ledger.rows) == {PRICE}, "rows of the ledger of old are not mixed with the new one's"
    assert after.kept() == {"$.price"}


# -- restarts


def test_what_was_learned_outlives_the_instance() -> None:
    control = learned_control()
    after = control.again(epoch="e2")
    assert after.unread == 0
    assert (after.state(), after.state(TIME), after.ledger.answers) == (REGRESSED, NOISE, 400)
    assert after.ledger.since == control.ledger.since
    after.tick(5)
    assert (after.ledger.answers, after.began) == (405, [])
    assert after.knowledge.lessons()[0].shapes == [looks()]


def test_control_that_starts_again_in_the_same_instance_counts_no_triple_twice() -> None:
    control = learned_control()
    after = control.again()
    after.tick()
    assert after.ledger.answers == 400
    after.tick(3)
    assert after.again().ledger.answers == 403


def test_a_version_that_changed_while_nothing_ran_is_noticed() -> None:
    control = learned_control()
    after = control.again(moved("candidate"), epoch="e2")
    assert after.state() == REGRESSED
    after.tick()
    assert (after.began, after.state(), after.noisy()) == (["shop"], "", [TIME])


def test_second_answers_that_came_in_another_way_are_not_added_up() -> None:
    before = service(arms="primary candidate", noise=NoisePolicy(resample=0.1))
    control = learned_control(before)
    after = control.again(epoch="e2")
    assert (dict(after.ledger.rows), after.ledger.answers, after.kept()) == ({}, 0, set())
    back = after.again(before, epoch="e3")
    assert dict(back.ledger.rows) == {}


def test_noise_that_was_inherited_is_kept() -> None:
    control = learned_control()
    control.apply(moved("candidate"))
    control.tick()
    control.settle()
    control.tick(1)
    assert control.again(moved("candidate"), epoch="e2").noisy() == [TIME]


def test_differences_without_a_place_are_remembered() -> None:
    control = Control()
    control.ledger.capacity = 1
    control.hear(REGRESSION, bits(TIME, candidate=2, both=3))
    control.tick(400)
    assert control.again().ledger.untracked == 5


def test_only_what_changed_is_written() -> None:
    control = learned_control()
    control.tick()
    writes = control.shelf.writes
    control.tick()
    assert control.shelf.writes == writes
    control.tick(1)
    assert control.shelf.writes == writes + 1


def test_a_service_without_second_answers_writes_nothing() -> None:
    control = Control(service(arms="primary candidate"))
    control.tick()
    control.tick()
    assert control.shelf.items == {}


def test_members_may_be_called_anything() -> None:
    key = ("item", "$['a\nb\nc']", "body_value")
    control = Control()
    control.hear(bits(key, candidate=4))
    control.tick(50)
    assert set(control.again().ledger.rows) == {key}


# -- disks hold anything


def shortened(item: Known) -> bytes:
    """A row with fewer bets than a ledger has."""
    since, row = msgspec.msgpack.decode(item.value or b"")
    return msgspec.msgpack.encode([since, [row[0][:2], *row[1:]]])


@pytest.mark.parametrize("value", [b"", b"\xff\xff", b"\x93\x01\x02\x03", None])
def test_a_row_that_cannot_be_read_is_forgotten_and_the_others_stay(value: bytes | None) -> None:
    control = learned_control()
    item = control.shelf.items[FIELD, "shop", "\n".join(PRICE)]
    control.shelf.put(FIELD, item.key, shortened(item) if value is None else value)
    after = control.again()
    assert after.unread == 1
    assert (after.state(), after.state(TIME)) == ("", NOISE)
    assert after.kept() == {"$.at"}
    after.hear(REGRESSION)
    after.tick(10)
    assert after.state() == REGRESSED


def test_a_row_under_a_key_that_is_none_is_forgotten() -> None:
    control = learned_control()
    row = control.shelf.items[FIELD, "shop", "\n".join(PRICE)].value
    assert row is not None
    for key in ("", "item", "item\n$.price"):
        control.shelf.put(FIELD, key, row)
    after = control.again()
    assert (after.unread, set(after.ledger.rows)) == (3, {PRICE, TIME})


@pytest.mark.parametrize("value", [b"", b"\x00", b"garbage"])
def test_looks_and_ledgers_that_cannot_be_read_are_learned_anew(value: bytes) -> None:
    control = learned_control()
    control.shelf.put(SHAPES, "item\n$.other", value)
    assert control.again().unread == 1
    control.shelf.put(LEDGER, "", value)
    after = control.again()
    assert (after.unread, after.state(), after.ledger.answers) == (2, "", 0)
    after.tick(1)
    after.hear(REGRESSION)
    after.tick(30)
    assert after.again().state() == REGRESSED


@pytest.mark.parametrize("changes", [{"since": float("nan")}, {"triples": {"item": -4}}])
def test_a_ledger_that_cannot_be_is_begun_anew(changes: dict[str, Any]) -> None:
    control = learned_control()
    item = control.shelf.items[LEDGER, "shop", ""]
    value = {**msgspec.msgpack.decode(item.value or b""), **changes}
    control.shelf.put(LEDGER, "", msgspec.msgpack.encode(value))
    after = control.again()
    assert (after.unread, after.ledger.answers) == (1, 0)
    after.tick(1)


def test_rows_of_a_service_that_is_not_configured_wait() -> None:
    control = learned_control(service(), service("mail"))
    after = control.again(service("mail"), epoch="e2")
    assert (after.unread, len(after.shelf.known(FIELD))) == (0, 2)


# -- bounds


def test_looks_are_bounded_here_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CAPACITY", 3)
    control = Control()
    for number in range(5):
        control.hear(shapes=[looks(f"$.f{number}")])
        control.tick()
    control.hear(shapes=[looks("$.f2", shape="uuid")])
    control.hear(shapes=[looks("$.f5")])
    control.tick()
    kept = [shapes.field for shapes in control.knowledge.lessons()[0].shapes]
    assert kept == ["$.f4", "$.f2", "$.f5"]
    assert sorted(item.key for item in control.shelf.known(SHAPES)) == ["item\n$.f2", "item\n$.f4", "item\n$.f5"]


def test_fields_that_keep_appearing_are_counted_and_not_kept() -> None:
    control = Control()
    for start in range(0, 4000, 500):
        control.hear(*(bits(("item", f"$.f{start + n}", "body_extra"), candidate=1) for n in range(500)))
        control.tick(500)
    assert len(control.ledger.rows) == len(control.shelf.known(FIELD)) == control.ledger.capacity
    assert control.ledger.untracked == 4000 - control.ledger.capacity


def test_rows_are_values_that_a_ledger_can_go_on_from() -> None:
    control = learned_control()
    (item, _) = control.shelf.known(FIELD)
    since, row = msgspec.msgpack.decode(item.value or b"", type=tuple[float, FieldRow])
    assert since == control.ledger.since
    assert row.is_sound


def test_a_clock_that_is_set_back_stops_no_learning() -> None:
    control = Control()
    control.tick()
    control.apply(moved("candidate"))
    control.tick()
    control.hear(FieldBits("shop", *PRICE, candidate=1))
    assert control.ledger.rows == {}
    control.now -= 3600.0
    control.tick(triples=5)
    control.hear(FieldBits("shop", *PRICE, candidate=1))
    assert (control.ledger.rows[PRICE].candidate, control.ledger.answers) == (1, 5)
