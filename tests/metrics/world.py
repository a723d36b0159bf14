"""A small proxy made of values: two services, counters to write to."""

from __future__ import annotations

from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.model.policy import Endpoint, Policy, Registry, RoutePolicy, ServicePolicy, UpstreamPolicy


def upstream(url: str) -> UpstreamPolicy:
    host, _, port = url.removeprefix("http://").partition(":")
    return UpstreamPolicy((Endpoint(url, host=host, port=int(port or 80)),))


class World:
    def __init__(self, slots: int = 2) -> None:
        self.registry = Registry()
        self.counters = Counters(slots)
        names = self.registry
        self.policy = Policy(
            (
                ServicePolicy(
                    "shop",
                    names.service("shop"),
                    {"primary": upstream("http://10.0.0.1:81"), "candidate": upstream("http://10.0.0.2:82")},
                    (RoutePolicy("item", names.route("shop", "item"), "/items/{id}"),),
                    RoutePolicy("other", names.route("shop", "other")),
                ),
                ServicePolicy(
                    "mail",
                    names.service("mail"),
                    {"primary": upstream("http://mail.internal:83")},
                    (),
                    RoutePolicy("other", names.route("mail", "other")),
                ),
            ),
            sequence=7,
            epoch="epoch1",
        )

    def row(self, service: str = "shop", route: str = "item") -> int:
        return at.route_row(self.registry.routes[f"{service}\n{route}"])

    def add(self, word: int, amount: int = 1, block: int = 0) -> None:
        self.counters.block(block)[word] += amount

    def mirrored(self, pairs: int, mismatches: int = 0, mirror: int = 0) -> None:
        """`pairs` copies sent and compared on shop/item, `mismatches` of them different in a value."""
        row = self.row()
        self.add(at.requests_word(row, 0, 1), pairs)
        self.add(row + at.ELIGIBLE + mirror, pairs)
        self.add(row + at.SENT + mirror, pairs)
        self.add(at.compared_word(row, mirror, "match"), pairs - mismatches)
        self.add(at.compared_word(row, mirror, "mismatch"), mismatches)
        self.add(at.mismatch_word(row, mirror, "body_value"), mismatches)
