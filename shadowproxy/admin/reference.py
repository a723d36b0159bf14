"""The reference of the API, rendered from its description. `python -m shadowproxy.admin.reference` writes it out."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from shadowproxy.admin.api import OPERATIONS
from shadowproxy.admin.openapi import GROUPS, OTHERWISE, PROBLEM, REFUSALS, document
from shadowproxy.admin.operation import EVENTS, JSON

_HEAD: Final = """\
# The API of the admin listener

<!-- stage: rollout -->

<!-- Made by `python -m shadowproxy.admin.reference`; a test says whether it is current. -->

What the commands and the dashboard use: nothing is possible in one that is not in the other. This page is made from the
OpenAPI 3.1 description that the running proxy serves at `/openapi.json`:

```sh
curl -s http://127.0.0.1:9900/openapi.json -o openapi.json
```

- **Who may**: where `admin.tokens` are configured, `Authorization: Bearer TOKEN`, the cookie that a browser got for
  one, or a client certificate (`admin.tls.client_ca`). An `operator` may do all that a `viewer` may. Without tokens the
  listener is on loopback, and all may do all. A foreign `Host` or `Origin` is refused; a change that comes with a
  cookie needs an `Origin`.
- **Answers** are JSON unless said otherwise. Durations are seconds, shares 0..1, names that end in `at` Unix times.
  `HEAD` is answered wherever `GET` is.
- **Parameters** that are not known, or that are given twice, are refused, and so are unknown keys of a body.
- **Changes** are audited with the name of the token. A reason is kept, and asked for where it says so.

"""
_REFUSALS: Final = """
## Refusals

