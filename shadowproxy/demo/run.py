"""The demo from beginning to end, in two acts.

Version 2 is shadowed: traffic, rest, report, and a look for its seeded faults. Then version 3, which has none of them,
is rolled out; or, with a late fault, it is rolled out alone and rolled back.
"""

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

from shadowproxy.admin.rollout_values import RolloutStatus
from shadowproxy.demo.faults import Finding, at_rest, learned, search
from shadowproxy.demo.progress import Progress
from shadowproxy.demo.stage import DemoError, Stage, stage
from shadowproxy.demo.traffic import Outcome, drive, plan
from shadowproxy.demo.walk import OLD, View, by_server, walk
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
    rollout: bool = True
    fault: str = ""
    """One of LATE_FAULTS: what befalls version 3."""
    bake: float = 6.0
    """Seconds that each part of the rollout takes at least."""


class Headlines:
    """The plainest view of a rollout: a line for each stage and weight."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = ""

    def show(self, found: RolloutStatus) -> None:
        line = f"{found.name}: {found.phase} {found.stage} {found.weight:.0%}"
        if line != self._last:
            print(line, file=self._stream, flush=True)
            self._last = line

    def close(self) -> None:
        pass


def run(
    options: Options,
    out: TextIO = sys.stdout,
    err: TextIO = sys.stderr,
    view: Callable[[TextIO], View] = Headlines,
) -> int:
    """The exit code: 0 when every seeded fault was found and every user was served by whom they should be, else 1.

    Progress goes to `err`, the result to `out`; `view` shows a rollout. Everything that was started is stopped, also on
    SIGINT (130) and SIGTERM (143).
    """
    try:
        with _ended_by_signals(), stage(options.bake) as scene:
            return _play(scene, options, out, err, view)
    except DemoError as error:
        print(f"shadowproxy demo: {error}", error.tail, sep="\n", file=err)
        return 1
    except KeyboardInterrupt:
        return 130


def _play(scene: Stage, options: Options, out: TextIO, err: TextIO, view: Callable[[TextIO], View]) -> int:
    is_json = options.output == "json"
    document: dict[str, object] = {}
    is_fine = True
    if not options.fault:
        print(f"version 1 and version 2 of a small shop behind the proxy at http://{scene.traffic}", file=err)
        document, is_fine = _shadow(scene, options, out, err)
    if options.rollout or options.fault:
        print(f"version 3 is rolled out behind the proxy at http://{scene.traffic}", file=err)
        shown = view(err if is_json else out)
        walked = walk(scene, shown, options.requests / options.seconds, options.fault)
        is_fine = is_fine and walked.is_as_meant
        if options.fault:
            document = _report_of(_settled(scene), [walked.finding], None if is_json else out)
        document["rollout"] = msgspec.to_builtins(walked.status)
        if not is_json:
            print("", *walked.says(), sep="\n", file=out)
    if is_json:
        out.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
    else:
        print(f"Dashboard and admin API: http://{scene.admin}  metrics: http://{scene.admin}/metrics", file=out)
    out.flush()
    if options.keep:
        with suppress(KeyboardInterrupt):
            print(f"everything keeps running until Ctrl-C; the proxy's log is {scene.log}", file=err)
            threading.Event().wait()
    return 0 if is_fine else 1


def _shadow(scene: Stage, options: Options, out: TextIO, err: TextIO) -> tuple[dict[str, object], bool]:
    """Version 2 gets copies, version 1 all users. The report as a document, and whether all was as it should be."""
    progress = Progress(options.requests, err)
    outcome = _traffic(scene, options, progress)
    progress.close()
    report = _settled(scene)
    findings = search(report)
    document = _report_of(report, findings, None if options.output == "json" else out)
    if options.output == "text":
        out.write(_as_text(outcome, findings, learned(report)))
        out.flush()
    served = outcome.servers.keys() == {OLD} and not outcome.broken
    return document, served and all(finding.found for finding in findings)


def _report_of(report: Report, findings: list[Finding], out: TextIO | None) -> dict[str, object]:
    """The report as a document that carries the seeded faults; written to `out` as text."""
    if out is not None:
        out.write(render_text(report, color=out.isatty()))
    return {**msgspec.json.decode(render_json(report)), "faults": msgspec.to_builtins(findings)}


def _settled(scene: Stage) -> Report:
    return settle(lambda: _read(scene), lambda: time.sleep(READ_EVERY), int(REST_SECONDS / READ_EVERY))


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


def _as_text(outcome: Outcome, findings: list[Finding], noise: list[str]) -> str:
    served = f"{outcome.answered:,} requests answered ({by_server(outcome)})"
    lines = [
        "",
        f"Users: {served}, {outcome.broken:,} without a whole answer.",
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
