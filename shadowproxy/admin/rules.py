"""How differences that are meant are settled: lines of configuration to paste, as `diffs ignore` prints them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from shadowproxy.admin.values import Rule
from shadowproxy.config.ignoring import lines
from shadowproxy.model.pair import Example
from shadowproxy.model.policy import RoutePolicy
from shadowproxy.model.terms import CONFIGURED, OTHER
from shadowproxy.report import Cause
from shadowproxy.report.plain import plain

_ELEMENT: Final = re.compile(r"\[\d*\]")
"""Of an array, in a field as it is written for people: any element, or one of them."""
IGNORE: Final = "ignore"
UNORDERED: Final = "unordered"


class Differing(Struct, frozen=True):
    """The fields that count in a cause or an example, each with its kinds."""

    service: str
    route: str
    keys: list[tuple[str, str]]


def of_cause(cause: Cause) -> Differing:
    return Differing(cause.service, cause.route, [] if cause.failure else list(cause.keys))


def of_example(example: Example) -> Differing:
    standing = [each for each in example.differences if not (each.by_rule or each.noise or each.accepted)]
    keys = [] if example.failure else [(each.field, each.kind) for each in standing]
    return Differing(example.service, example.route, keys)


def rules(found: Differing, routes: Iterable[RoutePolicy]) -> Iterator[Rule]:
    """Of the fields themselves, and of the arrays that they are in, where the order may be what differs."""
    fields = list(dict.fromkeys(field for field, _ in found.keys))
    configured = {route.name for route in routes if route.origin == CONFIGURED} - {OTHER}
    route = found.route if found.route in configured else None
    note = "" if route else f"{plain(found.route)} is no configured route: this is a rule of the whole service."
    if fields:
        yield Rule(IGNORE, fields, lines(found.service, route, fields), note)
    arrays = list(dict.fromkeys(_arrays(found.keys)))
    if arrays:
        yield Rule(UNORDERED, arrays, lines(found.service, route, arrays, UNORDERED), note)


def _arrays(keys: Sequence[tuple[str, str]]) -> Iterator[str]:
    for field, kind in keys:
        if kind == "body_order":
            yield field
            continue
        found = list(_ELEMENT.finditer(field))
        if found and field.startswith("$"):
            yield field[: found[-1].start()]
