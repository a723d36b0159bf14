"""A valid document → what the processes run on. Defaults are the policy's own: only written keys replace them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath

import msgspec

from shadowproxy.config import document as doc
from shadowproxy.config.accepted import AcceptedDifferences
from shadowproxy.config.flags import Flags, flags_of
from shadowproxy.config.planning import freezes, plan_of
from shadowproxy.config.section import fill
from shadowproxy.config.values import Relative
from shadowproxy.model import policy as p
from shadowproxy.model.flags import FlagsPolicy
from shadowproxy.model.terms import ARMS, CANDIDATE, OTHER, PRIMARY, SAFE_METHODS, WRITE_METHODS


class Builder:
    """Builds the values of one document. Relative paths are relative to `base`; `registry` gets the rows.

    `accepted` are the accepted differences by service.
    """

    def __init__(
        self, document: doc.Document, base: FilePath, registry: p.Registry, accepted: Mapping[str, AcceptedDifferences]
    ) -> None:
        self._accepted = accepted
        self._document = document
        self._base = base
        self._registry = registry

    def located(self, path: str) -> str:
        """An absolute path from one that may be relative to the file. Links stay: they are how mounted files change."""
        return str(self._base / path)

    def launch(self, config_path: str, processors: int) -> p.Launch:
        document = self._document
        changes: dict[str, object] = {
            "data_dir": str(FilePath(p.Launch().data_dir).absolute())
            if document.data_dir is None
            else self.located(document.data_dir),
            "config_path": config_path,
            "admin": self._admin(),
            "store": fill(p.StorePolicy(), document.store),
        }
        if document.listen is not None:
            changes["listen"] = tuple(self._bind(bind) for bind in document.listen)
        if document.workers is not None:
            changes["workers"] = processors if document.workers == "auto" else document.workers
        if document.comparers is not None:
            changes["comparers"] = document.comparers
        if document.probe is not None and document.probe.listen is not None:
            changes["probe"] = self._bind(document.probe.listen)
        if document.metrics is not None and document.metrics.listen is not None:
            changes["metrics"] = self._bind(document.metrics.listen)
        if document.drain is not None and document.drain.delay is not None:
            changes["drain_delay"] = document.drain.delay
        if document.drain is not None and document.drain.timeout is not None:
            changes["drain_timeout"] = document.drain.timeout
        if document.log is not None and document.log.format is not None:
            changes["log_format"] = document.log.format
        return msgspec.structs.replace(p.Launch(), **changes)

    def policy(self) -> p.Policy:
        document = self._document
        access_log = fill(p.AccessLogPolicy(), document.access_log)
        if access_log.path != p.AccessLogPolicy().path:
            access_log = msgspec.structs.replace(access_log, path=self.located(access_log.path))
        return p.Policy(
            services=tuple(self._service(name, service) for name, _, service in document.named()),
            limits=fill(p.LimitsPolicy(), document.limits),
            timeouts=fill(p.ClientTimeouts(), document.timeouts),
            trusted_proxies=document.trusted_proxies or (),
            proxy_protocol=document.proxy_protocol or False,
            tls=tuple(self._certificate(one) for one in document.tls or ()),
            access_log=access_log,
            freeze=freezes(document),
            flags=None if document.flags is None else self._flags(document.flags),
        )

    def _flags(self, section: Flags) -> FlagsPolicy:
        return flags_of(section, self.located(section.file or ""))

    def _bind(self, bind: p.Bind) -> p.Bind:
        return msgspec.structs.replace(bind, unix=self.located(bind.unix)) if bind.unix else bind

    def _certificate(self, section: doc.ClientCertificates) -> p.CertificatePolicy:
        filled = fill(p.CertificatePolicy("", ""), section)
        client_ca = None if filled.client_ca is None else self.located(filled.client_ca)
        return msgspec.structs.replace(
            filled, cert=self.located(filled.cert), key=self.located(filled.key), client_ca=client_ca
        )

    def _admin(self) -> p.AdminPolicy:
        section = self._document.admin
        if section is None:
            return p.AdminPolicy()
        tokens = tuple(fill(p.TokenPolicy("", "", ""), token) for token in section.tokens or ())
        admin = fill(p.AdminPolicy(), section, tokens=tokens)
        if section.listen is not None:
            admin = msgspec.structs.replace(admin, bind=self._bind(section.listen))
        if section.tls is not None:
            admin = msgspec.structs.replace(admin, cert=self._certificate(section.tls))
        return admin

    def _service(self, name: str, section: doc.Service) -> p.ServicePolicy:
        shadow = shadowing(p.ShadowPolicy(), section.shadow)
        version = versioned(section.version)
        compare = comparing(p.ComparePolicy(by_nature=(version.header,) if version.header else ()), section.compare)
        base = p.RoutePolicy(OTHER, 0, shadow=shadow, compare=compare, expose_flags=section.expose_flags)
        routes = tuple(self._route(name, section, route, base) for route in section.routes or ())
        return fill(
            p.ServicePolicy(name, self._registry.service(name), {}),
            section.match,
            upstreams=self._upstreams(section),
            routes=routes,
            other=msgspec.structs.replace(base, index=self._registry.route(name, OTHER)),
            salt=name,
            shadow=shadow,
            isolation=fill(p.IsolationPolicy(), section.isolation),
            noise=fill(p.NoisePolicy(), section.noise),
            version=version,
            endpoints=self._endpoints(section.endpoints),
            accepted=self._accepted[name].entries,
            accepted_file=self._accepted[name].file,
            capture=None if section.capture is None else self._capture(section.capture),
            rollout=None if section.rollout is None else plan_of(name, section, section.rollout),
            expose_flags=section.expose_flags,
        )

    def _capture(self, section: doc.Capture) -> p.CapturePolicy:
        return fill(p.CapturePolicy(""), section, path=self.located(section.path or ""))

    def _route(self, name: str, service: doc.Service, route: doc.Route, base: p.RoutePolicy) -> p.RoutePolicy:
        """`base` holds the service's rules."""
        row = p.RoutePolicy(route.name or OTHER, self._registry.route(name, route.name or OTHER))
        shadow = shadowing_of(service, route, base.shadow)
        exposed = base.expose_flags if route.expose_flags is None else route.expose_flags
        compare = comparing(base.compare, route.compare)
        return fill(row, route.match, shadow=shadow, compare=compare, expose_flags=exposed)

    def _endpoints(self, section: doc.Endpoints | None) -> p.EndpointsPolicy:
        filled = fill(p.EndpointsPolicy(), section)
        if filled.openapi is None:
            return filled
        return msgspec.structs.replace(filled, openapi=self.located(filled.openapi))

    def _upstreams(self, section: doc.Service) -> dict[str, p.UpstreamPolicy]:
        """Where flags are shadowed and there is no candidate it is the primary's own instances, with other connections.

        Whether those are healthy the primary's finds out.
        """
        written = {arm: getattr(section.upstreams, arm) for arm in ARMS}
        made = {arm: self._upstream(upstream) for arm, upstream in written.items() if upstream is not None}
        if CANDIDATE not in made and shadows_flags(section):
            itself = msgspec.structs.replace(made[PRIMARY], health=None)
            return {PRIMARY: made[PRIMARY], CANDIDATE: itself, **made}
        return made

    def _upstream(self, section: doc.Upstream) -> p.UpstreamPolicy:
        tls = fill(p.UpstreamTls(), section.tls)
        files = {name: getattr(tls, name) for name in ("ca", "cert", "key")}
        located = {name: self.located(path) for name, path in files.items() if path is not None}
        return fill(
            p.UpstreamPolicy(()),
            section,
            endpoints=tuple(self._endpoint(url) for url in section.urls or ()),
            timeouts=fill(p.UpstreamTimeouts(), section.timeouts),
            health=None if section.health is None else fill(p.HealthPolicy(), section.health),
            ejection=fill(p.EjectionPolicy(), section.ejection),
            tls=msgspec.structs.replace(tls, **located),
        )

    def _endpoint(self, endpoint: p.Endpoint) -> p.Endpoint:
        if not endpoint.unix:
            return endpoint
        path = self.located(endpoint.unix)
        return msgspec.structs.replace(endpoint, unix=path, url=f"unix:{path}")


