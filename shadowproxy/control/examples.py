"""Whole examples for a report, from the store."""

from __future__ import annotations

from msgspec.structs import replace

from shadowproxy.control.state import State
from shadowproxy.report import Report, wanted_examples
from shadowproxy.store import StoreError


async def with_examples(state: State, report: Report, most: int) -> Report:
    """The report with at most so many whole examples, its causes' first; what is no longer stored is left out."""
    ids = wanted_examples(report, most)
    try:
        found = await state.read(lambda: [state.store.example(each) for each in ids])
    except StoreError as error:
        return replace(report, notes=[*report.notes, f"bodies are missing: {error}"])
    return replace(report, examples=[example for example in found if example])
