"""Which licences may be delivered, and what the dashboard's bundle adds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.sbom import VENDORED, LicenceError, licence, vendored

ROOT = Path(__file__).parents[2]


def component(*licenses: dict[str, object]) -> dict[str, object]:
    return {"name": "thing", "version": "1", "licenses": list(licenses)}


@pytest.mark.parametrize(
    ("licenses", "expected"),
    [
        ([{"license": {"id": "MIT"}}], "MIT"),
        ([{"expression": "Apache-2.0 AND MIT"}], "Apache-2.0 AND MIT"),
        ([{"expression": "GPL-3.0-only OR MIT"}], "GPL-3.0-only OR MIT"),
        ([{"license": {"name": "License :: OSI Approved :: BSD License"}}], "BSD-3-Clause"),
        ([{"license": {"name": "see file"}}, {"license": {"id": "ISC"}}], "ISC"),
    ],
)
def test_what_may_be_delivered(licenses: list[dict[str, object]], expected: str) -> None:
    assert licence(component(*licenses)) == expected


@pytest.mark.parametrize(
    "licenses",
    [
        [],
        [{"license": {"id": "GPL-3.0-only"}}],
        [{"expression": "MIT AND GPL-3.0-only"}],
        [{"license": {"name": "proprietary"}}],
    ],
)
def test_what_may_not_is_named(licenses: list[dict[str, object]]) -> None:
    with pytest.raises(LicenceError, match="thing 1: no licence that is known here"):
        licence(component(*licenses))


def test_the_bundles_libraries_are_those_that_it_is_made_of() -> None:
    wanted = json.loads((VENDORED / "package.json").read_text())
    found = {each["name"]: each["version"] for each in vendored(VENDORED)}
    assert found.items() >= wanted["dependencies"].items()
    assert not found.keys() & wanted["devDependencies"].keys()
    texts = (ROOT / "shadowproxy/admin/web/vendor/LICENSES.txt").read_text()
    assert [name for name in found if name not in texts] == []
