"""Templates become routes: a new policy with a counter row, the rules of `other`, and a name for each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from shadowproxy.model.policy import Policy, Registry, RoutePolicy, ServicePolicy
from shadowproxy.model.terms import LEARNED

RESERVED_ROWS: Final = 128
"""Counter rows that templates leave to the routes of a later configuration."""

Templates = Mapping[str, Iterable[str]]
"""By service, in the order in which they are to get a place."""


def with_templates(
    policy: Policy, registry: Registry, templates: Templates, origin: str, rows: int
) -> tuple[Policy, Registry, dict[str, int]]:
    """`policy` with these routes as well, the registry grown by their rows, and how many found no place, by service.

    `rows` are all that there are. A service that is not there, or that does not learn what was learned, gets none;
    a template that has a route already is no second one. Both arguments stay as they are.
    """
    grown = msgspec.structs.replace(registry, services=dict(registry.services), routes=dict(registry.routes))
    left_out: dict[str, int] = {}
    services = []
    for service in policy.services:
        wanted = templates.get(service.name, ()) if service.endpoints.learn or origin != LEARNED else ()
        known = {route.name for route in service.routes}
        fresh = [name for name in dict.fromkeys(wanted) if name not in known]
        room = service.endpoints.max - len(service.templates)
        added: list[RoutePolicy] = []
        for name in fresh:
            has_row = f"{service.name}\n{name}" in grown.routes or len(grown.routes) < rows - RESERVED_ROWS
            if len(added) < room and has_row:
                added.append(_route(service, name, grown.route(service.name, name), origin))
        if len(added) < len(fresh):
            left_out[service.name] = len(fresh) - len(added)
        services.append(msgspec.structs.replace(service, routes=(*service.routes, *added)) if added else service)
    return msgspec.structs.replace(policy, services=tuple(services)), grown, left_out


def _route(service: ServicePolicy, name: str, row: int, origin: str) -> RoutePolicy:
    return msgspec.structs.replace(service.other, name=name, index=row, path=name, origin=origin)


def learned(policy: Policy) -> dict[str, list[str]]:
    """The learned templates of every service that has some."""
    found = {
        service.name: [route.name for route in service.routes if route.origin == LEARNED] for service in policy.services
    }
    return {service: names for service, names in found.items() if names}
