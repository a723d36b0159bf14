"""Rules about rollouts: stages that lead somewhere, and checks that can be made."""

from __future__ import annotations

from collections.abc import Iterator

from shadowproxy.config import document as doc
from shadowproxy.config import rollout as ro
from shadowproxy.config.build import shadows_flags
from shadowproxy.config.findings import Findings
from shadowproxy.config.planning import can_hold_back, is_mirrored, kinds_of, name_of
from shadowproxy.config.problems import Path
from shadowproxy.config.rules.common import own_name, sections
from shadowproxy.config.units import render_duration, render_percent
from shadowproxy.model import rollout as r
from shadowproxy.rollout.bets import MEASURED

LEAST_LEASE = 5.0
"""Seconds: control renews a lease every second, and may be restarted in between."""


def rollouts(document: doc.Document) -> Iterator[tuple[Path, doc.Service, ro.Rollout]]:
    for _, path, service in document.named():
        if service.rollout is not None:
            yield (*path, "rollout"), service, service.rollout


def stages(document: doc.Document, findings: Findings) -> None:
    """Either stages or a strategy; every stage does one thing and has a name of its own."""
    for path, _, rollout in rollouts(document):
        if rollout.strategy is not None and rollout.stages is not None:
            findings.wrong((*path, "strategy"), "stands beside stages: keep one of them", at_key=True)
        elif rollout.strategy is None and rollout.stages is None:
            if not findings.is_blamed((*path, "strategy")):
                findings.lacks(path, "stages", "is missing: write stages, or strategy: canary")
        elif rollout.stages == ():
            findings.wrong((*path, "stages"), "is empty: write at least one stage, or strategy instead")
        names: dict[str, int] = {}
        for index, stage in enumerate(rollout.stages or ()):
            at = (*path, "stages", index)
            if _is_clear(at, stage, findings):
                own_name(at, stage, names, name_of(stage), index, "stage", findings)
        known = [kinds_of(stage) for stage in rollout.stages or ()]
        if known and all(kinds == [r.APPROVE] for kinds in known):
            findings.wrong((*path, "stages"), "only asks for approval: write a stage that shows the candidate to users")


def _is_clear(at: Path, stage: ro.Stage, findings: Findings) -> bool:
    """Whether it is known what a stage does."""
    if findings.is_blamed(at) or any(findings.is_blamed((*at, key)) for key in type(stage).model_fields):
        return False
    kinds = kinds_of(stage)
    if not kinds:
        right = "does nothing: write one of shadow, approve, canary, progressive, blue_green, flag, or a bake"
        findings.wrong(at, right)
    elif len(kinds) > 1:
        findings.wrong((*at, kinds[1]), f"stands beside {kinds[0]}: make it a stage of its own", at_key=True)
    elif stage.flag is not None and stage.flag.bake is not None and stage.bake is not None:
        findings.wrong((*at, "bake"), "stands beside flag, which has one of its own: keep one of them", at_key=True)
    elif stage.approve is not None and stage.bake is not None:
        findings.wrong((*at, "bake"), "stands beside approve: make it a stage of its own", at_key=True)
    return len(kinds) == 1


def weights(document: doc.Document, findings: Findings) -> None:
    """The share of users only rises, and who is held back is taken from the last one."""
    for path, service, rollout in rollouts(document):
        reached = 0.0
        for index, stage in enumerate(rollout.stages or ()):
            at = (*path, "stages", index)
            if stage.shadow is not None:
                _mirrors((*at, "shadow"), stage.shadow, service, findings)
            reached = _rises(at, stage, reached, findings)
            if stage.flag is not None:
                _ramps((*at, r.FLAG), stage.flag, findings)
            if stage.progressive is not None:
                _holds_back((*at, "progressive"), stage.progressive, findings)
        asks = any(stage.approve is not None for stage in rollout.stages or ())
        flags = any(stage.flag is not None for stage in rollout.stages or ())
        if rollout.stages and not reached and not asks and not flags and not findings.blames_below((*path, "stages")):
            findings.warn((*path, "stages"), "after the last stage all users move at once: add an approve stage")


def _ramps(path: Path, stage: ro.FlagStage, findings: Findings) -> None:
    if stage.weights == ():
        findings.wrong((*path, "weights"), "is empty: write shares such as [10%, 50%, 100%]")
    before = 0.0
    for part, weight in enumerate(stage.weights or ()):
        if weight <= before:
            right = f"is not more than {render_percent(before)} before it: weights only rise"
            findings.wrong((*path, "weights", part), right)
        before = max(before, weight)


def flags(document: doc.Document, findings: Findings) -> None:
    """A flag is ramped by one rollout; what gives the candidate users needs one, and flags need definitions."""
    ramped: dict[str, Path] = {}
    for path, service, rollout in rollouts(document):
        upstreams = service.upstreams
        has_candidate = upstreams is not None and upstreams.candidate is not None
        has_candidate = has_candidate or findings.is_blamed((*path[:-1], "upstreams", "candidate"))
        if not has_candidate and rollout.strategy is not None:
            findings.wrong((*path, "strategy"), "needs upstreams.candidate: without it there is nobody to go to")
        for index, stage in enumerate(rollout.stages or ()):
            at = (*path, "stages", index)
            for kind in (r.CANARY, r.PROGRESSIVE, r.BLUE_GREEN):
                if getattr(stage, kind) is not None and not has_candidate:
                    right = "needs upstreams.candidate: without it there is nobody to go to"
                    findings.wrong((*at, kind), right, at_key=True)
            if stage.shadow is not None and not has_candidate and not shadows_flags(service):
                findings.wrong((*at, r.SHADOW), "needs upstreams.candidate, or shadow.flags", at_key=True)
            if stage.flag is None or stage.flag.flag is None:
                continue
            if document.flags is None:
                findings.wrong((*at, r.FLAG), "needs a flags section with the file that defines it", at_key=True)
            first = ramped.setdefault(stage.flag.flag, path)
            if first != path:
                right = f"is ramped by {findings.name(first)} as well: two rollouts cannot share a flag"
                findings.wrong((*at, r.FLAG, "flag"), right)
        if any(stage.flag is not None for stage in rollout.stages or ()) and rollout.sticky is None:
            findings.warn(
                (*path, "stages"), "ramps a flag without sticky: each request draws for itself, users flicker"
            )


