"""What a report says of the replay itself: what was sent, what was not, and how well the times were kept. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from shadowproxy.replay.pacing import Lateness
from shadowproxy.replay.player import Played
from shadowproxy.replay.progress import seconds
from shadowproxy.replay.recording import Recording

_LATE: Final = 0.1
"""Seconds past which it is said why requests were late."""


def describe(played: Played, lateness: Lateness, recording: Recording, took: float, paced: bool) -> Iterator[str]:
    """Sentences for people. `took` is in seconds; `paced`: the requests were due at certain times."""
    rate = f", {played.sent / took:,.0f} a second" if took > 0 else ""
    stopped = "stopped early: " if played.stopped else ""
    yield f"{stopped}{played.sent:,} of {played.total:,} recorded requests were sent in {seconds(took)}{rate}"
    if paced and played.sent:
        yield f"requests were sent late by {seconds(lateness.quantile(0.99))} at p99, {seconds(lateness.most)} at most"
    if paced and played.held_up and lateness.quantile(0.99) > _LATE:
        yield f"{played.held_up:,} of them waited until fewer were under way: --concurrency allows more"
    if played.refused:
        yield f"not sent: {_by_reason(played.refused)}; {'; '.join(played.examples)}"
    if played.unrecorded:
        yield f"{played.unrecorded:,} requests were sent of which no answer is recorded: they could not be compared"
    if played.unusable:
        yield f"recorded answers that could not be used: {_by_reason(played.unusable)}"
    if played.unanswered:
        yield f"the primary gave no whole answer: {_by_reason(played.unanswered)}"
    yield from recording.notes


def _by_reason(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items(), key=lambda each: -each[1]))
