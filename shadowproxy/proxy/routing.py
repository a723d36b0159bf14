"""Which service and which route a request belongs to. Pure; patterns are compiled once per policy.

Configured routes come first, in their order, then the tree of those that nobody configured (`endpoints.tree`).
Paths are matched as they came: no decoding, no normalising, since the backends get them as they came too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from shadowproxy.endpoints.tree import Entry, Tree

_SEGMENT: Final = re.compile(r"\{[^{}/]*\}")
_NO_HOSTS: Final[frozenset[str]] = frozenset()
T = TypeVar("T")


def template_pattern(template: str) -> str:
    """The regular expression of a path template: `{name}` is one non-empty segment, a last `/*` any rest."""
    rest = template.endswith("/*")
    parts = _SEGMENT.split(template[:-1] if rest else template)
    return "[^/]+".join(re.escape(part) for part in parts) + (".*" if rest else "")


def host_name(host: bytes) -> str:
    """A Host value without its port, in lower case; brackets of IPv6 literals stay."""
    text = host.decode("latin-1").lower()
    if text.endswith("]"):
        return text
    name, colon, port = text.rpartition(":")
    return name if colon and (port.isdigit() or not port) else text


def host_matches(pattern: str | None, name: str) -> bool:
    """`example.org` or `*.example.org`; None matches every host."""
    if pattern is None:
        return True
    pattern = pattern.lower()
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) >= len(pattern)
    return name == pattern


def prefix_matches(prefix: str, path: bytes) -> bool:
    """`/shop` matches `/shop`, `/shop/` and `/shop/x`, not `/shopping`."""
    raw = prefix.rstrip("/").encode("latin-1")
    return path.startswith(raw) and (len(path) == len(raw) or path[len(raw) : len(raw) + 1] == b"/")


class Pattern(Generic[T]):
    """One route's conditions and what it stands for."""

    __slots__ = ("host", "methods", "path", "value")

    def __init__(self, path: str | None, methods: Sequence[str] | None, host: str | None, value: T) -> None:
        self.path = path
        self.methods = frozenset(method.encode() for method in methods) if methods else None
        self.host = host
        self.value = value


class Table(Generic[T]):
    """First match wins. For each method (and host, where one is named) the paths are one alternation."""

    def __init__(self, patterns: Sequence[Pattern[T]], other: T, templates: Sequence[Entry[T]] = ()) -> None:
        self._patterns = patterns
        self._other = other
        self._tree = Tree(templates) if templates else None
        self._methods = frozenset(m for p in patterns if p.methods for m in p.methods)
        self._hosts = any(p.host is not None for p in patterns)
        self._compiled: dict[tuple[bytes, frozenset[str]], tuple[re.Pattern[bytes], list[T]] | None] = {}

    def find(self, method: bytes, path: bytes, host: bytes) -> T:
        if not self._patterns:
            return self._other if self._tree is None else self._unnamed(path)
        key = (method if method in self._methods else b"", self._host_key(host) if self._hosts else _NO_HOSTS)
        try:
            compiled = self._compiled[key]
        except KeyError:
            compiled = self._compiled[key] = self._compile(*key)
        if compiled is None:
            return self._unnamed(path)
        regex, values = compiled
        match = regex.fullmatch(path)
        if match is None or match.lastindex is None:
            return self._unnamed(path)
        return values[match.lastindex - 1]

    def _unnamed(self, path: bytes) -> T:
        """For a path that matches no configured route."""
        found = self._tree.find(path) if self._tree is not None else None
        return self._other if found is None else found

    def _host_key(self, host: bytes) -> frozenset[str]:
        """The hosts of routes that match: what clients send must not grow the table."""
        name = host_name(host)
        return frozenset(p.host for p in self._patterns if p.host is not None and host_matches(p.host, name))

    def _compile(self, method: bytes, hosts: frozenset[str]) -> tuple[re.Pattern[bytes], list[T]] | None:
        chosen = [
            p
            for p in self._patterns
            if (p.methods is None or method in p.methods) and (p.host is None or p.host in hosts)
        ]
        if not chosen:
            return None
        paths = ["(" + (".*" if p.path is None else template_pattern(p.path)) + ")" for p in chosen]
        return re.compile("|".join(paths).encode("latin-1"), re.DOTALL), [p.value for p in chosen]
