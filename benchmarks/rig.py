"""The stand: upstreams on one side, one contestant at a time, the load; and one measurement as a function.

Every sample starts its contestant and its candidate anew: rounds are independent of each other and a frozen candidate
leaves nothing behind. The contestant's whole tree is pinned to the first processor, load and upstreams to the rest.
"""

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import loads, processes, scrape
from benchmarks.cases import SLOW_MS, Candidate, Case
from benchmarks.contestants import Engine, command, engine_of, program, render

UPSTREAMS = Path(__file__).parent / "upstreams"
ITEM = (
    '{"id":4711,"name":"A lamp with a long description","price":{"amount":"49.90","currency":"EUR"},'
    '"stock":[{"place":"north","count":3},{"place":"south","count":14}],"tags":["light","desk","oak","new"],'
    '"description":"' + "A sentence about a lamp. " * 32 + '"}'
)
BLOB_BYTES = 1 << 20
RATE_CEILING = 15_000.0  # requests/s that the open-loop generator sends without being late itself


@dataclass(slots=True)
class Stand:
    """Where things run: a directory for files, the processors, the address of the primary."""

    root: Path
    proxy_cpus: frozenset[int]
    other_cpus: frozenset[int]
    primary: str = ""
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def directory(self, name: str) -> Path:
        path = self.root / f"{next(self.numbers)}-{name}"
        path.mkdir()
        return path


@dataclass(slots=True)
class Proxy:
    """A contestant that runs: its root process, port, and (shadowproxy) the port of its metrics."""

    pid: int
    port: int
    admin_port: int | None
    pss_mib: float = 0.0
    candidate: str | None = None  # its address where it can be asked how many copies came


def processors() -> tuple[frozenset[int], frozenset[int]]:
    """(the contestant's, everyone else's). With one processor both are the same."""
    usable = sorted(os.sched_getaffinity(0))
    return frozenset(usable[:1]), frozenset(usable[1:] or usable)


@contextlib.contextmanager
def standing(root: Path) -> Iterator[Stand]:
    """A stand with its primary running. The benchmark itself keeps off the contestant's processor."""
    mine, others = processors()
    os.sched_setaffinity(0, others)
    stand = Stand(root, mine, others)
    (root / "blob").write_bytes(os.urandom(BLOB_BYTES))
    with nginx_arm(stand, "primary") as (stand.primary, _):
        yield stand


@contextlib.contextmanager
def nginx_arm(stand: Stand, name: str) -> Iterator[tuple[str, int]]:
    """An upstream of one nginx process: (its address, its pid)."""
    directory = stand.directory(name)
    port = processes.free_port()
    values = {"dir": directory, "address": f"127.0.0.1:{port}", "item": ITEM, "files": stand.root}
    config = directory / "nginx.conf"
    config.write_text(render((UPSTREAMS / "nginx.conf").read_text(), mirror=False, values=values))
    log = directory / "log"
    nginx = program(engine_of("nginx")) or "nginx"
    argv = [nginx, "-e", "stderr", "-p", str(directory), "-c", str(config)]
    with processes.running(argv, stand.other_cpus, log) as process:
        processes.wait_until_answers(process, port, log)
        yield f"127.0.0.1:{port}", process.pid


@contextlib.contextmanager
def candidate_arm(stand: Stand, state: Candidate) -> Iterator[tuple[str, int]]:
    """The candidate as `state` wants it: (its address, its pid; 0 where there is no process). Not frozen yet."""
    if state in (Candidate.LIVE, Candidate.FROZEN):
        with nginx_arm(stand, "candidate") as running:
            yield running
    elif state is Candidate.SLOW:
        port = processes.free_port()
        log = stand.directory("slow") / "log"
        argv = [sys.executable, str(UPSTREAMS / "slow.py"), str(port), stand.primary, f"{SLOW_MS:g}"]
        with processes.running(argv, stand.other_cpus, log) as process:
            processes.wait_until_answers(process, port, log)
            yield f"127.0.0.1:{port}", process.pid
    else:
        yield f"127.0.0.1:{processes.free_port()}", 0


