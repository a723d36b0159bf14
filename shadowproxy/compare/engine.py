"""The comparer's engine: pairs in, answers out, and what comes together in between."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Final

import msgspec

from shadowproxy.compare.accepted import Accepted, AcceptedTable
from shadowproxy.compare.admission import Admission, Pending
from shadowproxy.compare.causes import Cause, CauseTable, bodies_of
from shadowproxy.compare.comparing import Comparison, compare
from shadowproxy.compare.examples import ExampleMaker
from shadowproxy.compare.findings import Findings
from shadowproxy.compare.limits import Deadline, IncomparableError
from shadowproxy.compare.noise import Bits, ServiceNoise
from shadowproxy.compare.recording import Transcriber
from shadowproxy.compare.redaction import Mask, Redactor
from shadowproxy.compare.rules import RouteRules
from shadowproxy.compare.tables import FieldTable, ReasonTable
from shadowproxy.model.pair import Aggregate, Answer, Example, Exchange, FieldShapes, Learned, Pair, Sightings
from shadowproxy.model.policy import ComparePolicy, Policy, RoutePolicy, ServicePolicy
from shadowproxy.model.terms import CANDIDATE, OTHER, SECONDARY

LOOKS_EVERY: Final = 5.0
"""Seconds between two tellings of learned looks."""
MAX_TRANSCRIPT_TIME: Final = 0.1
"""Seconds that redacting one exchange for a recording may take."""
MAX_EXAMPLE_TIME: Final = 0.25
"""Seconds that one example may take."""


class _Route:
    """What is compiled for one route."""

    __slots__ = ("accepted", "doubled", "examples", "rules", "transcriber")

    def __init__(self, policy: ComparePolicy, mask: Mask) -> None:
        redactor = Redactor(policy, mask)
        self.rules = RouteRules(policy, redactor.hides)
        self.examples = ExampleMaker(self.rules, redactor, mask)
        self.accepted = Accepted((), "")
        self.doubled = False
        """Whether a secondary is to answer each request as well."""
        self.transcriber = Transcriber(policy, redactor, mask)


class Engine:
    """Compares pairs, counts fields and collects examples. Not for several threads.

    `key` is the key of masks: as long as it stays, equal secrets have equal masks. `clock` gives monotonic seconds.
    Raises PathError or PatternError for rules that a checked configuration cannot contain.
    """

    def __init__(self, policy: Policy, key: bytes, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._mask = Mask(key)
        self._fields = FieldTable()
        self._reasons = ReasonTable()
        self._accepted = AcceptedTable()
        self._bits = Bits()
        self._noise: defaultdict[str, ServiceNoise] = defaultdict(ServiceNoise)
        self._versions: Counter[tuple[str, str, str]] = Counter()
        self._looks_at = clock() + LOOKS_EVERY
        self._causes = CauseTable()
        self._suppressed: Counter[str] = Counter()
        self._admission = Admission(clock)
        self._pending = Pending()
        self._routes: dict[tuple[str, str], _Route] = {}
        self._default = _Route(ComparePolicy(), self._mask)
        self.apply(policy)

    def apply(self, policy: Policy) -> None:
        """Compare by these rules from now on; what has been counted is kept, and what unchanged routes have learned."""
        self._routes = {
            (service.name, route.name): self._compiled(service, route)
            for service in policy.services
            for route in (*service.routes, service.other)
        }

    def handle(self, pair: Pair) -> Answer | None:
        """The verdict on a pair, or None when the worker wants no answer. Never raises, whatever the bodies."""
        route = self._routes.get((pair.service, pair.route), self._default)
        comparison = self._compare(pair, route)
        second = self._compare_second(pair, route) if pair.second is not None else None
        repeated = False
        if pair.failure is None and pair.arm == CANDIDATE and pair.shadow is not None:
            repeated = self._weigh(pair, comparison, second, route)
        verdict, kinds = self._count(pair, comparison, route, repeated)
        if not pair.answer:
            return None
        if second is None:
            return Answer(pair.id, verdict, kinds)
        return Answer(pair.id, verdict, kinds, second.verdict, second.found.kinds)

    def transcribe(self, exchange: Exchange) -> tuple[bytes, bytes | None] | None:
        """Request and response as a recording may hold them, redacted; None when that is not possible. Never raises."""
        known = self._routes
        route = known.get((exchange.service, exchange.route)) or known.get((exchange.service, OTHER))
        if route is None:
            return None
        deadline = Deadline(self._clock, MAX_TRANSCRIPT_TIME)
        try:
            return route.transcriber.request(exchange, deadline), route.transcriber.answer(exchange, deadline)
        except Exception:  # whatever it was: what was not redacted is not written
            return None

    def learn(self, learned: Learned) -> None:
        """Control's word on what is noise in one service."""
        self._noise[learned.service].learn(learned)

    def sight(self, sightings: Sightings) -> None:
        """What a worker says of the versions that answers named."""
        for service, arm, version, answers in sightings.seen:
            self._versions[service, arm, version] += answers

    def harvest(self) -> tuple[Aggregate, list[Example]]:
        """The counts and examples that have come together since the last call."""
        aggregate = Aggregate(
            self._fields.harvest(),
            self._reasons.harvest(),
            dict(self._suppressed),
            self._bits.harvest(),
            versions=[(*key, answers) for key, answers in self._versions.items()],
            shapes=self._changed_looks(),
            causes=self._causes.harvest(),
            accepted=self._accepted.harvest(),
        )
        self._suppressed.clear()
        self._versions.clear()
        return aggregate, self._pending.harvest()

    def _compare(self, pair: Pair, route: _Route) -> Comparison:
        try:
            deadline = Deadline(self._clock, route.rules.policy.max_time)
            return compare(pair, route.rules, deadline, every=route.accepted.shaped)
        except Exception:  # a fault of ours must cost one verdict, not the comparer
            return Comparison(Findings(), "internal")

    def _compare_second(self, pair: Pair, route: _Route) -> Comparison | None:
        second = pair.second
        if second is None:
            return None
        return self._compare(msgspec.structs.replace(pair, arm=second.arm, shadow=second.response, failure=None), route)

    def _weigh(self, pair: Pair, comparison: Comparison, second: Comparison | None, route: _Route) -> bool:
        """Take what is accepted and what is noise out of the candidate's findings, and note the bits of a triple.

        Returns whether the primary's version was seen to repeat itself in every field that still counts.
        """
        found, noise, accepted = comparison.found, self._noise[pair.service], route.accepted
        other = second.found if second is not None and not second.limit and noise.is_alike else None
        covering = accepted.set_aside(found, pair.at) if accepted else set()
        noise.judge(pair.route, found, other)
        if accepted:
            covering |= accepted.set_aside(found, pair.at)  # values whose look alone is strange: noise found them now
            self._accepted.count(pair.service, covering, pair.at)
        if comparison.limit:
            return False
        mine = (*found.counted, *found.noise)
        if other is not None:
            # What is accepted is no evidence on either side: else the side where it still counts would look worse.
            theirs = accepted.standing(other, pair.at) if accepted else other.counted
            self._bits.triple(pair.service, pair.route, mine, theirs)
        elif pair.spared is not None:
            self._bits.alone(pair.service, pair.route, mine, pair.spared)
        elif route.doubled and noise.is_alike:
            self._bits.alone(pair.service, pair.route, mine, False)
        return other is not None

    def _count(self, pair: Pair, comparison: Comparison, route: _Route, repeated: bool) -> tuple[str, tuple[str, ...]]:
        """The verdict and its kinds, counted; a mismatch may become an example."""
        verdict = comparison.verdict
        if verdict == "incomparable":
            self._reasons.count(pair.service, pair.route, comparison.reason)
        if verdict != "mismatch":
            return verdict, ()
        if pair.answer:
            self._fields.count(pair.service, pair.route, comparison.found.counted)
        cause = self._causes.count(pair, comparison.found.counted, repeated)
        self._offer_example(pair, comparison, route, cause)
        return verdict, comparison.found.kinds

    def _changed_looks(self) -> list[FieldShapes]:
        """What was learned of looks, now and then: it serves those who start anew."""
        now = self._clock()
        if now < self._looks_at:
            return []
        self._looks_at = now + LOOKS_EVERY
        return [row for service, noise in self._noise.items() for row in noise.take_looks(service)]

    def _compiled(self, service: ServicePolicy, route: RoutePolicy) -> _Route:
        compiled = self._routes.get((service.name, route.name))
        if compiled is None or compiled.rules.policy != route.compare:
            self._causes.forget(service.name, route.name)
            compiled = _Route(route.compare, self._mask)
        compiled.accepted = Accepted(service.accepted, route.name)
        compiled.doubled = SECONDARY in service.upstreams
        return compiled

    def _offer_example(self, pair: Pair, comparison: Comparison, route: _Route, cause: Cause) -> None:
        seen, why = self._admission.admit(cause.id, smaller=cause.is_worth(bodies_of(pair)))
        if not why:
            why = self._make_example(seen, pair, comparison, route, cause)
        if why:
            self._suppressed[why] += 1

    def _make_example(self, seen: int, pair: Pair, comparison: Comparison, route: _Route, cause: Cause) -> str:
        """Makes and keeps an example; says why one was given up, empty if none was."""
        started = self._clock()
        try:
            example = route.examples.make(pair, comparison, Deadline(self._clock, MAX_EXAMPLE_TIME), cause.id)
        except IncomparableError as limit:
            return limit.reason
        except Exception:  # an example is never worth the comparer
            return "failed"
        finally:
            self._admission.spend(self._clock() - started)
        cause.keep(example.id, bodies_of(pair))
        return "" if self._pending.add(seen, example) else "full"
