"""XML and HTML become trees that are compared like JSON.

An element is an `Element`: its attributes are the members `@name`, the elements in it members by their tags (`Siblings`
where there are several of one tag), its own text is `#text`. One with nothing but text is that text. Order among
siblings of one tag is the order of an array; `#order` keeps the order of different ones, text among them. A prefix says
nothing: an element has `@xmlns` where its namespace is not that of the element around it.

White space around text does not count, in HTML none but what `pre` and its like hold. Comments, processing instructions
and the document type are left out. lxml parses: in portions, without entities, network or external parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from shadowproxy.compare.flat import known_charset
from shadowproxy.compare.jsontext import MAX_CONTAINERS
from shadowproxy.compare.limits import Deadline, IncomparableError
from shadowproxy.compare.trees import NAMESPACE, ORDER, TEXT, Element, Siblings
from shadowproxy.model.policy import KIB

_PORTION: Final = 16 * KIB
_LONG: Final = 256 * KIB
_MANY: Final = 50_000
_MAX_ATTRIBUTES: Final = 100_000
_TAG: Final = re.compile(rb"<[A-Za-z]")
_ENTITY: Final = re.compile(rb"<!ENTITY|<\0!\0E\0N\0T\0I\0T\0Y|\0<\0!\0E\0N\0T\0I\0T\0Y", re.IGNORECASE)
_DOCTYPE: Final = re.compile(rb"<!DOCTYPE|<\0!\0D\0O\0C\0T\0Y\0P\0E", re.IGNORECASE)
_UNDEFINED: Final = re.compile(rb"&\0?(?!(?:amp|lt|gt|quot|apos);|#)")
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_SPACE: Final = " \t\r\n\f"
_SPACES: Final = re.compile(f"[{_SPACE}]+")
_WIDE: Final = re.compile(r"[\t\r\n\f]|  ")
_PREFORMATTED: Final = frozenset({"pre", "textarea", "script", "style", "listing", "xmp"})
_HTML_START: Final = re.compile(rb"\s*(?:\xef\xbb\xbf\s*)?<")
_XML_PREFIX: Final = "{http://www.w3.org/XML/1998/namespace}"


def read_xml(body: bytes, media_type: str, max_depth: int, deadline: Deadline) -> Element | None:
    """The tree of an XML document; None when it is none, or has entities of its own.

    Raises IncomparableError (`too_deep`, `too_wide`, `too_slow`).
    """
    if not _can_be_parsed(body) or _has_entities(body):
        return None
    return _read(body, media_type, _Builder(max_depth, deadline, html=False))


def read_html(body: bytes, media_type: str, max_depth: int, deadline: Deadline) -> Element | None:
    """The tree of an HTML document or a part of one; None for what does not begin with a tag. Raises as `read_xml`."""
    wide = body.startswith(_UTF16) or known_charset(media_type).startswith("utf-16")
    if not _can_be_parsed(body) or not (wide or _HTML_START.match(body)):
        return None
    return _read(body, media_type, _Builder(max_depth, deadline, html=True))


def _has_entities(body: bytes) -> bool:
    """Whether a document has entities of its own; what an external document type defines the parser leaves out."""
    if b"<!" not in body and b"<\0!" not in body:
        return False
    return _ENTITY.search(body) is not None or (_DOCTYPE.search(body) and _UNDEFINED.search(body)) is not None


def _can_be_parsed(body: bytes) -> bool:
    """Whether no tag has so many attributes that it would take long: a tag is parsed in one go, whatever the time.

    Attributes come with a `=`, or in HTML alone between white space or slashes, and then without a `>`.
    """
    if body.count(b"=") > _MAX_ATTRIBUTES:
        return False
    if len(body) <= _LONG:
        return True
    return all(_is_short(run) for run in _long_runs(body))


def _long_runs(body: bytes) -> Iterator[bytes]:
    """What is longer than `_LONG` and has no `>` or `=` but at its beginning."""
    at = 0
    while at + _LONG < len(body):
        last = max(body.rfind(mark, at + 1, at + _LONG) for mark in (b">", b"="))
        if last < 0:
            ends = [end for mark in (b">", b"=") if (end := body.find(mark, at + _LONG)) >= 0]
            last = min(ends, default=len(body))
            yield body[at:last]
        at = last


def _is_short(run: bytes) -> bool:
    """Whether there are few places in a long run where an attribute could begin, or it is text up to its end."""
    if not run.startswith(b"="):
        tag = _TAG.search(run)
        run = run[tag.start() :] if tag else b""
    return sum(map(run.count, (b" ", b"\t", b"\n", b"\r", b"\f"))) <= _MANY and run.count(b"/") <= 2 * _MANY


def _read(body: bytes, media_type: str, builder: _Builder) -> Element | None:
    etree = _parsers(builder.deadline)
    options: dict[str, Any] = {"target": builder, "no_network": True, "huge_tree": False}
    if not body.startswith(_UTF16):
        options["encoding"] = known_charset(media_type) or ("utf-8" if builder.html and _is_utf8(body) else None)
    if builder.html:
        parser = etree.HTMLParser(**options)
    else:
        parser = etree.XMLParser(resolve_entities="internal", load_dtd=False, dtd_validation=False, **options)
    try:
        for start in range(0, len(body), _PORTION):
            parser.feed(body[start : start + _PORTION])
            builder.deadline.check()
        root: Element | None = parser.close()  # what the builder's own close gives
    except (etree.ParseError, LookupError):
        return None
    return root


def _parsers(deadline: Deadline) -> Any:
    """lxml, which takes four megabytes, and to import more time than a pair has: no pair pays for that."""
    started = deadline.clock()
    from lxml import etree

    deadline.at += deadline.clock() - started
    return etree


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Open:
    """An element that has not ended: what is in it, in which order it came, and whether that is of several kinds."""

    __slots__ = ("element", "mixed", "namespace", "order", "preformatted", "tag")

    def __init__(self, tag: str, namespace: str, preformatted: bool) -> None:
        self.tag = tag
        self.namespace = namespace
        self.preformatted = preformatted
        self.element = Element()
        self.order: list[str] = []
        self.mixed = False

    def add(self, name: str, value: object) -> None:
        """One more element, or piece of text, of this name."""
        order = self.order
        order.append(name)
        if name != order[0]:
            self.mixed = True
        if len(order) > 1 and name in self.element:
            _add(self.element, name, value)
        else:
            self.element[name] = value

    def close(self) -> object:
        """The finished element."""
        element = self.element
        if self.mixed:
            element[ORDER] = self.order
        elif len(element) < 2:
            return element.get(TEXT, element or "")
        return element


class _Builder:
    """What lxml calls while it parses. What is raised here ends the parsing."""

    def __init__(self, max_depth: int, deadline: Deadline, *, html: bool) -> None:
        self.html = html
        self.deadline = deadline
        self._max_depth = max_depth
        self._left = MAX_CONTAINERS
        self._text: list[str] = []
        self.data = self._text.append
        self._names: dict[str, tuple[str, str]] = {}
        self._open = [_Open("", "", False)]

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._text:
            self._flush()
        self._left -= 1 + len(attributes)
        if self._left < 0:
            raise IncomparableError("too_wide")
        if len(self._open) > self._max_depth:
            raise IncomparableError("too_deep")
        split = self._names.get(name)
        if split is None:
            split = self._names[name] = _split(name)
        namespace, tag = split
        around = self._open[-1]
        opened = _Open(tag, namespace, around.preformatted or (self.html and tag in _PREFORMATTED))
        self._open.append(opened)
        if namespace != around.namespace:
            opened.element[NAMESPACE] = namespace
        if attributes:
            for key, value in attributes.items():
                _add(opened.element, *_attribute(key, value))

    def end(self, name: str) -> None:
        if self._text:
            self._flush()
        ended = self._open.pop()
        self._open[-1].add(ended.tag, ended.close())

    def close(self) -> Element | None:
        root = self._open[0].element
        return root if len(self._open) == 1 and root else None

    def _flush(self) -> None:
        text = "".join(self._text).strip(_SPACE)
        self._text.clear()
        if text:
            around = self._open[-1]
            if self.html and not around.preformatted and _WIDE.search(text):
                text = _SPACES.sub(" ", text)
            around.add(TEXT, text)


def _split(name: str) -> tuple[str, str]:
    namespace, brace, local = name.rpartition("}")
    return (namespace[1:], local) if brace else ("", name)


def _attribute(name: str, value: str) -> tuple[str, object]:
    if name[0] != "{":
        return f"@{name}", value
    if name.startswith(_XML_PREFIX):
        return f"@xml:{name[len(_XML_PREFIX) :]}", value
    namespace, local = _split(name)
    return f"@{local}", Element({NAMESPACE: namespace, TEXT: value})


def _add(element: Element, name: str, value: object) -> None:
    if name not in element:
        element[name] = value
    elif isinstance(there := element[name], Siblings):
        there.append(value)
    else:
        element[name] = Siblings([there, value])
