"""The OpenAPI description, from the table of endpoints and the types of their answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shadowproxy import __version__
from shadowproxy.admin.problems import Problem
from shadowproxy.admin.queries import FORMATS, MAX_DAYS, MAX_LIMIT, MAX_OFFSET
from shadowproxy.control.series import SPANS
from shadowproxy.model.terms import KINDS, MIRRORED_ARMS
from shadowproxy.report import MOST_EXAMPLES

if TYPE_CHECKING:
    from shadowproxy.admin.api import Endpoint

_PATTERN: Final = re.compile(r"\{(\w+)[^}]*\}")
"""A part of a path that is not fixed, with the pattern that it has to match."""
_STRING: Final = {"type": "string"}
_PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "service": _STRING,
    "route": _STRING,
    "flag": _STRING,
    "ticket": _STRING,
    "flagConfigEtag": _STRING,
    "flagConfigLastModified": _STRING,
    "arm": {"type": "string", "enum": list(MIRRORED_ARMS)},
    "field": _STRING,
    "kind": {"type": "string", "enum": list(KINDS)},
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    "offset": {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET},
    "examples": {"type": "integer", "minimum": 0, "maximum": MOST_EXAMPLES},
    "attempt": {"type": "integer", "minimum": 1, "maximum": MAX_OFFSET},
    "since": {"type": "string", "examples": ["2h"]},
    "search": _STRING,
    "who": _STRING,
    "action": _STRING,
    "id": _STRING,
    "span": {"type": "string", "enum": list(SPANS)},
    "days": {"type": "integer", "minimum": 1, "maximum": MAX_DAYS},
    "record": {"type": "string", "enum": ["true", "false"]},
    "format": {"type": "string", "enum": list(FORMATS)},
}


def document(endpoints: Sequence[Endpoint]) -> bytes:
    types = [kind for endpoint in endpoints for kind in (endpoint.answer, endpoint.body) if kind is not None]
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template="#/components/schemas/{name}")
    found = dict(zip(map(id, types), schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(_PATTERN.sub(r"{\1}", endpoint.path), {})[endpoint.method.lower()] = _operation(
            endpoint, found
        )
    whole = {
        "openapi": "3.1.0",
        "info": {"title": "shadowproxy", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "problem": {
                    "description": "Problem details (RFC 9457)",
                    "content": {"application/problem+json": {"schema": schemas[-1]}},
                }
            },
        },
        "security": [{}, {"token": []}],
    }
    return msgspec.json.encode(whole)


def _operation(endpoint: Endpoint, schemas: dict[int, dict[str, Any]]) -> dict[str, Any]:
    schema = schemas.get(id(endpoint.answer), {})
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "responses": {
            "200": {"description": "OK", "content": {endpoint.content: {"schema": schema} if schema else {}}},
            "default": {"$ref": "#/components/responses/problem"},
        },
    }
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "query", "schema": _PARAMETERS[name], **({"required": True} if name == "id" else {})}
        for name in endpoint.parameters
    ]
    parameters += [
        {"name": name, "in": "path", "required": True, "schema": _STRING} for name in _PATTERN.findall(endpoint.path)
    ]
    if endpoint.body is not None:
        content = {"application/json": {"schema": schemas[id(endpoint.body)]}}
        needed = any(field.required for field in msgspec.structs.fields(endpoint.body))
        operation["requestBody"] = {"required": needed, "content": content}
    if parameters:
        operation["parameters"] = parameters
    return operation
