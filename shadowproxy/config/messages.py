"""What pydantic found, said in this product's words: one table from its error types to sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from shadowproxy.config.document import Document
from shadowproxy.config.outline import section_at
from shadowproxy.config.problems import Path, printable
from shadowproxy.config.section import Section
from shadowproxy.config.tree import Place
from shadowproxy.config.values import SecretError


def place_of(places: Mapping[Path, Place], path: Path) -> Place | None:
    """The place of a path, or of what it would stand in."""
    return next((places[path[:end]] for end in range(len(path), -1, -1) if path[:end] in places), None)


def as_written(path: Path, places: Mapping[Path, Place]) -> Path:
    """The path without the indexes of lists that were written as one value, such as `tls` with one certificate."""
    written: Path = ()
    for step in path:
        if not isinstance(step, int) or (*written, step) in places:
            written = (*written, step)
    return written


def path_of(error: Mapping[str, Any], places: Mapping[Path, Place]) -> Path:
    """The path that an error is about, without the steps that pydantic adds for keys and single-item lists."""
    path = as_written(error["loc"], places)
    while path and path not in places:
        path = path[:-1]
    return path


def close_to(name: str, known: list[str]) -> str | None:
    """The known name that was probably meant."""
    return next(iter(get_close_matches(name, known, n=1, cutoff=0.6)), None)


def is_about_key(error: Mapping[str, Any]) -> bool:
    """Whether the key is wrong and not its value."""
    return error["type"] == "extra_forbidden" or "[key]" in error["loc"][-1:]


def sentence(error: Mapping[str, Any], path: Path, places: Mapping[Path, Place], root: type[Section] = Document) -> str:
    """What is wrong with the value at `path` below `root`, and what would be right."""
    return _SENTENCES.get(error["type"], _unforeseen)(error, path, places, root)


def meant_key(path: Path, root: type[Section] = Document) -> str | None:
    """The key that an unknown one was probably meant to be."""
    section = section_at(path[:-1], root)
    if section is None:
        return None
    return close_to(str(path[-1]), list(section.model_fields))


def _unknown(error: Mapping[str, Any], path: Path, places: Mapping[Path, Place], root: type[Section]) -> str:
    meant = meant_key(path, root)
    if meant is not None:
        return f"unknown key: did you mean {meant}?"
    section = section_at(path[:-1], root)
    return f"unknown key: known here are {', '.join(section.model_fields) if section is not None else 'others'}"


def _not_a_section(error: Mapping[str, Any], path: Path, places: Mapping[Path, Place], root: type[Section]) -> str:
    section = section_at(path, root)
    known = ", ".join(section.model_fields) if section is not None else ""
    return f"must be a mapping with keys of its own: {known}"


def _not_a_mapping(error: Mapping[str, Any], path: Path, places: Mapping[Path, Place], root: type[Section]) -> str:
    return "must be a mapping: write a key, a colon and a value on each line below"


def _not_a_list(error: Mapping[str, Any], path: Path, places: Mapping[Path, Place], root: type[Section]) -> str:
    return "must be a list: put [ and ] around it, or write each item on a line of its own after a dash"


def _wrong(error: Mapping[str, Any], path: Path, places: Mapping[Path, Place], root: type[Section]) -> str:
    wrong = error["ctx"]["error"]
    place = places.get(path)
    if is_about_key(error):
        return f"this name cannot be used: {wrong}"
    if isinstance(wrong, SecretError) or place is None or place.written is None:
        return f"cannot be used: {wrong}"
    return f'cannot be "{printable(place.written)}": {wrong}'


def _unforeseen(error: Mapping[str, Any], path: Path, places: Mapping[Path, Place], root: type[Section]) -> str:
    return f"cannot be used: {error['msg']}"


_SENTENCES: Final[dict[str, Callable[[Mapping[str, Any], Path, Mapping[Path, Place], type[Section]], str]]] = {
    "extra_forbidden": _unknown,
    "model_type": _not_a_section,
    "model_attributes_type": _not_a_section,
    "dict_type": _not_a_mapping,
    "tuple_type": _not_a_list,
    "value_error": _wrong,
}
