"""The comparer's engine: pairs in, answers out, and what comes together in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from shadowproxy.compare.admission import Admission, Pending
from shadowproxy.compare.comparing import Comparison, compare
from shadowproxy.compare.examples import ExampleMaker
from shadowproxy.compare.findings import Findings
from shadowproxy.compare.limits import Deadline, IncomparableError
from shadowproxy.compare.redaction import Mask, Redactor
from shadowproxy.compare.rules import RouteRules
from shadowproxy.compare.tables import FieldTable, ReasonTable
from shadowproxy.model.pair import Aggregate, Answer, Example, Pair
from shadowproxy.model.policy import ComparePolicy, Policy, RoutePolicy

MAX_EXAMPLE_TIME: Final = 0.25
"""Seconds that one example may take."""


class _Route:
    """What is compiled for one route."""

    __slots__ = ("examples", "rules")

    def __init__(self, policy: ComparePolicy, mask: Mask) -> None:
        redactor = Redactor(policy, mask)
        self.rules = RouteRules(policy, redactor.hides)
        self.examples = ExampleMaker(self.rules, redactor, mask)


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
        self._suppressed: Counter[str] = Counter()
        self._admission = Admission(clock)
        self._pending = Pending()
        self._routes: dict[tuple[str, str], _Route] = {}
        self._default = _Route(ComparePolicy(), self._mask)
        self.apply(policy)

    def apply(self, policy: Policy) -> None:
        """Compare by these rules from now on; what has been counted is kept, and what unchanged routes have learned."""
        self._routes = {
            (service.name, route.name): self._compiled(service.name, route)
            for service in policy.services
            for route in (*service.routes, service.other)
        }

    def handle(self, pair: Pair) -> Answer | None:
        """The verdict on a pair, or None when the worker wants no answer. Never raises, whatever the bodies."""
        route = self._routes.get((pair.service, pair.route), self._default)
        try:
            comparison = compare(pair, route.rules, Deadline(self._clock, route.rules.policy.max_time))
        except Exception:  # a fault of ours must cost one verdict, not the comparer
            comparison = Comparison("incomparable", Findings(), "internal")
        if comparison.verdict == "incomparable":
            self._reasons.count(pair.service, pair.route, comparison.reason)
        elif comparison.verdict == "mismatch":
            if pair.answer:
                self._fields.count(pair.service, pair.route, comparison.found.counted)
            self._offer_example(pair, comparison, route)
        if not pair.answer:
            return None
        return Answer(pair.id, comparison.verdict, comparison.found.kinds if comparison.verdict == "mismatch" else ())

    def harvest(self) -> tuple[Aggregate, list[Example]]:
        """The counts and examples that have come together since the last call."""
        aggregate = Aggregate(self._fields.harvest(), self._reasons.harvest(), dict(self._suppressed))
        self._suppressed.clear()
        return aggregate, self._pending.harvest()

    def _compiled(self, service: str, route: RoutePolicy) -> _Route:
        known = self._routes.get((service, route.name))
        if known is not None and known.rules.policy == route.compare:
            return known
        return _Route(route.compare, self._mask)

    def _offer_example(self, pair: Pair, comparison: Comparison, route: _Route) -> None:
        signature = hash((pair.service, pair.route, pair.arm, frozenset(comparison.found.counted)))
        seen, why = self._admission.admit(signature)
        if not why:
            why = self._make_example(seen, pair, comparison, route)
        if why:
            self._suppressed[why] += 1

    def _make_example(self, seen: int, pair: Pair, comparison: Comparison, route: _Route) -> str:
        """Makes and keeps an example; says why one was given up, empty if none was."""
        started = self._clock()
        try:
            example = route.examples.make(pair, comparison, Deadline(self._clock, MAX_EXAMPLE_TIME))
        except IncomparableError as limit:
            return limit.reason
        except Exception:  # an example is never worth the comparer
            return "failed"
        finally:
            self._admission.spend(self._clock() - started)
        return "" if self._pending.add(seen, example) else "full"
