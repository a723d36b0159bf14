"""PromQL checks against a real Prometheus: values, and everything that is none."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path

import aiohttp
import pytest

from shadowproxy.control.rollout.prometheus import Asked, Queries
from shadowproxy.model.rollout import PROMQL, Check, Prometheus
from shadowproxy.rollout.facts import Answer
from tests.e2e.harness import eventually
from tests.e2e.ports import HOST
from tests.e2e.prometheus import Exporter, Running, exporter, prometheus

ASKED = Asked("shop", {"primary": "1.0", "candidate": '2.0"'})


def ask(
    url: str, query: str = 'memory{version="$version"}', against: str | None = "primary", timeout: float = 5.0
) -> Answer:
    """One question, and its answer."""

    async def asked() -> Answer:
        async with aiohttp.ClientSession() as session:
            queries = Queries(lambda: session)
            check = Check("memory", PROMQL, promql=query, against=against, step=1.0)
            queries.start(Prometheus(url, timeout), [check], ASKED, time.time())
            async with asyncio.timeout(20):
                while not (answers := queries.take()):
                    await asyncio.sleep(0.01)
            return answers["memory"]

    return asyncio.run(asked())


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Running, Exporter], None, None]:
    with (
        exporter() as exported,
        prometheus(tmp_path_factory.mktemp("prometheus"), f"{HOST}:{exported.port}") as running,
    ):
        yield running, exported


def says(url: str, why: str) -> Callable[[], bool]:
    return lambda: why in ask(url).why


def test_both_versions_are_asked_whatever_they_are_called(scraped: tuple[Running, Exporter]) -> None:
    running, exported = scraped
    exported.set(primary="100", candidate="120")

    def answer() -> Answer | None:
        found = ask(running.url)
        return None if found.why else found

    found = eventually(answer)
    assert {value for _, value in found.candidate} == {120.0}
    assert {value for _, value in found.primary} == {100.0}


def test_what_is_missing_or_no_number_says_so(scraped: tuple[Running, Exporter]) -> None:
    running, exported = scraped
    exported.set(primary="100")
    eventually(says(running.url, "no series for the candidate"))
    exported.set(primary="100", candidate="NaN")
    eventually(says(running.url, "not a number"))


def test_what_is_not_one_series_over_time_says_so(scraped: tuple[Running, Exporter]) -> None:
    running, exported = scraped
    exported.set(primary="100", candidate="120")
    eventually(lambda: not ask(running.url).why)
    assert "2 series" in ask(running.url, "memory", None).why
    assert "answered 400" in ask(running.url, "memory{", None).why
    assert ask(running.url, "sum(memory)", None).candidate[-1][1] == 220.0


def test_a_prometheus_that_is_stopped_or_gone_is_no_answer(tmp_path: Path) -> None:
    with exporter() as exported, prometheus(tmp_path, f"{HOST}:{exported.port}") as running:
        exported.set(primary="100", candidate="120")
        eventually(lambda: not ask(running.url).why)
        running.process.send_signal(signal.SIGSTOP)
        assert ask(running.url, timeout=0.5).why == "Prometheus did not answer within 0.5 s"
        running.process.send_signal(signal.SIGCONT)
        eventually(lambda: not ask(running.url).why)
        running.process.kill()
        eventually(says(running.url, "cannot be asked"))
