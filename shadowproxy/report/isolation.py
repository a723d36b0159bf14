"""The isolation proof in words: the same sentence in every rendering."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shadowproxy.model.totals import Isolation
from shadowproxy.report.phrases import QUANTILES, interval
from shadowproxy.report.plain import duration, number

_RESTS: Final = {
    "slow": "below {least:g} requests/s (now {rate:.0f})",
    "unmirrored": "while no copies are sent",
}


def isolation_words(found: Isolation) -> str:
    """What mirroring adds, what is missing and over how many slots; or why nothing is measured."""
    rests = _RESTS.get(found.state, "").format(least=found.least_rate, rate=found.rate or 0.0)
    if rests and not found.slots:
        return f"off {rests}"
    missing = ", ".join(_missing(found))
    if found.added:
        added = ", ".join(f"{name} {interval(found.added[name])}" for name in QUANTILES if name in found.added)
        said = f"mirroring adds {added} to the primary's latency{f'; {missing}' if missing else ''}"
    else:
        said = f"what mirroring adds to the primary's latency is not known yet: {missing}"
    held = f"{number(found.slots, 'slot')} of {found.slot_seconds:g} s held out"
    return f"{said}; {held}{f'; resting {rests}' if rests else ''}"


def _missing(found: Isolation) -> Iterator[str]:
    for name in QUANTILES:
        if name in found.more:
            slots = found.more[name]
            wait = duration(slots * found.slot_seconds / found.hold_out)
            yield f"{name} needs about {number(slots, 'more slot')} (≈ {wait})"
