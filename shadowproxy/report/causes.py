"""What a report says of causes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from shadowproxy.model.totals import CauseTotal, FieldExample
from shadowproxy.report.values import Cause, Shown

MAX_CAUSES: Final = 100
"""Causes listed per service."""


def worth_showing(causes: Sequence[CauseTotal]) -> list[CauseTotal]:
    """Those with the most impact of every service that this instance has seen, in their order."""
    taken: Counter[str] = Counter()
    shown = []
    for row in causes:
        if row.pairs and taken[row.service] < MAX_CAUSES:
            taken[row.service] += 1
            shown.append(row)
    return shown


def cause_of(row: CauseTotal, compared: int, example: FieldExample | None) -> Cause:
    """A cause as a report shows it; `compared` pairs of its service could be compared."""
    return Cause(
        id=row.id,
        service=row.service,
        route=row.route,
        keys=list(row.keys),
        primary_status=row.primary_status,
        shadow_status=row.shadow_status,
        failure=row.failure,
        pairs=row.pairs,
        share=row.pairs / compared if compared else 0.0,
        first_at=row.first_at,
        last_at=row.last_at,
        words=row.words,
        suggestion=row.suggestion or "",
        example=Shown(example.id, example.primary, example.shadow, example.curl) if example else None,
        mixed=row.mixed,
        left_out=row.left_out,
        before=row.before,
    )
