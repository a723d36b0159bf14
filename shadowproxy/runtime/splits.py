"""What becomes of the splits of a policy: control publishes, a signal recalls, a reload keeps. Pure.

Laws: a recall is never undone by what was said before it; what is not there any more is served by the primary; who was
promoted takes its users along when it becomes the primary: the candidate beside it then has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from shadowproxy.model.policy import Policy, ServicePolicy
from shadowproxy.model.rollout import Split
from shadowproxy.model.terms import CANDIDATE, PRIMARY


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
        if CANDIDATE not in service.upstreams:
            refused[service.name] = f"service {service.name} has no candidate any more"
            return before
        if _is_primary_now(service, wanted):
            return _sent_back(wanted)
        if before is None or before.recalled in {0.0, wanted.recalled}:
            return wanted
        if _sends_somebody(wanted):
            refused[service.name] = f"service {service.name}: its users were recalled and control has not heard of it"
            return before
        return msgspec.structs.replace(wanted, recalled=before.recalled)

    return _with(policy, change), tuple(refused.values())


def recalled(policy: Policy, now: float) -> Policy:
    """`policy` with every user at the primary, chosen ones included. `now` is Unix time."""

    def change(service: ServicePolicy) -> Split | None:
        return service.split and msgspec.structs.replace(_sent_back(service.split), recalled=now)

    return _with(policy, change)


def restored(policy: Policy, kept: Mapping[str, Split]) -> tuple[Policy, tuple[str, ...]]:
    """A policy that was just read with the splits there were, and one line for each whose service cannot have one."""
    able = {service.name for service in policy.services if CANDIDATE in service.upstreams}
    lost = tuple(
        f"service {name}: the split of rollout {split.rollout} is dropped and its users are served by the primary: the "
        f"configuration has no {f'candidate for {name}' if name in _names(policy) else 'such service'} any more"
        for name, split in kept.items()
        if name not in able
    )

    def change(service: ServicePolicy) -> Split | None:
        split = kept.get(service.name) if service.name in able else None
        return _sent_back(split) if split and _is_primary_now(service, split) else split

    return _with(policy, change), lost


def _is_primary_now(service: ServicePolicy, split: Split) -> bool:
    """Whether the configuration's primary is what the split promoted."""
    return bool(split.urls) and service.upstreams[PRIMARY].urls == split.urls


def _sent_back(split: Split) -> Split:
    return msgspec.structs.replace(split, weight=0.0, chosen=())


def _sends_somebody(split: Split) -> bool:
    return split.weight > 0 or bool(split.chosen)


def _names(policy: Policy) -> set[str]:
    return {service.name for service in policy.services}


def _with(policy: Policy, change: Callable[[ServicePolicy], Split | None]) -> Policy:
    services = (msgspec.structs.replace(service, split=change(service)) for service in policy.services)
    return msgspec.structs.replace(policy, services=tuple(services))
