"""When nothing is mirrored, so that what mirroring costs the primary can be measured. Pure; every process agrees.

Time (CLOCK_MONOTONIC, the same for all processes of a machine) is cut into slots. A slot is held out for a share when
a hash of the instance and its number is small enough and smaller than those of the two slots on either side. So held
out slots are spread at random, nobody has to be told which they are, a larger share only adds slots (services that
hold out at all do so together), and each has a neighbour on either side, shared with no other, to be compared with.

Whether slots are held out at all is control's to say: it gives a lease, the first and the last slot, and renews it.
A control that is gone lets it run out.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from math import inf
from typing import Final

SECONDS: Final = 2.0
DRAIN: Final = 0.5
"""Seconds from the beginning of a slot until it is compared: copies of the one before run out, or start again."""
MOST: Final = 0.2
"""The largest share: of five neighbours one is the smallest."""
_AWAY: Final = (-2, -1, 1, 2)


def slot_at(now: float) -> int:
    """The number of the slot at this moment. `now`: CLOCK_MONOTONIC, seconds."""
    return int(now // SECONDS)


@lru_cache(maxsize=256)
def held_out_from(epoch: str, slot: int) -> float:
    """The share from which on the slot is held out; infinite: never.

    The smallest of five uniform numbers is below u with probability 1 - (1 - u)^5, and is the middle one in a fifth of
    the cases: so (1 - (1 - u)^5) / 5 of all slots are held out below u.
    """
    own = _draw(epoch, slot)
    if any(_draw(epoch, slot + away) <= own for away in _AWAY):
        return inf
    return (1 - (1 - own) ** 5) / 5


@lru_cache(maxsize=256)
def _draw(epoch: str, slot: int) -> float:
    digest = blake2b(b"isolation:%d" % slot, digest_size=6, key=epoch.encode()[:64]).digest()
    return int.from_bytes(digest, "big") / (1 << 48)
