"""Questions about the shape of the document: what stands where, and of what kind it is."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from shadowproxy.config import document as doc
from shadowproxy.config.problems import Path
from shadowproxy.config.section import LISTED, Section
from shadowproxy.config.values import Kind


def members(annotation: Any) -> Any:
    """What an annotation holds in the end: a Section class or a Kind, without None, lists, mappings and validators."""
    for kind in getattr(annotation, "__metadata__", ()):
        if isinstance(kind, Kind):
            return kind
    inner = [part for part in get_args(annotation) if part not in (type(None), Ellipsis)]
    if get_origin(annotation) is dict:
        return members(inner[1])
    return members(inner[0]) if inner else annotation


def kind_of(field: FieldInfo) -> Any:
    """The Section class or the Kind that a field's values are made of."""
    kind = next((kind for kind in field.metadata if isinstance(kind, Kind)), None)
    return kind if kind is not None else members(field.annotation)


def is_one_or_many(field: FieldInfo) -> bool:
    """Whether the only item of a field's list may stand without the list."""
    return any(LISTED in getattr(part, "__metadata__", ()) for part in get_args(field.annotation))


def meaning(section: type[Section], name: str) -> str:
    """What the reference says about a key, as the end of a sentence."""
    text = section.model_fields[name].description or ""
    return (text[:1].lower() + text[1:]).rstrip(".")


def section_at(path: Path, root: type[Section] = doc.Document) -> type[Section] | None:
    """The section that stands at a path below `root`, or below a list of such; None where there is none."""
    section = root
    named = False
    for step in path:
        if isinstance(step, int) or named:
            named = False
            continue
        field = section.model_fields.get(step)
        inner = kind_of(field) if field is not None else None
        if not isinstance(inner, type):
            return None
        section = inner
        named = step == "services"
    return section


def all_sections(section: type[Section] = doc.Document) -> list[type[Section]]:
    """Every kind of section that a file can hold, each once, outer ones first."""
    found = [section]
    for field in section.model_fields.values():
        inner = kind_of(field)
        if isinstance(inner, type):
            found += [one for one in all_sections(inner) if one not in found]
    return found
