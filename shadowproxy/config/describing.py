"""What a configuration means, in words: `check` prints it. Secrets are masked before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from shadowproxy.config.addresses import is_loopback
from shadowproxy.config.units import render_duration, render_percent, render_size
from shadowproxy.model import policy as p
from shadowproxy.model.flags import FlagsPolicy
from shadowproxy.model.nature import IGNORED_FIELDS
from shadowproxy.model.rollout import FreezeWindow, Plan
from shadowproxy.model.terms import CANDIDATE, CONFIGURED, MIRRORED_ARMS, OPENAPI, PRIMARY, SECONDARY
from shadowproxy.rollout.freeze import DENY

MASK: Final = "***"


def masked(loaded: p.Loaded) -> dict[str, Any]:
    """The whole of it as plain data, durations in seconds and sizes in bytes, with every secret replaced."""
    plain: dict[str, Any] = msgspec.to_builtins(loaded)
    for token in plain["launch"]["admin"]["tokens"]:
        token["token"] = MASK
    for service in plain["policy"]["services"]:
        for rules in (service, service["other"], *service["routes"]):
            for headers in rules["shadow"]["headers"].values():
                headers["set"] = dict.fromkeys(headers["set"], MASK)
            if "compare" in rules:
                rules["compare"]["redact_patterns"] = [MASK] * len(rules["compare"]["redact_patterns"])
        if service["rollout"] is not None:
            _mask_plan(service["rollout"])
    if plain["policy"]["flags"] is not None and plain["policy"]["flags"]["jwt"]["key"]:
        plain["policy"]["flags"]["jwt"]["key"] = MASK
    plain.pop("registry")
    plain["ignored_by_default"] = ignored_by_default()
    return plain


def _mask_plan(plan: dict[str, Any]) -> None:
    """The path of a webhook's address is often all that it takes to use it."""
    for hook in (*plan["notify"], *plan["checks"]):
        hook["url"] = hook["url"] and "/".join((*hook["url"].split("/")[:3], MASK))
    for notify in plan["notify"]:
        notify["secret"] = notify["secret"] and MASK
    if plan["prometheus"] is not None:
        plan["prometheus"]["headers"] = dict.fromkeys(plan["prometheus"]["headers"], MASK)


def ignored_by_default() -> list[str]:
    """Header fields that are never compared."""
    return sorted(name.decode() for name in IGNORED_FIELDS)


def describe(loaded: p.Loaded) -> list[str]:
    """Lines for people: listeners, processes, each service with its upstreams and its routes in order."""
    lines = [*_listeners(loaded), *_processes(loaded)]
    for service in loaded.policy.services:
        lines += ["", *_service(service)]
    lines += ["", "never compared, since they differ by nature: " + ", ".join(ignored_by_default())]
    lines.append("content-length says how long the body is, which is compared; without one (HEAD, 304) it counts")
    return lines


def _listeners(loaded: p.Loaded) -> Iterator[str]:
    launch, policy = loaded.launch, loaded.policy
    spoken = f", TLS with {_count(len(policy.tls), 'certificate')}" if policy.tls else ""
    spoken += ", PROXY protocol" if policy.proxy_protocol else ""
    for bind in launch.listen:
        yield f"users      {bind}{spoken}"
    admin = launch.admin
    who = ", ".join(f"{token.name} ({token.role})" for token in admin.tokens)
    if admin.cert is not None and admin.cert.client_ca is not None:
        who += (", " if who else "") + "client certificates"
    access = f"tokens of {who}" if admin.tokens else who or "no token needed from this machine"
    yield f"admin      {admin.bind}, {access}{', TLS' if admin.cert is not None else ''}"
    yield f"probes     {launch.probe}"
    if launch.metrics is not None:
        reach = "this machine" if is_loopback(launch.metrics) else "anyone who can reach it"
        yield f"metrics    {launch.metrics}, for {reach}"
    for window in policy.freeze:
        yield f"freeze     {_freeze(window)}"
    if policy.flags is not None:
        yield f"flags      {_flags(policy.flags)}"
    if policy.trusted_proxies:
        yield f"trusted    {', '.join(policy.trusted_proxies)}"


