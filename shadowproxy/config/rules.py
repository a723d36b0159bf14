"""What must hold between values that are each fine by themselves. One function a rule; `RULES` lists them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from shadowproxy.config import document as doc
from shadowproxy.config.addresses import is_loopback, overlap
from shadowproxy.config.build import fill, shadowing
from shadowproxy.config.certificates import identity_problem, unreadable
from shadowproxy.config.findings import Findings
from shadowproxy.config.matching import path_takes_all, prefix_takes_all, takes_all
from shadowproxy.config.problems import Path
from shadowproxy.config.units import render_size
from shadowproxy.model import policy as p
from shadowproxy.model.terms import ARMS, MIRRORED_ARMS, OTHER

Rule = Callable[[doc.Document, Findings], None]


def sections(section: doc.Section, path: Path = ()) -> Iterator[tuple[Path, doc.Section]]:
    """A section and every section in it, with their paths."""
    yield path, section
    for name in section.model_fields_set:
        value = getattr(section, name)
        items: Any = ()
        if isinstance(value, doc.Section):
            items = [((), value)]
        elif isinstance(value, tuple):
            items = [((index,), item) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            items = [((key,), item) for key, item in value.items()]
        for step, item in items:
            if isinstance(item, doc.Section):
                yield from sections(item, (*path, name, *step))


def needed_keys(document: doc.Document, findings: Findings) -> None:
    for path, section in sections(document):
        for name in section.needs:
            if not section.has(name):
                findings.lacks(path, name, f"{name} is missing: {doc.meaning(type(section), name)}")


def services_or_one(document: doc.Document, findings: Findings) -> None:
    """Either `services`, or the keys of one service at the top level."""
    if document.services is None:
        if not document.has("upstreams"):
            message = "there is nothing to serve: write upstreams.primary.urls, or services, or use --primary URL"
            findings.lacks((), "upstreams", message) if not findings.is_blamed(("services",)) else None
        return
    for name in (*doc.SERVICE_KEYS, "service"):
        if document.has(name):
            findings.wrong((name,), "stands beside services: write it into one of them", at_key=True)
    if not document.services:
        findings.wrong(("services",), "has no service: write a name and below it upstreams.primary.urls")
    for name, service in document.services.items():
        if not service.has("upstreams"):
            findings.lacks(("services", name), "upstreams", "upstreams is missing: write upstreams.primary.urls")


def listeners(document: doc.Document, findings: Findings) -> None:
    """No two listeners on one address."""
    taken: list[tuple[Path, p.Bind]] = []
    launch = p.Launch()
    if document.listen is not None:
        taken += [(("listen", index), bind) for index, bind in enumerate(document.listen)]
        if not document.listen:
            findings.wrong(("listen",), "is empty: write at least one address, such as 127.0.0.1:8080")
    else:
        taken += [(("listen",), bind) for bind in launch.listen]
    admin, probe = document.admin and document.admin.listen, document.probe and document.probe.listen
    taken.append((("admin", "listen"), admin or launch.admin.bind))
    taken.append((("probe", "listen"), probe or launch.probe))
    if document.metrics is not None and document.metrics.listen is not None:
        taken.append((("metrics", "listen"), document.metrics.listen))
    for index, (path, bind) in enumerate(taken):
        for earlier, other in taken[:index]:
            if overlap(bind, other):
                shown, said = (path, earlier) if findings.stands(path) or not findings.stands(earlier) else (earlier, path)
                findings.wrong(shown, f"is the address of {findings.name(said)} as well: write another one")


def certificates(document: doc.Document, findings: Findings) -> None:
    """Certificates that are there, readable, and belong to their keys."""
    for path, section in sections(document):
        if isinstance(section, doc.ClientCertificates):
            if section.client_required is not None and section.client_ca is None:
                findings.wrong((*path, "client_required"), "needs client_ca beside it: who signs the clients' certificates")
            _identity(path, section.cert, section.key, section.client_ca, "client_ca", findings)
        elif isinstance(section, doc.UpstreamTls):
            for one, other in (("cert", "key"), ("key", "cert")):
                if section.has(one) and not section.has(other):
                    findings.wrong((*path, one), f"needs {other} beside it")
            if section.verify is False and section.ca is not None:
                findings.wrong((*path, "ca"), "is not used while verify is false: delete one of them")
            _identity(path, section.cert, section.key, section.ca, "ca", findings)


def _identity(path: Path, cert: str | None, key: str | None, ca: str | None, ca_name: str, findings: Findings) -> None:
    readable = True
    for name, file in (("cert", cert), ("key", key), (ca_name, ca)):
        why = unreadable(findings.base / file) if file is not None else None
        if why is not None:
            readable = False
            findings.wrong((*path, name), why)
    if readable:
        pair = (findings.base / cert, findings.base / key) if cert is not None and key is not None else None
        found = identity_problem(pair, findings.base / ca if ca is not None else None)
        if found is not None:
            findings.wrong((*path, ca_name if found.in_ca else "cert"), found.message)


def tls_where_it_works(document: doc.Document, findings: Findings) -> None:
    if document.tls is not None and not document.tls:
        findings.wrong(("tls",), "is empty: write cert and key, or delete it")
    unix = [index for index, bind in enumerate(document.listen or ()) if bind.unix]
    if document.tls and unix:
        findings.wrong(("listen", unix[0]), "tls is not spoken on a Unix socket: delete tls, or listen on host:port")
    admin = document.admin
    if admin is not None and admin.tls is not None and admin.listen is not None and admin.listen.unix:
        findings.wrong(("admin", "tls"), "tls is not spoken on a Unix socket: delete it, or listen on host:port", at_key=True)
    names: dict[str, int] = {}
    for index, certificate in enumerate(document.tls or ()):
        for at, name in enumerate(certificate.names or ()):
            if names.setdefault(name, index) != index or (certificate.names or ()).index(name) != at:
                findings.wrong(("tls", index, "names", at), "has a certificate already: delete the name here")
        if index and not certificate.names:
            findings.lacks(("tls", index), "names", "names is missing: only the first certificate serves without them")
    for arm_path, upstream in _upstreams(document):
        if upstream.tls is not None and upstream.urls and all(url.scheme != "https" for url in upstream.urls):
            findings.wrong((*arm_path, "tls"), "no URL here begins with https://: change the URLs, or delete it", at_key=True)


def admin_access(document: doc.Document, findings: Findings) -> None:
    """An admin listener that others can reach asks who they are."""
    admin = document.admin
    if admin is None:
        return
    _once(("admin", "tokens"), "name", [token.name for token in admin.tokens or ()], "the name", findings)
    _once(("admin", "tokens"), "token", [token.token for token in admin.tokens or ()], "the token", findings)
    if admin.listen is None or is_loopback(admin.listen):
        return
    tls = admin.tls
    asks_certificates = tls is not None and tls.client_ca is not None and tls.client_required is not False
    if not admin.tokens and not asks_certificates:
        message = "can be reached from elsewhere: add admin.tokens or admin.tls.client_ca, or listen on 127.0.0.1"
        if not findings.is_blamed(("admin", "tokens")) and not findings.is_blamed(("admin", "tls")):
            findings.wrong(("admin", "listen"), message)
    elif tls is None:
        findings.warn(("admin", "listen"), "tokens cross the network in the clear: add admin.tls")


def _once(path: Path, key: str, values: list[str | None], what: str, findings: Findings) -> None:
    first: dict[str, int] = {}
    for index, value in enumerate(values):
        if value is not None and first.setdefault(value, index) != index:
            findings.wrong((*path, index, key), f"is {what} of item {first[value] + 1} as well: write another one")


def _upstreams(document: doc.Document) -> Iterator[tuple[Path, doc.Upstream]]:
    for _, path, service in document.named():
        for arm in ARMS:
            upstream = getattr(service.upstreams, arm) if service.upstreams is not None else None
            if upstream is not None:
                yield (*path, "upstreams", arm), upstream


def upstream_urls(document: doc.Document, findings: Findings) -> None:
    for path, upstream in _upstreams(document):
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
        holders: list[tuple[Path, doc.Service | doc.Route]] = [(path, service)]
        holders += [((*path, "routes", index), route) for index, route in enumerate(service.routes or ())]
        for at, holder in holders:
            for name in ("shadow", "compare"):
                if holder.has(name) and not arms:
                    findings.wrong((*at, name), "needs upstreams.candidate: without it nothing is mirrored", at_key=True)
            headers = holder.shadow.headers if holder.shadow is not None else None
            for arm in headers.model_fields_set if headers is not None else ():
                if arm not in arms:
                    findings.wrong((*at, "shadow", "headers", arm), f"needs upstreams.{arm}: there is none", at_key=True)


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
        findings.wrong(("limits", name), f"line ({render_size(limits.line)}) is more than head ({render_size(limits.head)})")
    for path, upstream in _upstreams(document):
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


def services_reachable(document: doc.Document, findings: Findings) -> None:
    """No service that an earlier one hides: the first that matches takes the request."""
    earlier: list[tuple[str, p.ServicePolicy]] = []
    for name, path, service in document.named():
        match = fill(p.ServicePolicy(name, 0, {}), service.match)
        for other, before in earlier:
            if before.host in {None, match.host} and prefix_takes_all(before.path, match.path):
                findings.wrong(path, f"is never reached: {other} matches all of it before: move it up, or narrow {other}", at_key=True)
                break
        earlier.append((name, match))


def routes_reachable(document: doc.Document, findings: Findings) -> None:
    """No route that cannot match: taken by an earlier one, or outside of its service."""
    for name, path, service in document.named():
        outer = fill(p.ServicePolicy(name, 0, {}), service.match)
        _once((*path, "routes"), "name", [route.name for route in service.routes or ()], "the name", findings)
        earlier: list[p.RoutePolicy] = []
        for index, route in enumerate(service.routes or ()):
            at = (*path, "routes", index)
            if route.name == OTHER:
                findings.wrong((*at, "name"), "stands for requests that match no route: write another name")
            if findings.is_blamed((*at, "match", "path")) or findings.is_blamed((*at, "match", "methods")):
                continue
            if findings.is_blamed((*at, "match", "host")):
                continue
            match = fill(p.RoutePolicy(route.name or OTHER, 0), route.match)
            _route_in_service(at, match, outer, findings)
            for before in earlier:
                if takes_all(before, match):
                    findings.wrong(at, f"is never reached: {before.name} matches all of it before: move it up, or narrow {before.name}")
                    break
            earlier.append(match)


def _route_in_service(at: Path, match: p.RoutePolicy, service: p.ServicePolicy, findings: Findings) -> None:
    if match.host is not None and service.host not in {None, match.host}:
        findings.wrong((*at, "match", "host"), f"is never reached: the service takes {service.host} alone")
    if match.path is not None and service.path != "/":
        inside = "/".join(match.path.split("/")[: service.path.count("/") + 1])
        if not path_takes_all(inside, service.path) and not inside.endswith("*"):
            findings.wrong((*at, "match", "path"), f"is never reached: the service takes what begins with {service.path}")
    if match.methods is not None and not match.methods:
        findings.wrong((*at, "match", "methods"), "is empty: write at least one method, or delete it for all")


RULES: Final[tuple[Rule, ...]] = (
    needed_keys,
    services_or_one,
    listeners,
    certificates,
    tls_where_it_works,
    admin_access,
    upstream_urls,
    mirrors,
    header_rules,
    sizes,
    services_reachable,
    routes_reachable,
)
