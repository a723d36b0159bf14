"""What a ledger says, as values of a report. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Final

from msgspec import Struct

from shadowproxy.evidence import FieldLedger
from shadowproxy.evidence.ledger import ENOUGH_SECONDS, NOISE, OPEN, REGRESSED, UNTOLD, FieldId, Verdict
from shadowproxy.report.values import FieldEvidence, Knowledge, RouteReport, Shown

MAX_FIELDS: Final = 200
"""Fields of one route whose evidence is listed."""
_TENS: Final = log(10)
ORDER: Final = (REGRESSED, UNTOLD, OPEN, NOISE)
"""States of fields: what counts before what is open, and noise last."""


class Learned(Struct, frozen=True):
    """What control knows of one service. `source` is `secondary`, `resample` or empty; `versions` by arm.

    `beside` are versions that answer beside the one in force, `max_age` is the policy's, `is_alike` False where the
    secondary runs another version than the primary.
    """

    ledger: FieldLedger
    source: str
    versions: Mapping[str, str]
    beside: Mapping[str, list[str]]
    max_age: float
    is_alike: bool = True


def is_known(knowledge: Knowledge | None, second_answers: int) -> bool:
    """Whether second answers tell noise from regressions on a route that has so many of them.

    Before, whatever differs counts (contract, meaning 10). A secondary answers each request that is compared; resamples
    are few, and say nothing of a route before there are enough of its own.
    """
    if knowledge is None or not knowledge.is_alike or knowledge.answers < knowledge.enough:
        return False
    return second_answers >= (1 if knowledge.source == "secondary" else knowledge.enough)


def knowledge_of(learned: Learned, now: float) -> Knowledge:
    ledger = learned.ledger
    listed = ledger.listed(now)
    return Knowledge(
        source=learned.source,
        answers=ledger.answers,
        enough=ENOUGH_SECONDS,
        fdr=ledger.alpha,
        since=ledger.since,
        versions=dict(learned.versions),
        regressed=len(listed),
        noisy=sum(1 for _ in ledger.noisy(now, learned.max_age)),
        untracked=ledger.untracked,
        beside={arm: list(versions) for arm, versions in learned.beside.items()},
        is_alike=learned.is_alike,
    )


def evidence_of(
    learned: Learned, route: str, examples: Mapping[tuple[str, str], Shown], now: float
) -> list[FieldEvidence]:
    """The fields of one route, the regressed first, then by evidence."""
    ledger = learned.ledger
    here = [key for key, row in ledger.rows.items() if key[0] == route and not row.is_blank]
    found = [(key, ledger.judge(key, now, learned.max_age)) for key in here]
    found.sort(key=lambda each: (ORDER.index(each[1].state), -each[1].evidence, each[0]))
    return [_evidence(ledger, key, verdict, examples.get(key[1:])) for key, verdict in found[:MAX_FIELDS]]


def _evidence(ledger: FieldLedger, key: FieldId, verdict: Verdict, example: Shown | None) -> FieldEvidence:
    row = ledger.rows[key]
    return FieldEvidence(
        field=key[1],
        kind=key[2],
        candidate_only=row.candidate,
        second_only=row.second,
        both=row.both,
        spared=row.spared,
        state=verdict.state,
        evidence=verdict.evidence / _TENS,
        needed=verdict.needed / _TENS,
        more=verdict.more,
        first_at=row.first_at,
        last_at=row.last_at,
        since=row.listed_at or None,
        example=example,
        missed=row.missed,
    )


def regressed_fields(route: RouteReport) -> list[FieldEvidence]:
    return [each for each in route.evidence if each.state == REGRESSED]


def untold_fields(route: RouteReport) -> list[FieldEvidence]:
    """Fields of which second answers mostly say nothing: they count as they do where there are none."""
    return [each for each in route.evidence if each.state == UNTOLD] if route.mismatches else []
