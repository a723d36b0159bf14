"""Rules about services: what must be there, and options that could have no effect."""

from __future__ import annotations

import os
from pathlib import Path as FilePath
from typing import Final

from shadowproxy.capture.naming import age_of
from shadowproxy.config import document as doc
from shadowproxy.config.build import shadowing, shadows_flags
from shadowproxy.config.findings import Findings
from shadowproxy.config.outline import meaning
from shadowproxy.config.problems import Path
from shadowproxy.config.rules.common import sections, upstreams
from shadowproxy.config.section import fill
from shadowproxy.config.units import render_size
from shadowproxy.model import policy as p
from shadowproxy.model.terms import CANDIDATE, MIRRORED_ARMS

RECORDING: Final = ("shadow", "compare")
"""Sections that a recording uses as well: how much of a body is kept, and what is masked."""


def needed_keys(document: doc.Document, findings: Findings) -> None:
    """Every section has the keys that it needs."""
    for path, section in sections(document):
        for name in section.needs:
            if not section.has(name):
                findings.lacks(path, name, f"is missing: {meaning(type(section), name)}")


def services_or_one(document: doc.Document, findings: Findings) -> None:
    """Either `services`, or the keys of one service at the top level."""
    if document.services is None:
        if not document.has("upstreams") and not findings.is_blamed(("services",)):
            message = "there is nothing to serve: write upstreams.primary.urls, or services, or use --primary URL"
            findings.lacks((), "upstreams", message)
        return
    for name in (*doc.SERVICE_KEYS, "service"):
        if document.has(name):
            findings.wrong((name,), "stands beside services: write it into one of them", at_key=True)
    if not document.services and not findings.blames_below(("services",)):
        findings.wrong(("services",), "has no service: write a name and below it upstreams.primary.urls")
    for name, service in document.services.items():
        if not service.has("upstreams"):
            findings.lacks(("services", name), "upstreams", "is missing: write upstreams.primary.urls")


def upstream_urls(document: doc.Document, findings: Findings) -> None:
    """Every upstream has URLs, each once."""
    for path, upstream in upstreams(document):
        if upstream.urls is not None and not upstream.urls:
            findings.wrong((*path, "urls"), "is empty: write at least one URL, such as http://127.0.0.1:8000")
        seen: set[p.Endpoint] = set()
        for index, url in enumerate(upstream.urls or ()):
            if url in seen:
                findings.wrong((*path, "urls", index), "stands twice in the list: delete one")
            seen.add(url)
        if upstream.tls is not None and upstream.tls.verify is False:
            findings.warn((*path, "tls", "verify"), "anyone on the way can pose as this upstream")


def mirrors(document: doc.Document, findings: Findings) -> None:
    """No rules for an arm that is not there."""
    for _, path, service in document.named():
        upstreams = service.upstreams
        arms = [arm for arm in MIRRORED_ARMS if upstreams is not None and getattr(upstreams, arm) is not None]
        arms += [arm for arm in MIRRORED_ARMS if findings.is_blamed((*path, "upstreams", arm))]
        if shadows_flags(service) and CANDIDATE not in arms:
            arms.append(CANDIDATE)  # the primary's own instances
        holders: list[tuple[Path, doc.Service | doc.Route]] = [(path, service)]
        holders += [((*path, "routes", index), route) for index, route in enumerate(service.routes or ())]
        for at, holder in holders:
            for name in ("shadow", "compare", "isolation", "noise", "version", "accepted"):
                recorded = service.has("capture") and name in RECORDING
                if holder.has(name) and not arms and not recorded:
                    findings.wrong(
                        (*at, name), "needs upstreams.candidate: without it nothing is mirrored", at_key=True
                    )
            headers = holder.shadow.headers if holder.shadow is not None else None
            for arm in headers.model_fields_set if headers is not None else ():
                if arm not in arms:
                    findings.wrong(
                        (*at, "shadow", "headers", arm), f"needs upstreams.{arm}: there is none", at_key=True
                    )


