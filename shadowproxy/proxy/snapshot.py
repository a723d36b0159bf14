"""What a worker compiles from a policy: immutable, swapped by reference; one request sees one snapshot.

Origins, arms, routes and their counters live on from one snapshot to the next where their part of the policy did not
change.
"""

from __future__ import annotations

import ipaddress
import os
from bisect import bisect_left
from collections.abc import Sequence
from math import inf
from typing import Final

import msgspec

from shadowproxy.endpoints.tree import Entry
from shadowproxy.metrics import layout as at
from shadowproxy.model import slots
from shadowproxy.model.policy import Policy, RoutePolicy, ServicePolicy, ShadowPolicy
from shadowproxy.model.rollout import sends_users
from shadowproxy.model.terms import CANDIDATE, CONFIGURED, LEARNED, MIRRORED_ARMS, PRIMARY, SECONDARY
from shadowproxy.proxy.routing import Pattern, Table, host_matches, host_name, prefix_matches
from shadowproxy.proxy.serving import Serving
from shadowproxy.proxy.splitting import Leg, Splitter
from shadowproxy.proxy.tally import Tally
from shadowproxy.shadow.arm import Arm
from shadowproxy.shadow.link import Link
from shadowproxy.shadow.mirror import Mirror
from shadowproxy.shadow.pressure import Pressure
from shadowproxy.shadow.recorder import Budget, Recorder
from shadowproxy.shadow.resampling import MAX_BYTES, MAX_IN_FLIGHT, RESAMPLE, Resampler, resample_upstream
from shadowproxy.shadow.strata import Strata
from shadowproxy.upstream.deadlines import Deadlines
from shadowproxy.upstream.health import watch
from shadowproxy.upstream.origin import Names, Origin

_CANDIDATE_REQUESTS: Final = at.requests_word(0, at.ARM_INDEX[CANDIDATE], 0)
_CANDIDATE_DURATIONS: Final = at.duration_word(0, at.ARM_INDEX[CANDIDATE])


