"""What makes a record tamper-evident, and what makes two decisions the same: hashes of canonical bytes.

Laws: each link is a hash over the link before it and everything in its record; the same decision has the same bytes, in
whichever process it is made. Dicts are taken in their order, so nothing may be decided in the order of a set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from shadowproxy.rollout.values import Entry, State

BEGINNING: Final = b""
"""What the first record of a chain follows."""
_HASH_SIZE: Final = 32
"""Bytes. Nobody finds two records of one hash of this size."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_state: Final = msgspec.msgpack.Decoder(State).decode
encode_json: Final = msgspec.json.Encoder().encode


def link(previous: bytes, record: Sequence[str | bytes | int | float | None]) -> bytes:
    """The hash of a record that follows the one whose hash is `previous`."""
    return digest(_encode((previous, *record)))


def digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_HASH_SIZE).digest()


def canonical(state: State) -> bytes:
    """The bytes of a state, the same before it was kept and after: a whole number in a float is one only once read."""
    return _encode(_decode_state(_encode(state)))


def sealed(entry: Entry) -> bytes:
    """The bytes of a decision, the same before it was kept and after."""
    return _encode((entry.action, float(entry.at), entry.by, entry.why, encode_json(entry.what)))
