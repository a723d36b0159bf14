"""JSON Schema of the file (draft 2020-12), made from the document, with the policy's own values as defaults."""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from shadowproxy.config import document as doc
from shadowproxy.config.defaults import default_of
from shadowproxy.config.outline import all_sections, is_one_or_many
from shadowproxy.config.section import Section

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
TITLE: Final = "shadowproxy configuration"


class _Editor(GenerateJsonSchema):
    """What an editor wants to know: a key may be absent, which is not the same as null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema() -> dict[str, Any]:
    made = doc.Document.model_json_schema(schema_generator=_Editor)
    classes = {section.__name__: section for section in all_sections()}
    for name, definition in made["$defs"].items():
        _complete(definition, classes[name])
    _complete(made, doc.Document)
    prometheus = made["$defs"]["Rollout"]["properties"]["prometheus"]
    prometheus["anyOf"] = [{"type": "string"}, {"$ref": prometheus.pop("$ref")}]
    return {"$schema": DIALECT, **made, "title": TITLE}


def _complete(definition: dict[str, Any], section: type[Section]) -> None:
    """Add what pydantic does not know: required keys and defaults; drop the names of our classes."""
    definition.pop("title", None)
    if section.needs:
        definition["required"] = list(section.needs)
    for name, described in definition.get("properties", {}).items():
        default = default_of(section, name)
        if default is not None:
            described["default"] = default
        if is_one_or_many(section.model_fields[name]):
            definition["properties"][name] = _one_or_many(described)


def _one_or_many(schema: dict[str, Any]) -> dict[str, Any]:
    kept = {name: schema.pop(name) for name in ("description", "default") if name in schema}
    return {"anyOf": [schema["items"], schema]} | kept
