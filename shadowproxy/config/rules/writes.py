"""Rules about copies of requests that write: no order that contradicts itself, and no surprise for the candidate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shadowproxy.config import document as doc
from shadowproxy.config.build import shadowing, shadowing_of
from shadowproxy.config.findings import Findings
from shadowproxy.config.problems import Path
from shadowproxy.model import policy as p
from shadowproxy.model.terms import MIRRORED_ARMS, OTHER, SAFE_METHODS

_NAMED: Final = 5
"""Routes that one warning names; the others are counted."""


def contradictions(document: doc.Document, findings: Findings) -> None:
    """`never` does not stand beside a method that writes, nor `allow` in a route that no such method reaches."""
    for _, path, service in document.named():
        _contradiction((*path, "shadow"), service.shadow, findings)
        for index, route in enumerate(service.routes or ()):
            at: Path = (*path, "routes", index)
            _contradiction((*at, "shadow"), route.shadow, findings)
            only = route.match.methods if route.match is not None else None
            if route.shadow is not None and route.shadow.writes == "allow" and only and not _writes(only):
                right = f"no write gets here: match.methods is {', '.join(only)} alone: add one there, or delete this"
                findings.wrong((*at, "shadow", "writes"), right)


def _contradiction(path: Path, shadow: doc.RouteShadow | None, findings: Findings) -> None:
    if shadow is None or shadow.writes != "never":
        return
    for index, method in enumerate(shadow.methods or ()):
        if method not in SAFE_METHODS:
            right = f"{method} writes, and writes beside it says never: write allow there, or delete {method} here"
            findings.wrong((*path, "methods", index), right)


def for_real(document: doc.Document, findings: Findings) -> None:
    """A warning where nothing but `X-Shadow-Request` tells an arm that the write it gets is a copy."""
    for _, path, service in document.named():
        upstreams = service.upstreams
        arms = [arm for arm in MIRRORED_ARMS if upstreams is not None and getattr(upstreams, arm) is not None]
        warned: dict[tuple[Path, str], list[str]] = {}
        for name, at, shadow, methods in _routes(path, service):
            if shadow.sample and _writes(methods):
                bare = [arm for arm in arms if not _is_changed(shadow.headers.get(arm))]
                if bare:
                    warned.setdefault((at, " and the ".join(bare)), []).append(name)
        for (at, bare_arms), names in warned.items():
            listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
            findings.warn(
                at,
                f"writes of {listed} are mirrored, and the {bare_arms} will execute them for real: "
                "set a sandbox header (headers) or accept that",
            )


def _routes(path: Path, service: doc.Service) -> Iterator[tuple[str, Path, p.ShadowPolicy, tuple[str, ...]]]:
    """Each route with the place that says which methods it mirrors, its mirroring, and those that can occur."""
    base = shadowing(p.ShadowPolicy(), service.shadow)
    of_service = (*path, "shadow", _key(service.shadow))
    for index, route in enumerate(service.routes or ()):
        shadow = shadowing_of(service, route, base)
        only = route.match.methods if route.match is not None else None
        methods = shadow.methods if only is None else tuple(method for method in shadow.methods if method in only)
        key = _key(route.shadow)
        yield route.name or OTHER, (*path, "routes", index, "shadow", key) if key else of_service, shadow, methods
    yield OTHER, of_service, base, base.methods


def _key(shadow: doc.RouteShadow | None) -> str:
    """Which key says what is done with writes."""
    written = shadow.model_fields_set if shadow is not None else ()
    return next((key for key in ("writes", "methods") if key in written), "")


def _writes(methods: tuple[str, ...]) -> bool:
    return any(method not in SAFE_METHODS for method in methods)


def _is_changed(rules: p.HeaderRules | None) -> bool:
    return rules is not None and bool(rules.set or rules.remove)
