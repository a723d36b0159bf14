"""The log of a rollout: everything its state was derived from, in order, and what came of each."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from shadowproxy.model.rollout import FreezeWindow, Plan
from shadowproxy.rollout.facts import Facts
from shadowproxy.rollout.values import Command, Entry, State


class Ordered(Struct, frozen=True):
    """Somebody asked for something, and the facts of that moment."""

    command: Command
    facts: Facts

    @property
    def at(self) -> float:
        return self.command.at


class Reload(Struct, frozen=True):
    """The configuration was read again; `plan` None: it has no rollout for the service any more."""

    at: float
    plan: Plan | None
    windows: tuple[FreezeWindow, ...] = ()


Cause = Facts | Ordered | Reload | State
"""What changed a state. A state: it was not derived but set, at the beginning of an attempt or after a gap, or it is
the same again, so that older items can be dropped.
"""

_KINDS: Final[dict[str, type[Cause]]] = {"facts": Facts, "command": Ordered, "reload": Reload, "state": State}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}
_DECODERS: Final = {name: msgspec.msgpack.Decoder(kind).decode for name, kind in _KINDS.items()}
_encode: Final = msgspec.msgpack.Encoder().encode


class Logged(Struct, frozen=True):
    """One item. `state` is the digest of the state after it (`chain.canonical`), `entries` what was decided by it."""

    number: int
    at: float
    cause: Cause
    state: bytes
    entries: tuple[Entry, ...] = ()


def encode(cause: Cause) -> tuple[str, bytes]:
    """Its kind and its bytes."""
    return _NAMES[type(cause)], _encode(cause)


def decode(kind: str, body: bytes) -> Cause:
    """Raises msgspec.MsgspecError."""
    if kind not in _DECODERS:
        raise msgspec.ValidationError(f"there is no kind {kind!r} of items")
    return _DECODERS[kind](body)