@contextlib.contextmanager
def proxy(stand: Stand, engine: Engine, *, candidate: str | None) -> Iterator[Proxy]:
    """`engine` in front of the primary, mirroring to `candidate` where one is given."""
    directory = stand.directory(engine.name)
    port, admin_port, probe_port = processes.free_ports(3)
    values: dict[str, object] = {"dir": directory, "port": port, "admin_port": admin_port, "probe_port": probe_port}
    for arm, address in (("primary", stand.primary), ("candidate", candidate or "none:0")):
        host, arm_port = address.rsplit(":", 1)
        values |= {arm: address, f"{arm}_host": host, f"{arm}_port": arm_port}
    argv, env = command(engine, mirror=candidate is not None, values=values)
    log = directory / "log"
    with processes.running(argv, stand.proxy_cpus, log, env) as process:
        processes.wait_until_answers(process, port, log)
        yield Proxy(process.pid, port, admin_port if engine.name == "shadowproxy" else None)


@contextlib.contextmanager
def ready(stand: Stand, contestant: str, state: Candidate, warm_up: float, path: str = "/item") -> Iterator[Proxy]:
    """A warm contestant, its candidate in `state`: frozen only after the warm-up, with connections open."""
    with candidate_arm(stand, state) as (address, pid):
        target = None if state is Candidate.ABSENT else address
        with proxy(stand, engine_of(contestant), candidate=target) as running:
            time.sleep(0.3)  # what a proxy still does after its first answer is not part of its idle memory or its load
            running.pss_mib = processes.pss_mib(running.pid)
            running.candidate = address if state is Candidate.LIVE else None
            loads.saturate(running.port, path, warm_up, stand.other_cpus)
            if state is Candidate.FROZEN:
                processes.freeze(pid)
            yield running


def saturation_sample(stand: Stand, contestant: str, case: Case, seconds: float, warm_up: float) -> dict[str, float]:
    """Requests/s, CPU per request in µs, memory in MiB before and after; shadowproxy: the share of copies compared."""
    with ready(stand, contestant, case.candidate, warm_up, case.path) as running:
        books = scrape.books(running.admin_port) if case.mirrors and running.admin_port else None
        copies = scrape.requests_seen(running.candidate) if running.candidate else 0
        before = processes.cpu_seconds(running.pid)
        result = loads.saturate(running.port, case.path, seconds, stand.other_cpus)
        cpu = processes.cpu_seconds(running.pid) - before
        sample = {
            "rps": result.rps,
            "cpu_us": cpu / result.requests * 1e6 if result.requests else float("nan"),
            "errors": result.errors,
            "idle_mib": running.pss_mib,
            "loaded_mib": processes.pss_mib(running.pid),
        }
        if running.candidate and result.requests:
            sample["copies_share"] = (scrape.requests_seen(running.candidate) - copies - 1) / result.requests
        if books and running.admin_port and (later := scrape.books(running.admin_port)):
            sample |= later.since(books)
        return sample


def paced_sample(
    stand: Stand, contestant: str, state: Candidate, rate: float, seconds: float, seed: int
) -> dict[str, float]:
    """Latency percentiles in ms at `rate` requests per second, after a second of it, and CPU per request in µs."""
    with ready(stand, contestant, state, 1) as running:
        before = processes.cpu_seconds(running.pid)
        windows = loads.paced(running.port, rate, [1, seconds], stand.other_cpus, seed)
        cpu = processes.cpu_seconds(running.pid) - before
        done = sum(window["count"] for window in windows)
        return {**windows[-1], "rate": rate, "cpu_us": cpu / done * 1e6 if done else float("nan")}


def after_freeze_sample(
    stand: Stand, contestant: str, rate: float, seconds: list[float], seed: int
) -> list[dict[str, float]]:
    """Percentiles of each stretch in `seconds` that follows the freeze; the first is the one to be kept apart."""
    with ready(stand, contestant, Candidate.FROZEN, 1) as running:
        return loads.paced(running.port, rate, seconds, stand.other_cpus, seed)


def frozen_growth(stand: Stand, contestant: str, rate: float, seconds: float) -> dict[str, float]:
    """The tree's PSS in MiB after live traffic, and the most it grew while the candidate stood frozen for `seconds`."""
    with (
        candidate_arm(stand, Candidate.FROZEN) as (address, pid),
        proxy(stand, engine_of(contestant), candidate=address) as running,
    ):
        loads.paced(running.port, rate, [3], stand.other_cpus)
        before = processes.pss_mib(running.pid)
        processes.freeze(pid)
        seen: list[float] = []
        report = stand.directory("growth") / "report"
        argv = loads.paced_argv(running.port, rate, [seconds])
        with processes.running(argv, stand.other_cpus, report, cwd=loads.ROOT) as load:
            while load.poll() is None:
                seen.append(processes.pss_mib(running.pid))
                time.sleep(1)
        (window,) = loads.parse_paced(report.read_text())
        return {**window, "before_mib": before, "growth_mib": max(seen) - before, "rate": rate}
