"""How the rules walk through a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shadowproxy.config import document as doc
from shadowproxy.config.findings import Findings
from shadowproxy.config.problems import Path
from shadowproxy.config.section import Section
from shadowproxy.model.terms import ARMS


def sections(section: Section, path: Path = ()) -> Iterator[tuple[Path, Section]]:
    """A section and every section in it, with their paths."""
    yield path, section
    for name in section.model_fields_set:
        value = getattr(section, name)
        items: Any = ()
        if isinstance(value, Section):
            items = [((), value)]
        elif isinstance(value, tuple):
            items = [((index,), item) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            items = [((key,), item) for key, item in value.items()]
        for step, item in items:
            if isinstance(item, Section):
                yield from sections(item, (*path, name, *step))


def upstreams(document: doc.Document) -> Iterator[tuple[Path, doc.Upstream]]:
    for _, path, service in document.named():
        for arm in ARMS:
            upstream = getattr(service.upstreams, arm) if service.upstreams is not None else None
            if upstream is not None:
                yield (*path, "upstreams", arm), upstream


def own_name(
    at: Path, section: Section, names: dict[str, int], name: str, index: int, noun: str, findings: Findings
) -> None:
    """A `section`, whose name may have been made for it, is called like none before it in `names`."""
    if names.setdefault(name, index) != index:
        right = f'is called "{name}" like {noun} {names[name] + 1}: write a name of its own'
        findings.wrong((*at, "name") if section.has("name") else at, right)


def once(path: Path, key: str, values: list[str | None], what: str, findings: Findings) -> None:
    first: dict[str, int] = {}
    for index, value in enumerate(values):
        if value is not None and first.setdefault(value, index) != index:
            findings.wrong((*path, index, key), f"is {what} of item {first[value] + 1} as well: write another one")
