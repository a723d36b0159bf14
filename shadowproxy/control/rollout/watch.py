"""Who holds the watch of each rollout: a lease that its holder renews, and that ends by itself.

Pure but for its memory. Times are Unix time; one that jumps makes no lease longer than its `ttl`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from shadowproxy.model.rollout import Event
from shadowproxy.rollout.values import PRODUCT, Entry, Refusal, Watch, WatchCommand

HOLD: Final = "hold"
RENEW: Final = "renew"
RELEASE: Final = "release"


class Watches:
    """By service. What `obey` and `lapse` return is for the audit; `kept` is what survives this process."""

    def __init__(self, kept: Mapping[str, Watch] | None = None) -> None:
        self._held = dict(kept or {})

    def held(self, service: str, now: float, ttl: float) -> Watch | None:
        """Who holds it now, None: nobody."""
        watch = self._held.get(service)
        return watch if watch is not None and 0.0 < watch.until - now <= ttl else None

    def obey(self, service: str, command: WatchCommand, ttl: float) -> tuple[Watch | None, Entry | None] | Refusal:
        """Who holds it then, and what is to be remembered of it: nothing of a renewal."""
        held, who = self.held(service, command.at, ttl), command.who
        if held is not None and held.holder != who:
            return Refusal(f"{held.holder} holds the watch: it has to be handed over or released, or to end by itself")
        if command.action in {HOLD, RENEW}:
            return self._hold(service, command, held, ttl)
        if held is None:
            return Refusal(f"nobody holds the watch, so there is nothing to {command.action.replace('over', ' over')}")
        if command.action == RELEASE:
            del self._held[service]
            return None, _entry("watch_released", command, f"{who} let go of the watch")
        if not command.to or command.to == who:
            return Refusal("say to whom the watch is handed over")
        watch = self._held[service] = Watch(command.to, command.at, command.at + ttl)
        return watch, _entry("watch_handed_over", command, f"{who} handed the watch over to {command.to}")

    def lapse(self, service: str, now: float, ttl: float) -> Entry | None:
        """What there is to say once a watch was not renewed in time."""
        watch = self._held.get(service)
        if watch is None or self.held(service, now, ttl) is not None:
            return None
        del self._held[service]
        return Entry("watch_lapsed", now, PRODUCT, f"{watch.holder} did not renew the watch within {ttl:g} s")

    def _hold(
        self, service: str, command: WatchCommand, held: Watch | None, ttl: float
    ) -> tuple[Watch, Entry | None] | Refusal:
        if held is None and command.action == RENEW:
            return Refusal("the watch is not held any more: it has to be taken again")
        watch = Watch(command.who, held.since if held else command.at, command.at + ttl)
        self._held[service] = watch
        if held is not None:
            return watch, None
        return watch, _entry("watch_taken", command, f"{command.who} holds the watch")


def _entry(action: Event, command: WatchCommand, words: str) -> Entry:
    why = f"{words}: {command.reason}" if command.reason else words
    return Entry(action, command.at, command.who, why, {"command": msgspec.to_builtins(command)})
