"""What an evaluation of a flag costs, here and in the reference engine `openfeature-flagd-core`, in the same run.

Run: `python -m benchmarks.flags_micro` (`make test` makes the environment of the reference). Each side measures itself,
in turn, several times; the least counts.
"""

from __future__ import annotations

import json
from time import perf_counter
from typing import Any, Final

from shadowproxy.flags.evaluation import FlagSet
from shadowproxy.flags.reading import read
from shadowproxy.http1 import parse_request
from shadowproxy.model.flags import Attribute, FlagsInForce, FlagsPolicy
from shadowproxy.model.policy import LimitsPolicy, Policy, RoutePolicy, ServicePolicy
from shadowproxy.proxy.flagging import Flagging
from shadowproxy.proxy.forwarded import Peer
from tests.flags.reference import reference

ROUNDS: Final = 7
TIMES: Final = 20_000
CONTEXT: Final = {"targetingKey": "user-1234", "email": "ann@example.org", "plan": "pro", "version": "2.3.4"}
RULES: Final[dict[str, Any]] = {
    "no targeting": None,
    "a comparison": {"if": [{"==": [{"var": "plan"}, "pro"]}, "on"]},
    "an ending": {"if": [{"ends_with": [{"var": "email"}, "@example.com"]}, "on", "off"]},
    "a share of the users": {"fractional": [["on", 10], ["off", 90]]},
    "a version": {"if": [{"sem_ver": [{"var": "version"}, ">=", "2.1.0"]}, "on"]},
    "all of it": {
        "if": [
            {"and": [{"in": [{"var": "plan"}, ["pro", "team"]]}, {"sem_ver": [{"var": "version"}, ">=", "2.1.0"]}]},
            {"fractional": [{"cat": [{"var": "$flagd.flagKey"}, {"var": "email"}]}, ["on", 25], ["off", 75]]},
            {"if": [{"ends_with": [{"var": "email"}, "@example.com"]}, "on", "off"]},
        ]
    },
}


def definitions(rule: Any) -> str:
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
    return json.dumps({"flags": {"flag": {**flag, **({"targeting": rule} if rule else {})}}})


def ours(text: str) -> float:
    flag = FlagSet(1, read(text.encode(), "flags.json")).get("flag")
    assert flag is not None
    began = perf_counter()
    for _ in range(TIMES):
        flag.evaluate(CONTEXT, 1_700_000_000)
    return (perf_counter() - began) / TIMES


def request(flags: dict[str, Any]) -> float:
    """All flags of one request: the context from its fields, the evaluations, the field."""
    attributes = {"email": Attribute(header="x-email"), "plan": Attribute(header="x-plan")}
    policy = FlagsPolicy("flags.json", targeting_key=Attribute(header="x-user"), attributes=attributes)
    route = RoutePolicy("other", 0)
    service = ServicePolicy("shop", 0, {}, other=route)
    found = Flagging(Policy((service,), flags=policy), FlagsInForce(1, json.dumps({"flags": flags}).encode()))
    text = b"GET / HTTP/1.1\r\nHost: a\r\nx-user: user-1234\r\nx-email: ann@example.org\r\nx-plan: pro\r\n\r\n"
    head, peer = parse_request(text, LimitsPolicy()), Peer("127.0.0.1", False, False)
    around = _Around()
    began = perf_counter()
    for _ in range(TIMES):
        found.decide(head, b"id", peer, around, "shop", route)
    return (perf_counter() - began) / TIMES


class _Around:
    lapsed: frozenset[str] = frozenset()

    def trusts(self, peer: str) -> bool:
        return False


def main() -> None:
    print(f"{'targeting':24} {'here':>9} {'reference':>11} {'ratio':>7}")
    with reference() as engine:
        for name, rule in RULES.items():
            text = definitions(rule)
            case = {"definitions": text, "key": "flag", "type": "boolean", "context": CONTEXT, "times": TIMES // 10}
            here, there = [], []
            for _ in range(ROUNDS):
                here.append(ours(text))
                [answer] = engine.ask([case])
                there.append(answer["seconds"])
            mine, theirs = min(here) * 1e6, min(there) * 1e6
            print(f"{name:24} {mine:6.2f} µs {theirs:8.1f} µs {theirs / mine:6.0f}x")
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
    same = {f"flag-{n}": flag for n in range(5)}
    two = {**same, **{f"flag-{n}": {**flag, "targeting": RULES["an ending"]} for n in range(2)}}
    for words, flags in (("5 flags, the same for everybody", same), ("5 flags, 2 of them targeted", two)):
        print(f"{words:34} {min(request(flags) for _ in range(ROUNDS)) * 1e6:5.2f} µs a request")


if __name__ == "__main__":
    main()