Problem details (RFC 9457), [Problem](#problem), unless said otherwise: `detail` says what is wrong and what would be
right.

| status | |
|---|---|"""
_WIDTH: Final = 150
_TYPES: Final = """\
## Types

Bodies are with their operations. `?` marks what may be left out, `null` what is there and may be null.
"""


def reference() -> str:
    """The whole page, Markdown."""
    whole = msgspec.json.decode(document(OPERATIONS))
    schemas = whole["components"]["schemas"]
    parts = [_HEAD + "## Contents\n\n- [Refusals](#refusals)"]
    grouped = {tag["name"]: list(_grouped(whole["paths"], tag["name"])) for tag in whole["tags"]}
    for tag in whole["tags"]:
        name = _title(tag["name"])
        parts.append(f"- [{name}](#{name.lower()}): {tag['description']}")
    parts += ["- [Types](#types)", _REFUSALS]
    parts += [f"| {status} | {text} |" for status, text in REFUSALS.items()]
    parts.append(f"\n{_filled(OTHERWISE)}\n")
    for tag in whole["tags"]:
        parts.append(f"## {_title(tag['name'])}\n\n{tag['description']}\n")
        for method, path, operation in grouped[tag["name"]]:
            parts.append("\n".join(_operation(method, path, operation, schemas)))
    parts.append(_TYPES)
    bodies = {_named(_body(each)) for _, _, each in _every(whole["paths"]) if "requestBody" in each}
    for name, schema in sorted(schemas.items()):
        if name not in bodies:
            parts.append("\n".join(_type(name, schema)))
    return "\n".join(parts)


def _title(tag: str) -> str:
    return tag[0].upper() + tag[1:]


def _anchor(name: str) -> str:
    """Of a type's heading: the second one of a name gets a number."""
    return f"{name.lower()}-1" if name in map(_title, GROUPS) else name.lower()


def _filled(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False)


def _every(paths: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _grouped(paths: dict[str, Any], tag: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    return (found for found in _every(paths) if found[2]["tags"] == [tag])


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    yield f"### `{method} {path}`\n"
    more = f" {operation['description']}" if "description" in operation else ""
    yield _filled(f"{operation['summary']}.{more}") + "\n"
    yield f"Role: {operation['x-role']}.\n"
    if parameters := operation.get("parameters"):
        yield "| parameter | in | type | |"
        yield "|---|---|---|---|"
        for each in parameters:
            place = each["in"] + (", required" if each.get("required") and each["in"] != "path" else "")
            yield f"| `{each['name']}` | {place} | {_bounded(each['schema'])} | {each['description']} |"
        yield ""
    if body := operation.get("requestBody"):
        yield from _taken(_body(operation), body["required"], schemas)
    yield "| answer | | |"
    yield "|---|---|---|"
    answers = {status: each for status, each in operation["responses"].items() if status != "default"}
    usual = [status for status, each in answers.items() if _is_usual(status, each)]
    for status, answer in answers.items():
        if status not in usual:
            yield f"| {status} | {_content(answer)} | {_meaning(status, answer)} |"
    if usual:
        yield f"| {', '.join(usual)} | {_content(answers[usual[0]])} | [As everywhere](#refusals). |"
    yield ""
    if events := operation.get("x-events"):
        yield "| event | data | when |"
        yield "|---|---|---|"
        for name, told in events.items():
            yield f"| `{name}` | {_shape(told['schema'])} | {told['description']} |"
        yield ""
    yield from _sample(operation)


def _is_usual(status: str, answer: dict[str, Any]) -> bool:
    """Whether it means what it means everywhere."""
    return answer["description"] == REFUSALS.get(int(status)) and list(answer["content"]) == [PROBLEM]


def _taken(schema: dict[str, Any], is_needed: bool, schemas: dict[str, Any]) -> Iterator[str]:
    """The body, with its fields."""
    found = schemas[_named(schema)]
    said = " ".join(found["description"].split())
    yield _filled(f"Body: `{JSON}`{'' if is_needed else '; it may be left out'}. {said}") + "\n"
    yield from _fields(found)


def _body(operation: dict[str, Any]) -> dict[str, Any]:
    return dict(operation["requestBody"]["content"][JSON]["schema"])


def _named(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _content(answer: dict[str, Any]) -> str:
    """What comes, by its type; by its media type where that is none of ours."""
    found = []
    for kind, inner in answer.get("content", {}).items():
        schema = inner["schema"]
        is_named = schema.get("type") not in {"string", "object"}
        found.append(_shape(schema) if is_named else f"`{kind}`")
    return " or ".join(found)


def _meaning(status: str, answer: dict[str, Any]) -> str:
    if status == "200":
        headers = answer.get("headers", {}).items()
        return " ".join(f"`{name}`: {header['description']}" for name, header in headers)
    return str(answer["description"])


def _sample(operation: dict[str, Any]) -> Iterator[str]:
    if EVENTS in operation["responses"]["200"]["content"]:
        yield "<!-- exits: 0 or 28 -->\n"
    yield f"```sh\n{operation['x-codeSamples'][0]['source']}\n```\n"


def _type(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    yield _filled(schema["description"]) + "\n"
    yield from _fields(schema)


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    required = set(schema.get("required", ()))
    yield "| field | type | |"
    yield "|---|---|---|"
    for field, inner in schema["properties"].items():
        mark = "" if field in required else "?"
        yield f"| `{field}`{mark} | {_defaulted(inner)} | {' '.join(inner['description'].split())} |"
    yield ""


def _defaulted(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    shown = f", default `{msgspec.json.encode(default).decode()}`" if default not in (None, "", [], {}, 0) else ""
    return _shape(schema) + shown


def _shape(schema: dict[str, Any]) -> str:
    """A type as people read it: `list of [Hold](#hold)`."""
    if "$ref" in schema:
        return f"[{_named(schema)}](#{_anchor(_named(schema))})"
    if "anyOf" in schema:
        return " or ".join(_shape(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        items = schema.get("items")
        return f"list of {_shape(items)}" if isinstance(items, dict) else _tuple(schema)
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"map to {_shape(inner)}" if isinstance(inner, dict) else "map"
    return str(kind)


def _tuple(schema: dict[str, Any]) -> str:
    return "list of " + ", ".join(_shape(each) for each in schema.get("prefixItems", ()))


def _bounded(schema: dict[str, Any]) -> str:
    text = _shape(schema)
    if "minimum" in schema and "maximum" in schema:
        text += f" {schema['minimum']} … {schema['maximum']:,}"
    if "maxLength" in schema:
        text += f", at most {schema['maxLength']} characters"
    return text + (f", default `{schema['default']}`" if "default" in schema else "")


if __name__ == "__main__":
    sys.stdout.write(reference())