def _processes(loaded: p.Loaded) -> Iterator[str]:
    launch, log = loaded.launch, loaded.policy.access_log
    yield f"processes  {_count(launch.workers, 'worker')}, {_count(launch.comparers, 'comparer')}"
    yield f"data       {launch.data_dir}"
    delay, timeout = render_duration(launch.drain_delay), render_duration(launch.drain_timeout)
    yield f"drain      accepting for {delay}, then {timeout} for what is running"
    if log.sample:
        where = "standard output" if log.path == "-" else log.path
        yield f"access log {render_percent(log.sample)} of requests and every error, to {where}"


def _service(service: p.ServicePolicy) -> Iterator[str]:
    where = (service.host or "any host") + ("" if service.path == "/" else f", below {service.path}")
    yield f"service {service.name}: {where}"
    for arm, upstream in service.upstreams.items():
        if arm == CANDIDATE and is_primary_itself(service):
            yield f"  {arm:<10} the primary's own instances, asked with other flags through connections of their own"
        else:
            yield f"  {arm:<10} {_upstream(upstream)}"
    mirrored: list[str] = [arm for arm in MIRRORED_ARMS if arm in service.upstreams]
    if not mirrored:
        yield "  nothing is mirrored: there is neither a candidate nor a secondary"
    else:
        yield f"  copies     {_bounds(service.shadow)}"
        yield f"  isolation  {_isolation(service.isolation)}"
        yield f"  noise      {_noise(service)}"
        yield f"  version    {_version(service.version)}"
    if service.rollout is not None:
        yield f"  rollout    {_rollout(service.rollout)}"
    if service.accepted:
        yield f"  accepted   {_count(len(service.accepted), 'difference')}, in {service.accepted_file}"
    if service.capture is not None:
        yield f"  capture    {_capture(service.capture)}"
    yield "  routes, the first that matches takes the request:"
    rows = [*(route for route in service.routes if route.origin == CONFIGURED), service.other]
    width = max(len(route.name) for route in rows)
    for number, route in enumerate(rows, 1):
        if route is service.other:
            yield from _endpoints(service)
        yield f"    {number:>3}  {route.name:<{width}}  {_match(route, service)}"
        if mirrored:
            yield from (f"         {'':<{width}}{line}" for line in _rules(route, mirrored))


def is_primary_itself(service: p.ServicePolicy) -> bool:
    """Whether the candidate is where the primary is: what is tested is a flag."""
    candidate = service.upstreams.get(CANDIDATE)
    return candidate is not None and candidate.urls == service.upstreams[PRIMARY].urls


def _endpoints(service: p.ServicePolicy) -> Iterator[str]:
    """Before `everything else`: the routes that nobody configured."""
    endpoints = service.endpoints
    if endpoints.openapi is not None:
        found = sum(route.origin == OPENAPI for route in service.routes)
        yield f"         {_count(found, 'path template')} of {endpoints.openapi}, by their own text"
    if endpoints.learn:
        room = endpoints.max - len(service.templates)
        yield f"         up to {_count(room, 'path template')} learned from what is left, such as /users/{{id}}"


def _upstream(upstream: p.UpstreamPolicy) -> str:
    timeouts = upstream.timeouts
    waits = {"first byte": timeouts.first_byte, "idle": timeouts.idle, "total": timeouts.total}
    said = [f"connect {render_duration(timeouts.connect)}"]
    said += [f"{name} {render_duration(value)}" for name, value in waits.items() if value is not None]
    said.append(f"at most {_count(upstream.max_connections, 'connection')} a worker")
    if upstream.health is not None:
        said.append(f"GET {upstream.health.path} every {render_duration(upstream.health.interval)}")
    if not upstream.tls.verify:
        said.append("certificate NOT verified")
    return f"{' '.join(endpoint.url for endpoint in upstream.endpoints)} ({', '.join(said)})"


def _bounds(shadow: p.ShadowPolicy) -> str:
    return (
        f"at most {shadow.max_in_flight} at once and {render_size(shadow.max_bytes)} for each arm of a worker, "
        f"resting after {_count(shadow.breaker_failures, 'failure')} in a row"
    )


def _isolation(isolation: p.IsolationPolicy) -> str:
    if not isolation.hold_out:
        return "not measured: nothing is held out"
    return f"in {render_percent(isolation.hold_out)} of the time nothing is mirrored, to measure what mirroring adds"


