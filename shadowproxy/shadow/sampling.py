"""One hash for sampling, shadow and canary (contract, meaning 5)."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

_RANGE: Final = float(2**64)


def share(salt: bytes, key: bytes) -> float:
    """h in [0, 1): the same for the same salt and key, everywhere and always."""
    return int.from_bytes(blake2b(key, digest_size=8, key=salt[:64]).digest(), "big") / _RANGE


def is_sampled(h: float, sample: float) -> bool:
    """Sampled users are the last that a rising candidate weight reaches."""
    return h >= 1.0 - sample
