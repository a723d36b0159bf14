"""The driver: what gives users waits for the disk, what takes them waits for nothing, and nothing is forgotten."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shadowproxy.control.rollout import controller, driving, journal
from shadowproxy.metrics import layout as at
from shadowproxy.model.rollout import ABORTED, PENDING, PROMOTED, ROLLED_BACK, RUNNING, Bake, Notify, Split, Sticky
from shadowproxy.rollout.facts import Facts, ManualFreeze
from shadowproxy.rollout.replaying import replay
from shadowproxy.rollout.values import Entry, FreezeCommand, Refusal, State, Watch, WatchCommand
from shadowproxy.store.rollouts import RolloutStore
from tests.control.rollout.rig import PLAN, Rig
from tests.control.rollout.web import Settled, Web
from tests.metrics.world import upstream


@pytest.fixture
async def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(journal, "RETRY_EVERY", 0.01)
    monkeypatch.setattr(controller, "FIRST_LOOK", 0.01)
    rig = Rig(tmp_path)
    yield rig
    rig.store_fails = False
    await rig.close()


async def started(rig: Rig, step: int = 0) -> Rig:
    await rig.tick()
    assert not isinstance(await rig.do("start"), Refusal)
    await rig.until(step)
    await rig.tick()
    return rig


# A rollout.


async def test_it_waits_to_be_started_and_users_stay_where_they_are(rig: Rig) -> None:
    await rig.tick(3)
    assert (rig.state.phase, rig.split, rig.sent) == (PENDING, None, [])
    assert rig.is_stored


async def test_while_nothing_runs_nothing_is_logged(rig: Rig) -> None:
    await rig.tick(5)
    assert len(rig.log()) == 1
    await started(rig, 1)
    await rig.do("abort")
    await rig.tick(2)
    before = len(rig.log())
    await rig.tick(5)
    assert len(rig.log()) == before
    view = rig.controller.view("shop", rig.wall)
    assert view is not None
    assert view.facts is not None
    assert view.facts.at == rig.wall


async def test_each_decision_can_be_made_again_from_the_log(rig: Rig) -> None:
    await started(rig, 1)
    await rig.do("pause")
    await rig.tick(2)
    await rig.do("resume")
    rig.configure(rollout=replace(PLAN, warmup=9.0))
    await rig.tick(30)
    assert rig.state.phase == PROMOTED
    again = replay(rig.log())
    assert (again.is_exact, again.gaps, again.decisions) == (True, (), 7)


async def test_it_goes_through_its_stages_and_each_weight_is_on_disk_before_it_is_published(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[float] = []
    publish = rig._supervise

    def checked(message: Any) -> None:
        (split,) = message.splits.values()
        kept = rig.controller._journal._store.load()["shop"]
        written.append(kept.weight)
        assert split is None or kept.weight == split.weight
        publish(message)

    rig.controller.send = checked
    await started(rig)
    for _ in range(40):
        await rig.tick()
    assert rig.state.phase == PROMOTED
    assert [split.weight for _, split in rig.sent if split] == [0.0, 0.05, 0.5, 1.0]
    assert rig.split is not None
    assert not rig.split.leased
    assert rig.lease > 299, "a worker that has not heard of it yet goes by the lease"
    assert rig.actions() == ["started", "advanced", "advanced", "promoted"]


async def test_the_lease_of_a_weight_is_renewed_while_it_runs_and_only_then(rig: Rig) -> None:
    await started(rig)
    assert rig.lease < 0
    await rig.until(1)
    assert rig.weight == 0.05
    for _ in range(3):
        await rig.tick()
        assert rig.lease == pytest.approx(300.0, abs=0.01)
    await rig.do("abort")
    assert rig.lease < 0


async def test_requests_and_time_are_counted_once(rig: Rig) -> None:
    rig.configure(rollout=replace(PLAN, stages=(replace(PLAN.stages[1], bake=Bake(60.0)),)))
    await started(rig)
    await rig.tick(10)
    progress = rig.state.progress
    assert (progress.baked, progress.requests) == (10.0, 400)


async def test_a_command_waits_until_what_is_known_was_read(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "FIRST_LOOK", 60.0)
    asked = asyncio.ensure_future(rig.do("start"))
    await asyncio.sleep(0)
    await rig.tick()
    assert not isinstance(await asked, Refusal)


# Going back.


@pytest.mark.parametrize(("action", "phase"), [("abort", ABORTED), ("rollback", ROLLED_BACK)])
async def test_users_are_sent_back_before_anything_is_waited_for(rig: Rig, action: str, phase: str) -> None:
    await started(rig, 1)
    asked = asyncio.ensure_future(rig.do(action))
    await asyncio.sleep(0)
    assert not asked.done()
    assert (rig.weight, rig.lease < 0) == (0.0, True)
    await asked
    assert rig.state.phase == phase
    await rig.tick(2)
    assert rig.split is None, "once it is written nothing has to be remembered"


async def test_a_weight_that_is_being_written_is_not_published_after_an_abort(rig: Rig) -> None:
    await started(rig)
    begun, may_go_on = threading.Event(), threading.Event()
    commit = rig._store.commit

    def slow(state: State, *args: Any, **more: Any) -> None:
        if state.weight:
            begun.set()
            may_go_on.wait(10)
        commit(state, *args, **more)

    rig._store.commit = slow  # type: ignore[method-assign]
    ticking = asyncio.ensure_future(rig.tick(5))
    await asyncio.to_thread(begun.wait, 10)
    aborting = asyncio.ensure_future(rig.do("abort"))
    await asyncio.sleep(0)
    may_go_on.set()
    aborted = await aborting
    await ticking
    assert isinstance(aborted, State)
    assert (aborted.phase, rig.weight) == (ABORTED, 0.0)
    assert not any(split.weight for _, split in rig.sent if split)
    assert rig.actions() == ["started", "advanced", "aborted"]


async def test_with_the_store_dead_it_is_held_gets_no_users_and_can_be_sent_back(rig: Rig) -> None:
    await started(rig, 1)
    rig.store_fails = True
    await rig.tick(12)
    assert rig.holds == {"store"}
    assert rig.weight == 0.05
    assert isinstance(await rig.do("promote"), Refusal)
    assert rig.lease > 299, "it is alive"
    aborted = await rig.do("abort")
    assert isinstance(aborted, State)
    assert (aborted.phase, rig.weight) == (ABORTED, 0.0)
    await rig.tick()
    assert rig.split is not None, "a process that takes over finds why nobody is there"
    stored = rig.stored()
    assert stored is not None
    assert stored.phase == RUNNING


async def test_what_could_not_be_written_is_written_once_it_can(rig: Rig) -> None:
    await started(rig, 1)
    rig.store_fails = True
    await rig.tick(3)
    await rig.do("rollback")
    rig.store_fails = False
    await recovered(rig)
    assert rig.is_stored
    assert rig.actions() == ["started", "advanced", "held", "rolled_back"]
    assert rig.split is None


async def recovered(rig: Rig) -> None:
    writer = rig.controller._journal._writer
    assert writer is not None
    await writer
    await rig.tick(2)


async def test_a_weight_that_cannot_be_written_is_not_published_and_comes_later(rig: Rig) -> None:
    await started(rig)
    rig.store_fails = True
    await rig.tick(10)
    assert (rig.state.step, rig.weight) == (0, 0.0)
    assert "store" in rig.holds


async def test_what_could_not_be_started_can_be_once_the_disk_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RETRY_EVERY", 0.01)
    rig = Rig(tmp_path, replace(PLAN, stages=PLAN.stages[1:]))
    await rig.tick()
    rig.store_fails = True
    assert isinstance(await rig.do("start"), Refusal)
    await rig.tick(3)
    assert isinstance(await rig.do("start"), Refusal)
    rig.store_fails = False
    await recovered(rig)
    started = await rig.do("start")
    assert isinstance(started, State), started
    assert rig.weight == 0.05
    await rig.close()


async def test_a_recall_by_signal_is_a_rollback(rig: Rig) -> None:
    await started(rig, 1)
    rig.recall()
    await rig.tick(2)
    assert (rig.state.phase, rig.weight) == (ROLLED_BACK, 0.0)
    assert "recalled" in rig.actions()
    await rig.do("retry")
    await rig.until(1)
    await rig.tick()
    assert rig.weight == 0.05, "who has heard of it may go on"


# Telling others.


def delivered(web: Web) -> list[str]:
    return [entry["action"] for each in web.posted for entry in msgspec.json.decode(each.data)["entries"]]


async def test_each_event_is_delivered_once_whichever_process_does_it(rig: Rig) -> None:
    rig.configure(rollout=replace(PLAN, notify=(Notify("http://hook", events=("started", "paused", "watch_taken")),)))
    dead, alive = Web(None), Web()
    rig.controller._session = dead.session()
    await started(rig)
    await Settled()
    assert delivered(dead) == ["started"]
    rig.start()
    rig.controller._session = alive.session()
    await rig.tick()
    await rig.do("pause")
    await rig.controller.watch("shop", WatchCommand("hold", "ada", rig.wall))
    await Settled()
    assert delivered(alive) == ["started", "paused", "watch_taken"]
    await rig.tick()
    rig.start()
    again = Web()
    rig.controller._session = again.session()
    await rig.tick()
    await Settled()
    assert delivered(again) == []


async def test_whoever_follows_hears_of_it(rig: Rig) -> None:
    with rig.control.watchers.joined() as queue:
        await started(rig)
        event = queue.get_nowait()
    assert event is not None
    assert event.name == "rollout"
    assert event.body.entries[0].action == "started"  # type: ignore[attr-defined]


async def test_it_runs_until_it_is_cancelled(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "FIRST_LOOK", 60.0)
    running = asyncio.ensure_future(rig.controller.run())
    await rig.do("start")
    assert rig.state.phase == RUNNING
    running.cancel()
    await asyncio.wait([running])


# Another process takes over.


async def test_it_goes_on_where_it_was_with_its_bake_time(rig: Rig) -> None:
    rig.configure(rollout=replace(PLAN, stages=(replace(PLAN.stages[1], bake=Bake(60.0)),)))
    await started(rig)
    await rig.tick(10)
    before = rig.state
    rig.start()
    rig.requests()
    rig.requests()
    await rig.tick()
    after = rig.state
    assert after.progress.baked == before.progress.baked, "nobody knows how long it was away"
    assert after.progress.requests == before.progress.requests + 120, "but not what was counted"
    assert (after.attempt, after.step, rig.weight) == (1, 0, 0.05)
    await rig.tick()
    assert rig.state.progress.baked == before.progress.baked + 1


async def test_users_who_had_been_sent_back_stay_there_though_it_could_not_be_written(rig: Rig) -> None:
    await started(rig, 1)
    rig.store_fails = True
    await rig.do("abort")
    rig.start()
    rig.store_fails = False
    await rig.tick(3)
    assert (rig.state.phase, rig.weight) == (ROLLED_BACK, 0.0)
    assert "had been sent back before" in rig.state.why


async def test_that_holds_after_a_recall_that_was_heard_of_too(rig: Rig) -> None:
    await started(rig, 1)
    rig.recall()
    await rig.tick(2)
    await rig.do("retry")
    await rig.until(1)
    await rig.tick()
    rig.store_fails = True
    await rig.do("abort")
    rig.start()
    rig.store_fails = False
    await rig.tick(3)
    assert (rig.state.phase, rig.state.attempt, rig.weight) == (ROLLED_BACK, 2, 0.0)


async def test_an_attempt_that_was_written_and_not_published_does_not_end_with_the_one_before(rig: Rig) -> None:
    await started(rig, 1)
    rig.recall()
    await rig.tick(2)
    rig.hears = False
    await rig.do("retry")
    rig.start()
    rig.hears = True
    await rig.tick(2)
    assert (rig.state.phase, rig.state.attempt) == (RUNNING, 2)
    await rig.until(1)


async def test_a_recall_while_nobody_was_there_is_heard_of_later(rig: Rig) -> None:
    await started(rig)
    await rig.do("promote", full=True)
    await rig.tick()
    rig.recall()
    rig.start()
    await rig.tick(2)
    assert (rig.state.phase, rig.weight) == (ROLLED_BACK, 0.0)
    assert rig.actions()[-1] == "recalled"


async def test_a_weight_that_was_written_and_not_published_is_published(rig: Rig) -> None:
    await started(rig)
    rig.hears = False
    await rig.until(1)
    assert rig.weight == 0.0
    rig.hears = True
    rig.start()
    await rig.tick(2)
    assert rig.weight == 0.05


async def test_a_promotion_that_nobody_has_published_is_published_again(rig: Rig) -> None:
    await started(rig)
    await rig.do("promote", full=True)
    rig.configure(split=None)
    rig.start()
    await rig.tick(2)
    assert rig.weight == 1.0
    assert rig.split is not None
    assert not rig.split.leased


async def test_a_promotion_whose_state_was_lost_stands_and_says_so(rig: Rig) -> None:
    rig.configure(split=Split("checkout-v2", 3, 1.0, leased=False))
    rig.start()
    await rig.tick(3)
    assert (rig.state.phase, rig.state.attempt, rig.weight) == (PROMOTED, 3, 1.0)
    assert rig.holds == {"store"}
    assert rig.actions() == ["state_lost"]
    await rig.do("rollback")
    assert rig.weight == 0.0


async def test_an_unfinished_rollout_whose_state_was_lost_goes_back(rig: Rig) -> None:
    rig.configure(split=Split("checkout-v2", 3, 0.5))
    rig.start()
    await rig.tick(3)
    assert (rig.state.phase, rig.split) == (PENDING, None)
    assert "lost" in rig.state.why
    assert rig.lease < 0


async def test_before_the_store_was_read_users_can_be_sent_back(rig: Rig) -> None:
    await started(rig, 1)
    rig.start()
    rig.store_fails = True
    await rig.tick()
    assert rig.controller.view("shop", rig.wall) is None
    assert rig.weight == 0.05
    refused = await rig.do("promote")
    assert isinstance(refused, Refusal)
    assert "cannot be read yet" in refused.why
    refused = await rig.do("abort")
    assert isinstance(refused, Refusal)
    assert "all users are sent back" in refused.why
    assert (rig.weight, rig.lease < 0) == (0.0, True)
    rig.store_fails = False
    await rig.tick(2)
    assert rig.state.phase == ROLLED_BACK


async def test_what_cannot_be_read_is_lost_and_the_rest_goes_on(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    await started(rig, 1)
    store = RolloutStore(rig.directory)
    entry = Entry("changed", rig.wall, "somebody", "")
    store.keep({"rollout/shop": b"what", "watch/shop": b"is this", "unknown": b""}, entry)
    store.close()
    with closing(sqlite3.connect(rig.directory / "audit.sqlite", isolation_level=None)) as database:
        database.execute("UPDATE states SET body = x'00'")
    rig.start()
    await rig.tick(2)
    assert (rig.state.phase, rig.weight) == (PENDING, 0.0)
    assert "watch/shop cannot be read and is left out" in caplog.text
    assert "the state of shop cannot be read" in caplog.text


async def test_a_split_of_which_nobody_knows_anything_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(tmp_path, plan=None, split=Split("checkout-v2", 3, 1.0, leased=False))
    await rig.tick(2)
    assert rig.weight == 1.0
    assert caplog.text.count("neither a plan nor a state says why") == 1
    await rig.close()


# Trouble.


async def test_a_rollout_in_trouble_holds_up_no_other_and_loses_its_lease(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await started(rig, 1)
    mail = replace(rig.policy.services[1], upstreams=rig.policy.services[0].upstreams, rollout=PLAN)
    rig.apply(replace(rig.policy, services=(rig.policy.services[0], mail)))
    real = driving.step

    def broken(state: State, facts: Facts) -> Any:
        if state.service == "shop":
            raise RuntimeError("a mistake")
        return real(state, facts)

    monkeypatch.setattr(driving, "step", broken)
    before = rig.state
    lease = rig.lease
    await rig.tick(3)
    assert rig.state == before
    assert rig.lease == pytest.approx(lease - 3)
    view = rig.controller.view("shop", rig.wall)
    assert view is not None
    assert view.fault == "RuntimeError: a mistake"
    assert {name: found.holds for name, found in rig.controller.figures().items()} == {"shop": ("store",), "mail": ()}
    other = rig.controller.view("mail", rig.wall)
    assert other is not None
    assert other.facts is not None
    assert (other.facts.at, other.fault) == (rig.wall, "")
    monkeypatch.setattr(driving, "step", real)
    await rig.tick()
    view = rig.controller.view("shop", rig.wall)
    assert view is not None
    assert view.fault == ""
    assert rig.lease > 299


async def test_while_not_every_worker_runs_the_policy_nothing_counts(rig: Rig) -> None:
    await started(rig, 1)
    rig.world.counters.block(0)[at.SEQUENCE] = 1
    before = rig.state.progress
    rig.monotonic += 1
    rig.wall += 1
    rig.requests()
    await rig.controller.tick()
    assert "applying" in rig.holds
    assert rig.state.progress.requests == before.requests


async def test_a_machine_that_slept_has_baked_nothing_much(rig: Rig) -> None:
    await started(rig, 1)
    rig.monotonic += 3600
    await rig.tick()
    assert rig.state.step == 1 or rig.state.progress.spent <= 6


# The configuration.


async def test_another_plan_waits_for_the_next_attempt(rig: Rig) -> None:
    await started(rig, 1)
    rig.configure(rollout=replace(PLAN, warmup=9.0))
    await rig.tick()
    assert rig.state.pending_plan is not None
    assert rig.state.plan == PLAN
    assert rig.weight == 0.05


async def test_a_promotion_is_settled_once_the_primary_is_that_version(rig: Rig) -> None:
    await started(rig)
    await rig.do("promote", full=True)
    await rig.tick(2)
    assert (rig.state.phase, rig.weight) == (PROMOTED, 1.0)
    candidate = rig.policy.services[0].upstreams["candidate"]
    rig.configure(upstreams={"primary": candidate, "candidate": candidate})
    await rig.tick(3)
    assert (rig.state.phase, rig.split) == (PENDING, None)
    assert rig.actions()[-1] == "settled"


async def test_a_promotion_says_where_its_version_is_even_if_the_state_is_lost(rig: Rig) -> None:
    await started(rig)
    await rig.do("promote", full=True)
    await rig.tick(2)
    assert rig.split is not None
    assert rig.split.urls == rig.policy.services[0].upstreams["candidate"].urls
    (rig.directory / "audit.sqlite").unlink()
    rig.start()
    await rig.tick(2)
    assert rig.split is not None
    assert (rig.actions()[-1], bool(rig.split.urls)) == ("state_lost", True)


def moved(rig: Rig, *urls: str) -> None:
    """The configuration has the candidate elsewhere, or none; the supervisor keeps the split."""
    primary = {"primary": rig.policy.services[0].upstreams["primary"]}
    rig.configure(upstreams=primary | ({"candidate": upstream(*urls)} if urls else {}))


@pytest.mark.parametrize("urls", [("http://10.0.0.9:82",), ()])
async def test_a_promotion_is_none_of_another_candidate(rig: Rig, urls: tuple[str, ...]) -> None:
    await started(rig)
    await rig.do("promote", full=True)
    await rig.tick(2)
    moved(rig, *urls)
    rig.configure(split=None)  # so says the supervisor
    before = len(rig.sent)
    await rig.tick(3)
    assert (rig.state.phase, rig.weight) == (ROLLED_BACK, 0.0)
    assert not any(split.weight for _, split in rig.sent[before:] if split)
    moved(rig, "http://10.0.0.9:82")
    await rig.tick(3)
    assert rig.weight == 0.0


async def test_another_candidate_of_a_running_attempt_begins_with_the_first_stage(rig: Rig) -> None:
    await started(rig, 2)
    assert rig.weight == 0.5
    moved(rig, "http://10.0.0.9:82")
    await rig.tick()
    assert (rig.state.attempt, rig.state.step, rig.weight) == (2, 0, 0.0)
    await rig.tick(2)
    assert (rig.state.attempt, rig.is_stored) == (2, True)


async def test_a_service_that_is_gone_is_let_go_and_comes_back_where_it_was(rig: Rig) -> None:
    await started(rig, 1)
    everything = rig.policy
    rig.apply(replace(rig.policy, services=rig.policy.services[1:]))
    await rig.tick()
    assert rig.controller.view("shop", rig.wall) is None
    assert isinstance(await rig.do("abort"), Refusal)
    rig.apply(everything)
    await rig.tick()
    assert (rig.state.step, rig.weight) == (1, 0.05)


async def test_without_a_rollout_the_store_is_left_alone(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "data", plan=None)
    await rig.tick(2)
    assert not (tmp_path / "data").exists()
    assert rig.controller.view("shop", rig.wall) is None
    refused = await rig.do("start")
    assert isinstance(refused, Refusal)


# Evidence.


async def test_workers_note_keys_anew_when_evidence_begins_to_count(rig: Rig) -> None:
    rig.configure(rollout=replace(PLAN, sticky=Sticky(header="x-user"), warmup=2.0))
    epochs = []
    await started(rig)
    await rig.until(1)
    for _ in range(5):
        epochs.append(rig.world.counters.control[at.SPLIT_EPOCHS])
        await rig.tick()
    assert len(set(epochs)) == 2, "once, when the warm-up is over"


async def test_a_new_attempt_judges_fields_anew(rig: Rig) -> None:
    await rig.tick()
    ledger = rig.control.knowledge.services["shop"].ledger
    await rig.do("start")
    assert rig.control.knowledge.services["shop"].ledger is not ledger


# People.


async def test_the_watch_is_kept_and_its_end_is_a_hold(rig: Rig) -> None:
    rig.configure(rollout=replace(PLAN, supervise="required"))
    await started(rig)
    assert rig.holds == {"unsupervised"}
    watch = await rig.controller.watch("shop", WatchCommand("hold", "ada", rig.wall))
    assert isinstance(watch, Watch)
    await rig.tick()
    assert rig.holds == set()
    rig.wall += 50
    await rig.controller.watch("shop", WatchCommand("renew", "ada", rig.wall))
    await rig.tick()
    rig.start()
    rig.wall += 20
    await rig.tick()
    view = rig.controller.view("shop", rig.wall)
    assert view is not None
    assert view.watch is not None, "it was renewed"
    rig.wall += 40
    await rig.tick()
    assert rig.holds == {"unsupervised"}
    assert isinstance(await rig.controller.watch("mail", WatchCommand("hold", "ada", rig.wall)), Refusal)


@pytest.mark.parametrize(("action", "holder"), [("handover", "bob"), ("release", "")])
async def test_a_renewal_does_not_bring_back_who_gave_the_watch_away_since(rig: Rig, action: str, holder: str) -> None:
    await started(rig, 1)
    for each in ("hold", "renew", action):
        await rig.controller.watch("shop", WatchCommand(each, "ada", rig.wall, to="bob" if each == "handover" else ""))
    await rig.tick(2)
    rig.start()
    await rig.tick()
    view = rig.controller.view("shop", rig.wall)
    assert view is not None
    assert (view.watch.holder if view.watch else "") == holder


async def test_a_freeze_by_hand_is_kept_until_it_is_ended(rig: Rig) -> None:
    await started(rig, 1)
    freeze = await rig.controller.freeze(FreezeCommand("start", "ada", "the fair", rig.wall, "f-1"))
    assert isinstance(freeze, ManualFreeze)
    await rig.tick(5)
    assert rig.holds == {"freeze"}
    rig.start()
    await rig.tick()
    assert rig.controller.freezes(rig.wall) == (freeze,)
    await rig.controller.freeze(FreezeCommand("end", "ada", "", rig.wall, "f-1"))
    await rig.tick()
    assert rig.holds == set()
    rig.start()
    assert rig.controller.freezes(rig.wall) == ()
    assert isinstance(await rig.controller.freeze(FreezeCommand("end", "ada", "", rig.wall, "f-1")), Refusal)


async def test_a_command_meets_the_freezes_of_its_own_moment_and_not_of_the_last_tick(rig: Rig) -> None:
    await started(rig)
    await rig.controller.freeze(FreezeCommand("start", "ada", "the fair", rig.wall, "f-1"))
    refused = await rig.do("promote")
    assert isinstance(refused, Refusal)
    assert "the fair" in refused.why
    await rig.controller.freeze(FreezeCommand("end", "ada", "", rig.wall, "f-1"))
    assert not isinstance(await rig.do("promote"), Refusal)
    assert replay(rig.log()).is_exact


async def test_a_freeze_by_hand_outlives_an_audit_that_is_no_database_any_more(rig: Rig) -> None:
    await started(rig, 1)
    freeze = await rig.controller.freeze(FreezeCommand("start", "ada", "the fair", rig.wall, "f-1"))
    for path in rig.directory.glob("audit.sqlite*"):
        path.write_bytes(b"turned" * 4096)
    await rig.tick(2)
    await recovered(rig)
    assert list(rig.directory.glob("audit.sqlite.corrupt-*"))
    rig.start()
    await rig.tick(2)
    assert (rig.controller.freezes(rig.wall), rig.holds) == ((freeze,), {"freeze"})
