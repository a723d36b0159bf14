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
from shadowproxy.runtime.files import replace_file, set_aside

FILE: Final = "templates.json"
MAX_BYTES: Final = 8 * 1024 * 1024


class Kept(Struct, frozen=True):
    """By service, in the order in which they were learned."""

    services: dict[str, list[str]]
    version: int = 1


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
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return {}, ()
    except OSError as error:
        return {}, (f"{path}: learned templates cannot be read ({error.strerror}): they are learned anew",)
    try:
        if len(data) > MAX_BYTES:
            raise msgspec.DecodeError("it is too large")
        kept = msgspec.json.decode(data, type=Kept)
        if kept.version != 1:
            raise msgspec.DecodeError(f"its version is {kept.version}, this is for 1")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return {}, (f"{path}: {error}; {set_aside(path)}: templates are learned anew",)
    found = {service: [name for name in names if is_template(name)] for service, names in kept.services.items()}
    wrong = sum(map(len, kept.services.values())) - sum(map(len, found.values()))
    return found, (f"{path}: {wrong} entries are no learned templates: left out",) if wrong else ()
