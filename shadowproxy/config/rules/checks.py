"""Rules about the checks of rollouts: each is of one kind, has the limits of its kind, and can be asked."""

from __future__ import annotations

from typing import Final

from shadowproxy.config import document as doc
from shadowproxy.config import rollout as ro
from shadowproxy.config.findings import Findings
from shadowproxy.config.planning import learns_noise, name_of_check
from shadowproxy.config.problems import Path
from shadowproxy.config.rollout_values import Percentage, Points, Seconds
from shadowproxy.config.rules.common import own_name
from shadowproxy.config.rules.rollout import rollouts
from shadowproxy.model import rollout as r

_KINDS: Final = ("check", r.PROMQL, r.WEBHOOK)
_COMMON: Final = {"name", "mode", *_KINDS}
_SHARE: Final[dict[str, type]] = {"max_relative": float, "max_absolute": Points, "max": Percentage}
_LATENCY: Final[dict[str, type]] = {"max_relative": float, "max_absolute": Seconds, "max": Seconds}
_KEYS: Final[dict[str, dict[str, type]]] = {
    r.ERROR_RATE: _SHARE,
    r.CLIENT_ERROR_RATE: _SHARE,
    r.LATENCY_P50: _LATENCY,
    r.LATENCY_P95: _LATENCY,
    r.LATENCY_P99: _LATENCY,
    r.REGRESSED_FIELDS: {},
    r.SAMPLE_RATIO: {},
    r.SLOW_BURN: {"max_slope": float},
    r.PROMQL: dict.fromkeys(("max_relative", "max", "max_slope", "against", "step", "timeout"), float),
    r.WEBHOOK: dict.fromkeys(("interval", "timeout", "retries", "confirm"), object),
}
"""By kind: the keys that it takes, besides _COMMON, and of what type a limit is."""

_WRITTEN: Final[dict[type, str]] = {
    Points: "percentage points such as 0.1pp",
    Seconds: "a duration such as 20ms",
    Percentage: "a percentage such as 1%",
    float: "a plain number",
}


def checks(document: doc.Document, findings: Findings) -> None:
    for path, service, rollout in rollouts(document):
        if rollout.checks == ():
            findings.wrong((*path, "checks"), "is empty, so that nothing is looked at: write some, or delete it")
        names: dict[str, int] = {}
        for index, check in enumerate(rollout.checks or ()):
            at = (*path, "checks", index)
            kind = _kind(at, check, findings)
            if kind is None:
                continue
            if name := name_of_check(check):
                own_name(at, check, names, name, index, "check", findings)
            _limits(at, kind, check, findings)
            if kind == r.PROMQL:
                _can_be_asked(at, check, rollout, findings, is_blamed=findings.is_blamed((*path, "prometheus")))
            if kind == r.REGRESSED_FIELDS and not learns_noise(service):
                right = "no noise is learned, so that this cannot be said: add upstreams.secondary or noise.resample"
                findings.warn(at, right)


def _kind(at: Path, check: ro.Check, findings: Findings) -> str | None:
    if findings.is_blamed(at) or any(findings.is_blamed((*at, key)) for key in (*_KINDS, "name")):
        return None
    written = [key for key in _KINDS if check.has(key)]
    if not written:
        findings.wrong(at, "looks at nothing: write one of check, promql, webhook")
        return None
    if len(written) > 1:
        findings.wrong((*at, written[1]), f"stands beside {written[0]}: make it a check of its own", at_key=True)
        return None
    if check.check is None and check.name is None:
        findings.lacks(at, "name", "is missing: what reports and holds call this check")
    return check.check or written[0]


def _limits(at: Path, kind: str, check: ro.Check, findings: Findings) -> None:
    keys = _KEYS[kind]
    for key in sorted(check.model_fields_set - _COMMON):
        value = getattr(check, key)
        if key not in keys:
            known = ", ".join(keys) or "no limits"
            findings.wrong((*at, key), f"has no meaning for {kind}, which takes {known}: delete it", at_key=True)
        elif key in ("max", "max_absolute") and type(value) is not keys[key]:
            findings.wrong((*at, key), f"is the wrong kind of limit for {kind}: write {_WRITTEN[keys[key]]}")


def _can_be_asked(at: Path, check: ro.Check, rollout: ro.Rollout, findings: Findings, *, is_blamed: bool) -> None:
    if rollout.prometheus is None and not is_blamed:
        right = "needs rollout.prometheus, where it is asked: write its URL there"
        if check.mode == r.OBSERVE:  # nothing waits for it
            findings.warn((*at, r.PROMQL), right)
        else:
            findings.wrong((*at, r.PROMQL), right, at_key=True)
    if check.max_relative is not None and check.against is None:
        findings.wrong((*at, "max_relative"), "needs against: primary beside it", at_key=True)
    limits = ("max", "max_relative", "max_slope")
    if not any(check.has(key) or findings.is_blamed((*at, key)) for key in limits):
        findings.wrong(at, "has no limit, so that it never fails: write max, max_relative or max_slope")