class Route:
    """A route as the driver reads it. `row` is where its words begin; `requests`, `durations` and `fine` are those of
    the primary arm, and `fine` may be 0.

    `learns`: the paths of its requests are to be told, since templates may come of them. `taps`: somebody may want
    its requests and answers.
    """

    __slots__ = (
        "capture",
        "durations",
        "fine",
        "learns",
        "mirrors",
        "name",
        "needs_share",
        "recorder",
        "requests",
        "resampler",
        "row",
        "rules",
        "service",
        "taps",
        "version",
    )

    def __init__(
        self,
        service: ServicePolicy,
        policy: RoutePolicy,
        mirrors: tuple[Mirror, ...],
        learns: bool = False,
        resampler: Resampler | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.row = row = at.route_row(policy.index)
        self.service = service.name
        self.name = policy.name
        self.rules = policy
        self.mirrors = mirrors
        self.learns = learns
        self.resampler = resampler
        self.recorder = recorder
        self.capture = service.capture
        self.version = service.version
        self.taps = bool(mirrors) or recorder is not None
        self.needs_share = any(mirror.sample < 1.0 for mirror in mirrors) or (
            recorder is not None and recorder.sample < 1.0
        )
        self.requests = at.requests_word(row, at.ARM_INDEX[PRIMARY], 0)
        self.durations = at.duration_word(row, at.ARM_INDEX[PRIMARY])
        self.fine = _fine_word(service, self.mirrors)

    def is_from(
        self, service: ServicePolicy, rules: RoutePolicy, learns: bool, arms: tuple[Arm, ...], again: Arm | None
    ) -> bool:
        """Would a new one be like this? Then publishing one template does not make two hundred routes again."""
        resampler = self.resampler
        share = resampler.share if resampler is not None else service.noise.resample
        return (
            (self.rules, self.learns, self.version, share) == (rules, learns, service.version, service.noise.resample)
            and (resampler.arm if resampler is not None else None) is again
            and (self.capture, self.fine) == (service.capture, _fine_word(service, self.mirrors))
            and tuple(mirror.arm for mirror in self.mirrors) == arms
        )

    def count(self, counters: memoryview, code: int, seconds: float) -> None:
        """A request of a user was answered by the primary. `code` is an index of CODES."""
        counters[self.requests + code] += 1
        if self.fine:
            fine = bisect_left(at.FINE_EDGES, seconds)
            counters[self.fine + fine] += 1
            coarse = at.DURATION_BIN[fine]
        else:
            coarse = bisect_left(at.DURATION_EDGES, seconds)
        counters[self.durations + coarse] += 1
        counters[self.durations + at.DURATION_WORDS - 1] += int(seconds * 1e6)

    def count_candidate(self, counters: memoryview, code: int, seconds: float) -> None:
        """The candidate was asked for a user, and answered or did not."""
        durations = self.row + _CANDIDATE_DURATIONS
        counters[self.row + _CANDIDATE_REQUESTS + code] += 1
        counters[durations + bisect_left(at.DURATION_EDGES, seconds)] += 1
        counters[durations + at.DURATION_WORDS - 1] += int(seconds * 1e6)

    def count_fallback(self, counters: memoryview, reason: str) -> None:
        """The primary is asked for a user of the candidate's."""
        counters[at.fallback_word(self.row, reason)] += 1


def _fine_word(service: ServicePolicy, mirrors: Sequence[Mirror]) -> int:
    """Where the isolation proof reads durations; 0 where there is nothing to hold out, and nobody does."""
    return at.fine_word(service.index) if mirrors and service.isolation.hold_out else 0


class Service:
    __slots__ = (
        "authority",
        "held_out",
        "hold_out",
        "host",
        "name",
        "path",
        "primary",
        "salt",
        "split",
        "table",
    )

    def __init__(
        self, policy: ServicePolicy, primary: Leg, table: Table[Route], salt: bytes, split: Splitter | None = None
    ) -> None:
        self.name = policy.name
        self.host = policy.host
        self.path = policy.path
        self.salt = salt
        self.primary = primary
        self.split = split
        self.table = table
        endpoint = primary.origin.policy.endpoints[0]
        self.authority = f"{endpoint.host}:{endpoint.port}".encode() if endpoint.host else b"localhost"
        """The Host of an HTTP/1.0 request that came without one."""
        self.hold_out = policy.isolation.hold_out
        self.held_out = False
        """Nothing is mirrored at the moment. The one thing here that changes: at the edges of slots."""

    def matches(self, name: str, path: bytes) -> bool:
        return host_matches(self.host, name) and (self.path == "/" or prefix_matches(self.path, path))


class Snapshot:
    __slots__ = (
        "arms",
        "budgets",
        "lapsed",
        "leaving",
        "limits",
        "only",
        "origins",
        "policy",
        "sequence",
        "services",
        "servings",
        "timeouts",
        "trusted",
    )

    def __init__(
        self,
        policy: Policy,
        services: tuple[Service, ...],
        origins: dict[str, Origin],
        arms: Sequence[Arm],
        leaving: Sequence[Origin],
        budgets: Sequence[Budget] = (),
        servings: Sequence[Serving] = (),
    ) -> None:
        """`arms`, `leaving` and `servings` hold besides what earlier snapshots left under way: it is to be looked after
        as well.
        """
        self.policy = policy
        self.sequence = policy.sequence
        self.services = services
        self.origins = origins
        self.arms = arms
        self.leaving = leaving
        self.budgets = budgets
        self.servings = servings
        self.limits = policy.limits
        self.timeouts = policy.timeouts
        self.trusted = _networks(policy.trusted_proxies)
        self.lapsed: frozenset[str] = frozenset()
        """Services whose rollout's lease has run out."""
        self.only = services[0] if len(services) == 1 and services[0].matches("", b"/") else None
        """The service of every request, when there is no choice."""

    def service(self, host: bytes, path: bytes) -> Service | None:
        """The first service whose host and path match."""
        if self.only is not None and self.only.host is None and self.only.path == "/":
            return self.only
        name = host_name(host)
        return next((service for service in self.services if service.matches(name, path)), None)

    def hear(self, page: memoryview, now: float) -> None:
        """Look at what control says at every tick. `page` is its own, `now` CLOCK_MONOTONIC in seconds."""
        self.keep_slots(page, now)
        for service in self.services:
            if service.split is not None:
                service.split.hear(page, now)
        self.lapsed = frozenset(each.name for each in self.services if each.split is not None and each.split.lapsed)

    def keep_slots(self, page: memoryview, now: float) -> None:
        """Begin and end the slots in which nothing is mirrored. `page` is control's, `now` CLOCK_MONOTONIC."""
        slot = slots.slot_at(now)
        leased = page[at.HOLD_OUT_FIRST] <= slot <= page[at.HOLD_OUT_LAST]
        least = slots.held_out_from(self.policy.epoch, slot) if leased else inf
        for service in self.services:
            service.held_out = least < service.hold_out

    def trusts(self, peer: str) -> bool:
        """Are forwarded headers and shadow marks of this peer believed? `peer` is an address, "" on a Unix socket."""
        if not peer:
            return "unix" in self.policy.trusted_proxies
        if not self.trusted:
            return False
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.trusted)


