"""The desk: whose word counts, in which order it is written and said, and what survives."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shadowproxy.control.flags.commands import FlagCommand, UnknownFlagError, UnwritableError
from shadowproxy.control.flags.tally import MAX_SERIES, FlagTally
from shadowproxy.control.rollout.journal import Note
from shadowproxy.control.state import State
from shadowproxy.flags.changing import RefusedError
from shadowproxy.metrics import layout as at
from shadowproxy.model.commands import Apply
from shadowproxy.model.flags import FlagsInForce, Overlay
from shadowproxy.model.policy import Launch
from shadowproxy.model.rollout import FreezeWindow, Split
from tests.admin.conftest import MemoryStore
from tests.admin.rollouts import FLAGS, Rollouts, with_flags
from tests.metrics.world import World

FROZEN = FreezeWindow("weekend", start=0.0, end=4e9, manual=True)


class Place:
    """A desk with a file, and what it said to the supervisor."""

    def __init__(self, directory: Path, **more: Any) -> None:
        world = World()
        self.policy = replace(with_flags(world.policy, directory), **more)
        self.state = State(Launch(data_dir=str(directory)), self.policy, world.registry, world.counters, MemoryStore())
        self.state.rollouts = Rollouts(self.policy)  # type: ignore[assignment]
        self.desk = self.state.flags
        self.file = directory / "flags.json"
        self.said: list[FlagsInForce] = []
        self.desk.send = self.said.append
        self.words = world.counters.block(0)

    def write(self, flags: Any, **more: Any) -> None:
        self.file.write_text(json.dumps({"flags": flags, **more}))

    async def change(self, action: str, flag: str = "new-checkout", **more: Any) -> int:
        return await self.desk.change(FlagCommand(action, "ann", more.pop("reason", ""), time.time(), flag, **more))

    def default(self, flag: str = "new-checkout") -> str | None:
        return self.desk.set.definitions.flags[flag].default_variant

    @property
    def notes(self) -> list[Note]:
        return self.state.rollouts.journal.written  # type: ignore[return-value]


@pytest.fixture
async def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    await made.desk.look()
    return made


async def test_the_first_look_is_version_1_and_is_told_and_written(place: Place) -> None:
    assert (place.desk.version, [each.version for each in place.said]) == (1, [1])
    assert [note.entry.action for note in place.notes] == ["flags_changed"]
    await place.desk.look()
    assert len(place.said) == len(place.notes) == 1


async def test_each_change_is_a_version_with_who_and_why(place: Place) -> None:
    await place.change("set", variant="on", reason="wanted")
    await place.change("ramp", variant="on", share="10%")
    await place.change("disable", "size")
    assert [each.version for each in place.said] == [1, 2, 3, 4]
    last = place.desk.history[1]
    assert (last.number, last.who, last.reason, last.source, last.action) == (
        2,
        "ann",
        "wanted",
        "api",
        "set new-checkout on",
    )
    before, after = last.flags["new-checkout"]
    assert (before and before.default_variant, after and after.default_variant) == ("off", "on")
    assert place.notes[1].entry.what["flags"]["new-checkout"]["after"]["defaultVariant"] == "on"


async def test_asking_for_what_is_so_changes_nothing(place: Place) -> None:
    assert await place.change("set", variant="off") == 1
    assert len(place.notes) == 1


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ({"action": "set", "variant": "maybe"}, "there is no variant 'maybe'"),
        ({"action": "set"}, "say which variant"),
        ({"action": "ramp", "share": "5%"}, "say which variant"),
        ({"action": "ramp", "variant": "on", "share": "5"}, "share:"),
        ({"action": "kill", "flag": "size"}, "metadata `off_variant`"),
        ({"action": "jump"}, "there is no command 'jump'"),
        ({"action": "set", "variant": "on", "version": 7}, "version 1 is in force, not 7"),
        ({"action": "revert", "to": 9}, "there is no version 9 any more: 1 to 1 are kept"),
        ({"action": "revert", "to": 1, "flag": "gone"}, "there was no flag 'gone' in version 1"),
        ({"action": "set", "definition": b'{"state": "ENABLED", "variants": {}}'}, "at least one variant"),
        ({"action": "set", "flag": "Bad", "definition": b"{}"}, "cannot stand in a header"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_a_reason(place: Place, command: dict[str, Any], why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        await place.change(**{"flag": "new-checkout", **command})
    assert place.desk.version == 1


async def test_a_flag_that_is_not_there_is_unknown(place: Place) -> None:
    with pytest.raises(UnknownFlagError):
        await place.change("set", "gone", variant="on")


async def test_a_whole_definition_can_be_given_also_of_a_new_flag(place: Place) -> None:
    definition = json.dumps({"state": "ENABLED", "variants": {"a": 1}, "defaultVariant": "a"}).encode()
    await place.change("set", "fresh", definition=definition)
    assert place.default("fresh") == "a"
    named = json.dumps({"state": "ENABLED", "variants": {"a": 1}, "metadata": {"header_name": "size"}}).encode()
    with pytest.raises(RefusedError, match="also that of 'size'"):
        await place.change("set", "another", definition=named)


async def test_a_kill_is_lifted_by_any_other_word(place: Place) -> None:
    await place.change("set", variant="on")
    for lift in (
        {"action": "enable"},
        {"action": "ramp", "variant": "on", "share": "5%"},
        {"action": "revert", "to": 2},
    ):
        await place.change("kill", reason="it burns")
        assert (place.default(), place.desk.obstacle("new-checkout", "on")) == (
            "off",
            "new-checkout was killed by ann: it burns",
        )
        await place.change(**lift)
        assert place.desk.set.killed == frozenset()


async def test_what_switches_on_is_written_first_or_refused(place: Place) -> None:
    place.state.rollouts.journal.is_dead = True  # type: ignore[attr-defined]
    with pytest.raises(UnwritableError):
        await place.change("set", variant="on")
    assert (place.default(), len(place.said)) == ("off", 1)
    await place.change("kill")
    assert place.desk.set.killed == {"new-checkout"}, "what switches off does not wait for a disk"


async def test_a_freeze_stops_switching_on(tmp_path: Path) -> None:
    place = Place(tmp_path)
    await place.desk.look()
    frozen = replace(place.policy, freeze=(FROZEN,), sequence=2)
    place.state.apply(Apply(frozen, place.state.registry))
    with pytest.raises(RefusedError, match="new-checkout is not switched on: weekend is active; an override"):
        await place.change("set", variant="on")
    await place.change("set", variant="on", override=True, reason="it has to be")
    await place.change("kill")
    with pytest.raises(RefusedError):
        await place.change("enable")
    place.write({**FLAGS["flags"], "size": {**FLAGS["flags"]["size"], "defaultVariant": "l"}})
    await place.desk.look()
    assert (place.default("size"), set(place.desk.kept.held)) == ("s", {"size"})
    place.state.apply(Apply(replace(frozen, freeze=(), sequence=3), place.state.registry))
    await place.desk.look()
    assert (place.default("size"), place.desk.kept.held) == ("l", {})


async def test_a_bad_file_is_refused_once_and_what_was_good_stays(place: Place) -> None:
    for text in ("{", '{"flags": {"Bad": 1}}'):
        place.file.write_text(text)
        for _ in range(3):
            await place.desk.look()
        assert place.default() == "off"
        assert place.desk.figures().is_loaded is False
    assert [note.entry.action for note in place.notes] == ["flags_changed", "flags_refused", "flags_refused"]
    place.file.unlink()
    await place.desk.look()
    assert "cannot be read" in place.desk.problems[0]
    place.write(FLAGS["flags"])
    await place.desk.look()
    assert (place.desk.problems, place.desk.version) == ((), 1)


async def test_who_takes_over_knows_everything(place: Place, tmp_path: Path) -> None:
    await place.change("set", variant="on", reason="wanted")
    await place.change("kill", reason="it burns")
    after = Place(tmp_path)
    after.state.rollouts.journal.kept = place.state.rollouts.journal.kept  # type: ignore[attr-defined]
    await after.desk.look()
    assert (after.desk.version, after.desk.set.killed, len(after.desk.history)) == (3, {"new-checkout"}, 3)
    assert [each.version for each in after.said] == [3]
    await after.change("revert", to=1)
    assert (after.default(), after.desk.set.killed) == ("off", frozenset())


async def test_workers_are_waited_for(place: Place) -> None:
    place.words[at.HEARTBEAT] = int(time.monotonic() * 1000)
    assert not place.desk.is_told(time.monotonic())
    place.words[at.FLAGS_VERSION] = 1
    assert await place.desk.told()


async def test_without_a_flags_section_nothing_is_done(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.state.policy = replace(place.policy, flags=None)
    await place.desk.look()
    assert not place.desk.known.is_set()
    assert place.desk.obstacle("new-checkout", "on") == ""


async def test_a_rollouts_overlay_is_laid_over_and_told_to_those_who_listen(place: Place) -> None:
    flag = place.desk.set.get("new-checkout")
    assert flag is not None
    before = place.desk.event
    services = tuple(
        replace(each, split=Split("p", leased=False, flags=(Overlay("new-checkout", "on", 1.0),)))
        for each in place.policy.services[:1]
    )
    with place.desk.watchers.joined() as queue:
        overlaid = replace(place.policy, services=(*services, *place.policy.services[1:]), sequence=2)
        place.state.apply(Apply(overlaid, place.state.registry))
        assert not queue.empty()
    assert place.desk.event != before
    assert place.desk.evaluate(flag, {"targetingKey": "ann"}, 0.0)[1:3] == ("on", "SPLIT")
    assert place.desk.evaluate(flag, {}, 0.0)[1:3] == ("off", "STATIC"), "nobody knows who that is"
    assert place.desk.obstacle("gone", "on") == "there is no flag gone"
    assert place.desk.obstacle("new-checkout", "maybe") == "new-checkout has no variant maybe"
    assert place.desk.tally.of("new-checkout") == 2


async def test_it_looks_again_and_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shadowproxy.control.flags.desk.LOOK_EVERY", 0.0)
    running = asyncio.create_task(place.desk.run())
    place.write({**FLAGS["flags"], "extra": FLAGS["flags"]["size"]})
    while "extra" not in place.desk.set.definitions.flags:
        await asyncio.sleep(0)
    running.cancel()


def test_series_beyond_the_bound_are_counted_together() -> None:
    tally = FlagTally()
    tally.add((f"f{n}", "on", "STATIC", 2) for n in range(MAX_SERIES + 5))
    assert tally.counts["other", "", ""] == 10
    assert tally.of("f0") == 2
