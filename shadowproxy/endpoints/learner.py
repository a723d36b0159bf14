"""Learns the templates of one service from the paths of requests that the primary answered well.

A tree over the segments of paths: what has a look of its own (`endpoints.looks`) shares one child a look, the rest is
literal until a node has more distinct ones than an API has resources: then they fold into `{name}`, for good. A
template is ready once it was seen often enough, and a literal in it only once no new ones come beside it: otherwise
`/products/red-shoes` would be published a moment before it turns out to be one of thousands.

Everything is bounded: paths that are long, deep or malformed are not learned, and when the tree is full what is seen
least goes first, as it does when time passes (`age`). What was published stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from shadowproxy.endpoints.looks import LOOKS, NAME, TOKEN, look

MIN_SEEN: Final = 10
"""Requests until a template is ready."""
MAX_LITERALS: Final = 20
"""Distinct literals below a node; more are names of things, such as `/products/red-shoes`."""
MAX_RESOURCES: Final = 64
"""Of those with something below them, at the top of an API: the root, `/api`, `/v1`. Many have more than twenty."""
QUIET: Final = 5
"""Requests for each literal of a node that have to pass without a new one. Of 21 names, each as likely as the next,
hardly one stays unseen for 5 * 20."""
PATIENCE: Final = 5.0
"""Seconds that have to pass as well: whoever walks through names one by one, many times each, is soon at the next."""
MAX_NODES: Final = 4_000
MAX_SEGMENTS: Final = 12
MAX_PATH: Final = 512

_PATH: Final = re.compile(rb"/(?:[A-Za-z0-9\-._~!$&'()+,;=:@/]|%[0-9A-Fa-f]{2})*")
"""What a template may hold (`config.matching`): RFC 3986 section 3.3 without `*`."""
_TOP: Final = re.compile(rb"api|v[0-9]{1,3}(?:\.[0-9]{1,3}){0,2}(?:(?:alpha|beta|rc)[0-9]{0,2})?")
_PLACEHOLDERS: Final = {f"{{{name}}}": name for name in LOOKS}


class _Node:
    """`seen` counts what ended here; `quiet` what passed since, at `since`, a new literal came below it.

    `top`: the resources of an API stand below it. `kept`: it or something below it is published.
    """

    __slots__ = ("folded", "kept", "literals", "looks", "published", "quiet", "seen", "since", "top")

    def __init__(self, top: bool = False) -> None:
        self.literals: dict[bytes, _Node] = {}
        self.looks: dict[str, _Node] = {}
        self.folded = False
        self.kept = False
        self.published = False
        self.quiet = 0
        self.seen = 0
        self.since = 0.0
        self.top = top

    @property
    def is_leaf(self) -> bool:
        return not self.literals and not self.looks

    def is_settled(self, now: float) -> bool:
        """Will no more literals come below it, as far as one can tell? Requests of published ones are not seen here."""
        fresh = sum(not child.kept for child in self.literals.values())
        return self.folded or (self.quiet >= QUIET * fresh and now - self.since >= PATIENCE)

    @property
    def is_crowded(self) -> bool:
        return len(self.literals) > (MAX_RESOURCES if self.top else MAX_LITERALS) or self.has_crowd_of_leaves

    @property
    def has_crowd_of_leaves(self) -> bool:
        return len(self.literals) > MAX_LITERALS and sum(n.is_leaf for n in self.literals.values()) > MAX_LITERALS

    def children(self) -> Iterator[_Node]:
        yield from self.literals.values()
        yield from self.looks.values()


class Learner:
    """`see` paths, ask what is `ready`, and say what was put in force with `publish`; `age` it from time to time.

    `now` is in seconds, of any clock that does not go back.
    """

    def __init__(self, published: Iterable[str] = ()) -> None:
        self._root = _Node(top=True)
        self._size = 1
        self.published: set[str] = set()
        self.publish(published)

    def __len__(self) -> int:
        """Nodes of the tree."""
        return self._size

    def see(self, path: bytes, now: float) -> None:
        """One request for `path` that the primary answered with a status below 400."""
        if len(path) > MAX_PATH or not _PATH.fullmatch(path):
            return
        segments = path[1:].split(b"/")
        if len(segments) > MAX_SEGMENTS or b"." in segments or b".." in segments:
            return
        if self._size + len(segments) > MAX_NODES and not self._make_room(len(segments)):
            return
        node = self._root
        for segment in segments:
            node = self._step(node, segment, now)
        node.seen += 1

    def ready(self, now: float) -> list[str]:
        """The templates that can be published and are not, the most seen first."""
        found: list[tuple[int, str]] = []
        _collect(self._root, "", now, found)
        return [template for _, template in sorted(found, key=lambda each: (-each[0], each[1]))]

    def publish(self, templates: Iterable[str]) -> None:
        """These are in force: they stay as they are, whatever folds around them."""
        for template in templates:
            if template in self.published:
                continue
            self.published.add(template)
            node = self._root
            for segment in template[1:].split("/"):
                name = _PLACEHOLDERS.get(segment)
                node.folded = node.folded or name == NAME
                node = self._literal(node, segment.encode(), 0.0) if name is None else self._look(node, name)
                node.kept = True
            node.published, node.seen = True, 0

    def age(self) -> None:
        """Halve what was seen; what comes to nothing is forgotten."""
        _halve(self._root)
        self._size = _size(self._root)

    # -- the tree

    def _step(self, node: _Node, segment: bytes, now: float) -> _Node:
        child = node.literals.get(segment)
        if child is not None:
            node.quiet += 1
            return child
        if segment:
            name = look(segment)
            if name == TOKEN and node.folded and TOKEN not in node.looks:
                name = NAME
            if name != NAME or node.folded:
                return self._look(node, name)
        child = self._literal(node, segment, now)
        if not node.is_crowded:
            return child
        _fold(node)
        self._size = _size(self._root)
        return node.literals.get(segment) or node.looks[NAME]

    def _look(self, node: _Node, name: str) -> _Node:
        child = node.looks.get(name)
        if child is None:
            child = node.looks[name] = _Node()
            self._size += 1
        return child

    def _literal(self, node: _Node, segment: bytes, now: float) -> _Node:
        child = node.literals.get(segment)
        if child is None:
            child = node.literals[segment] = _Node(node.top and _TOP.fullmatch(segment) is not None)
            node.quiet, node.since = 0, now
            self._size += 1
        return child

    def _make_room(self, needed: int) -> bool:
        """Forget the least seen until half of the tree is free, or nothing but what was published is left."""
        while self._size > MAX_NODES // 2:
            before, quiet = self._size, not any(node.seen for node in _nodes(self._root))
            self.age()
            if quiet and self._size == before:
                break
        return self._size + needed <= MAX_NODES


def is_template(text: str) -> bool:
    """Whether this could have been learned: what comes back from a disk is checked by it."""
    if len(text) > MAX_PATH or not text.startswith("/") or text.count("/") > MAX_SEGMENTS:
        return False
    plain = [segment for segment in text[1:].split("/") if segment not in _PLACEHOLDERS]
    return all(segment not in {".", ".."} and _PATH.fullmatch(f"/{segment}".encode()) for segment in plain)


def _nodes(node: _Node) -> Iterator[_Node]:
    yield node
    for child in node.children():
        yield from _nodes(child)


def _size(node: _Node) -> int:
    return 1 + sum(map(_size, node.children()))


def _collect(node: _Node, text: str, now: float, found: list[tuple[int, str]]) -> None:
    if node.seen >= MIN_SEEN and not node.published:
        found.append((node.seen, text))
    settled = node.is_settled(now)
    for segment, child in node.literals.items():
        if settled or child.kept:
            _collect(child, f"{text}/{segment.decode()}", now, found)
    for name, child in node.looks.items():
        _collect(child, f"{text}/{{{name}}}", now, found)


def _halve(node: _Node) -> bool:
    """Returns whether anything is left of it."""
    node.seen //= 2
    for segment in [segment for segment, child in node.literals.items() if not _halve(child)]:
        del node.literals[segment]
    for name in [name for name, child in node.looks.items() if not _halve(child)]:
        del node.looks[name]
    return bool(node.seen or node.kept or node.literals or node.looks)


def _fold(node: _Node) -> None:
    """Literals become `{name}`, and tokens with them. At the top, those with something below them stay if they can."""
    leaves_only = node.top and len(node.literals) <= MAX_RESOURCES
    node.folded = True
    into = node.looks.setdefault(NAME, _Node())
    for segment, child in list(node.literals.items()):
        if segment and not child.kept and (child.is_leaf or not leaves_only):
            del node.literals[segment]
            _merge(into, child)
    token = node.looks.get(TOKEN)
    if token is not None and not token.kept:
        del node.looks[TOKEN]
        _merge(into, token)


def _merge(into: _Node, other: _Node) -> None:
    into.seen += other.seen
    into.folded = into.folded or other.folded
    for name, child in other.looks.items():
        _merge(into.looks.setdefault(name, _Node()), child)
    for segment, child in other.literals.items():
        if segment in into.literals:
            _merge(into.literals[segment], child)
        else:
            into.literals[segment] = child
            into.quiet, into.since = 0, max(into.since, other.since)
    if into.literals and (into.folded or into.is_crowded):
        _fold(into)
