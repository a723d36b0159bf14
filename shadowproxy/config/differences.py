"""What a policy or a launch needs from outside, and what a reload cannot change."""

from __future__ import annotations

from typing import Any, Final

from shadowproxy.config.addresses import is_ip
from shadowproxy.model.policy import Launch, Policy

RESTART: Final = {
    "listen": "listen",
    "workers": "workers",
    "comparers": "comparers",
    "data_dir": "data_dir",
    "drain_delay": "drain.delay",
    "drain_timeout": "drain.timeout",
    "admin.bind": "admin.listen",
    "admin.tokens": "admin.tokens",
    "admin.hosts": "admin.hosts",
    "admin.cert": "admin.tls",
    "probe": "probe.listen",
    "metrics": "metrics.listen",
    "store.max_examples": "store.max_examples",
    "store.max_bytes": "store.max_bytes",
    "store.max_age": "store.max_age",
    "log_format": "log.format",
}
"""Every field of `Launch` but the file's own path, and the key that it is written under."""


def restart_keys(old: Launch, new: Launch) -> list[str]:
    """The keys, as written in the file, in which `new` differs from `old` and which take a restart."""
    return [key for field, key in RESTART.items() if _get(old, field) != _get(new, field)]


def _get(value: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        value = getattr(value, name)
    return value


def host_names(policy: Policy) -> set[str]:
    """The names, not IP literals, of upstreams: they have to be resolved. Health checks go to the same addresses."""
    endpoints = (
        endpoint
        for service in policy.services
        for upstream in service.upstreams.values()
        for endpoint in upstream.endpoints
    )
    return {endpoint.host for endpoint in endpoints if not endpoint.unix and not is_ip(endpoint.host)}
