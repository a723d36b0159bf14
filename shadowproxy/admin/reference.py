"""The reference of the API, rendered from its description. `python -m shadowproxy.admin.reference` writes it out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from shadowproxy.admin.api import ENDPOINTS
from shadowproxy.admin.openapi import REFUSALS, document

_HEAD: Final = """\
# The API of the admin listener

<!-- stage: rollout -->

<!-- Made by `python -m shadowproxy.admin.reference`; a test says whether it is current. -->

What the commands and the dashboard use: nothing is possible in one that is not in the other. The running proxy serves
this description as OpenAPI 3.1 at `/openapi.json`.

```sh
curl -s http://127.0.0.1:9900/api/v1/status
curl -s http://127.0.0.1:9900/api/v1/freeze/start --json '{"reason": "the big sale", "until": "2h"}'
```

- **Who may**: where `admin.tokens` are configured, `Authorization: Bearer TOKEN` with a role; a browser has a cookie
  for it. Without tokens the listener is on loopback, and all may do all. A foreign `Host` or `Origin` is refused.
- **Answers** are JSON unless said otherwise. Durations are seconds, shares 0..1, names that end in `at` Unix times.
- **Refusals** are problem details (RFC 9457): `title`, `status`, and a `detail` that says what would be right.
- **Parameters** that are not known, or that are given twice, are refused, and so are unknown keys of a body.
- **Changes** are audited with the name of the token. A reason is kept, and asked for where it says so.
"""


_EVENTS: Final = """
`/api/v1/events` is a stream of server-sent events without an end: `status` every second ([Status](#status)), `example`
for each new example ([Example](#example), no bodies), `rollout` and `flags` for what was decided or changed: ask
how it is now. A follower that takes nothing for ten seconds is let go; EventSource comes back by itself after two.
"""


def reference() -> str:
    """The whole page, Markdown."""
    whole = msgspec.json.decode(document(ENDPOINTS))
    parts = [_HEAD, "| status | |", "|---|---|"]
    parts += [f"| {status} | {text} |" for status, text in REFUSALS.items()]
    parts.append(_EVENTS)
    for tag in whole["tags"]:
        parts.append(f"## {tag['name'].capitalize()}\n")
        for path, methods in whole["paths"].items():
            for method, operation in methods.items():
                if operation["tags"] == [tag["name"]]:
                    parts.append("\n".join(_operation(method.upper(), path, operation)))
    parts.append("## Types\n\n`?` marks what may be left out.\n")
    for name, schema in sorted(whole["components"]["schemas"].items()):
        parts.append("\n".join(_type(name, schema)))
    return "\n".join(parts)


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{method} {path}`\n"
    yield f"{operation['summary']}. Role: {operation['x-role']}.\n"
    if parameters := operation.get("parameters"):
        yield "| parameter | | |"
        yield "|---|---|---|"
        for each in parameters:
            place = "in the path" if each["in"] == "path" else "required" if each.get("required") else ""
            kind = ", ".join(filter(None, (_bounded(each["schema"]), place)))
            yield f"| `{each['name']}` | {kind} | {each['description']} |"
        yield ""
    if body := operation.get("requestBody"):
        need = "" if body["required"] else "; it may be left out"
        yield f"Body: {_shape(body['content']['application/json']['schema'])}{need}.\n"
    (content, answer) = next(iter(operation["responses"]["200"]["content"].items()))
    shape = _shape(answer["schema"]) if answer else f"`{content}`"
    codes = [code for code in operation["responses"] if code not in {"200", "default"}]
    yield f"Answers: {shape}." + (f" Else: {', '.join(codes)}." if codes else "") + "\n"


def _type(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if said := schema.get("description"):
        yield " ".join(said.split()) + "\n"
    if "enum" in schema:
        yield f"One of {_values(schema)}.\n"
    required = set(schema.get("required", ()))
    if properties := schema.get("properties"):
        yield "| field | type | |"
        yield "|---|---|---|"
        for field, inner in properties.items():
            mark = "" if field in required else "?"
            yield f"| `{field}`{mark} | {_shape(inner)} | {' '.join(inner.get('description', '').split())} |"
        yield ""


def _shape(schema: dict[str, Any]) -> str:
    """A type as people read it: `list of [Hold](#hold)`."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_shape(each) for each in schema["anyOf"])
    if "enum" in schema:
        return _values(schema)
    kind = schema.get("type", "anything")
    if kind == "array":
        items = schema.get("items")
        return f"list of {_shape(items)}" if isinstance(items, dict) else _tuple(schema)
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"map to {_shape(inner)}" if isinstance(inner, dict) else "map"
    return str(kind)


def _tuple(schema: dict[str, Any]) -> str:
    return "list of " + ", ".join(_shape(each) for each in schema.get("prefixItems", ())) or "list"


def _values(schema: dict[str, Any]) -> str:
    return ", ".join(f"`{value}`" for value in schema["enum"])


def _bounded(schema: dict[str, Any]) -> str:
    text = _shape(schema)
    if "minimum" in schema and "maximum" in schema:
        text += f" {schema['minimum']} … {schema['maximum']:,}"
    return text + (f", default `{schema['default']}`" if "default" in schema else "")


if __name__ == "__main__":
    sys.stdout.write(reference())
