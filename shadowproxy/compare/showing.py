"""The values of bodies as text for people, which reads as the same value again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html import escape
from typing import Final

import msgspec

from shadowproxy.compare import content
from shadowproxy.compare.trees import NAMESPACE, ORDER, TEXT, Element, Siblings

_VOID: Final = frozenset(
    "area base br col embed hr img input link meta param source track wbr".split()  # noqa: SIM905 - reads better so
)
"""HTML elements that have no end tag."""
_RAW: Final = frozenset({"script", "style", "xmp"})
"""HTML elements whose text is not escaped."""


def shown(kind: str, value: object, limit: int) -> str:
    """The text of a value of this kind, cut after about `limit` characters."""
    if kind == content.JSON:
        return indented(value)
    lines: list[str] = []
    size = 0
    for piece in _pieces(kind, value):
        lines.append(piece)
        size += len(piece) + 1
        if size > limit:
            break
    return "\n".join(lines)


def _pieces(kind: str, value: object) -> Iterator[str]:
    if kind == content.EVENTS and isinstance(value, list):
        for event in value:
            for name, text in event.items():
                yield from (f"{name}: {line}".rstrip() for line in str(text).split("\n"))
            yield ""
        yield ""
    elif isinstance(value, list):
        yield from (msgspec.json.encode(each).decode() for each in value)
    else:
        yield from _children(value, "", kind == content.HTML, "")


def element_text(element: Element) -> str:
    """An element in one line: its attributes and what it holds. The name of an element is that of its field."""
    lines = [line.strip() for line in (*_attributes(element), *_children(element, "", True, ""))]
    return " ".join(lines)


def indented(value: object) -> str:
    """A value as JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _children(element: object, namespace: str, html: bool, indent: str) -> Iterator[str]:
    """The lines of what an element holds, in its order."""
    if not isinstance(element, Element):
        yield indent + escape(str(element), quote=False)
        return
    taken: Counter[str] = Counter()
    held = {name: list(_several(value)) for name, value in element.items() if name[:1] != "@" and name != ORDER}
    order = element.get(ORDER)
    for name in order if isinstance(order, list) else [name for name, values in held.items() for _ in values]:
        values = held.get(name, [])
        if taken[name] < len(values):
            value = values[taken[name]]
            taken[name] += 1
            if name == TEXT:
                yield indent + escape(str(value), quote=False)
            else:
                yield from _element(name, value, namespace, html, indent)


def _element(tag: str, value: object, namespace: str, html: bool, indent: str) -> Iterator[str]:
    attributes = value if isinstance(value, Element) else Element()
    opening = f"{indent}<{tag}{''.join(_attributes(attributes))}"
    inner = str(attributes.get(NAMESPACE, namespace))
    text = value.get(TEXT, "") if isinstance(value, Element) else value
    held = [name for name in attributes if name[:1] != "@" and name != TEXT]
    if not held and not isinstance(text, Siblings):
        if html and tag in _VOID and not text:
            yield f"{opening}>"
        elif text or html:
            shown = str(text) if html and tag in _RAW else escape(str(text), quote=False)
            yield f"{opening}>{shown}</{tag}>"
        else:
            yield f"{opening}/>"
        return
    yield f"{opening}>"
    yield from _children(value, inner, html, f"{indent}  ")
    yield f"{indent}</{tag}>"


def _attributes(element: Element) -> Iterator[str]:
    number = 0
    for name, value in element.items():
        if not name.startswith("@"):
            continue
        for each in _several(value):
            if isinstance(each, Element):  # one of a namespace of its own
                number += 1
                yield f' xmlns:n{number}="{escape(str(each.get(NAMESPACE, "")))}"'
                yield f' n{number}:{name[1:]}="{escape(str(each.get(TEXT, "")))}"'
            else:
                yield f' {name[1:]}="{escape(str(each))}"'


def _several(value: object) -> Iterator[object]:
    if isinstance(value, Siblings):
        yield from value
    else:
        yield value
