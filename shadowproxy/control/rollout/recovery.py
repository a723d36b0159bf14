"""What a process finds when it takes over rollouts: what is kept, and what is made of what is not."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from shadowproxy.control.rollout.gathering import Kept
from shadowproxy.control.rollout.notifying import Delivery
from shadowproxy.model.rollout import PROMOTED, Split, sends_users
from shadowproxy.rollout.facts import ManualFreeze
from shadowproxy.rollout.holds import STORE
from shadowproxy.rollout.steps import steps
from shadowproxy.rollout.values import PRODUCT, Decision, Entry, Hold, State, Watch
from shadowproxy.store.rollouts import RolloutStore, UnreadableStatesError

COUNTERS: Final = "rollout"
WATCH: Final = "watch"
FREEZE: Final = "freeze"
DELIVERY: Final = "delivery"
"""What the keys of documents begin with, before a slash and whose they are."""

log = logging.getLogger(__name__)
T = TypeVar("T")


class Found(NamedTuple):
    """What is kept: states, what belongs to their counters and watches, by service; freezes, and what was not sent."""

    states: dict[str, State]
    counters: dict[str, Kept]
    watches: dict[str, Watch]
    freezes: list[ManualFreeze]
    deliveries: list[Delivery]


def find(store: RolloutStore) -> Found:
    """Raises StoreError. What alone cannot be read is lost, which is said; the others go on."""
    try:
        states = store.load()
    except UnreadableStatesError as error:
        log.error("%s", error)
        states = error.states
    documents = store.documents()
    return Found(
        states,
        _of(documents, COUNTERS, Kept),
        _of(documents, WATCH, Watch),
        list(_of(documents, FREEZE, ManualFreeze).values()),
        list(_of(documents, DELIVERY, Delivery).values()),
    )


def _of(documents: Mapping[str, bytes], prefix: str, kind: type[T]) -> dict[str, T]:
    """Those of one kind by what follows the prefix; what cannot be read is left out."""
    found: dict[str, T] = {}
    for key, body in documents.items():
        name, _, rest = key.partition("/")
        if name == prefix:
            try:
                found[rest] = msgspec.msgpack.decode(body, type=kind)
            except msgspec.MsgspecError as error:
                log.warning("%s cannot be read and is left out: %s", key, error)
    return found


def lost(state: State, split: Split) -> Decision:
    """What is made of a split that nobody remembers: a promotion stands, anything else goes back to the primary."""
    is_promoted = not split.leased and sends_users(split)
    if is_promoted:
        why = "its state was lost: the promotion that is in force stands; `rollback` goes back"
        hold = Hold(STORE, state.at, PRODUCT, why)
        last = len(steps(state.plan)) - 1
        after = replace(state, attempt=split.attempt, phase=PROMOTED, step=last, weight=split.weight, holds=(hold,))
    else:
        why = "its state was lost in the middle of the rollout: all users are with the primary"
        after = state
    after = replace(after, why=why)
    return after, (Entry("state_lost", state.at, PRODUCT, why, {"split": msgspec.to_builtins(split)}),)
