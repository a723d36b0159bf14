"""Where each counter stands in a worker's block of shared memory.

A block is an array of signed 64-bit words with one writer (its worker): a header, one row per service and one row
per route. Rows are given out by `model.policy.Registry` and never change their meaning. Durations are kept in
microseconds, in bins finer than the exported buckets so that quantiles of a report are within a few percent.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from shadowproxy.model import bins
from shadowproxy.model.errors import REJECT_REASONS
from shadowproxy.model.terms import (
    ARMS,
    CANDIDATE,
    CAPTURE_REASONS,
    CODES,
    DROP_REASONS,
    FALLBACK_REASONS,
    KINDS,
    LOSS_REASONS,
    MIRRORED_ARMS,
    OUTCOMES,
    PRIMARY,
    QUANTILES,
    RESAMPLE_RESULTS,
    VERDICTS,
)

MAX_SERVICES: Final = 64
MAX_ROUTES: Final = 1024
WORD: Final = 8


DURATION_EDGES: Final = bins.DURATION_EDGES
DURATION_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The exported upper edges, a subset of `DURATION_EDGES`."""
FINE_EDGES: Final = bins.FINE_EDGES
DURATION_BIN: Final = (*(bisect_left(DURATION_EDGES, edge) for edge in FINE_EDGES), len(DURATION_EDGES))
"""For each bin of `FINE_EDGES` the one of `DURATION_EDGES` that it is a part of."""

_POSITIVE: Final = tuple(bins.decades((1, 1.5, 2, 2.5, 3, 5, 7), 0.0001, 10.0))
DELTA_EDGES: Final = (*(-e for e in reversed(_POSITIVE)), 0.0, *_POSITIVE)
_DELTA: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
DELTA_BUCKETS: Final = (*(-e for e in reversed(_DELTA)), 0.0, *_DELTA)

# Header words.
HEARTBEAT: Final = 0
"""CLOCK_MONOTONIC, milliseconds, written by the worker at least twice a second; 0: not listening yet."""
SEQUENCE: Final = 1
"""Sequence number of the policy in force."""
LOOP_LAG: Final = 2
"""Microseconds that the last tick of the loop came late."""
CLIENT_CONNECTIONS: Final = 3
ACCEPTED: Final = 4
TUNNELS: Final = 5
"""Upgraded connections so far."""
TUNNELS_OPEN: Final = 6
HELD_BYTES: Final = 7
"""Bytes held for copies and captured responses."""
DRAINING: Final = 8
LOG_DROPPED: Final = 9
OVERLOADED: Final = 10
"""1 while mirroring is shed."""
COPIES_RECEIVED: Final = 11
"""Requests that were copies of another shadowproxy: served, never mirrored again."""
EXAMPLES_SKIPPED: Final = 12
"""Failed shadow exchanges, counted, whose example was not offered to the comparer."""
KEYS_WRITTEN: Final = 13
"""Entries of the key ring so far."""
FLAGS_VERSION: Final = 14
"""Of the flags in force."""
REJECTED: Final = 16
_HEADER_WORDS: Final = REJECTED + 64
assert len(REJECT_REASONS) <= 64  # noqa: S101 - a law of the layout, checked at import

# Words of a service row.
CONNECTIONS_ACTIVE: Final = 0
CONNECTIONS_IDLE: Final = 3
CONNECTIONS_CONNECTING: Final = 6
HEALTHY: Final = 9
BREAKER_OPEN: Final = 12
ENDPOINTS: Final = 15
CAPTURED: Final = 18
CAPTURE_DROPPED: Final = 19
_CAPTURE_ROOM: Final = 16
SERVICE_WORDS: Final = CAPTURE_DROPPED + _CAPTURE_ROOM

