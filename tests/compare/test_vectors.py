"""Diffy's own cases, where its fields and kinds have a counterpart here (see the vectors' README)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.compare.builders import found

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
ELSEWHERE = {
    "html": "HTML is compared by line",
    "json-array-sorted-twitter": "order counts unless a rule says otherwise",
}


def cases() -> list[Any]:
    if not VECTORS.exists():
        return []
    vectors = json.loads(VECTORS.read_text())["vectors"]
    return [each for each in vectors if each["group"] == "diffy.flatten" and each["id"] not in ELSEWHERE]


def written(flattened: str) -> set[tuple[str, str]]:
    """Diffy's `items.v.PrimitiveDifference` as this product writes it, up to the marks of arrays."""
    *names, kind = flattened.split(".")
    names = [name for name in names if name != "keys"]
    field = ".".join("*" if name == "values" else name for name in names)
    return {(field + (".*" if kind == "SetDifference" else ""), each) for each in KINDS[kind]}


@pytest.mark.skipif(not VECTORS.exists(), reason="the outside cases are not here")
@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_peers_cases(case: Any) -> None:
    given = case["input"]
    expected = set().union(*map(written, case["expected"]["flattened_keys"]))
    actual = {
        (field.removeprefix("$.").replace("[]", ""), kind) for field, kind in found(given["left"], given["right"])
    }
    assert actual == expected
