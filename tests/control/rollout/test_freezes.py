"""Freezes by hand: begun, ended, over by themselves."""

from __future__ import annotations

from shadowproxy.control.rollout.freezes import MAX_FREEZES, ManualFreezes
from shadowproxy.rollout.facts import ManualFreeze
from shadowproxy.rollout.values import FreezeCommand, Refusal


def start(name: str, at: float, until: float | None = None) -> FreezeCommand:
    return FreezeCommand("start", "ada", "the fair", at, name, until, ("shop",), ("feature", "fix"), "continue")


def why(said: object) -> str:
    assert isinstance(said, Refusal)
    return said.why


def test_one_begins_and_is_ended_and_both_are_remembered() -> None:
    freezes = ManualFreezes()
    said = freezes.obey(start("f-1", 10.0))
    assert not isinstance(said, Refusal)
    freeze, entry = said
    assert freeze == ManualFreeze("f-1", "ada", "the fair", 10.0, None, ("shop",), ("feature", "fix"), "continue")
    assert (entry.action, entry.by, entry.why) == ("freeze_started", "ada", "ada started the freeze f-1: the fair")
    assert freezes.standing(11.0) == (freeze,)
    assert why(freezes.obey(start("f-1", 11.0))) == "there is a freeze 'f-1' already"
    said = freezes.obey(FreezeCommand("end", "bob", "", 12.0, "f-1"))
    assert not isinstance(said, Refusal)
    assert (said[0], said[1].why) == (freeze, "bob ended the freeze f-1")
    assert freezes.standing(13.0) == ()
    assert why(freezes.obey(FreezeCommand("end", "bob", "", 14.0, "f-1"))) == "there is no freeze 'f-1': none stands"


def test_one_with_an_end_is_over_by_itself() -> None:
    freezes = ManualFreezes([ManualFreeze("f-1", "ada", "the fair", 10.0, 20.0)])
    assert [len(freezes.standing(now)) for now in (19.9, 20.0)] == [1, 0]
    assert why(freezes.obey(start("f-2", 30.0, 30.0))) == "the freeze would be over before it begins"


def test_they_are_bounded() -> None:
    freezes = ManualFreezes([ManualFreeze(f"f-{n}", "ada", "", 0.0) for n in range(MAX_FREEZES)])
    assert why(freezes.obey(start("one more", 1.0))) == "100 freezes stand already: end one first"
