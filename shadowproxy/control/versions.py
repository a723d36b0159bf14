"""Which version each arm runs, from what its answers name: in a header, or when asked. Pure; time is passed in.

While a rollout of the service itself goes on, two versions answer side by side: the one in force stays until it has
not been heard of for a while.
"""

from __future__ import annotations

from typing import Final

SETTLED: Final = 5.0
"""Seconds without the version in force before another one takes its place. Who is asked is asked every 10 s."""
MAX_HEARD: Final = 16
"""Distinct versions followed per arm."""

Place = tuple[str, str]
"""Service and arm."""


class Versions:
    def __init__(self) -> None:
        self._current: dict[Place, str] = {}
        self._heard: dict[Place, dict[str, float]] = {}

    def hear(self, service: str, arm: str, version: str, now: float) -> None:
        """An answer named its version."""
        place = (service, arm)
        heard = self._heard.setdefault(place, {})
        current = self._current.setdefault(place, version)
        if version not in heard and len(heard) >= MAX_HEARD:
            del heard[min(heard.keys() - {current}, key=lambda name: heard[name])]
        heard[version] = now
        if version != current and abs(now - heard.get(current, 0.0)) > SETTLED:  # a clock may be set back
            self._current[place] = version

    def current(self, service: str, arm: str) -> str:
        """The version in force, empty while none was named."""
        return self._current.get((service, arm), "")

    def beside(self, service: str, arm: str, now: float) -> list[str]:
        """Other versions that answered lately."""
        heard = self._heard.get((service, arm), {})
        current = self.current(service, arm)
        return sorted(name for name, at in heard.items() if name != current and abs(now - at) <= SETTLED)
