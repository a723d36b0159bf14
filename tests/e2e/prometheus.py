"""A real Prometheus, and something for it to scrape that says what a test wants."""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import eventually, get
from tests.e2e.ports import HOST, free_port

_CONFIG = """
global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
  - {job_name: shop, static_configs: [{targets: ["%s"]}]}
"""


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
def prometheus(root: Path, target: str, rules: str = "") -> Generator[Running, None, None]:
    """A real Prometheus that scrapes `target` five times a second; `rules` are a file with rules."""
    program = shutil.which("prometheus") or pytest.fail("prometheus is not installed")
    config = root / "prometheus.yml"
    config.write_text(_CONFIG % (rules, target))
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
