"""The `rollout` and `freeze` sections → plans and windows."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from shadowproxy.config import document as doc
from shadowproxy.config import rollout as ro
from shadowproxy.config.freeze import FreezeWindow
from shadowproxy.config.rollout_values import failures_of
from shadowproxy.config.section import fill
from shadowproxy.config.strategies import HOLDBACK, STRATEGIES
from shadowproxy.config.units import parse_local_time, render_percent
from shadowproxy.model import rollout as r
from shadowproxy.rollout.bets import LATENCY, RATE
from shadowproxy.rollout.guards import MAX_SLOPE

ONE_OF: Final = (r.SHADOW, r.APPROVE, r.CANARY, r.PROGRESSIVE, r.BLUE_GREEN, r.FLAG)
"""The keys of a stage that say what it does."""

_RATE: Final = {"max_relative": RATE.relative, "max_absolute": RATE.absolute}
_LATENCY: Final = {"max_relative": LATENCY.relative, "max_absolute": LATENCY.absolute}
TOLERATED: Final[dict[str, dict[str, float]]] = {
    r.ERROR_RATE: _RATE,
    r.CLIENT_ERROR_RATE: _RATE,
    r.LATENCY_P50: _LATENCY,
    r.LATENCY_P95: _LATENCY,
    r.LATENCY_P99: _LATENCY,
    r.SLOW_BURN: {"max_slope": MAX_SLOPE},
}
"""What a check tolerates where its limits are not written."""


def plan_of(name: str, service: doc.Service, section: ro.Rollout) -> r.Plan:
    """The plan of the service called `name`. The section has passed the rules."""
    strategy = section.strategy or ""
    sticky, prometheus = section.sticky, section.prometheus
    changes: dict[str, object] = {}
    if section.errors is not None:
        changes["failures"] = failures_of(section.errors)
    if section.exclude is not None:
        changes["excluded"] = section.exclude
    if section.budget is not None and section.budget.false_rollback is not None:
        changes["false_rollback"] = section.budget.false_rollback
    if section.watch is not None and section.watch.ttl is not None:
        changes["watch_ttl"] = section.watch.ttl
    if sticky is not None and sticky.by is not None:
        changes["sticky"] = fill(sticky.by, sticky)
    return fill(
        r.Plan(section.name or name, ()),
        section,
        **changes,
        stages=STRATEGIES[strategy] if strategy else tuple(_stage(stage) for stage in section.stages or ()),
        checks=_checks(service, section),
        notify=tuple(fill(r.Notify(one.webhook or ""), one, url=one.webhook or "") for one in section.notify or ()),
        prometheus=None if prometheus is None else fill(r.Prometheus(""), prometheus),
    )


def is_mirrored(service: doc.Service) -> bool:
    """Whether any request of a service with a candidate is copied."""
    shadows = (service.shadow, *(route.shadow for route in service.routes or ()))
    shares = [shadow.sample for shadow in shadows if shadow is not None]
    everywhere = service.shadow is None or service.shadow.sample is None
    return everywhere or any(shares)


def learns_noise(service: doc.Service) -> bool:
    upstreams, noise = service.upstreams, service.noise
    return (upstreams is not None and upstreams.secondary is not None) or bool(noise is not None and noise.resample)


def kinds_of(stage: ro.Stage) -> list[str]:
    """What a stage does: one of ONE_OF, `soak` when there is a bake alone, nothing, or too much."""
    kinds = [kind for kind in ONE_OF if getattr(stage, kind) is not None]
    return kinds or ([r.SOAK] if stage.bake is not None else [])


def name_of(stage: ro.Stage) -> str:
    """The name of a stage, also where none is written."""
    kind = next(iter(kinds_of(stage)), "")
    if stage.name is not None:
        return stage.name
    if stage.flag is not None and stage.flag.flag:
        return stage.flag.flag
    weight = stage.canary.weight if stage.canary is not None else None
    return kind if weight is None else f"{kind} {render_percent(weight)}"


def name_of_check(check: ro.Check) -> str:
    return check.name or check.check or ""


def _stage(section: ro.Stage) -> r.Stage:
    [kind] = kinds_of(section)
    stage = r.Stage(name_of(section), kind, bake=_bake(section.bake))
    if section.shadow is not None:
        return fill(stage, section.shadow)
    if section.approve is not None:
        return fill(stage, section.approve)
    if section.canary is not None:
        return msgspec.structs.replace(
            stage, weights=(section.canary.weight or 0.0,), chosen=_chosen(section.canary.match)
        )
    if section.progressive is not None:
        weights = section.progressive.weights or ()
        holdback = HOLDBACK if can_hold_back(weights) else 0.0
        return fill(
            msgspec.structs.replace(stage, holdback=holdback),
            section.progressive,
            chosen=_chosen(section.progressive.match),
        )
    if section.flag is not None:
        bake = _bake(section.flag.bake or section.bake)
        return fill(stage, section.flag, bake=bake, weights=section.flag.weights or ())
    if section.blue_green is not None:
        return fill(stage, section.blue_green, chosen=_chosen(section.blue_green.preview))
    return stage


def can_hold_back(weights: tuple[float, ...], holdback: float = HOLDBACK) -> bool:
    """Whether weights end with all users, of which a share can be held back without falling below the weight before."""
    return weights[-1:] == (1.0,) and all(weight < 1.0 - holdback for weight in weights[:-1])


def _bake(section: ro.Bake | None) -> r.Bake:
    if section is None:
        return r.Bake()
    seconds = getattr(section, "for")
    return fill(r.Bake(), section, seconds=r.Bake().seconds if seconds is None else seconds)


def _chosen(matches: tuple[ro.Match, ...] | None) -> tuple[r.Chosen, ...]:
    return tuple(one for match in matches or () for one in (match.header, match.cookie) if one is not None)


def _checks(service: doc.Service, section: ro.Rollout) -> tuple[r.Check, ...]:
    if section.checks is not None:
        return tuple(_check(check) for check in section.checks)
    kinds = [r.ERROR_RATE, r.LATENCY_P99, r.SAMPLE_RATIO, r.SLOW_BURN]
    if is_mirrored(service) and learns_noise(service):
        kinds.insert(2, r.REGRESSED_FIELDS)
    return tuple(_tolerant(kind) for kind in kinds)


def _check(section: ro.Check) -> r.Check:
    kind = section.check or (r.PROMQL if section.promql is not None else r.WEBHOOK)
    limits = {key: float(getattr(section, key)) for key in ("max_absolute", "max") if section.has(key)}
    return fill(_tolerant(kind), section, name=name_of_check(section), url=section.webhook or "", **limits)


def _tolerant(kind: str) -> r.Check:
    return msgspec.structs.replace(r.Check(kind, kind), **TOLERATED.get(kind, {}))


def freezes(document: doc.Document) -> tuple[r.FreezeWindow, ...]:
    return tuple(_window(window) for window in document.freeze or ())


def _window(section: FreezeWindow) -> r.FreezeWindow:
    start, end = bounds(section)
    return fill(r.FreezeWindow(""), section, seconds=section.duration or 0.0, start=start, end=end)


def bounds(section: FreezeWindow) -> tuple[float | None, float | None]:
    """Begin and end of a window that happens once, in Unix time."""
    zone = ZoneInfo(section.zone or r.FreezeWindow("").zone)
    return (
        None if section.start is None else parse_local_time(section.start, zone, ends=False),
        None if section.end is None else parse_local_time(section.end, zone, ends=True),
    )