def captures(document: doc.Document, findings: Findings) -> None:
    """No two services write one file, or one that the other would make of its own when it rotates."""
    seen: list[tuple[FilePath, str]] = []
    for name, path, service in document.named():
        if service.capture is None or service.capture.path is None:
            continue
        mine = FilePath(os.path.normpath(findings.base / service.capture.path))
        if mine.is_dir():
            findings.wrong((*path, "capture", "path"), "is a directory: write the path of a file, such as shop.gor")
        for other, owner in seen:
            if mine == other or age_of(mine, other) or age_of(other, mine):
                right = f"is a file of the service {owner} as well: write another one"
                findings.wrong((*path, "capture", "path"), right)
        seen.append((mine, name))


def noise(document: doc.Document, findings: Findings) -> None:
    """One source of second answers, and one of versions."""
    for _, path, service in document.named():
        secondary = service.upstreams is not None and service.upstreams.secondary is not None
        if service.noise is not None and service.noise.resample and secondary:
            findings.wrong(
                (*path, "noise", "resample"), "has no effect beside upstreams.secondary: delete one", at_key=True
            )
        if service.version is not None:
            named = sorted(service.version.model_fields_set)
            if len(named) > 1:
                findings.wrong((*path, "version"), f"has {' and '.join(named)}: keep one of them", at_key=True)


def endpoints(document: doc.Document, findings: Findings) -> None:
    """No bound for templates where none can be."""
    for _, path, service in document.named():
        section = service.endpoints
        if section is not None and section.learn is False and section.max is not None and section.openapi is None:
            at = (*path, "endpoints", "max")
            if not findings.is_blamed((*path, "endpoints", "openapi")):
                findings.wrong(at, "bounds nothing: there is no openapi, and learn is false: delete it")


def header_rules(document: doc.Document, findings: Findings) -> None:
    """A field is named once: names differ in more than their case."""
    for path, section in sections(document):
        if isinstance(section, doc.HeaderRules):
            seen: set[str] = set()
            for name in section.set or {}:
                if name.lower() in seen:
                    findings.wrong((*path, "set", name), "is set twice (case does not matter): keep one", at_key=True)
                seen.add(name.lower())
            for index, name in enumerate(section.remove or ()):
                if name.lower() in seen:
                    findings.wrong((*path, "remove", index), "is set as well, which removes it first: delete one")


def sizes(document: doc.Document, findings: Findings) -> None:
    """No limit that another one makes unreachable."""
    limits = fill(p.LimitsPolicy(), document.limits)
    if limits.line > limits.head:
        name = "line" if document.limits is not None and document.limits.line is not None else "head"
        findings.wrong(
            ("limits", name),
            f"line ({render_size(limits.line)}) is more than head ({render_size(limits.head)}): make it less",
        )
    for path, upstream in upstreams(document):
        if upstream.health is not None:
            health = fill(p.HealthPolicy(), upstream.health)
            if health.timeout > health.interval:
                findings.wrong((*path, "health"), "timeout is longer than interval: make one check end before the next")
    for _, path, service in document.named():
        shadow = shadowing(p.ShadowPolicy(), service.shadow)
        _copies_fit((*path, "shadow"), shadow, findings)
        for index, route in enumerate(service.routes or ()):
            if route.shadow is not None and not findings.is_blamed((*path, "shadow", "max_body")):
                _copies_fit((*path, "routes", index, "shadow"), shadowing(shadow, route.shadow), findings)


def _copies_fit(path: Path, shadow: p.ShadowPolicy, findings: Findings) -> None:
    for name in ("max_body", "max_response"):
        if getattr(shadow, name) > shadow.max_bytes:
            right = f"is more than max_bytes ({render_size(shadow.max_bytes)}): such a copy would never be held"
            findings.wrong((*path, name), right)
