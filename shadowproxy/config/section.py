"""What the document is made of: sections, mappings with known keys."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Struct
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

S = TypeVar("S", bound=Struct)
T = TypeVar("T")


class Section(BaseModel):
    """A mapping with known keys. `needs` must be there; `fills` is the policy value that holds the defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
    needs: ClassVar[tuple[str, ...]] = ()
    fills: ClassVar[Struct | None] = None

    def has(self, name: str) -> bool:
        return name in self.model_fields_set


def about(text: str) -> Any:
    """A key that may be absent, and what the reference says about it."""
    return Field(default=None, description=text)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


LISTED = BeforeValidator(_listed)
OneOrMany = Annotated[tuple[T, ...], LISTED]
"""A list, or its only item."""


def fill(base: S, section: Section | None, **changes: object) -> S:
    """`base` with the keys that were written in `section`, and with `changes`. Sections inside it are left out."""
    written: dict[str, object] = {}
    if section is not None:
        values = ((name, getattr(section, name)) for name in section.model_fields_set)
        written = {
            name: value for name, value in values if name in base.__struct_fields__ and not isinstance(value, Section)
        }
    return msgspec.structs.replace(base, **(written | changes))
