"""What becomes of the splits of a policy: control publishes, a signal recalls, a reload keeps. Pure.

Laws: a recall is never undone by what was said before it; what is not there any more is served by the primary; another
candidate than the one that a split is about gets none of its users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from shadowproxy.model.policy import Policy, ServicePolicy, is_another
from shadowproxy.model.rollout import Split, needs_candidate, sends_users
from shadowproxy.model.terms import CANDIDATE


def splits(policy: Policy) -> dict[str, Split]:
    """Those in force, by service."""
    return {service.name: service.split for service in policy.services if service.split}


def published(policy: Policy, said: Mapping[str, Split | None]) -> tuple[Policy, tuple[str, ...]]:
    """`policy` with what control says (`model.commands.Publish`); one line for each service that stays as it was."""
    refused = {name: f"service {name} is not there any more" for name in said.keys() - _names(policy)}

    def change(service: ServicePolicy) -> Split | None:
        if service.name not in said:
            return service.split
        wanted, before = said[service.name], service.split
        if wanted is None:
            return None
        if (why := _unfit(service, wanted)) and (sends_users(wanted) or CANDIDATE not in service.upstreams):
            refused[service.name] = f"service {service.name} has {why}"
            return before
        if before is None or before.recalled in {0.0, wanted.recalled}:
            return wanted
        if sends_users(wanted):
            refused[service.name] = f"service {service.name}: its users were recalled and control has not heard of it"
            return before
        return msgspec.structs.replace(wanted, recalled=before.recalled)

    return _with(policy, change), tuple(refused.values())


def recalled(policy: Policy, now: float) -> Policy:
    """`policy` with every user at the primary, chosen ones included. `now` is Unix time."""

    def change(service: ServicePolicy) -> Split | None:
        return service.split and msgspec.structs.replace(
            service.split, weight=0.0, chosen=(), flags=(), testing="", recalled=now
        )

    return _with(policy, change)


def restored(policy: Policy, kept: Mapping[str, Split]) -> tuple[Policy, tuple[str, ...]]:
    """A policy that was just read with the splits there were, and one line for each whose service cannot have it."""
    services = {service.name: service for service in policy.services}
    lost = {
        name: why
        for name, split in kept.items()
        if (why := _unfit(services[name], split) if name in services else "no such service any more")
    }
    said = tuple(
        f"service {name}: the split of rollout {kept[name].rollout} is dropped and its users are served by the "
        f"primary: the configuration has {why}"
        for name, why in lost.items()
    )
    return _with(policy, lambda each: None if each.name in lost else kept.get(each.name)), said


def _unfit(service: ServicePolicy, split: Split) -> str:
    """What the service has instead of the candidate that a split is about; empty: it has that."""
    if CANDIDATE not in service.upstreams:
        return "no candidate any more" if needs_candidate(split) or split.urls else ""
    if is_another(split.urls, service.urls(CANDIDATE)):
        return "another candidate, at none of the URLs of the one before"
    return ""


def _names(policy: Policy) -> set[str]:
    return {service.name for service in policy.services}


def _with(policy: Policy, change: Callable[[ServicePolicy], Split | None]) -> Policy:
    services = (msgspec.structs.replace(service, split=change(service)) for service in policy.services)
    return msgspec.structs.replace(policy, services=tuple(services))