def _noise(service: p.ServicePolicy) -> str:
    rate = f"false discoveries at most {render_percent(service.noise.fdr)}"
    if SECONDARY in service.upstreams:
        return f"learned from the secondary, which answers every mirrored request too; {rate}"
    if service.noise.resample:
        share = render_percent(service.noise.resample)
        return f"learned by asking the primary once more for {share} of the mirrored safe requests; {rate}"
    return "not learned, so that whatever differs counts: add upstreams.secondary or noise.resample"


def _version(version: p.VersionPolicy) -> str:
    if version.header:
        return f"what the response header {version.header} says"
    if version.get:
        return f"what each arm answers at {version.get}"
    return version.static or "not known, so the URLs of an arm stand for it"


def _rollout(plan: Plan) -> str:
    return f"{plan.name}, a {plan.change_class}: {', then '.join(stage.name for stage in plan.stages)}"


def _freeze(window: FreezeWindow) -> str:
    when = f"from {window.cron} in {window.zone} for {render_duration(window.seconds)}" if window.cron else "once"
    what = "stops" if window.kind == DENY else "is the only time for"
    return f"{window.name} {what} {', '.join(window.classes)} of {', '.join(window.services) or 'all services'}, {when}"


def _flags(flags: FlagsPolicy) -> str:
    known = ", ".join((*(("targetingKey",) if flags.targeting_key is not None else ()), *flags.attributes))
    what = known or "the sticky key of rollouts alone"
    signed = ", signatures of tokens verified" if flags.jwt.key else ""
    size = render_size(flags.max_size)
    return f"{flags.file}, as {flags.header} of at most {size}, evaluated for {what}{signed}"


def _capture(capture: p.CapturePolicy) -> str:
    what = ", ".join(capture.methods) if capture.methods is not None else "all requests"
    responses = "with" if capture.responses else "without"
    return (
        f"{render_percent(capture.sample)} of {what} {responses} their responses, redacted, to {capture.path}, "
        f"at most {_count(capture.files, 'file')} of {render_size(capture.max_file)}"
    )


def _match(route: p.RoutePolicy, service: p.ServicePolicy) -> str:
    if route is service.other:
        return "everything else"
    methods = " ".join(route.methods) if route.methods else "any method"
    return f"{methods} {route.host or ''}{route.path or ' any path'}"


def _rules(route: p.RoutePolicy, mirrored: list[str]) -> Iterator[str]:
    shadow, compare = route.shadow, route.compare
    methods = ", ".join(shadow.methods) or "no method"
    yield (
        f"  mirrors {render_percent(shadow.sample)} of {methods} with a body up to {render_size(shadow.max_body)} "
        f"to {' and '.join(mirrored)}, each within {render_duration(shadow.timeout)}"
    )
    for arm, rules in shadow.headers.items():
        changes = [
            f"{verb} {', '.join(names)}" for verb, names in (("remove", rules.remove), ("set", rules.set)) if names
        ]
        if changes:
            yield f"  headers to {arm}: {'; '.join(changes)}"
    if shadow.flags:
        yield "  copies to candidate carry " + ", ".join(f"{flag}={variant}" for flag, variant in shadow.flags.items())
    if route.expose_flags is not None:
        yield f"  carries the flags {', '.join(route.expose_flags)}" if route.expose_flags else "  carries no flags"
    named = {"ignores": compare.ignore, "unordered": compare.unordered, "masks": compare.redact}
    for verb, fields in named.items():
        if fields:
            yield f"  {verb} {', '.join(fields)}"
    if compare.identity:
        yield "  matches " + ", ".join(f"{field} by {member}" for field, member in compare.identity.items())
    tolerances = {field: f"{limit:g}" for field, limit in compare.tolerance.items()}
    tolerances |= {field: render_percent(share) for field, share in compare.relative_tolerance.items()}
    if tolerances:
        yield "  tolerates " + ", ".join(f"{field} ± {limit}" for field, limit in tolerances.items())
    if compare.redact_patterns:
        yield f"  masks what {_count(len(compare.redact_patterns), 'pattern')} of yours match"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
