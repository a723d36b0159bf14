"""What a reload says has changed."""

from __future__ import annotations

import msgspec
import pytest

from shadowproxy.model.policy import LimitsPolicy, Policy, RoutePolicy, ServicePolicy
from shadowproxy.model.rollout import Split
from shadowproxy.runtime.loading import changes

A, B = ServicePolicy("a", 0, {}), ServicePolicy("b", 1, {})
BEFORE = Policy((A,), sequence=1, epoch="e")


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (Policy((A,), sequence=2, epoch="f"), ()),
        (Policy((A, B)), ("services.b (added)",)),
        (Policy(()), ("services.a (removed)",)),
        (Policy((msgspec.structs.replace(A, routes=(RoutePolicy("r", 1),)),)), ("services.a",)),
        (Policy((msgspec.structs.replace(A, split=Split("v2", weight=0.5)),)), ()),
        (Policy((A,), limits=LimitsPolicy(line=1), proxy_protocol=True), ("limits", "proxy_protocol")),
    ],
)
def test_what_differs_is_named(after: Policy, said: tuple[str, ...]) -> None:
    assert changes(BEFORE, after) == said
