"""What is written is what the client library writes, and in a fraction of the time."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from shadowproxy.metrics.exposition import Scrape, collect
from shadowproxy.metrics.fields import FieldTable
from shadowproxy.metrics.text import render
from shadowproxy.model.totals import StoreFigures
from tests.metrics.world import World


class Given(Collector):
    def __init__(self, *families: Metric) -> None:
        self.families = families

    def collect(self) -> Iterator[Metric]:
        yield from self.families


def theirs(*families: Metric) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Given(*families))
    return generate_latest(registry)


def test_a_scrape_is_written_as_the_client_library_does() -> None:
    world = World()
    world.mirrored(1_234_567, 89)
    scrape = Scrape(
        world.counters, world.registry, world.policy, FieldTable(), {}, {}, StoreFigures(), version="1", now=0.0
    )
    families = list(collect(scrape))
    assert render(families) == theirs(*families)


@pytest.mark.parametrize(
    "number", [0, 7, -3, True, 999_999, 1_000_000, 12_345_678_901, 0.5, 1e-9, 1e21, -2.5, inf, -inf, nan]
)
def test_numbers(number: float) -> None:
    metric = Metric("a", "b", "gauge")
    metric.add_sample("a", {}, number)
    assert render([metric]) == theirs(metric)


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5), st.text(), st.sampled_from(["counter", "gauge"]))
def test_any_text_in_any_place(values: list[tuple[str, str]], text: str, kind: str) -> None:
    encodable = "".join(character for character in text if not "\ud800" <= character <= "\udfff")
    metric = Metric("a", encodable, kind)
    for one, other in values:
        metric.add_sample("a", {"z": one, "a": other}, 1)
    assert render([metric]) == theirs(metric)
