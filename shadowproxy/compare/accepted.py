"""Which differences of the candidate somebody accepted, and what of a pair an entry covers. Pure; time is passed in.

An entry covers one kind of difference of the fields that its path names, until it expires. One with a shape covers a
finding only where every value in it looks so, or as another entry allows: a value of another shape still counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from shadowproxy.compare.fields import bounded
from shadowproxy.compare.findings import Findings, Key
from shadowproxy.compare.paths import FieldPath, PathError, compile_path, names, written
from shadowproxy.compare.shapes import shape_of
from shadowproxy.model.pair import AcceptedCount
from shadowproxy.model.policy import AcceptedPolicy

EVERY_ROUTE: Final = "*"
_MAX_REMEMBERED: Final = 4096
"""Fields of which it is remembered what covers them; candidates invent names."""


class Accepted:
    """The entries that concern one route. Raises PathError for a path that a checked file cannot contain."""

    __slots__ = ("_exact", "_patterns", "_remembered", "shaped")

    def __init__(self, entries: Iterable[AcceptedPolicy], route: str) -> None:
        here = [entry for entry in entries if entry.route in (EVERY_ROUTE, route)]
        self._exact: dict[Key, list[AcceptedPolicy]] = {}
        self._patterns: dict[str, list[tuple[AcceptedPolicy, FieldPath]]] = {}
        """By kind, those whose path has wildcards."""
        self._remembered: dict[Key, tuple[AcceptedPolicy, ...]] = {}
        self.shaped: Final = any(entry.shape for entry in here)
        """Whether somebody has to look at every value."""
        for entry in here:
            path = compile_path(entry.field)
            field = written(path)
            if field is None:
                self._patterns.setdefault(entry.kind, []).append((entry, path))
            else:
                self._exact.setdefault((bounded(field), entry.kind), []).append(entry)

    def __bool__(self) -> bool:
        return bool(self._exact or self._patterns)

    def of(self, key: Key) -> tuple[AcceptedPolicy, ...]:
        """The entries about a field and kind, whatever their shape and expiry."""
        found = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[key] = self._look_up(*key)
        return found

    def set_aside(self, found: Findings, at: float) -> set[str]:
        """Moves what is covered at `at`, Unix time, from `counted` to `accepted`; returns the ids of what covers it."""
        covering: set[str] = set()
        for key in list(found.counted):
            if entries := self._covering(found, key, at):
                found.accepted[key] = found.counted.pop(key)
                covering.update(entry.id for entry in entries)
        return covering

    def standing(self, found: Findings, at: float) -> Collection[Key]:
        """What of the findings that count no entry covers."""
        return [key for key in found.counted if not self._covering(found, key, at)]

    def _look_up(self, field: str, kind: str) -> tuple[AcceptedPolicy, ...]:
        found = self._exact.get((field, kind), [])
        patterns = self._patterns.get(kind, [])
        try:
            path = compile_path(field) if patterns else None
        except PathError:
            path = None  # a name that was cut off, or that no path can write: only the same text names it
        return (*found, *(entry for entry, pattern in patterns if path is not None and names(pattern, path)))

    def _covering(self, found: Findings, key: Key, at: float) -> list[AcceptedPolicy]:
        """The entries that together cover a finding; none where anything of it stands."""
        entries = [entry for entry in self.of(key) if entry.holds(at)]
        if not any(entry.shape for entry in entries):
            return entries
        values = (found.values or {}).get(key) or [found.counted[key][1]]
        shapes = {shape_of(value) for value in values}
        covering = [entry for entry in entries if not entry.shape or entry.shape in shapes]
        covered = any(not entry.shape for entry in covering) or shapes == {entry.shape for entry in covering}
        return covering if covered else []


class AcceptedTable:
    """Counts the pairs that each entry covered something of, since the last harvest."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], tuple[int, float]] = {}

    def count(self, service: str, ids: Collection[str], at: float) -> None:
        """One pair of which these entries covered something."""
        for entry in (*ids, "") if ids else ():
            pairs, last_at = self._counts.get((service, entry), (0, at))
            self._counts[service, entry] = pairs + 1, max(last_at, at)

    def harvest(self) -> list[AcceptedCount]:
        counts, self._counts = self._counts, {}
        return [AcceptedCount(*key, *counted) for key, counted in counts.items()]
