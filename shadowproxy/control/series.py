"""How the arms of each service did lately: points of five seconds for an hour, and of a minute for a day.

Rates, errors and latencies of what an arm was asked, whoever asked: users, or copies. In memory: a chart says how it
goes, decisions have their own books.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from operator import add, sub
from typing import Final, NamedTuple

from shadowproxy.model.terms import ARMS, CODES, QUANTILES
from shadowproxy.model.totals import Distribution, RouteTotals

FINE: Final = 5.0
COARSE: Final = 60.0
SPANS: Final = {"10m": (FINE, 120), "1h": (FINE, 720), "24h": (COARSE, 1440)}
"""By name: seconds between two points, and how many there are at most."""
MEASURES: Final = ("rate", "errors", *QUANTILES)
_FAILED: Final = (CODES.index("5xx"), CODES.index("error"))
_NOTHING: Final = float("nan")


class _Counts(NamedTuple):
    """What an arm had been asked at a moment: by code, and the bins of the durations."""

    codes: tuple[int, ...]
    edges: tuple[float, ...]
    bins: tuple[int, ...]


_Arms = dict[str, _Counts]


class Points(NamedTuple):
    """`at` is Unix time of each point's end; `arms` has by arm and measure a value a point, None: there was nothing."""

    step: float
    at: list[float]
    weight: list[float]
    arms: dict[str, dict[str, list[float | None]]]


class Series:
    """Of all services. `tick` is called more often than there are points."""

    def __init__(self) -> None:
        self._tracks = {COARSE: _Track(COARSE, 1440), FINE: _Track(FINE, 720)}

    def is_due(self, now: float) -> bool:
        return any(track.is_due(now) for track in self._tracks.values())

    def tick(self, now: float, rows: Iterable[RouteTotals], weights: Mapping[str, float]) -> None:
        """Take what is due. `now` is Unix time; `weights` are the candidates' by service."""
        counted = _summed(rows)
        for track in self._tracks.values():
            if track.is_due(now):
                track.take(now, counted, weights)

    def points(self, service: str, arms: Iterable[str], span: str) -> Points:
        """`span` is one of SPANS. Arms that had nothing in all of it are left out."""
        step, most = SPANS[span]
        return self._tracks[step].points(service, arms, most)


class _Track:
    def __init__(self, step: float, most: int) -> None:
        self._step = step
        self._most = most
        self._last: dict[str, _Arms] = {}
        self._at = 0.0
        self._points: dict[str, deque[array[float]]] = {}
        """By service: when, the weight, and per arm its measures."""

    def is_due(self, now: float) -> bool:
        return now - self._at >= self._step or now < self._at  # or somebody has set the clock back

    def take(self, now: float, counted: Mapping[str, _Arms], weights: Mapping[str, float]) -> None:
        seconds = now - self._at
        for service, arms in counted.items():
            before = self._last.get(service)
            if before is None or not 0 < seconds <= 5 * self._step:
                continue  # the first look, or one after a sleep of the machine
            point = array("d", (now, weights.get(service, 0.0)))
            for arm in ARMS:
                point.extend(_measured(before.get(arm), arms.get(arm), seconds))
            self._points.setdefault(service, deque(maxlen=self._most)).append(point)
        for gone in self._points.keys() - counted.keys():
            del self._points[gone]
        self._last, self._at = dict(counted), now

    def points(self, service: str, arms: Iterable[str], most: int) -> Points:
        kept = self._points.get(service, deque())
        rows = list(islice(kept, max(0, len(kept) - most), None))
        found: dict[str, dict[str, list[float | None]]] = {}
        for arm in arms:
            first = 2 + ARMS.index(arm) * len(MEASURES)
            values = {name: [_known(row[first + m]) for row in rows] for m, name in enumerate(MEASURES)}
            if any(values["rate"]):
                found[arm] = values
        return Points(self._step, [row[0] for row in rows], [row[1] for row in rows], found)


def _summed(rows: Iterable[RouteTotals]) -> dict[str, _Arms]:
    """By service and arm, over all routes."""
    found: dict[str, _Arms] = {}
    for row in rows:
        arms = found.setdefault(row.service, {})
        for arm, codes in row.codes.items():
            took = row.durations.get(arm)
            edges, bins = (took.edges, took.bins) if took is not None else ((), ())
            here = _Counts(tuple(codes.values()), edges, bins)
            before = arms.get(arm)
            arms[arm] = here if before is None else _added(before, here)
    return found


def _added(one: _Counts, other: _Counts) -> _Counts:
    codes = tuple(map(add, one.codes, other.codes))
    if not (one.bins and other.bins):
        return _Counts(codes, one.edges or other.edges, one.bins or other.bins)
    return _Counts(codes, one.edges, tuple(map(add, one.bins, other.bins)))


def _measured(before: _Counts | None, now: _Counts | None, seconds: float) -> tuple[float, ...]:
    if before is None or now is None:
        return (_NOTHING,) * len(MEASURES)
    codes = tuple(map(sub, now.codes, before.codes))
    requests = sum(codes)
    if requests <= 0:  # fewer than before: routes were taken out of the configuration
        return (0.0 if requests == 0 else _NOTHING, *(_NOTHING,) * (len(MEASURES) - 1))
    took = Distribution(now.edges, tuple(map(sub, now.bins, before.bins)))
    quantiles = [took.quantile(q) if len(now.bins) == len(before.bins) else None for q in QUANTILES.values()]
    failed = sum(codes[index] for index in _FAILED)
    return (requests / seconds, failed / requests, *(_NOTHING if each is None else each for each in quantiles))


def _known(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124 - only NaN is not itself
