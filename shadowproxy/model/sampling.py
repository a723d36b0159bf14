"""One hash for sampling, shadow and canary (contract, meaning 5)."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

_BITS: Final = 53
"""As many as a float holds exactly: with all 64 the largest would round up to 1."""


def share(salt: bytes, key: bytes) -> float:
    """h in [0, 1): the same for the same salt and key, everywhere and always."""
    return (int.from_bytes(blake2b(key, digest_size=8, key=salt[:64]).digest(), "big") >> 64 - _BITS) / (1 << _BITS)


def is_sampled(h: float, sample: float) -> bool:
    """Sampled users are the last that a rising candidate weight reaches."""
    return h >= 1.0 - sample