def _mirrors(path: Path, stage: ro.ShadowStage, service: doc.Service, findings: Findings) -> None:
    if stage.sample == 0.0:
        findings.wrong((*path, "sample"), "mirrors nothing: write more than 0%, up to 100%")
    elif not is_mirrored(service):
        findings.wrong(path, "mirrors nothing, since shadow.sample is 0%: write more there", at_key=True)


def _rises(at: Path, stage: ro.Stage, reached: float, findings: Findings) -> float:
    """The share of users after a stage, whose shares are at least `reached`."""
    if reached and (stage.shadow is not None or stage.blue_green is not None):
        kind = r.SHADOW if stage.shadow is not None else r.BLUE_GREEN
        right = f"begins with no users, and the stages before reach {render_percent(reached)}: put it before them"
        findings.wrong((*at, kind), right, at_key=True)
    if stage.canary is not None and stage.canary.weight is not None:
        if stage.canary.weight < reached:
            right = f"is less than {render_percent(reached)}, which the stages before reach: weights only rise"
            findings.wrong((*at, r.CANARY, "weight"), right)
        return max(reached, stage.canary.weight)
    if stage.progressive is not None and stage.progressive.weights is not None:
        if not stage.progressive.weights:
            findings.wrong((*at, r.PROGRESSIVE, "weights"), "is empty: write shares such as [10%, 50%, 100%]")
        for part, weight in enumerate(stage.progressive.weights):
            if weight < reached or (part and weight == reached):
                right = f"is not more than {render_percent(reached)} before it: weights only rise"
                findings.wrong((*at, r.PROGRESSIVE, "weights", part), right)
            reached = max(reached, weight)
        return reached
    return 1.0 if stage.blue_green is not None else reached


def _holds_back(path: Path, stage: ro.Progressive, findings: Findings) -> None:
    weights, holdback = stage.weights or (), stage.holdback
    if not holdback or not weights:
        return
    if weights[-1] < 1.0:
        findings.wrong((*path, "holdback"), "holds nobody back: weights do not end at 100%", at_key=True)
    elif not can_hold_back(weights, holdback):
        before = render_percent(round(1.0 - weights[-2], 6)) if len(weights) > 1 else "100%"
        findings.wrong((*path, "holdback"), f"leaves no rise after the weight before: write less than {before}")


def bakes(document: doc.Document, findings: Findings) -> None:
    """What is over has an end that can come, and what is done in time has a time."""
    for path, section in sections(document):
        timed = isinstance(section, ro.Bake | ro.Approve)
        if timed and section.has("on_timeout") and not section.has("timeout"):
            findings.wrong((*path, "on_timeout"), "needs timeout beside it: without one it never comes", at_key=True)
        if isinstance(section, ro.Bake):
            _bake(path, section, findings)
    for path, _, rollout in rollouts(document):
        checks = rollout.checks
        for index, stage in enumerate(rollout.stages or ()):
            wanted = stage.bake is not None and (stage.bake.evidence == "not_worse" or stage.bake.early)
            if wanted and checks is not None and not any(_shows(check) for check in checks):
                key = "early" if stage.bake is not None and stage.bake.early else "evidence"
                right = "needs an enforced check that can show it: error_rate, client_error_rate or a latency"
                findings.wrong((*path, "stages", index, "bake", key), right)


def _bake(path: Path, bake: ro.Bake, findings: Findings) -> None:
    seconds = getattr(bake, "for")
    if not any(bake.has(key) for key in ("for", "requests", "evidence")) and not findings.blames_below(path):
        findings.wrong(path, "ends at once: write for, requests or evidence", at_key=True)
    if bake.timeout is not None and seconds is not None and bake.timeout <= seconds:
        findings.wrong((*path, "timeout"), f"comes before the bake is over ({render_duration(seconds)}): write more")
    if bake.early and not seconds:
        findings.wrong((*path, "early"), "needs a time beside it that it can shorten: write for")


def _shows(check: ro.Check) -> bool:
    """Whether a check can show that the candidate is not worse."""
    return check.check in MEASURED and check.mode != r.OBSERVE


def users(document: doc.Document, findings: Findings) -> None:
    """Who is chosen is told by one thing; what holds users with the candidate lasts until it can be renewed."""
    for path, section in sections(document):
        if isinstance(section, ro.Match) and not findings.blames_below(path):
            written = len(section.model_fields_set)
            if written != 1:
                findings.wrong(path, "write either header or cookie" + (", not both" if written else ""))
        if isinstance(section, ro.BlueGreen) and section.preview == ():
            findings.wrong((*path, "preview"), "is empty: write who sees the candidate before the switch")
    for path, _, rollout in rollouts(document):
        if rollout.lease is not None and rollout.lease < LEAST_LEASE:
            findings.wrong((*path, "lease"), f"is too short to be renewed: write at least {LEAST_LEASE:g}s")
        if rollout.watch is not None and rollout.supervise != "required":
            findings.wrong((*path, "watch"), "has no effect: write supervise: required beside it", at_key=True)
