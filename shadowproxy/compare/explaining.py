"""Sentences that say what differs in two pruned, redacted JSON values: DeepDiff finds, `wording` says.

DeepDiff knows nothing of rules: what it reports is held against the findings of the walker, so that nothing is
explained that does not count, and what it leaves out is explained from the findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from shadowproxy.compare import wording
from shadowproxy.compare.fields import Field
from shadowproxy.compare.findings import Findings, Key
from shadowproxy.compare.paths import write_member
from shadowproxy.compare.walker import same
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
            sentences += inside.pop(f"{each.field}[]", ())
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

    for category, levels in DeepDiff(a, b, view="tree", threshold_to_diff_deeper=0).items():
        for level in levels:
            path = level.path(output_format="list")
            field = _counted(keys, root, path)
            if field is None:
                continue
            where = "$" + "".join(f"[{step}]" if isinstance(step, int) else write_member(step) for step in path)
            if category in _MISSING:
                yield field, f"{where} is missing; the primary has {wording.quoted(level.t1)}."
            elif category in _EXTRA:
                yield field, f"{where} is new: {wording.quoted(level.t2)}."
            else:
                yield field, wording.changed(where, level.t1, level.t2)


def _counted(keys: set[Key], root: Field, path: list[Any]) -> str | None:
    """The field that `path` leads to, if a difference there counts: by itself, or as an element of a resized array."""
    field = root
    resized = False
    for step in path:
        if field.ignored or field.unordered or (field.text, "body_order") in keys:
            return None
        resized = (field.text, "body_size") in keys
        field = field.element() if isinstance(step, int) else field.member(step)
    if field.ignored:
        return None
    counts = resized or any(text == field.text for text, _ in keys)
    return field.text if counts else None
