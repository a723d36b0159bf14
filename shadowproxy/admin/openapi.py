"""The OpenAPI description, from the table of endpoints and the types of their answers.

What the types say in docstrings, of themselves and of their fields, is what the description says.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shadowproxy import __version__
from shadowproxy.admin.access import ASKING, OPEN, OPERATOR, READING, SESSION, VIEWER, is_page
from shadowproxy.admin.ofrep_values import Unevaluated
from shadowproxy.admin.parameters import FIELDS, PARAMETERS
from shadowproxy.admin.problems import Problem

if TYPE_CHECKING:
    from shadowproxy.admin.api import Endpoint

_PATTERN: Final = re.compile(r"\{(\w+)[^}]*\}")
"""A part of a path that is not fixed, with the pattern that it has to match."""
_GROUPS: Final = (
    ("health and metrics", ("/healthz", "/readyz", "/metrics")),
    ("rollout", ("/api/v1/rollout", "/api/v1/watch", "/api/v1/series")),
    ("freezes", ("/api/v1/freeze",)),
    ("flags", ("/api/v1/flags", ASKING)),
    ("differences", ("/api/v1/diffs", "/api/v1/causes", "/api/v1/report")),
    ("status and audit", ("/api/v1/status", "/api/v1/services", "/api/v1/routes", "/api/v1/audit", "/api/v1/events")),
    ("signing in, the page, this description", (SESSION, "/openapi.json", "/")),
)
REFUSALS: Final = {
    400: "A parameter or the body is not what is taken here; the detail says what would be right.",
    401: "A token is needed, or this one is not known.",
    403: "The role does not permit it, or `Host` or `Origin` is foreign.",
    404: "There is nothing by this name.",
    409: "It does not apply to what is so now; the detail says why.",
    413: "The body is too large.",
    415: "The body is not JSON by its `Content-Type`.",
    429: "More questions in a second than `flags.ofrep.rate` permits; `Retry-After` says when.",
    503: "What is kept on disk cannot be reached, or too many follow already.",
}


def document(endpoints: Sequence[Endpoint]) -> bytes:
    types = [kind for endpoint in endpoints for kind in (endpoint.answer, endpoint.body) if kind is not None]
    schemas, components = msgspec.json.schema_components(
        [*types, Unevaluated, Problem], ref_template="#/components/schemas/{name}"
    )
    found = dict(zip(map(id, types), schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(_PATTERN.sub(r"{\1}", endpoint.path), {})[endpoint.method.lower()] = _operation(
            endpoint, found
        )
    _add_fields(components, [*types, Unevaluated, Problem])
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "shadowproxy",
            "version": __version__,
            "description": "Durations are seconds, shares 0..1, names that end in `at` Unix times.",
        },
        "tags": [{"name": name} for name, _ in _GROUPS],
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
    answers: dict[str, Any] = {
        "200": {"description": "OK", "content": {endpoint.content: {"schema": schema} if schema else {}}}
    }
    if endpoint.path == BULK:
        answers["304"] = {"description": "Nothing is different from what `If-None-Match` names."}
    for status in refusals(endpoint):
        body = _FAILED if endpoint.path.startswith(ASKING) and status in _OFREP_SAYS else _PROBLEM
        answers[str(status)] = {**body, "description": REFUSALS[status]}
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "tags": [group(endpoint.path)],
        "x-role": role(endpoint),
        "responses": {**answers, "default": {"$ref": "#/components/responses/problem"}},
    }
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "query", **PARAMETERS[name], **({"required": True} if name == "id" else {})}
        for name in endpoint.parameters
    ]
    parameters += [
        {"name": name, "in": "path", "required": True, **PARAMETERS[name]} for name in _PATTERN.findall(endpoint.path)
    ]
    if endpoint.body is not None:
        content = {"application/json": {"schema": schemas[id(endpoint.body)]}}
        needed = any(field.required for field in msgspec.structs.fields(endpoint.body))
        operation["requestBody"] = {"required": needed, "content": content}
    if parameters:
        operation["parameters"] = parameters
    if role(endpoint) == ANYBODY:
        operation["security"] = []
    return operation


ANYBODY: Final = "anybody"
BULK: Final = "/ofrep/v1/evaluate/flags"
_OFREP_SAYS: Final = {400, 404, 413, 415, 429}
_PROBLEM: Final = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_FAILED: Final = {
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Unevaluated"}}, **_PROBLEM["content"]}
}


def group(path: str) -> str:
    return next(name for name, beginnings in _GROUPS if path.startswith(beginnings))


def role(endpoint: Endpoint) -> str:
    """Who may, where tokens are configured; as `access` has it."""
    if endpoint.path in OPEN or is_page(endpoint.method, endpoint.path):
        return ANYBODY
    if endpoint.path.startswith(ASKING):
        return "evaluator, viewer, operator"
    return VIEWER if endpoint.method in READING else OPERATOR


def refusals(endpoint: Endpoint) -> list[int]:
    """The statuses with which it may say no."""
    found = {403} if endpoint.path not in OPEN else set()
    if role(endpoint) != ANYBODY:
        found |= {401}
    if endpoint.path.startswith(("/api/", ASKING)):
        found |= {400}
    if endpoint.path == "/readyz" or endpoint.content == "text/event-stream" or endpoint.path.startswith("/api/"):
        found |= {503}
    if "{" in endpoint.path or "service" in endpoint.parameters or "id" in endpoint.parameters:
        found |= {404}
    if endpoint.body is not None:
        found |= {413, 415} if not endpoint.path.startswith(ASKING) else {413}
        found |= {404, 409} if endpoint.path.startswith("/api/") and endpoint.path != SESSION else set()
    if endpoint.path.startswith(ASKING):
        found |= {404, 429, 415} if endpoint.method == "POST" else {404, 503}
    return sorted(found | ({401} if endpoint.method == "POST" and endpoint.path == SESSION else set()))


def _add_fields(components: dict[str, Any], types: Iterable[Any]) -> None:
    """What the types say of their fields goes into the schemas, which have the docstrings of the types alone."""
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
        for name in ("item_type", "item_types", "key_type", "value_type", "types"):
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
