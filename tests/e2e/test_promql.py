"""PromQL checks against a real Prometheus: values, and everything that is none."""

from __future__ import annotations

import asyncio
import http.server
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from shadowproxy.control.rollout.prometheus import Asked, Queries
from shadowproxy.model.rollout import PROMQL, Check, Prometheus
from shadowproxy.rollout.values import Answer
from tests.e2e.harness import eventually, get
from tests.e2e.ports import HOST, free_port

_CONFIG = """
global: {scrape_interval: 200ms, scrape_timeout: 200ms}
scrape_configs:
  - {job_name: shop, static_configs: [{targets: ["%s"]}]}
"""
ASKED = Asked("shop", {"primary": "1.0", "candidate": '2.0"'})


@dataclass
class Exporter:
    """Says what `text` says; keys are versions."""

    port: int
    text: str = ""

    def set(self, **values: str) -> None:
        versions = {"primary": "1.0", "candidate": '2.0\\"'}
        self.text = "".join(f'memory{{version="{versions[arm]}"}} {value}\n' for arm, value in values.items())


@contextmanager
def exporter() -> Generator[Exporter, None, None]:
    exported = Exporter(free_port())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exported.text.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((HOST, exported.port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield exported
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Running:
    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def prometheus(root: Path, target: str) -> Generator[Running, None, None]:
    """A real Prometheus that scrapes `target` five times a second."""
    program = shutil.which("prometheus") or pytest.fail("prometheus is not installed")
    config = root / "prometheus.yml"
    config.write_text(_CONFIG % target)
    port = free_port()
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={root / 'tsdb'}",
        f"--web.listen-address={HOST}:{port}",
        "--log.level=error",
    ]
    with (root / "prometheus.log").open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | {"GOMAXPROCS": "1"}
        )
    running = Running(f"http://{HOST}:{port}", process)
    try:
        eventually(lambda: get(f"{running.url}/-/ready")[0] == 200, 30, "Prometheus is ready")
        yield running
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(20)


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
