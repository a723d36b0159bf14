"""Services that are simulated: a table of fields that differ at known rates, drawn as vectors of bits over requests.

A vector is an integer, one bit for each request of a tick. Every answer is odd in a field with some chance: the
primary's, the second one of the primary's version, the candidate's. An odd answer differs from all others, so that
where the primary's own is odd both of the others differ from it.
"""

from __future__ import annotations

from math import log, pi, sin, sqrt
from random import Random
from typing import Final, NamedTuple

STEADY: Final = "steady"
CORRELATED: Final = "correlated"
BURSTS: Final = "bursts"
DRIFTING: Final = "drifting"
STALE: Final = "stale"

_PRECISION: Final = 12
_FEW: Final = 10.0
_LATENT: Final = 0.35
_LONGER: Final = 0.8


def bernoulli(draw: Random, size: int, p: float) -> int:
    """`size` bits, each of them 1 with probability p (to 1/4096 where many are)."""
    if p <= 0.0:
        return 0
    if p >= 1.0:
        return (1 << size) - 1
    bits = 0
    if size * p < _FEW:  # from one to the next
        at, scale, uniform = -1, 1.0 / log(1.0 - p), draw.random
        while True:
            at += 1 + int(log(1.0 - uniform()) * scale)
            if at >= size:
                return bits
            bits |= 1 << at
    digits = round(p * (1 << _PRECISION))
    for place in range((digits & -digits).bit_length() - 1, _PRECISION):  # digit by digit of p, the least one first
        more = draw.getrandbits(size)
        bits = bits | more if digits >> place & 1 else bits & more
    return bits


class Field(NamedTuple):
    """`noise` is how often the second answer differs from the primary's, `worse` how often the candidate's does.

    None: as often. `way` is how the noise goes; the field appears at tick `appears`, and is worse from tick `since` up
    to tick `until`.
    """

    name: str
    noise: float
    worse: float | None = None
    way: str = STEADY
    appears: int = 0
    since: int = 0
    until: int = 1 << 60
    kind: str = "body_value"

    @property
    def key(self) -> tuple[str, str, str]:
        return ("item", f"$.{self.name}", self.kind)


class Seen(NamedTuple):
    """In which requests of one tick the candidate's answer and the second one differ from the primary's, in a field."""

    field: Field
    candidate: int
    second: int


class Drawn(NamedTuple):
    """Of one tick: all requests, those drawn to be resampled, and those of them that have a second answer."""

    every: int
    chosen: int
    answered: int


class Service:
    """Draws what happens, tick by tick. `share` 0: a secondary answers every request."""

    def __init__(self, fields: list[Field], seed: int, share: float = 0.0, lost: float = 0.0) -> None:
        self.fields = fields
        self.share = share
        self.lost = lost
        self.tick = 0
        self._draw = Random(seed)
        self._phase = self._draw.random() * 2.0 * pi
        self._bursting = False
        self._stale = {"candidate": False, "second": False}

    def ask(self, requests: int) -> tuple[Drawn, list[Seen]]:
        """One tick of so many requests."""
        draw = self._draw
        every = (1 << requests) - 1
        chosen = every if not self.share else bernoulli(draw, requests, self.share)
        drawn = Drawn(every, chosen, chosen & ~bernoulli(draw, requests, self.lost))
        if draw.random() < (0.3 if self._bursting else 0.15):
            self._bursting = not self._bursting
        latent = [bernoulli(draw, requests, _LATENT) for _ in range(3)]
        seen = [self._seen(field, requests, latent) for field in self.fields if field.appears <= self.tick]
        self.tick += 1
        return drawn, seen

    def _seen(self, field: Field, requests: int, latent: list[int]) -> Seen:
        noise = self._rate(field)
        if field.way == STALE:
            return Seen(field, *(self._runs(arm, requests, noise) for arm in self._stale))
        odd = 1.0 - sqrt(1.0 - noise)
        chances = [odd, odd, odd]
        if field.worse is not None and field.since <= self.tick < field.until:
            chances[2] = 1.0 if odd >= 1.0 else 1.0 - (1.0 - field.worse) / (1.0 - odd)
        if field.way == CORRELATED:
            answers = [
                hidden & bernoulli(self._draw, requests, chance / _LATENT)
                for hidden, chance in zip(latent, chances, strict=True)
            ]
        else:
            answers = [bernoulli(self._draw, requests, chance) for chance in chances]
        primary, second, candidate = answers
        return Seen(field, primary | candidate, primary | second)

    def _rate(self, field: Field) -> float:
        if field.way == BURSTS:
            return min(field.noise * 6.0, 0.9) if self._bursting else field.noise * 0.4
        if field.way == DRIFTING:
            return min(field.noise * (1.0 + 0.9 * sin(self._phase + self.tick / 3.0)), 0.9)
        return field.noise

    def _runs(self, arm: str, requests: int, noise: float) -> int:
        """One arm is stale for a while, then the other: what differs goes on to differ. No coin is fair here."""
        stale, bits, uniform = self._stale[arm], 0, self._draw.random
        begin = (1.0 - _LONGER) * noise / (1.0 - noise)
        for at in range(requests):
            stale = uniform() < (_LONGER if stale else begin)
            if stale:
                bits |= 1 << at
        self._stale[arm] = stale
        return bits
