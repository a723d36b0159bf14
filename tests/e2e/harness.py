"""Start the real proxy, ask it what it counted, and stop it without a trace.

    with Proxy.start(config) as proxy:
        httpx.get(proxy.url + "/items/1")
        books(proxy)

Every wait polls a condition until a deadline; nothing sleeps for a fixed time and hopes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e import nursery
from tests.e2e.ports import HOST, free_ports

START = 60.0
STOP = 20.0
SETTLE = 20.0

_COMMAND = ("-m", "shadowproxy.cli", "run")

T = TypeVar("T")
Labels = frozenset[tuple[str, str]]


def eventually(question: Callable[[], T], seconds: float = SETTLE, says: str = "") -> T:
    """The first true answer to `question`; what it last raised or answered where there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer, problem = None, None
        try:
            answer = question()
        except (AssertionError, OSError) as error:
            problem = error
        if answer:
            return answer
        if time.monotonic() > deadline:
            if problem:
                raise problem
            raise AssertionError(f"not within {seconds:g} s: {says or question} (last answer: {answer!r})")
        time.sleep(0.02)


def get(url: str, timeout: float = 5.0) -> tuple[int, bytes]:
    """Status and body, whatever the status."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@dataclass
class Metrics:
    """One scrape: `values` maps a sample's name and labels to its value."""

    values: dict[tuple[str, Labels], float]

    @classmethod
    def parse(cls, text: str) -> Metrics:
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    def __sub__(self, before: Metrics) -> Metrics:
        """What was counted since an earlier scrape."""
        return Metrics({series: value - before.values.get(series, 0.0) for series, value in self.values.items()})

    def total(self, name: str, **labels: str) -> float:
        """The sum of every series of this name that carries these labels."""
        wanted = labels.items()
        return sum(value for (n, has), value in self.values.items() if n == name and wanted <= has)

    def of(self, name: str, *by: str) -> dict[tuple[str, ...], float]:
        """Sums of a series grouped by the values of these labels."""
        sums: dict[tuple[str, ...], float] = {}
        for (n, labels), value in self.values.items():
            if n == name:
                key = tuple(dict(labels).get(label, "") for label in by)
                sums[key] = sums.get(key, 0.0) + value
        return sums


@dataclass
class Proxy:
    """A running `shadowproxy run`."""

    process: subprocess.Popen[bytes] | nursery.Child
    log: Path
    data: Path
    port: int
    admin_port: int
    probe_port: int
    config: Path | None = None
    seen: dict[int, str] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def start(
        cls,
        directory: Path,
        config: dict[str, Any] | None = None,
        options: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        ready: bool = True,
        program: tuple[str, ...] = (),
        fresh: bool = False,
    ) -> Generator[Proxy, None, None]:
        """Run the proxy with a configuration, or with command-line options alone; `directory` is made for it.

        `fresh`: in an interpreter of its own, as users start it; else in a fork of one that has imported everything.
        `program`: what such an interpreter runs instead, with the same arguments.

        Listeners that `config` does not give get free ports of the loopback. At the end: SIGTERM, exit code 0, and no
        process left behind.
        """
        directory.mkdir(parents=True, exist_ok=True)
        ports = free_ports(3)
        path = directory / "shadowproxy.yaml" if config is not None else None
        if path:
            path.write_text(json.dumps(_complete(config or {}, ports), indent=2))
            arguments = [str(path), *options]
        else:
            names = ("--listen", "--admin", "--probe")
            arguments = [*(f"{name}={HOST}:{port}" for name, port in zip(names, ports, strict=True)), *options]
        program = program or (_COMMAND if fresh else ())
        log = directory / "proxy.log"
        with log.open("wb") as output:
            process = _run(
                arguments, directory, os.environ | (env or {}), output, program or (_COMMAND if fresh else ())
            )
        proxy = cls(process, log, directory / "data", *ports, config=path)
        try:
            if ready:
                proxy.wait_ready()
            yield proxy
            if process.poll() is None:
                proxy.stop()
        finally:
            proxy.kill()

    # Addresses.

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def admin(self) -> str:
        return f"http://{HOST}:{self.admin_port}"

    @property
    def probe(self) -> str:
        return f"http://{HOST}:{self.probe_port}"

    # Questions.

    def wait_ready(self) -> None:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"the proxy ended with {self.process.returncode}:\n{self.tail()}")
            return get(f"{self.probe}/readyz")[0] == 200 and get(f"{self.admin}/healthz")[0] == 200

        try:
            eventually(ready, START, "ready")
        except (AssertionError, OSError) as error:
            raise RuntimeError(f"the proxy is not ready: {error}\n{self.tail()}") from error
        self.tree()

    def metrics(self) -> Metrics:
        status, body = get(f"{self.admin}/metrics")
        assert status == 200, body
        return Metrics.parse(body.decode())

    def api(self, path: str) -> Any:
        status, body = get(f"{self.admin}/api/v1/{path}")
        assert status == 200, body
        return json.loads(body)

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def tree(self) -> dict[int, str]:
        """Pids of the supervisor and everything below it, with a mark that tells a reused pid apart."""
        self.seen |= {pid: _birth(pid) for pid in (self.process.pid, *_descendants(self.process.pid))}
        return {pid: birth for pid, birth in self.seen.items() if birth and _birth(pid) == birth}

    # The end.

    def stop(self, number: int = signal.SIGTERM, code: int = 0) -> None:
        """A signal, the exit code it has to lead to, and nobody left."""
        self.tree()
        self.process.send_signal(number)
        try:
            self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {STOP:g} s after signal {number}:\n{self.tail()}") from None
        assert self.process.returncode == code, f"exit code {self.process.returncode}:\n{self.tail()}"
        eventually(lambda: not self.tree(), 5.0, "no child survives")

    def kill(self) -> None:
        """Whatever is left: the tree, and what has lost its parent but is still of the process group."""
        for pid in self.tree():
            os.kill(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _run(
    arguments: list[str], cwd: Path, env: dict[str, str], output: BinaryIO, program: tuple[str, ...]
) -> subprocess.Popen[bytes] | nursery.Child:
    if not program:
        return nursery.fork("shadowproxy.cli", ["run", *arguments], cwd=cwd, env=env, output=output)
    command = [sys.executable, *program, *arguments]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, env=env, process_group=0)


