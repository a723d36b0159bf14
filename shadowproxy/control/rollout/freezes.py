"""Freezes that somebody started by hand. Pure but for its memory; times are Unix time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from shadowproxy.model.rollout import Action
from shadowproxy.rollout.facts import ManualFreeze
from shadowproxy.rollout.values import Entry, FreezeCommand, Refusal

START: Final = "start"
MAX_FREEZES: Final = 100


class ManualFreezes:
    """`kept` are those of the process before. What `obey` returns is for the audit."""

    def __init__(self, kept: Iterable[ManualFreeze] = ()) -> None:
        self._standing = {freeze.id: freeze for freeze in kept}

    def standing(self, now: float) -> tuple[ManualFreeze, ...]:
        """Those that have not ended, the latest last."""
        self._standing = {
            freeze.id: freeze for freeze in self._standing.values() if freeze.until is None or now < freeze.until
        }
        return tuple(self._standing.values())

    def obey(self, command: FreezeCommand) -> tuple[ManualFreeze, Entry] | Refusal:
        """The freeze that begins or is over. The one that is there already stays as it is."""
        standing = self.standing(command.at)
        if command.action == START:
            return self._start(command, len(standing))
        freeze = self._standing.pop(command.id, None)
        if freeze is None:
            there = ", ".join(self._standing) or "none stands"
            return Refusal(f"there is no freeze {command.id!r}: {there}")
        return freeze, _entry("freeze_ended", command, freeze, f"{command.who} ended the freeze {freeze.id}")

    def _start(self, command: FreezeCommand, standing: int) -> tuple[ManualFreeze, Entry] | Refusal:
        if command.until is not None and command.until <= command.at:
            return Refusal("the freeze would be over before it begins")
        if standing >= MAX_FREEZES:
            return Refusal(f"{MAX_FREEZES} freezes stand already: end one first")
        freeze = ManualFreeze(
            command.id,
            command.who,
            command.reason,
            command.at,
            command.until,
            command.services,
            command.classes,
            command.in_flight,
        )
        if command.id in self._standing:
            return Refusal(f"there is a freeze {command.id!r} already")
        self._standing[freeze.id] = freeze
        return freeze, _entry("freeze_started", command, freeze, f"{command.who} started the freeze {freeze.id}")


def _entry(action: Action, command: FreezeCommand, freeze: ManualFreeze, words: str) -> Entry:
    why = f"{words}: {command.reason}" if command.reason else words
    return Entry(action, command.at, command.who, why, {"freeze": msgspec.to_builtins(freeze)})