def shadows_flags(service: doc.Service) -> bool:
    """Whether any copy carries other flags than its request."""
    shadows = (service.shadow, *(route.shadow for route in service.routes or ()))
    return any(shadow is not None and shadow.flags for shadow in shadows)


def shadowing(base: p.ShadowPolicy, section: doc.RouteShadow | None) -> p.ShadowPolicy:
    """`base` with what a section says instead: value by value, header rules arm by arm."""
    if section is None:
        return base
    methods = base.methods if section.methods is None else section.methods
    changes: dict[str, object] = {"methods": mirrored_methods(methods, section.writes)}
    if section.headers is not None:
        arms = {arm: getattr(section.headers, arm) for arm in section.headers.model_fields_set}
        changes["headers"] = base.headers | {arm: fill(p.HeaderRules(), rules) for arm, rules in arms.items()}
    if section.flags is not None:
        changes["flags"] = base.flags | section.flags
    if isinstance(section, doc.Shadow) and section.breaker is not None and section.breaker.failures is not None:
        changes["breaker_failures"] = section.breaker.failures
    return fill(base, section, **changes)


def versioned(section: doc.Version | None) -> p.VersionPolicy:
    """Header names are kept in lower case."""
    found = fill(p.VersionPolicy(), section)
    return found if found.header is None else p.VersionPolicy(header=found.header.lower())


