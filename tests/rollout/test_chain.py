"""Equal values have equal bytes, whether they were kept in between or not; a link covers all of its record."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.model.rollout import Plan, Stage
from shadowproxy.rollout.chain import BEGINNING, canonical, link, sealed
from shadowproxy.rollout.ledger import Ledger, Tally
from shadowproxy.rollout.values import Entry, Hold, State

VALUES = st.none() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3) | st.binary(max_size=3)
RECORDS = st.lists(VALUES, min_size=1, max_size=4)


@given(RECORDS, RECORDS, st.binary(max_size=3))
def test_other_records_have_other_links(one: list[object], two: list[object], previous: bytes) -> None:
    assert (link(previous, one) == link(previous, two)) == (msgspec.msgpack.encode(one) == msgspec.msgpack.encode(two))
    assert link(previous, one) != link(previous + b"x", one)
    assert link(BEGINNING, one) == link(BEGINNING, list(one))


def test_a_state_has_the_same_bytes_after_it_was_kept() -> None:
    ledger = Ledger("seed", tally=Tally(seconds=0, requests=(1, 2)))
    state = State("shop", Plan("p", (Stage("s", "shadow"),)), at=5, weight=0, holds=(Hold("freeze", 1),), ledger=ledger)
    body = canonical(state)
    assert canonical(msgspec.msgpack.decode(body, type=State)) == body
    as_read = Ledger("seed", tally=Tally(seconds=0.0, requests=(1, 2)))
    assert canonical(msgspec.structs.replace(state, at=5.0, weight=0.0, ledger=as_read)) == body


def test_a_decision_has_the_same_bytes_after_it_was_kept() -> None:
    entry = Entry("held", 5, "shadowproxy", "why", {"at": 1.0, "pair": (1, 2), "log_e": float("-inf")})
    assert sealed(entry) == sealed(msgspec.json.decode(msgspec.json.encode(entry), type=Entry))
    assert sealed(entry) != sealed(msgspec.structs.replace(entry, why="because"))
