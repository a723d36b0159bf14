"""Routes that nobody configured, learned from the whole recording before it is played: every request has its own."""

from __future__ import annotations

from typing import Final

import msgspec

from shadowproxy.endpoints.learner import PATIENCE, Learner
from shadowproxy.endpoints.routes import with_templates
from shadowproxy.metrics.layout import MAX_ROUTES
from shadowproxy.model.policy import Loaded
from shadowproxy.model.terms import LEARNED
from shadowproxy.replay.recording import Recording

MOST: Final = 50_000
"""Requests that are looked at, evenly over the recording."""


def with_learned(loaded: Loaded, recording: Recording) -> Loaded:
    """`loaded`, whose policy has one service, with the routes that its recorded requests show."""
    (service,) = loaded.policy.services
    if not service.learns:
        return loaded
    learner = Learner()
    for path in recording.paths(MOST):
        learner.see(path, 0.0)
    templates = {service.name: learner.ready(PATIENCE)}
    policy, registry, _ = with_templates(loaded.policy, loaded.registry, templates, LEARNED, MAX_ROUTES)
    return msgspec.structs.replace(loaded, policy=policy, registry=registry)
