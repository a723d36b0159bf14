"""The configurations of the guides: each page shows its file as it is, and each file is one that starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadowproxy.config import Overrides, load
from shadowproxy.config.flag_file import examine
from shadowproxy.model.policy import Registry
from tests.docs.documents import ROOT, blocks

DOCS = ROOT / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.yaml"))
GUIDES = {path.stem for path in (DOCS / "guides").glob("*.md")}


def page(example: Path) -> Path:
    """Where a file is explained."""
    return DOCS / f"{example.stem}.md" if example.stem not in GUIDES else DOCS / "guides" / f"{example.stem}.md"


def test_every_guide_has_a_file_of_its_own() -> None:
    assert {path.stem for path in EXAMPLES} == {*GUIDES, "quick-start"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_page_shows_its_file_as_it_is(example: Path) -> None:
    shown = next(block for block in blocks(page(example)) if block.language == "yaml")
    assert shown.text.rstrip("\n") == example.read_text().rstrip("\n")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_file_starts_as_it_is_and_remembers_apart_from_the_others(example: Path) -> None:
    got = load(example, Overrides(), Registry(), {})
    assert got.warnings == ()
    assert examine(got.policy).problems == ()
    assert got.launch.data_dir == str(DOCS / "examples" / "data" / example.stem)
    (service,) = got.policy.services
    assert service.rollout is not None


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_file_fits_its_page(example: Path) -> None:
    assert max(map(len, example.read_text().splitlines())) <= 125
