"""What types say of themselves and of their fields in docstrings, put into their JSON schemas."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from shadowproxy.admin.parameters import FIELDS


def describe(components: dict[str, Any], types: Iterable[Any]) -> None:
    """What the types say of their fields goes into the schemas, which have the docstrings of the types alone."""
    for schema in components.values():
        schema["description"] = inspect.cleandoc(schema.get("description", ""))
    for struct in {each.__name__: each for each in _structs(types)}.values():
        properties = components.get(struct.__name__, {}).get("properties", {})
        said = FIELDS | _said_of_fields(struct)
        for name in properties.keys() & said.keys():
            # Beside a reference a description is permitted (OpenAPI 3.1, section 4.8.23).
            properties[name] = {**properties[name], "description": said[name]}


def _structs(types: Iterable[Any]) -> Iterator[type[msgspec.Struct]]:
    pending, seen = list(msgspec.inspect.multi_type_info(types)), set()
    while pending:
        info = pending.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in seen:
                continue
            seen.add(info.cls)
            yield info.cls
            pending += [field.type for field in info.fields]
            continue
        for name in ("type", "item_type", "item_types", "key_type", "value_type", "types"):
            inner = getattr(info, name, None)
            pending += inner if isinstance(inner, tuple | list) else [inner] if inner is not None else []


def _said_of_fields(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The strings under the fields, those of the classes above first."""
    found: dict[str, str] = {}
    for cls in reversed(struct.__mro__):
        if not issubclass(cls, msgspec.Struct) or cls is msgspec.Struct:
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        assert isinstance(definition, ast.ClassDef)  # noqa: S101 - what a class's source is
        for field, after in zip(definition.body, definition.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                found[field.target.id] = inspect.cleandoc(after.value.value)
    return found
