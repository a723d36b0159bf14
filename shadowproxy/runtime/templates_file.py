"""Learned templates on disk, so that the next run begins with them: `templates.json` in the data directory.

It is JSON for people to look at; whoever deletes it makes learning begin anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from shadowproxy.endpoints.learner import is_template
from shadowproxy.runtime.files import UnreadableError, read_json, replace_file

FILE: Final = "templates.json"
MAX_BYTES: Final = 8 * 1024 * 1024


class Kept(Struct, frozen=True):
    """By service, in the order in which they were learned."""

    services: dict[str, list[str]]
    version: int = 1

    def __post_init__(self) -> None:
        if self.version != 1:
            raise ValueError(f"its version is {self.version}, this is for 1")


def save(directory: Path, templates: Mapping[str, Sequence[str]]) -> None:
    """Replace what is kept; nothing is kept in no file. Raises OSError."""
    if not templates and not (directory / FILE).exists():
        return
    kept = Kept({service: list(names) for service, names in templates.items()})
    replace_file(directory / FILE, msgspec.json.format(msgspec.json.encode(kept)) + b"\n")


def restore(directory: Path) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """What was kept, and what went wrong: a file that cannot be understood is moved away and learning begins anew."""
    path = directory / FILE
    try:
        kept = read_json(path, Kept, MAX_BYTES)
    except UnreadableError as error:
        return {}, (f"{error}: templates are learned anew",)
    if kept is None:
        return {}, ()
    found = {service: [name for name in names if is_template(name)] for service, names in kept.services.items()}
    wrong = sum(map(len, kept.services.values())) - sum(map(len, found.values()))
    return found, (f"{path}: {wrong} entries are no learned templates: left out",) if wrong else ()
