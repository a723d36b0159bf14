"""Rules about matching: every service and every route can get a request. The first that matches takes it."""

from __future__ import annotations

from shadowproxy.config import document as doc
from shadowproxy.config.findings import Findings
from shadowproxy.config.matching import host_takes_all, hosts_meet, prefix_takes_all, reaches_into, takes_all
from shadowproxy.config.problems import Path
from shadowproxy.config.rules.common import once
from shadowproxy.config.section import fill
from shadowproxy.model import policy as p
from shadowproxy.model.terms import OTHER


def services(document: doc.Document, findings: Findings) -> None:
    """No service that an earlier one hides."""
    earlier: list[p.ServicePolicy] = []
    for name, path, service in document.named():
        if findings.is_blamed((*path, "match", "host")) or findings.is_blamed((*path, "match", "path")):
            continue
        match = fill(p.ServicePolicy(name, 0, {}), service.match)
        for before in earlier:
            if host_takes_all(before.host, match.host) and prefix_takes_all(before.path, match.path):
                findings.wrong(path, _hidden_by(before.name), at_key=True)
                break
        earlier.append(match)


def routes(document: doc.Document, findings: Findings) -> None:
    """No route that an earlier one hides or that lies outside of its service."""
    for name, path, service in document.named():
        outer = fill(p.ServicePolicy(name, 0, {}), service.match)
        once((*path, "routes"), "name", [route.name for route in service.routes or ()], "the name", findings)
        earlier: list[p.RoutePolicy] = []
        for index, route in enumerate(service.routes or ()):
            at: Path = (*path, "routes", index)
            if route.name == OTHER:
                findings.wrong((*at, "name"), "stands for requests that match no route: write another name")
            if any(findings.is_blamed((*at, "match", key)) for key in ("path", "methods", "host")):
                continue
            match = fill(p.RoutePolicy(route.name or "", 0), route.match)
            _inside(at, match, outer, findings)
            hiding = next((before.name for before in earlier if takes_all(before, match)), None)
            if hiding is not None:
                findings.wrong(at, _hidden_by(hiding))
            earlier.append(match)


def _hidden_by(name: str) -> str:
    return f"is never reached: {name} takes all of it before: move it up, or narrow {name}"


def _inside(at: Path, match: p.RoutePolicy, service: p.ServicePolicy, findings: Findings) -> None:
    if match.methods is not None and not match.methods:
        findings.wrong((*at, "match", "methods"), "is empty: write at least one method, or delete it for all")
    if not hosts_meet(match.host, service.host):
        right = f"is never reached: its service takes {service.host} alone"
        findings.wrong((*at, "match", "host"), right)
    if match.path is not None and not reaches_into(match.path, service.path):
        right = f"is never reached: its service takes what begins with {service.path}"
        findings.wrong((*at, "match", "path"), right)
