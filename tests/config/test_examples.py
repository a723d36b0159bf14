"""The shipped examples start as they are: on a fresh machine, without any variable set."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadowproxy.config import Overrides, load
from shadowproxy.config import document as doc
from shadowproxy.config.outline import all_sections, kind_of
from shadowproxy.config.section import Section
from shadowproxy.config.tree import read
from shadowproxy.model.policy import Bind, Registry

EXAMPLES = sorted(
    path for path in (Path(__file__).parents[2] / "config").glob("*.yaml") if path.name != "accepted.yaml"
)


def test_the_examples_are_there() -> None:
    assert {path.stem for path in EXAMPLES} >= {"minimal", "sidecar", "gateway", "everything", "noise"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_starts_as_it_is(example: Path) -> None:
    got = load(example, Overrides(), Registry(), {})
    assert got.warnings == ()
    binds = [*got.launch.listen, got.launch.admin.bind, got.launch.probe]
    assert all(isinstance(bind, Bind) and bind.host == "127.0.0.1" and bind.port >= 8080 for bind in binds)


def test_the_accepted_differences_are_read_by_everything() -> None:
    path = next(path for path in EXAMPLES if path.stem == "everything")
    checkout, website = load(path, Overrides(), Registry(), {}).policy.services
    assert [entry.route for entry in checkout.accepted] == ["item", "*"]
    assert website.accepted == ()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_explained(example: Path) -> None:
    lines = example.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert max(len(line) for line in lines) <= 120
    assert sum("#" in line for line in lines) >= 6


def test_everything_shows_every_key() -> None:
    text = next(path for path in EXAMPLES if path.stem == "everything").read_text()
    missing = [
        f"{section.__name__}.{name}"
        for section in all_sections()
        for name in section.model_fields
        if f"{name}:" not in text and name != "service"
    ]
    assert missing == []


def test_everything_shows_the_defaults_but_where_it_says_so(tmp_path: Path) -> None:
    """Every scalar line without `(not a default)` in everything.yaml can be deleted without a change."""
    from shadowproxy.config.defaults import default_of

    path = next(path for path in EXAMPLES if path.stem == "everything")
    lines = path.read_text().splitlines()
    tree = read(path.read_text(), str(path))
    checked = 0
    for steps, place in tree.places.items():
        if place.written is None or "not a default" in lines[place.line - 1] or "(default" in lines[place.line - 1]:
            continue
        section: type[Section] = doc.Document
        names = [step for step in steps if isinstance(step, str) and step not in {"checkout", "website"}]
        for name in names[:-1]:
            inner = kind_of(section.model_fields[name]) if name in section.model_fields else None
            section = inner if isinstance(inner, type) else Section
        default = default_of(section, names[-1]) if names and names[-1] in section.model_fields else None
        if default is not None and isinstance(steps[-1], str) and "${" not in place.written:
            checked += 1
            assert place.written == (str(default).lower() if isinstance(default, bool) else str(default)), steps
    assert checked > 45
