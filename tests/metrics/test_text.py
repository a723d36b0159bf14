"""What is written is what the client library reads, and in a fraction of the time that it takes to write it."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

from shadowproxy.metrics.exposition import Scrape, collect
from shadowproxy.metrics.fields import FieldTable
from shadowproxy.metrics.text import Family, render
from shadowproxy.model.totals import StoreFigures
from tests.metrics.world import World


class Given(Collector):
    def __init__(self, *families: Family) -> None:
        self.families = families

    def collect(self) -> Iterator[Metric]:
        for family in self.families:
            metric = Metric(family.name.removesuffix("_total"), family.help, family.kind)
            for name, labels, value in family.samples:
                metric.add_sample(name, labels, value)
            yield metric


def theirs(*families: Family) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Given(*families))
    return generate_latest(registry)


def test_a_scrape_is_written_as_the_client_library_does() -> None:
    world = World()
    world.mirrored(12_345, 89)
    scrape = Scrape(
        world.counters, world.registry, world.policy, FieldTable(), {}, {}, StoreFigures(), version="1", now=0.0
    )
    families = list(collect(scrape))
    assert render(families) == theirs(*families)


@pytest.mark.parametrize(
    "number", [0, 7, -3, True, 999_999, 1_000_000, 12_345_678_901, 2**60, 0.5, 1e-9, 1e21, -2.5, inf, -inf, nan]
)
def test_numbers(number: float) -> None:
    written = render([Family("a", "b", "gauge", [("a", {}, number)])]).decode()
    ((sample,),) = [family.samples for family in text_string_to_metric_families(written)]
    assert sample.value == number or (isnan(sample.value) and isnan(number))


@pytest.mark.no_cover
@given(st.lists(st.tuples(st.text(), st.text()), max_size=5), st.text(), st.sampled_from(["counter", "gauge"]))
def test_any_text_in_any_place(values: list[tuple[str, str]], text: str, kind: str) -> None:
    encodable = "".join(character for character in text if not "\ud800" <= character <= "\udfff")
    name = "a_total" if kind == "counter" else "a"
    family = Family(name, encodable, kind, [(name, {"z": one, "a": other}, 1) for one, other in values])
    assert render([family]) == theirs(family)
