"""The demo from beginning to end: stage, traffic, rest, report, and a look for the seeded faults."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final, TextIO

import msgspec
import uvloop

from shadowproxy.demo.faults import Finding, at_rest, learned, search
from shadowproxy.demo.progress import Progress
from shadowproxy.demo.stage import DemoError, Stage, stage
from shadowproxy.demo.traffic import Outcome, drive, plan
from shadowproxy.report import Report, render_json, render_text

REST_SECONDS: Final = 20.0
READ_EVERY: Final = 1.25
"""Seconds between two readings of the report: comparers hand in their counts a few times a second."""


@dataclass(frozen=True, slots=True)
class Options:
    requests: int = 3000
    seconds: float = 10.0
    keep: bool = False
    output: str = "text"
    """`text` or `json`."""


def run(options: Options, out: TextIO = sys.stdout, err: TextIO = sys.stderr) -> int:
    """The exit code: 0 when every seeded fault was found and every user was served by version 1, else 1.

    Progress goes to `err`, the result to `out`. Everything that was started is stopped, also on SIGINT (130) and
    SIGTERM (143).
    """
    try:
        with _ended_by_signals(), stage() as scene:
            return _play(scene, options, out, err)
    except DemoError as error:
        print(f"shadowproxy demo: {error}", error.tail, sep="\n", file=err)
        return 1
    except KeyboardInterrupt:
        return 130


def _play(scene: Stage, options: Options, out: TextIO, err: TextIO) -> int:
    print(f"version 1 and version 2 of a small shop behind the proxy at http://{scene.traffic}", file=err)
    progress = Progress(options.requests, err)
    outcome = _traffic(scene, options, progress)
    progress.close()
    report = settle(lambda: _read(scene), lambda: time.sleep(READ_EVERY), int(REST_SECONDS / READ_EVERY))
    findings = search(report)
    served = outcome.servers.keys() == {"shop/1"} and not outcome.broken
    if options.output == "json":
        out.write(_as_json(report, findings))
    else:
        out.write(render_text(report, color=out.isatty()))
        out.write(_as_text(scene, outcome, findings, learned(report)))
    out.flush()
    if options.keep:
        with suppress(KeyboardInterrupt):
            print(f"everything keeps running until Ctrl-C; the proxy's log is {scene.log}", file=err)
            threading.Event().wait()
    return 0 if served and all(finding.found for finding in findings) else 1


def _traffic(scene: Stage, options: Options, progress: Progress) -> Outcome:
    host, _, port = scene.traffic.rpartition(":")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(drive(plan(options.requests), host, int(port), options.seconds, progress))


def _read(scene: Stage) -> Report:
    """The report, as anyone gets it. Raises DemoError."""
    try:
        with urllib.request.urlopen(f"http://{scene.admin}/api/v1/report", timeout=5) as answer:
            return msgspec.json.decode(answer.read(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        raise DemoError(f"the admin API at {scene.admin} gave no report: {error}", scene.tail()) from error


def settle(read: Callable[[], Report], pause: Callable[[], None], readings: int) -> Report:
    """Read until the books are at rest and nothing has changed since the reading before; at most `readings` times more.

    What has not come to rest by then is reported as it is: the report shows its books.
    """
    last = read()
    for _ in range(readings):
        pause()
        report = read()
        if at_rest(report) and report.services == last.services:
            return report
        last = report
    return last


def _as_json(report: Report, findings: list[Finding]) -> str:
    document = msgspec.json.decode(render_json(report))
    document["faults"] = msgspec.to_builtins(findings)
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _as_text(scene: Stage, outcome: Outcome, findings: list[Finding], noise: list[str]) -> str:
    servers = ", ".join(f"{count:,} by {server or 'nobody'}" for server, count in outcome.servers.items())
    lines = [
        "",
        f"Users: {outcome.answered:,} requests answered ({servers}), {outcome.broken:,} without a whole answer.",
        f"Noise, learned from a second instance of version 1: {', '.join(noise) or 'none yet'}.",
        "Seeded faults of version 2:",
    ]
    for finding in findings:
        mark = "found    " if finding.found else "NOT FOUND"
        lines.append(f"  {mark} {finding.name} on {finding.route}: {finding.says}")
        if finding.evidence:
            cause = f" (cause {finding.cause})" if finding.cause else ""
            lines.append(f"            {finding.evidence}{cause}")
    lines.append(f"{sum(finding.found for finding in findings)} of {len(findings)} seeded faults found.")
    lines.append(f"Admin API: http://{scene.admin}  metrics: http://{scene.admin}/metrics")
    return "\n".join(lines) + "\n"


@contextmanager
def _ended_by_signals() -> Generator[None, None, None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that everything is stopped.

    SIGINT is set as well: a shell starts its background jobs with SIGINT ignored.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    handlers = {signal.SIGTERM: end, signal.SIGHUP: end, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
