"""What must hold between values that are each fine by themselves. One function a rule; `RULES` lists them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from shadowproxy.config.document import Document
from shadowproxy.config.findings import Findings
from shadowproxy.config.rules import checks, edge, flags, freeze, reachable, rollout, service, writes

Rule = Callable[[Document, Findings], None]

RULES: Final[tuple[Rule, ...]] = (
    service.needed_keys,
    service.services_or_one,
    edge.listeners,
    edge.no_circle,
    edge.files,
    edge.certificates,
    edge.tls_where_it_works,
    edge.admin_access,
    service.upstream_urls,
    service.mirrors,
    service.captures,
    service.noise,
    service.endpoints,
    service.header_rules,
    service.sizes,
    reachable.services,
    reachable.routes,
    writes.contradictions,
    writes.for_real,
    rollout.stages,
    rollout.weights,
    rollout.bakes,
    rollout.users,
    rollout.flags,
    checks.checks,
    freeze.windows,
    flags.sections,
)
