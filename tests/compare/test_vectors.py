"""Diffy's own cases, where its fields and kinds have a counterpart here (see the vectors' README)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.compare.builders import differing, found

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "compare_and_capture.json"
KINDS = {
    "PrimitiveDifference": {"body_value"},
    "TypeDifference": {"body_type"},
    "MissingField": {"body_missing"},
    "ExtraField": {"body_extra"},
    "SeqSizeDifference": {"body_size"},
    "OrderingDifference": {"body_order"},
    "SetDifference": {"body_missing", "body_extra"},
}
"""Diffy's kinds and what they are called here. A set of keys that changed is told key by key, folded into one field."""
ON_PURPOSE = {
    "html": {("$.html.body.div.h1.@class", "body_value")},
    "json-array-sorted-twitter": {("$.t", "body_order")},
}
"""Where this product differs: a field of HTML is written with its tags instead of `children.children`, and an order
that changed counts unless a rule says otherwise (opendiffy does the same, twitter's Diffy sorts arrays first)."""


def cases() -> list[Any]:
    if not VECTORS.exists():
        return []
    vectors = json.loads(VECTORS.read_text())["vectors"]
    return [each for each in vectors if each["group"] == "diffy.flatten"]


def written(flattened: str) -> set[tuple[str, str]]:
    """Diffy's `items.v.PrimitiveDifference` as this product writes it, up to the marks of arrays."""
    *names, kind = flattened.split(".")
    names = [name for name in names if name != "keys"]
    field = ".".join(["$", *("*" if name == "values" else name for name in names)])
    return {(field + (".*" if kind == "SetDifference" else ""), each) for each in KINDS[kind]}


@pytest.mark.skipif(not VECTORS.exists(), reason="the outside cases are not here")
@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_peers_cases(case: Any) -> None:
    given, expected = case["input"], case["expected"]
    if media_type := given.get("content_type"):
        actual = differing(given["left"], given["right"], media_type)
    else:
        actual = found(given["left"], given["right"])
    theirs = set().union(*map(written, expected.get("flattened_keys", expected.get("flattened"))))
    assert {(field.replace("[]", ""), kind) for field, kind in actual} == ON_PURPOSE.get(case["id"], theirs)
