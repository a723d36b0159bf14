"""Short ways to say pairs and policies."""

from __future__ import annotations

import json
from typing import Any

from shadowproxy.compare import Engine
from shadowproxy.compare.comparing import Comparison, compare
from shadowproxy.compare.limits import Deadline
from shadowproxy.compare.rules import RouteRules
from shadowproxy.model.pair import Answer, CapturedRequest, CapturedResponse, Example, Fields, Pair
from shadowproxy.model.policy import ComparePolicy, Policy, RoutePolicy, ServicePolicy

JSON: Fields = [(b"Content-Type", b"application/json")]
TEXT: Fields = [(b"Content-Type", b"text/plain; charset=utf-8")]
FORM: Fields = [(b"Content-Type", b"application/x-www-form-urlencoded")]
BYTES: Fields = [(b"Content-Type", b"image/png")]
GET = CapturedRequest(b"GET", b"/items/42", [(b"Host", b"shop.example")])


def of(media_type: str, body: str | bytes) -> CapturedResponse:
    """A response with a body of this type."""
    return response(body.encode() if isinstance(body, str) else body, [(b"Content-Type", media_type.encode())])


class Clock:
    """Seconds that pass only when told, or by `step` at every look."""

    def __init__(self, step: float = 0.0) -> None:
        self.now = 1000.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def response(body: Any, fields: Fields = JSON, status: int = 200, *, truncated: bool = False) -> CapturedResponse:
    """Bytes stay as they are; anything else is written as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CapturedResponse(status, fields, data, 0.012, truncated)


def pair(
    primary: CapturedResponse,
    shadow: CapturedResponse | None,
    request: CapturedRequest = GET,
    failure: str | None = None,
    *,
    answer: bool = True,
    request_id: str = "r-1",
    at: float = 1.7e9,
) -> Pair:
    return Pair(7, "shop", "item", "candidate", request_id, at, request, primary, shadow, failure, answer)


def policy(rules: ComparePolicy) -> Policy:
    return Policy((ServicePolicy("shop", 0, {}, (RoutePolicy("item", 0, compare=rules),)),))


def engine(rules: ComparePolicy | None = None, clock: Clock | None = None) -> Engine:
    return Engine(policy(rules or ComparePolicy()), b"key", clock or Clock())


def judged(each: Pair, rules: ComparePolicy | None = None, clock: Clock | None = None) -> Comparison:
    route = RouteRules(rules or ComparePolicy())
    return compare(each, route, Deadline(clock or Clock(), route.policy.max_time))


def found(primary: Any, shadow: Any, rules: ComparePolicy | None = None) -> set[tuple[str, str]]:
    """The fields and kinds that count when two JSON values are compared."""
    return set(judged(pair(response(primary), response(shadow)), rules).found.counted)


def differing(
    a: str | bytes, b: str | bytes, media_type: str, rules: ComparePolicy | None = None, other_type: str | None = None
) -> set[tuple[str, str]]:
    """The fields and kinds that count when two bodies are compared, but for the header fields."""
    comparison = judged(pair(of(media_type, a), of(other_type or media_type, b)), rules)
    return {key for key in comparison.found.counted if key[1] != "header"}


def ruled(primary: Any, shadow: Any, rules: ComparePolicy) -> set[tuple[str, str]]:
    """The fields and kinds that a rule of the user explains away."""
    return set(judged(pair(response(primary), response(shadow)), rules).found.ruled)


def verdict(primary: Any, shadow: Any, rules: ComparePolicy | None = None) -> str:
    return judged(pair(response(primary), response(shadow)), rules).verdict


def answered(each: Pair, rules: ComparePolicy | None = None) -> Answer:
    answer = engine(rules).handle(each)
    assert answer is not None
    return answer


def example(each: Pair, rules: ComparePolicy | None = None) -> Example:
    """The example that one mismatch leaves."""
    busy = engine(rules)
    busy.handle(each)
    aggregate, examples = busy.harvest()
    assert len(examples) == 1, aggregate.suppressed
    return examples[0]
