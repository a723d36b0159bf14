"""The OpenAPI description, from the tables of operations and the types of their answers.

What the types say in docstrings, of themselves and of their fields, is what the description says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from aiohttp import hdrs

from shadowproxy import __version__
from shadowproxy.admin.access import ASKING, EVALUATOR, OPEN, OPERATOR, READING, VIEWER, is_page
from shadowproxy.admin.answers import MAX_BODY
from shadowproxy.admin.operation import EVENTS, JSON, NO_SERVICE, TEXT, Operation
from shadowproxy.admin.parameters import HEADERS, PARAMETERS
from shadowproxy.admin.problems import Problem
from shadowproxy.admin.saying import describe
from shadowproxy.admin.sealing import COOKIE

GROUPS: Final = {
    "status": "What runs, how it does, and what happens as it happens.",
    "report": "What differs between the versions, and what follows from it.",
    "differences": "Stored examples and what they have in common; accepting them.",
    "rollout": "Where a rollout is and why, and every command to it.",
    "freezes": "Times in which rollouts do not go on.",
    "flags": "Feature flags: what is in force, who changed it, changing it.",
    "audit": "Who changed what, and who decided what.",
    "session": "Signing in with a browser.",
    "OFREP": "Flags for SDKs: the OpenFeature Remote Evaluation Protocol 0.3.",
    "metrics": "For Prometheus.",
    "probes": "For whoever starts and stops the proxy; also at `probe.listen`, where the supervisor answers.",
    "pages": "The dashboard, and the description of this API.",
}
ANYBODY: Final = "anybody"
PROBLEM: Final = "application/problem+json"
REFUSALS: Final = {
    400: "A parameter or the body is not what is taken here; the detail says what would be right.",
    401: "A token is needed, or this one is not known.",
    403: "The role does not permit it, or `Host` or `Origin` is foreign.",
    404: "There is nothing by this name.",
    409: "It does not apply to what is so now; the detail says why.",
    413: f"The body has more than {MAX_BODY:,} bytes.",
    415: f"The body is not `{JSON}` by its `Content-Type`.",
    429: "Too many questions in a second; `Retry-After` says when to ask again.",
    503: "What is needed cannot be reached or is not read yet, or too many follow already.",
}
OTHERWISE: Final = (
    "What any path may say: 404 for a path that is none, 405 for another method (`Allow` has those it takes), 413 for"
    f" a body of more than {MAX_BODY:,} bytes, 500 for a fault of the proxy, which its log explains. What is no HTTP,"
    " or expects what nobody knows (`Expect`), is refused in plain text, with 400 and 417."
)
_PATTERN: Final = re.compile(r"\{(\w+)[^}]*\}")
"""A part of a path that is not fixed, with the pattern that it has to match."""
_ADDRESS: Final = "http://127.0.0.1:9900"
_REFERENCE: Final = "#/components/schemas/{name}"
_SECURITY: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "One of `admin.tokens`."},
    "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "What a browser got for a token."},
    "certificate": {"type": "mutualTLS", "description": "A client certificate, where `admin.tls` asks for one."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A token, for OFREP alone."},
}


def document(operations: Sequence[Operation]) -> bytes:
    types = list(_types(operations))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    describe(components, types)
    found = dict(zip(map(id, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(_PATTERN.sub(r"{\1}", each.path), {})[each.method.lower()] = _operation(each, found)
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "shadowproxy",
            "version": __version__,
            "description": "Durations are seconds, shares 0..1, names that end in `at` Unix times.",
        },
        "servers": [{"url": _ADDRESS, "description": "`admin.listen`, by default"}],
        "tags": [{"name": name, "description": text} for name, text in GROUPS.items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": _SECURITY,
            "responses": {
                "problem": {
                    "description": OTHERWISE,
                    "content": {PROBLEM: {"schema": found[id(Problem)]}, TEXT: {"schema": {"type": "string"}}},
                }
            },
        },
    }
    return msgspec.json.encode(whole)


def _types(operations: Sequence[Operation]) -> Iterator[Any]:
    yield Problem
    for each in operations:
        yield from (kind for kind in (each.answer, each.body) if kind is not None)
        yield from (kind for kinds in each.own.values() for kind in kinds if kind is not str)
        yield from (told.data for told in each.events)


def _operation(operation: Operation, schemas: dict[int, dict[str, Any]]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": _name(operation),
        "summary": operation.summary,
        "tags": [operation.group],
        "x-role": role(operation),
        "security": _security(operation),
    }
    if operation.description:
        said["description"] = operation.description
    if parameters := list(_parameters(operation)):
        said["parameters"] = parameters
    if operation.body is not None:
        content: dict[str, Any] = {"schema": schemas[id(operation.body)]}
        if operation.example:
            content["example"] = operation.example
        said["requestBody"] = {"required": operation.is_body_needed, "content": {JSON: content}}
    said["responses"] = dict(_responses(operation, schemas))
    if operation.events:
        said["x-events"] = {
            told.name: {"description": told.when, "schema": schemas[id(told.data)]} for told in operation.events
        }
    said["x-codeSamples"] = [{"lang": "Shell", "source": sample(operation)}]
    return said


def _name(operation: Operation) -> str:
    words = re.findall(r"\w+", _PATTERN.sub(r"\1", operation.path.removeprefix("/api/v1")))
    return "_".join([operation.method.lower(), *words])


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name in _PATTERN.findall(operation.path):
        yield {"name": name, "in": "path", "required": True, **PARAMETERS[name]}
    for name in operation.parameters:
        required = {"required": True} if name == "id" else {}
        yield {"name": name.partition(":")[0], "in": "query", **PARAMETERS[name], **required}
    for name in operation.headers:
        yield {"name": name, "in": "header", **HEADERS[name]}


def _responses(operation: Operation, schemas: dict[int, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    kinds = (operation.content, *operation.contents)
    content = {kind: {"schema": {"type": "object" if kind == JSON else "string"}} for kind in kinds}
    if operation.answer is not None:
        content[operation.content] = {"schema": schemas[id(operation.answer)]}
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in operation.answered.items()}
    yield "200", {"description": "OK", "content": content, **({"headers": headers} if headers else {})}
    if hdrs.IF_NONE_MATCH in operation.headers:
        tag = {name: text for name, text in headers.items() if name == hdrs.ETAG}
        yield "304", {"description": "Nothing is different from what `If-None-Match` names.", "headers": tag}
    for status, why in refusals(operation).items():
        yield str(status), _refusal(operation, status, why, schemas)
    yield "default", {"$ref": "#/components/responses/problem"}


def _refusal(operation: Operation, status: int, why: str, schemas: dict[int, dict[str, Any]]) -> dict[str, Any]:
    own = operation.own.get(status, ())
    content: dict[str, Any] = {}
    if str in own:
        content[TEXT] = {"schema": {"type": "string"}}
    elif own:
        found = [schemas[id(kind)] for kind in own]
        content[JSON] = {"schema": found[0] if len(found) == 1 else {"anyOf": found}}
    if not own or status in _BEFORE:
        content[PROBLEM] = {"schema": schemas[id(Problem)]}
    headers = {
        name: {"description": text, "schema": {"type": "string"}}
        for name, text in _REFUSED_WITH.items()
        if name in {401: (hdrs.WWW_AUTHENTICATE,), 429: (hdrs.RETRY_AFTER,)}.get(status, ())
    }
    return {"description": why, "content": content, **({"headers": headers} if headers else {})}


_BEFORE: Final = {400, 404}
"""Statuses that are also said before an operation with types of its own is asked."""
_REFUSED_WITH: Final = {
    str(hdrs.WWW_AUTHENTICATE): "`Bearer`.",
    str(hdrs.RETRY_AFTER): "Seconds until one more question is answered.",
}


def role(operation: Operation) -> str:
    """Who may, where tokens are configured; as `access` has it."""
    return ", ".join(_roles(operation)) or ANYBODY


def _roles(operation: Operation) -> list[str]:
    if operation.path in OPEN or is_page(operation.method, operation.path):
        return []
    if operation.path.startswith(ASKING):
        return [EVALUATOR, VIEWER, OPERATOR]
    return [VIEWER, OPERATOR] if operation.method in READING else [OPERATOR]


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    """Any of them is enough (OpenAPI 3.1, section 4.8.30); none, where no tokens are configured."""
    roles = _roles(operation)
    schemes = {"token", "cookie", "certificate"} | ({"key"} if operation.path.startswith(ASKING) else set())
    return [{name: roles} for name in _SECURITY if name in schemes] + [{}] if roles else []


def refusals(operation: Operation) -> dict[int, str]:
    """The statuses with which it may say no, and why."""
    found = set()
    if operation.path not in OPEN:
        found |= {400, 403}
        found |= {401} if _roles(operation) else set()
    if operation.body is not None:
        found |= {413, 415}
    said = {status: REFUSALS[status] for status in found}
    if any(name.startswith("service") for name in operation.parameters):
        said[404] = NO_SERVICE
    return dict(sorted({**said, **operation.refused}.items()))


def sample(operation: Operation) -> str:
    """It as a command."""
    path = _PATTERN.sub(lambda found: PARAMETERS[found[1]]["example"], operation.path)
    if operation.body is not None and operation.example:
        return f"curl -s {_ADDRESS}{path} --json '{msgspec.json.encode(operation.example).decode()}'"
    method = "" if operation.method == hdrs.METH_GET else f"-X {operation.method} "
    if operation.content == EVENTS:
        return f"curl -sN --max-time 2 {_ADDRESS}{path}"
    url = f"{_ADDRESS}{path}{operation.example}" if operation.body is None else f"{_ADDRESS}{path}"
    return f'curl -s {method}"{url}"' if "?" in url else f"curl -s {method}{url}"