# Words of a route row. `X + arm` addresses an arm where a series has one.
REQUESTS: Final = 0
DURATION: Final = REQUESTS + len(ARMS) * len(CODES)
DURATION_WORDS: Final = len(DURATION_EDGES) + 1 + 1
"""Bins, the overflow bin, and the sum in microseconds."""
ELIGIBLE: Final = DURATION + len(ARMS) * DURATION_WORDS
SAMPLED_OUT: Final = ELIGIBLE + len(MIRRORED_ARMS)
SENT: Final = SAMPLED_OUT + len(MIRRORED_ARMS)
IN_FLIGHT: Final = SENT + len(MIRRORED_ARMS)
DROPPED: Final = IN_FLIGHT + len(MIRRORED_ARMS)
_DROP_ROOM: Final = 12
LOST: Final = DROPPED + len(MIRRORED_ARMS) * _DROP_ROOM
_LOST_ROOM: Final = 12
FALLBACKS: Final = LOST + len(MIRRORED_ARMS) * _LOST_ROOM
_FALLBACK_ROOM: Final = 8
COMPARED: Final = FALLBACKS + _FALLBACK_ROOM
_VERDICT_ROOM: Final = 8
MISMATCHES: Final = COMPARED + len(MIRRORED_ARMS) * _VERDICT_ROOM
_KIND_ROOM: Final = 24
DELTA: Final = MISMATCHES + len(MIRRORED_ARMS) * _KIND_ROOM
DELTA_WORDS: Final = len(DELTA_EDGES) + 1 + 1
OUTCOME: Final = DELTA + len(MIRRORED_ARMS) * DELTA_WORDS
"""Who failed, by arm: the two by two table of the settled pairs."""
JUDGED: Final = OUTCOME + len(MIRRORED_ARMS) * len(OUTCOMES)
"""Pairs of the candidate whose durations were weighed; then, by quantile, how many it splits with the reference and
with the candidate as the slow side (`evidence.latency`).
"""
PAIRED: Final = COMPARED
PAIRED_WORDS: Final = JUDGED + 1 + 2 * len(QUANTILES) - PAIRED
"""What is known of pairs: verdicts, differences of durations, who failed, what was weighed. It begins anew with a
version.
"""
TRIPLES: Final = PAIRED + PAIRED_WORDS
"""Requests that the candidate and a second instance of the primary's version both answered."""
RESAMPLES: Final = TRIPLES + 1
SPLIT: Final = RESAMPLES + len(RESAMPLE_RESULTS)
"""While users are split, by the arm that was drawn: requests, failed ones, client errors (`SPLIT_COUNTS`)."""
SPLIT_COUNTS: Final = ("requests", "failed", "client_errors")
SPLIT_ARMS: Final = (PRIMARY, CANDIDATE)
CHOSEN: Final = SPLIT + len(SPLIT_ARMS) * len(SPLIT_COUNTS)
"""Requests of chosen users of the candidate, and how many of them failed."""
ROUTE_WORDS: Final = CHOSEN + 2

FINE_WORDS: Final = len(FINE_EDGES) + 1
"""The primary's durations over all routes of a service, for the isolation proof; the last bin takes what is longer."""

SERVICES_AT: Final = _HEADER_WORDS
ROUTES_AT: Final = SERVICES_AT + MAX_SERVICES * SERVICE_WORDS
FINE_AT: Final = ROUTES_AT + MAX_ROUTES * ROUTE_WORDS
SPLIT_FINE_AT: Final = FINE_AT + MAX_SERVICES * FINE_WORDS
"""The same bins while users are split, by service and arm that was drawn, of every answer that is evidence."""
_SPLIT_FINE_WORDS: Final = MAX_SERVICES * len(SPLIT_ARMS) * FINE_WORDS
FIRST_FINE_AT: Final = SPLIT_FINE_AT + _SPLIT_FINE_WORDS
"""Of these, where users are sticky, the first answer of each key in an epoch."""
KEYS_AT: Final = FIRST_FINE_AT + _SPLIT_FINE_WORDS
KEY_RING: Final = 8192
"""A ring of what sticky keys did for the first time in an epoch, one word each (`key_entry`), oldest overwritten."""
BLOCK_WORDS: Final = KEYS_AT + KEY_RING
BLOCK_BYTES: Final = (BLOCK_WORDS * WORD + 4095) // 4096 * 4096