def _networks(written: Sequence[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(text, strict=False) for text in written if text != "unix"]


Routes = dict[tuple[str, str], Route]
"""By service and name."""


class Compiler:
    """Makes snapshots, reusing origins and arms of the one before. Retires what no policy names any more."""

    def __init__(
        self,
        deadlines: Deadlines,
        names: Names,
        counters: memoryview,
        links: Sequence[Link],
        pressure: Pressure,
        strata: Strata,
        slot: int = 0,
        workers: int = 1,
    ) -> None:
        """For worker `slot` of `workers`."""
        self._deadlines = deadlines
        self._names = names
        self._counters = counters
        self._links = links
        self._pressure = pressure
        self._strata = strata
        self._slot = slot
        self._workers = workers
        self._mark = os.urandom(4).hex()
        self._budgets: dict[str, Budget] = {}
        self._origins: dict[str, Origin] = {}
        self._arms: dict[str, Arm] = {}
        self._routes: Routes = {}
        self._servings: dict[str, Serving] = {}
        self._tallies: dict[int, Tally] = {}
        self._leaving_arms: list[Arm] = []
        self._leaving_servings: list[Serving] = []
        self._leaving: list[Origin] = []

    def compile(self, policy: Policy, reread: bool = True) -> Snapshot:
        """`reread`: files that the policy names may have changed.

        Raises OSError or ssl.SSLError when an upstream's TLS files cannot be used: then nothing has changed.
        """
        origins = {
            f"{service.name}\n{arm}": self._origin(f"{service.name}\n{arm}", policy, service, arm, reread)
            for service in policy.services
            for arm in (*service.upstreams, *_resampled(service))
        }
        arms = {
            key: self._arm(key, service, origins)
            for service in policy.services
            for key in (*_mirrored(service), *(f"{service.name}\n{arm}" for arm in _resampled(service)))
        }
        split = [service for service in policy.services if _is_split(service)]
        both = [service for service in split if CANDIDATE in service.upstreams]
        servings = {service.name: self._serving(service, arms[f"{service.name}\n{CANDIDATE}"]) for service in both}
        self._tallies = {service.index: self._tally(service) for service in split}
        routes: Routes = {}
        services = tuple(self._service(service, origins, arms, servings, routes) for service in policy.services)
        self._routes = routes
        self._replace(origins, arms, servings)
        known = (*arms.values(), *self._leaving_arms)
        serving = (*servings.values(), *self._leaving_servings)
        return Snapshot(policy, services, origins, known, tuple(self._leaving), tuple(self._budgets.values()), serving)

    def _origin(self, key: str, policy: Policy, service: ServicePolicy, arm: str, reread: bool) -> Origin:
        known = self._origins.get(key)
        upstream = resample_upstream(service.upstreams[PRIMARY]) if arm == RESAMPLE else service.upstreams[arm]
        if known is None or known.policy != upstream or known.limits != policy.limits or (reread and _has_files(known)):
            return Origin(upstream, policy.limits, self._deadlines, self._names)
        return known

    def _arm(self, key: str, service: ServicePolicy, origins: dict[str, Origin]) -> Arm:
        known = self._arms.get(key)
        if known is not None and known.origin is origins[key]:
            known.limit(_limits(known.name, service.shadow))
            return known
        name = key.partition("\n")[2]
        return Arm(name, _limits(name, service.shadow), origins[key], self._pressure)

    def _serving(self, service: ServicePolicy, copies: Arm) -> Serving:
        """What is known of the candidate as long as it has users: without any nobody would find out what changed."""
        known = self._servings.get(service.name)
        goes_on = known is not None and known.origin is copies.origin and sends_users(service.split)
        return known if known is not None and goes_on else Serving(copies)

    def _tally(self, service: ServicePolicy) -> Tally:
        return self._tallies.get(service.index) or Tally(service.index, self._counters, self._slot, self._workers)

    def _service(
        self,
        policy: ServicePolicy,
        origins: dict[str, Origin],
        arms: dict[str, Arm],
        servings: dict[str, Serving],
        routes: Routes,
    ) -> Service:
        def route(rules: RoutePolicy, learns: bool = False) -> Route:
            mirrored = tuple(arms[arm] for arm in _mirrored(policy))
            again = arms.get(f"{policy.name}\n{RESAMPLE}")
            made = self._routes.get((policy.name, rules.name))
            if made is None or not made.is_from(policy, rules, learns, mirrored, again):
                made = self._route(policy, rules, learns, mirrored, again)
            routes[policy.name, rules.name] = made
            return made

        configured = [r for r in policy.routes if r.origin == CONFIGURED]
        patterns = [Pattern(r.path, r.methods, r.host, route(r)) for r in configured]
        templates = [Entry(r.name, r.origin == LEARNED, route(r)) for r in policy.templates]
        other = route(policy.other, policy.learns)
        primary = Leg(origins[f"{policy.name}\n{PRIMARY}"])
        salt = (policy.salt or policy.name).encode()
        split = None
        if policy.split is not None and policy.index in self._tallies:
            serving, tally = servings.get(policy.name), self._tallies[policy.index]
            split = Splitter(policy.split, policy.index, salt, primary, serving, tally)
        return Service(policy, primary, Table(patterns, other, templates), salt, split)

    def _route(
        self, policy: ServicePolicy, rules: RoutePolicy, learns: bool, mirrored: tuple[Arm, ...], again: Arm | None
    ) -> Route:
        link = self._links[rules.index % len(self._links)]
        counters, header = self._counters, policy.version.header
        stratum = self._strata.of(at.route_row(rules.index), policy.index)
        mirrors = tuple(
            Mirror(policy.name, rules, arm, counters, link, header, stratum if arm.name == CANDIDATE else None)
            for arm in mirrored
        )
        resampler = None
        if again is not None:
            resampler = Resampler(policy.name, rules, policy.noise.resample, again, counters, link)
        return Route(policy, rules, mirrors, learns, resampler, self._recorder(policy, rules))

    def _recorder(self, policy: ServicePolicy, rules: RoutePolicy) -> Recorder | None:
        if policy.capture is None:
            return None
        budget = self._budgets.setdefault(policy.name, Budget(policy.shadow.max_bytes))
        budget.max_bytes = policy.shadow.max_bytes
        link = self._links[policy.index % len(self._links)]  # one comparer writes all of a service
        return Recorder(policy, policy.capture, rules, budget, self._counters, link, self._mark)

    def _replace(self, origins: dict[str, Origin], arms: dict[str, Arm], servings: dict[str, Serving]) -> None:
        retired = [origin for key, origin in self._origins.items() if origins.get(key) is not origin]
        for origin in retired:
            origin.retire()
        replaced = [arm for key, arm in self._arms.items() if arms.get(key) is not arm]
        self._leaving = [origin for origin in (*self._leaving, *retired) if origin.is_busy]
        self._leaving_arms = [arm for arm in (*self._leaving_arms, *replaced) if arm.live or arm.held]
        ended = [serving for name, serving in self._servings.items() if servings.get(name) is not serving]
        self._leaving_servings = [serving for serving in (*self._leaving_servings, *ended) if serving.is_awaited]
        for key, origin in origins.items():
            if self._origins.get(key) is not origin:
                watch(origin)
        self._origins, self._arms, self._servings = origins, arms, servings


def _mirrored(service: ServicePolicy) -> list[str]:
    return [f"{service.name}\n{arm}" for arm in MIRRORED_ARMS if arm in service.upstreams]


def _resampled(service: ServicePolicy) -> tuple[str, ...]:
    """The arm of resamples, where there are any: a secondary answers better than the primary asked twice."""
    wanted = service.noise.resample > 0 and CANDIDATE in service.upstreams and SECONDARY not in service.upstreams
    return (RESAMPLE,) if wanted else ()


def _is_split(service: ServicePolicy) -> bool:
    """Between arms, or between those who have a flag and those who have not, which takes no candidate."""
    split = service.split
    return split is not None and (CANDIDATE in service.upstreams or bool(split.testing))


def _limits(arm: str, policy: ShadowPolicy) -> ShadowPolicy:
    if arm != RESAMPLE:
        return policy
    return msgspec.structs.replace(
        policy, max_in_flight=min(policy.max_in_flight, MAX_IN_FLIGHT), max_bytes=min(policy.max_bytes, MAX_BYTES)
    )


def _has_files(origin: Origin) -> bool:
    """Files may have changed under the same name: a reload reads them again."""
    tls = origin.policy.tls
    return any((tls.ca, tls.cert, tls.key))
