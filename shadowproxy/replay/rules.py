"""The policy of a replay: a service's own rules, with every limit lifted that would leave a request out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import inf
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from shadowproxy.capture.goreplay import MAX_RECORD
from shadowproxy.config import ConfigError, Overrides, load
from shadowproxy.config.matching import TOKEN, UNTOUCHABLE, parse_field_value
from shadowproxy.config.problems import BadValueError
from shadowproxy.model import policy as p
from shadowproxy.model.terms import CANDIDATE, PRIMARY, SECONDARY

NO_LIMIT: Final = 2**62
KEEP_ALIVE: Final = 1.0
"""Seconds that an unused connection is kept. Servers close theirs after two or more; whoever uses one in the moment in
which it is closed gets no answer."""
_NOWHERE: Final = "http://127.0.0.1:1"
"""Stands for a primary that is never asked, so that the options are checked by the rules of `run`."""


class UsageError(Exception):
    """The options do not fit together. `lines` say what is wrong and what would be right, one line each."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Targets(Struct, frozen=True):
    """The URLs as they were given. Without `primary` the recorded answers take its place."""

    candidate: str
    primary: str | None = None
    secondary: str | None = None


def replay_policy(
    targets: Targets,
    config: Path | None,
    service: str | None,
    methods: Collection[str],
    recorded_as: str,
    environ: Mapping[str, str],
) -> p.Loaded:
    """What to run for a replay of requests with these methods. `recorded_as` names the recording as a primary.

    Raises UsageError.
    """
    try:
        overrides = Overrides(targets.primary or _NOWHERE, targets.candidate, targets.secondary)
        given = load(None, overrides, p.Registry(), environ, from_data_dir=False)
        base = load(config, Overrides(), p.Registry(), environ) if config is not None else given
    except ConfigError as error:
        raise UsageError(*(str(problem) for problem in error.problems)) from None
    chosen = _chosen(base.policy, service, str(config))
    upstreams = given.policy.services[0].upstreams
    recorded = targets.primary is None
    if recorded:
        upstreams = upstreams | {PRIMARY: p.UpstreamPolicy((p.Endpoint(recorded_as, host="recorded", port=1),))}
    lifted = _lifted(chosen, upstreams, tuple(sorted(methods)), recorded)
    policy = msgspec.structs.replace(
        base.policy, services=(lifted,), limits=msgspec.structs.replace(base.policy.limits, body=None), tls=()
    )
    return msgspec.structs.replace(base, policy=policy)


def header_fields(lines: Collection[str]) -> dict[str, str]:
    """`Name: value` lines as they are set on every request. Raises UsageError."""
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not TOKEN.fullmatch(name):
            raise UsageError("write a field as 'Name: value'")
        if name.lower() in UNTOUCHABLE - {"host"}:
            raise UsageError(f"{name}: framing, hop-by-hop and the proxy's own fields cannot be set")
        if name.lower() in (each.lower() for each in fields):
            raise UsageError(f"{name} is given twice")
        try:
            fields[name] = parse_field_value(value.strip(" \t"))
        except BadValueError as error:
            raise UsageError(f"{name}: {error}") from None
    return fields


def _chosen(policy: p.Policy, name: str | None, config: str) -> p.ServicePolicy:
    names = [service.name for service in policy.services]
    if name is not None and name not in names:
        raise UsageError(f"--service: there is no service {name!r}; there are: {', '.join(names)}")
    if name is None and len(names) > 1:
        raise UsageError(f"--service: {config} has {len(names)} services, choose one: {', '.join(names)}")
    return policy.services[names.index(name) if name is not None else 0]


def _lifted(
    service: p.ServicePolicy, given: Mapping[str, p.UpstreamPolicy], methods: tuple[str, ...], recorded: bool
) -> p.ServicePolicy:
    def shadow(rules: p.ShadowPolicy) -> p.ShadowPolicy:
        return msgspec.structs.replace(
            rules,
            sample=1.0,
            methods=methods,
            max_body=MAX_RECORD,
            max_in_flight=NO_LIMIT,
            max_bytes=NO_LIMIT,
            max_age=inf,
            breaker_failures=NO_LIMIT,
        )

    def route(rules: p.RoutePolicy) -> p.RoutePolicy:
        compare = msgspec.structs.replace(rules.compare, recorded=recorded)
        return msgspec.structs.replace(rules, shadow=shadow(rules.shadow), compare=compare)

    arms = [arm for arm in (PRIMARY, CANDIDATE, SECONDARY) if arm in given]
    return msgspec.structs.replace(
        service,
        upstreams={arm: _upstream(given[arm], service.upstreams.get(arm)) for arm in arms},
        routes=tuple(route(each) for each in service.routes),
        other=route(service.other),
        shadow=shadow(service.shadow),
        isolation=p.IsolationPolicy(hold_out=0.0),
        capture=None,
        noise=msgspec.structs.replace(service.noise, resample=0.0) if recorded else service.noise,
    )


def _upstream(given: p.UpstreamPolicy, configured: p.UpstreamPolicy | None) -> p.UpstreamPolicy:
    """The URL that was given, under the configured arm's timeouts and TLS. Who waits for a connection gets one."""
    rules = configured or given
    keep_alive = min(rules.timeouts.keep_alive, KEEP_ALIVE)
    return msgspec.structs.replace(
        rules,
        endpoints=given.endpoints,
        timeouts=msgspec.structs.replace(rules.timeouts, keep_alive=keep_alive),
        max_waiting=NO_LIMIT,
        max_wait=inf,
        health=None,
    )