CODE_INDEX: Final = tuple(status // 100 - 1 if 100 <= status <= 599 else 4 for status in range(1000))
"""The index in CODES of a status; what is no status of RFC 9110 counts as 5xx (section 15)."""
REJECT_INDEX: Final = {reason: REJECTED + i for i, reason in enumerate(REJECT_REASONS)}
DROP_INDEX: Final = {reason: i for i, reason in enumerate(DROP_REASONS)}
LOSS_INDEX: Final = {reason: i for i, reason in enumerate(LOSS_REASONS)}
VERDICT_INDEX: Final = {verdict: i for i, verdict in enumerate(VERDICTS)}
CAPTURE_INDEX: Final = {reason: CAPTURE_DROPPED + i for i, reason in enumerate(CAPTURE_REASONS)}
"""Words of a service row."""
KIND_INDEX: Final = {kind: i for i, kind in enumerate(KINDS)}
FALLBACK_INDEX: Final = {reason: i for i, reason in enumerate(FALLBACK_REASONS)}
ARM_INDEX: Final = {arm: i for i, arm in enumerate(ARMS)}
MIRRORED_INDEX: Final = {arm: i for i, arm in enumerate(MIRRORED_ARMS)}


# Words of the supervisor's own page.
RESTARTS: Final = {"worker": 0, "comparer": 1, "control": 2}
RELOADS_OK: Final = 3
RELOADS_FAILED: Final = 4
LAST_RELOAD_OK: Final = 5
STARTED_AT: Final = 6
"""Unix time in milliseconds."""
LAST_RELOAD_AT: Final = 7
SUPERVISOR_BYTES: Final = 4096

# Words of control's own page.
HOLD_OUT_FIRST: Final = 0
HOLD_OUT_LAST: Final = 1
"""The slots (`model.slots`) that may be held out, both included."""
EVIDENCE: Final = 8
"""By service: how often the evidence of its pairs has begun anew."""
_CONTROL_PAGE: Final = 4096
LEASES: Final = EVIDENCE + MAX_SERVICES
"""By service: CLOCK_MONOTONIC, milliseconds, until which a leased weight holds."""
SPLIT_EPOCHS: Final = LEASES + MAX_SERVICES
"""By service: how often the evidence of its split has begun anew; workers forget the keys that they have seen."""
BASES_AT: Final = _CONTROL_PAGE // WORD
"""By route the `PAIRED_WORDS` when its evidence began: what is counted less this is what the evidence is about."""
CONTROL_BYTES: Final = _CONTROL_PAGE + (MAX_ROUTES * PAIRED_WORDS * WORD + 4095) // 4096 * 4096
assert SPLIT_EPOCHS + MAX_SERVICES <= BASES_AT  # noqa: S101 - a law of the layout, checked at import


def service_row(index: int) -> int:
    """First word of a service's row in a block."""
    return SERVICES_AT + index * SERVICE_WORDS


def route_row(index: int) -> int:
    """First word of a route's row in a block."""
    return ROUTES_AT + index * ROUTE_WORDS


def fine_word(index: int) -> int:
    """First bin of a service's fine histogram of the primary's durations."""
    return FINE_AT + index * FINE_WORDS


def split_fine_word(index: int, arm: int) -> int:
    """First bin of a service's fine histogram of an arm of the split; `arm` is an index of SPLIT_ARMS."""
    return SPLIT_FINE_AT + (index * len(SPLIT_ARMS) + arm) * FINE_WORDS


def first_fine_word(index: int, arm: int) -> int:
    """The same of the first answers of sticky keys."""
    return FIRST_FINE_AT + (index * len(SPLIT_ARMS) + arm) * FINE_WORDS


KEY_SEEN: Final = 1
KEY_FAILED: Final = 2
KEY_CLIENT_ERROR: Final = 4
KEY_ONCE: Final = 8
"""Beside one of the others: no other request has this key, so that nobody has to remember it."""


def key_entry(h: float, service: int, what: int) -> int:
    """One word of the key ring. `h` in [0, 1) stands for the key; `what` is one of the `KEY_` bits."""
    return int(h * (1 << 53)) << 10 | service << 4 | what


def key_of(entry: int) -> tuple[float, int, int]:
    """The h, service and bits of an entry."""
    return (entry >> 10) / (1 << 53), entry >> 4 & 63, entry & 15


def split_word(row: int, arm: int, what: int) -> int:
    """A count of the split: `arm` is an index of SPLIT_ARMS, `what` of SPLIT_COUNTS."""
    return row + SPLIT + arm * len(SPLIT_COUNTS) + what


def requests_word(row: int, arm: int, code: int) -> int:
    return row + REQUESTS + arm * len(CODES) + code


def duration_word(row: int, arm: int) -> int:
    """First bin of an arm's duration histogram; its sum is the last of `DURATION_WORDS`."""
    return row + DURATION + arm * DURATION_WORDS


def dropped_word(row: int, mirrored: int, reason: str) -> int:
    return row + DROPPED + mirrored * _DROP_ROOM + DROP_INDEX[reason]


def lost_word(row: int, mirrored: int, reason: str) -> int:
    return row + LOST + mirrored * _LOST_ROOM + LOSS_INDEX[reason]


def compared_word(row: int, mirrored: int, verdict: str) -> int:
    return row + COMPARED + mirrored * _VERDICT_ROOM + VERDICT_INDEX[verdict]


def mismatch_word(row: int, mirrored: int, kind: str) -> int:
    return row + MISMATCHES + mirrored * _KIND_ROOM + KIND_INDEX[kind]


def fallback_word(row: int, reason: str) -> int:
    return row + FALLBACKS + FALLBACK_INDEX[reason]


def resample_word(row: int, result: str) -> int:
    return row + RESAMPLES + RESAMPLE_RESULTS.index(result)


def delta_word(row: int, mirrored: int) -> int:
    return row + DELTA + mirrored * DELTA_WORDS


def outcome_word(row: int, mirrored: int) -> int:
    """First of the words of `OUTCOMES`."""
    return row + OUTCOME + mirrored * len(OUTCOMES)


def judged_word(row: int, quantile: int) -> int:
    """How many pairs the quantile splits with the reference as the slow side; the next word: with the candidate."""
    return row + JUDGED + 1 + 2 * quantile
