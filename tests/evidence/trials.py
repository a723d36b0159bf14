"""The trials that the proof and its table are made of: many simulated services each, with seeds of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import log
from statistics import median
from typing import Final, NamedTuple

from shadowproxy.evidence.ledger import RESTART_EVERY
from tests.evidence.rules import Diffy, Key, Ours, Rule, Watch, ZTest
from tests.evidence.services import BURSTS, CORRELATED, DRIFTING, STEADY, Field, Service

TWENTY: Final = log(20.0)

NOISE: Final = [
    Field(f"{way}_{rate}", rate / 100, way=way)
    for way in (STEADY, CORRELATED, BURSTS, DRIFTING)
    for rate in (2, 10, 30)
]
"""Fields that differ as often on the candidate as by themselves, in all ways that the simulation knows."""

WORSE: Final = [
    Field("rare", 0.02, 0.08),
    Field("often", 0.30, 0.45),
    Field("clean", 0.0, 0.05),
    Field("missing", 0.0, 0.01, kind="body_missing"),
    Field("shape", 0.0, 1.0, kind="body_shape"),
]
"""What really regressed: noisy fields that differ more often, one that broke, one that is not there any more in one of
a hundred answers, and one whose look alone changed."""
CALM: Final = [
    *(
        Field(f"{way}_{rate}", rate / 100, way=way)
        for way in (STEADY, BURSTS, DRIFTING)
        for rate in (1, 2, 5, 10, 20, 30, 45, 60)
    ),
    *(Field(f"{CORRELATED}_{rate}", rate / 100, way=CORRELATED) for rate in (1, 2, 5, 10, 20, 30)),
    *(Field(f"id_{number}", 1.0) for number in range(10)),
    *(Field(f"odd_{number}", 0.001) for number in range(15)),
]
"""Beside them in a service of sixty fields: noise of all rates, ids and times that always differ, rare oddities."""


class Delays(NamedTuple):
    """Requests until a field was shown, in each of the trials; None: it was not, within `most`."""

    found: list[int | None]
    most: int

    @property
    def share(self) -> float:
        return sum(each is not None for each in self.found) / len(self.found)

    def quantile(self, q: float) -> float:
        """Who was not found counts as infinitely late."""
        late = sorted(float("inf") if each is None else each for each in self.found)
        return median(late) if q == 0.5 else late[min(int(q * len(late)), len(late) - 1)]


def growing(fields: int, ticks: int) -> list[Field]:
    """Noise in which further fields appear all the time."""
    return [
        Field(f"f{number}", (0.05, 0.3, 0.6)[number % 3], appears=number * ticks // fields) for number in range(fields)
    ]


def false_lists(
    runs: int,
    fields: Sequence[Field],
    *,
    share: float = 0.0,
    lost: float = 0.0,
    capacity: int | None = None,
    ticks: int = 15,
    requests: int = 200,
) -> tuple[Counter[str], Counter[str]]:
    """In how many runs each rule ever showed a field at one of its looks, though nothing regressed; and, by way of
    noise, how many fields ever had an e-value of 20.

    The table is as small as the service unless said otherwise: a false list is then as likely as it can be.
    """
    wrong: Counter[str] = Counter(dict.fromkeys(("ours", "diffy", "ztest"), 0))
    high: Counter[str] = Counter()
    for seed in range(runs):
        ours = Ours(share, capacity or len(fields))
        rules: dict[str, Rule] = {"ours": ours}
        if not share:
            rules |= {"diffy": Diffy(), "ztest": ZTest(len(fields))}
        watch = Watch(Service(list(fields), seed, share, lost), **rules)
        peaks: dict[Key, float] = {}
        for _ in range(ticks):
            watch.look(requests)
            for key, weight in ours.weights.items():
                peaks[key] = max(peaks.get(key, 0.0), weight)
        wrong.update(name for name in rules if watch.first[name])
        high.update(field.way for field in fields if peaks.get(field.key, 0.0) >= TWENTY)
    return wrong, high


def delays(
    runs: int,
    field: Field,
    *,
    share: float = 0.0,
    requests: int = 20,
    most: int = 20_000,
    rules: Sequence[str] = ("ours",),
) -> dict[str, Delays]:
    """How many requests it takes to show `field`, looked at every `requests` of them."""
    found: dict[str, list[int | None]] = {name: [] for name in rules}
    make: dict[str, Callable[[], Rule]] = {"ours": lambda: Ours(share), "diffy": Diffy}
    for seed in range(runs):
        for name in rules:
            watch = Watch(Service([field], seed, share), **{name: make[name]()})
            found[name].append(watch.until(name, field, requests, most))
    return {name: Delays(each, most) for name, each in found.items()}


def late_delays(
    runs: int, *, hours: int = 24, rate: float = 10.0, requests: int = 20, most: int = 20_000
) -> dict[str, Delays]:
    """The same of a field that differs in 2 % of requests for so long, at `rate` a second, and in 8 % from then on."""
    found: dict[str, list[int | None]] = {"ours": [], "diffy": []}
    blocks = int(hours * 3600 / RESTART_EVERY)
    for seed in range(runs):
        field = Field("late", 0.02, 0.08, since=blocks)
        watch = Watch(Service([field], seed), ours=Ours(), diffy=Diffy())
        for _ in range(blocks):
            watch.look(int(RESTART_EVERY * rate), RESTART_EVERY)
        before = watch.asked
        watch.first = {name: {} for name in watch.rules}
        while not all(field.key in first for first in watch.first.values()) and watch.asked < before + most:
            watch.look(requests, requests / rate)
        for name, first in watch.first.items():
            found[name].append(first[field.key] - before if field.key in first else None)
    return {name: Delays(each, most) for name, each in found.items()}


def recoveries(runs: int, *, worse: int = 1000, requests: int = 20, most: int = 100_000) -> dict[str, Delays]:
    """A field that differs in 8 % instead of 2 % for so many requests: how many more until it is not shown any more."""
    found: dict[str, list[int | None]] = {"ours": [], "diffy": []}
    for seed in range(runs):
        field = Field("passing", 0.02, 0.08, until=worse // requests)
        watch = Watch(Service([field], seed), ours=Ours(), diffy=Diffy())
        gone: dict[str, int] = {}
        while len(gone) < len(watch.rules) and watch.asked < worse + most:
            watch.look(requests)
            if watch.asked > worse:
                for name in watch.rules:
                    if field.key not in watch.shown[name]:
                        gone.setdefault(name, watch.asked - worse)
        for name, each in found.items():
            each.append(gone.get(name))
    return {name: Delays(each, most) for name, each in found.items()}


class Score(NamedTuple):
    """Of one rule over several services: at the last look, and what it ever showed that was wrong."""

    precision: float
    recall: float
    wrong_ever: float
    """The share of services in which a field was shown, at any look, that had not regressed."""


def scores(runs: int, *, ticks: int = 20, requests: int = 1000, share: float = 0.0) -> dict[str, Score]:
    """Who finds the five of sixty fields that regressed, and what else they show."""
    true = {field.key for field in WORSE}
    kept: dict[str, list[tuple[int, int, bool]]] = {}
    for seed in range(runs):
        rules: dict[str, Rule] = {"ours": Ours(share)}
        if not share:
            rules["diffy"] = Diffy()
        watch = Watch(Service([*WORSE, *CALM], seed, share), **rules)
        for _ in range(ticks):
            watch.look(requests)
        for name in rules:
            shown = watch.shown[name]
            kept.setdefault(name, []).append((len(shown & true), len(shown), bool(watch.first[name].keys() - true)))
    return {
        name: Score(
            sum(hit for hit, _, _ in rows) / max(sum(all_ for _, all_, _ in rows), 1),
            sum(hit for hit, _, _ in rows) / (len(rows) * len(true)),
            sum(wrong for *_, wrong in rows) / len(rows),
        )
        for name, rows in kept.items()
    }