def _complete(config: dict[str, Any], ports: list[int]) -> dict[str, Any]:
    """Fill in the listeners, and take the ports of those that are given."""
    given = {"listen": config.get("listen")} | {name: config.get(name, {}).get("listen") for name in ("admin", "probe")}
    for index, name in enumerate(("listen", "admin", "probe")):
        if isinstance(given[name], str) and not given[name].startswith("unix:"):
            ports[index] = int(given[name].rpartition(":")[2])
    addresses = [f"{HOST}:{port}" for port in ports]
    return {
        **config,
        "listen": given["listen"] or addresses[0],
        "data_dir": config.get("data_dir", "./data"),
        "admin": {**config.get("admin", {}), "listen": given["admin"] or addresses[1]},
        "probe": {**config.get("probe", {}), "listen": given["probe"] or addresses[2]},
    }


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; nothing where there is no such process, or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [] if fields[0] == "Z" else fields


def _birth(pid: int) -> str:
    """When the process began, in ticks since boot; empty where there is none."""
    fields = _stat(pid)
    return fields[19] if fields else ""


def _descendants(pid: int) -> list[int]:
    """Every process below `pid`."""
    below, parents = [], {pid}
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        if fields := _stat(int(path.name)):
            children.setdefault(int(fields[1]), []).append(int(path.name))
    while parents:
        parents = {child for parent in parents for child in children.get(parent, ())}
        below += parents
    return below


# The books.

ROW = ("service", "route", "arm")


def imbalances(metrics: Metrics) -> list[str]:
    """Where the two lines of the books do not balance (design, law 2)."""
    words = ("eligible", "sampled_out", "dropped", "sent", "lost")
    rows = {word: metrics.of(f"shadowproxy_shadow_{word}_total", *ROW) for word in words}
    rows["in_flight"] = metrics.of("shadowproxy_shadow_in_flight", *ROW)
    rows["compared"] = metrics.of("shadowproxy_comparisons_total", *ROW)
    wrong = []
    for row in sorted(set().union(*rows.values())):
        line = {word: int(counts.get(row, 0)) for word, counts in rows.items()}
        given = line["sampled_out"] + line["dropped"] + line["sent"]
        taken = line["compared"] + line["lost"] + line["in_flight"]
        if line["eligible"] != given or line["sent"] != taken:
            wrong.append(f"{'/'.join(row)}: {line}")
    return wrong


def settled(proxy: Proxy, eligible: int | None = None, **labels: str) -> Metrics:
    """A scrape with nothing in flight, balanced, and with this many eligible copies where that is known."""

    def rest() -> Metrics | None:
        metrics = proxy.metrics()
        flying = metrics.total("shadowproxy_shadow_in_flight")
        assert flying == 0, f"{flying:g} in flight"
        count = metrics.total("shadowproxy_shadow_eligible_total", **labels)
        assert eligible is None or count == eligible, f"{count:g} eligible, not {eligible}"
        return metrics if not imbalances(metrics) else None

    try:
        return eventually(rest)
    except AssertionError as error:
        raise AssertionError(f"{error}; {imbalances(proxy.metrics())}\n{proxy.tail()}") from None


def books(proxy: Proxy, eligible: int | None = None, **labels: str) -> Metrics:
    """Wait for rest and assert that every line of the books balances; returns the scrape."""
    metrics = settled(proxy, eligible, **labels)
    assert imbalances(metrics) == []
    return metrics


def undisturbed(proxy: Proxy, eligible: int, act: Callable[[], T]) -> tuple[T, Metrics]:
    """What `act` returned and what was counted meanwhile, in a run in which no copy was given up for overload.

    A worker sheds mirroring when its loop is late, and on a busy machine it is: then `act` is asked again.
    """
    for _ in range(5):
        before = books(proxy)
        result = act()
        counted = books(proxy, eligible + int(before.total("shadowproxy_shadow_eligible_total"))) - before
        if not counted.total("shadowproxy_shadow_dropped_total", reason="overload"):
            return result, counted
    raise AssertionError("this machine is too busy: copies are given up for overload in every run")
