"""What control learns of endpoints that nobody configured: from paths in `other` to templates for the supervisor.

The policy in force is the truth about what is published: proposals become part of it or do not, and a service that is
no longer there, or that learns no more, takes what was learned of it along.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from shadowproxy.endpoints.learner import Learner
from shadowproxy.endpoints.routes import learned
from shadowproxy.model.commands import Paths, Templates
from shadowproxy.model.policy import Policy, ServicePolicy

PROPOSE_EVERY: Final = 2.0
AGE_EVERY: Final = 3600.0
"""Seconds in which half of what was seen is forgotten: an endpoint asked for ten times an hour is still learned."""

log = logging.getLogger(__name__)


class _Service:
    def __init__(self, published: Iterable[str]) -> None:
        self.learner = Learner(published)
        self.proposed: set[str] = set()
        self.room = 0
        self.is_full = False


class Learning:
    """`hear` paths, `propose` what they come to, `apply` what was put in force. Times are CLOCK_MONOTONIC, seconds."""

    def __init__(self, policy: Policy, now: float) -> None:
        self._services: dict[str, _Service] = {}
        self._age_at = now + AGE_EVERY
        self.apply(policy)

    def apply(self, policy: Policy) -> None:
        published = learned(policy)
        self._services = {
            service.name: self._adapted(service, published.get(service.name, []))
            for service in policy.services
            if service.endpoints.learn
        }

    def _adapted(self, policy: ServicePolicy, published: list[str]) -> _Service:
        service = self._services.get(policy.name)
        if service is None or not service.learner.published <= set(published):
            service = _Service(published)
        service.learner.publish(published)
        service.proposed.difference_update(published)
        service.room = policy.endpoints.max - len(policy.templates)
        return service

    def hear(self, paths: Paths, now: float) -> None:
        for name, path in paths.seen:
            service = self._services.get(name)
            if service is not None:
                service.learner.see(path, now)

    def propose(self, now: float) -> Templates | None:
        """What is ready and was not proposed yet, as far as there is room for it."""
        if now >= self._age_at:
            self._age_at = now + AGE_EVERY
            for service in self._services.values():
                service.learner.age()
        found = {name: self._ready(name, service, now) for name, service in self._services.items()}
        found = {name: templates for name, templates in found.items() if templates}
        return Templates(found) if found else None

    def _ready(self, name: str, service: _Service, now: float) -> tuple[str, ...]:
        ready = [template for template in service.learner.ready(now) if template not in service.proposed]
        room = max(0, service.room - len(service.proposed))
        if len(ready) > room and not service.is_full:
            service.is_full = True
            log.warning("service %s has as many templates as it may have; endpoints beyond stay in `other`", name)
        chosen = ready[:room]
        service.proposed.update(chosen)
        return tuple(chosen)