def shadowing_of(service: doc.Service, route: doc.Route, base: p.ShadowPolicy) -> p.ShadowPolicy:
    """Mirroring of one route; `base` is its service's. What its service allows holds for the methods it is about."""
    shadow, writes = shadowing(base, route.shadow), writes_of(service, route)
    named = (route.match.methods if route.match is not None else None) or ()
    return msgspec.structs.replace(shadow, writes=writes, methods=mirrored_methods(shadow.methods, writes, named))


def writes_of(service: doc.Service, route: doc.Route) -> str | None:
    """`writes` as it holds for a route. One that lists its methods itself has said what it means."""
    if route.shadow is not None and (route.shadow.writes is not None or route.shadow.methods is not None):
        return route.shadow.writes
    return service.shadow.writes if service.shadow is not None else None


def mirrored_methods(methods: tuple[str, ...], writes: str | None, named: tuple[str, ...] = ()) -> tuple[str, ...]:
    """`methods` with what `writes` adds to them, `named` ones included, or takes away."""
    if writes == "never":
        return tuple(method for method in methods if method in SAFE_METHODS)
    added = (*WRITE_METHODS, *named) if writes == "allow" else ()
    return tuple(dict.fromkeys((*methods, *added)))


def comparing(base: p.ComparePolicy, section: doc.Compare | None) -> p.ComparePolicy:
    """`base` with what a section adds (to lists, and field by field) or says instead (caps)."""
    if section is None:
        return base
    added = {
        name: tuple(dict.fromkeys((*getattr(base, name), *getattr(section, name))))
        for name in ("ignore", "unordered", "redact", "redact_patterns")
        if getattr(section, name) is not None
    }
    near = section.tolerance or {}
    absolute = {path: limit for path, limit in near.items() if not isinstance(limit, Relative)}
    return fill(
        base,
        section,
        **added,
        identity=base.identity | (section.identity or {}),
        tolerance={path: limit for path, limit in base.tolerance.items() if path not in near} | absolute,
        relative_tolerance={path: share for path, share in base.relative_tolerance.items() if path not in near}
        | {path: float(share) for path, share in near.items() if path not in absolute},
    )
