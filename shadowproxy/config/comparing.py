"""The field notation of comparison rules: `status`, `line`, `header:name`, `form:name`, `$.item.price`,
`$.items[].sku`, `$.by_id.*`, `$..trace_id` (contract, meaning 11)."""

from __future__ import annotations

import re
from typing import Final

from shadowproxy.config.matching import TOKEN
from shadowproxy.config.problems import Wrong

_KEY: Final = r"(?:[^.\[\]\"'\s*$][^.\[\]\"'\s]*|\*)"
_BODY: Final = re.compile(rf"\$(?:\.\.?{_KEY}|\[(?:\*|[0-9]{{1,9}})?\]|\[\"[^\"\\]+\"\])*")
_RIGHT: Final = "write $.item.price, $.items[].sku, $.by_id.*, $..name, header:name, form:name, status or line"


def parse_field(text: str) -> str:
    """Any field that can differ."""
    kind, separator, name = text.partition(":")
    if text in {"status", "line"}:
        return text
    if separator and kind == "header":
        if not TOKEN.fullmatch(name):
            raise Wrong("write the name of a header field after header:, such as header:server")
        return f"header:{name.lower()}"
    if separator and kind == "form":
        if not name:
            raise Wrong("write the name of a form field after form:, such as form:total")
        return text
    return parse_body_field(text)


def parse_body_field(text: str) -> str:
    """A field of a JSON body."""
    if len(text) > 1024 or not _BODY.fullmatch(text):
        raise Wrong(_RIGHT)
    return text
