"""Sentences that say what differs in two pruned, redacted values: DeepDiff finds, `wording` says.

DeepDiff knows nothing of rules: what it reports is held against the findings of the walker, so that nothing is
explained that does not count, and what it leaves out is explained from the findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from shadowproxy.compare import wording
from shadowproxy.compare.fields import Field
from shadowproxy.compare.findings import ABSENT, Findings, Key
from shadowproxy.compare.paths import write_member
from shadowproxy.compare.trees import ORDER, SIZE, TEXT, Aligned, Siblings, below, same
from shadowproxy.model.pair import Difference

MAX_SENTENCES: Final = 20
_MISSING: Final = ("dictionary_item_removed", "iterable_item_removed")
_EXTRA: Final = ("dictionary_item_added", "iterable_item_added")


def explain(differences: list[Difference], found: Findings, root: Field, a: Any, b: Any, arm: str) -> list[str]:
    """At most `MAX_SENTENCES` sentences, and one that counts the rest.

    `differences` are those that stand, redacted, `found` the findings they come from, `a` and `b` pruned values.
    """
    keys = {(difference.field, difference.kind) for difference in differences}
    inside: dict[str, list[str]] = {}
    for field, sentence in _deep(keys, root, a, b):
        inside.setdefault(field, []).append(sentence)
    sentences = []
    for each in differences:
        if each.kind == "body_size":
            sentences.append(wording.describe_size(each.field, *found.counted[each.field, each.kind]))
            for field in (each.field, f"{each.field}[]"):
                sentences += inside.get(field, ())
                inside[field] = []
        elif each.field in inside:
            sentences += inside[each.field]
            inside[each.field] = []
        else:
            sentences.append(wording.describe(each, arm))
    more = len(sentences) - MAX_SENTENCES
    if more > 0:
        sentences[MAX_SENTENCES:] = [f"And {more} more."]
    return sentences


def _deep(keys: set[Key], root: Field, a: Any, b: Any) -> Iterator[tuple[str, str]]:
    """What DeepDiff finds and the walker counted: the field, and a sentence with the exact place."""
    if same(a, b):
        return
    from deepdiff import DeepDiff  # takes a tenth of a second and 10 MB, so only where examples are made

    told = []
    for category, levels in DeepDiff(a, b, view="tree", threshold_to_diff_deeper=0).items():
        for level in levels:
            place = _place(keys, root, (a, b), level.path(output_format="list"))
            if place is not None:
                told.append((place.order, place.field, _sentence(category, place.where, level)))
    for _, field, sentence in sorted(told):
        yield field, sentence


def _sentence(category: str, where: str, level: Any) -> str:
    if category in _MISSING:
        return f"{where} is missing; the primary has {wording.quoted(level.t1)}."
    if category in _EXTRA:
        return f"{where} is new: {wording.quoted(level.t2)}."
    return wording.changed(where, level.t1, level.t2)


class _Place(NamedTuple):
    """Where a path leads: as it is written, its field, and what sorts places in the order of the bodies."""

    where: str
    field: str
    order: tuple[int, ...]


def _place(keys: set[Key], root: Field, values: tuple[Any, Any], path: list[Any]) -> _Place | None:
    """None where a difference does not count: neither by itself nor as part of an array of another length."""
    where, field, resized, before = "$", root, False, None
    order = []
    for step in path:
        holder = next(value for value in values if value is not ABSENT)
        if field.ignored or step in (ORDER, SIZE):
            return None
        if isinstance(holder, list) and (field.unordered or (field.text, "body_order") in keys):
            return None
        resized = isinstance(holder, list) and (field.text, "body_size") in keys
        where += "" if isinstance(holder, Siblings) and before == TEXT else _step(holder, step)
        before = step
        order.append(_rank(values, step))
        field = below(field, holder, step)
        values = (_held(values[0], step), _held(values[1], step))
    if field.ignored or not (resized or any(text == field.text for text, _ in keys)):
        return None
    return _Place(where, field.text, tuple(order))


def _rank(values: tuple[Any, Any], step: Any) -> int:
    if isinstance(step, int):
        return step
    members = [key for value in values if isinstance(value, dict) for key in value]
    return members.index(step)


def _step(holder: object, step: object) -> str:
    if isinstance(holder, (list, Aligned)):
        return f"[{str(step).removeprefix('+')}]"
    return "" if step == TEXT else write_member(str(step))


def _held(holder: Any, step: Any) -> Any:
    if isinstance(holder, list):
        return holder[step] if step < len(holder) else ABSENT
    return holder.get(step, ABSENT) if isinstance(holder, dict) else ABSENT
