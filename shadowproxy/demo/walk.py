"""The demo's rollout: version 3 takes the users over while they shop, or something befalls it and they go back."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
import uvloop

from shadowproxy.admin.rollout_values import RolloutStatus
from shadowproxy.demo.faults import Finding
from shadowproxy.demo.shop import LATE_FAULTS
from shadowproxy.demo.stage import DemoError, Stage
from shadowproxy.demo.traffic import Outcome, drive, plan
from shadowproxy.model.rollout import CANARY, ERROR_RATE, FAIL, LATENCY_P95, PROMOTED, REGRESSED_FIELDS, ROLLED_BACK
from shadowproxy.model.terms import CANDIDATE

LOOK: Final = 0.5
"""Seconds between two looks at the rollout, which is driven once a second."""
NOTICE_SECONDS: Final = 20.0
"""Until the proxy has met the new version."""
LIMIT: Final = 240.0
"""Seconds after which a rollout that is not over will not be."""
AFTER: Final = 2.0
"""Seconds of traffic afterwards, to see whose the users are."""
NEW: Final = "shop/3"
OLD: Final = "shop/1"
CHECKS: Final = {"errors": ERROR_RATE, "slow": LATENCY_P95, "diff": REGRESSED_FIELDS}
"""Which check has to find a late fault."""


class View(Protocol):
    """Where a rollout is shown as it goes."""

    def show(self, found: RolloutStatus) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Walk:
    """How a rollout went. `during` and `after` are what users got meanwhile and once it was over.

    `failed_after`: seconds from the fault to the end of the rollout, where there was one.
    """

    status: RolloutStatus
    seconds: float
    during: Outcome
    after: Outcome
    fault: str = ""
    failed_after: float = 0.0

    @property
    def is_as_meant(self) -> bool:
        """Promoted, or with a fault rolled back for it; and all users where they belong then."""
        home = OLD if self.fault else NEW
        return (
            self.status.phase == (ROLLED_BACK if self.fault else PROMOTED)
            and (not self.fault or self.finding.found)
            and self.after.servers.keys() == {home}
            and not self.during.broken + self.after.broken
        )

    @property
    def finding(self) -> Finding:
        """Whether the check that is there for the fault found it. Only with a fault."""
        found = next((check for check in self.status.checks if check.name == CHECKS[self.fault]), None)
        is_found = self.status.phase == ROLLED_BACK and found is not None and found.verdict == FAIL
        return Finding(self.fault, "", LATE_FAULTS[self.fault], is_found, found.words if found and is_found else "")

    def says(self) -> list[str]:
        """The end of the story, in lines."""
        if self.fault:
            met = sum(count for status, count in self.during.statuses.items() if status >= 500)
            share = self.during.servers[NEW] / max(1, self.during.answered)
            lines = [
                f"{self.fault}: {LATE_FAULTS[self.fault]}, from the first users on.",
                f"Rolled back {self.failed_after:.1f} s later: {self.finding.evidence}."
                if self.finding.found
                else f"It is {self.status.phase} and should have been rolled back for it: {self.status.why}",
                f"Until then version 3 had {share:.1%} of {self.during.answered:,} requests, of which {met:,} failed.",
            ]
        else:
            lines = [
                f"Version 3 took all users over in {self.seconds:.0f} s, step by step on evidence."
                if self.status.phase == PROMOTED
                else f"It is {self.status.phase} and should have been promoted: {self.status.why}",
            ]
        users = [
            f"{said}: {got.answered:,} answers ({by_server(got)}), {got.broken:,} without a whole one."
            for said, got in (("Meanwhile", self.during), ("Afterwards", self.after))
        ]
        return [*lines, *users]


def by_server(outcome: Outcome) -> str:
    """`2,000 by shop/1, 12 by shop/3`."""
    return ", ".join(f"{count:,} by {server or 'nobody'}" for server, count in sorted(outcome.servers.items()))


def walk(scene: Stage, view: View, rate: float, fault: str = "") -> Walk:
    """Deploy version 3, start its rollout, and show it until it is over. `rate`: requests per second of the users.

    The fault befalls version 3 as soon as it has users. Raises DemoError.
    """
    scene.candidate.tell("version 3")
    fault_at = 0.0
    with _users(scene, rate, LIMIT) as during:
        _until_noticed(scene)
        began = time.monotonic()
        status = _ask(scene, "/api/v1/rollout/start", {"reason": "version 3: the five faults are mended"})
        try:
            while status.ended_at is None and time.monotonic() < began + LIMIT - NOTICE_SECONDS:
                view.show(status)
                if fault and not fault_at and _has_users(status):
                    scene.candidate.tell(f"fault {fault}")
                    fault_at = time.monotonic()
                time.sleep(LOOK)
                status = _ask(scene, "/api/v1/rollout")
            view.show(status)
        finally:
            view.close()
        ended = time.monotonic()
        time.sleep(LOOK)  # what was decided has reached every worker
    with _users(scene, rate, AFTER) as after:
        time.sleep(AFTER)
    return Walk(status, ended - began, during, after, fault, ended - fault_at if fault_at else 0.0)


def _has_users(status: RolloutStatus) -> bool:
    now = next((step for step in status.steps if step.state == "now"), None)
    return now is not None and now.kind == CANARY and status.weight > 0 and not status.holds


def _until_noticed(scene: Stage) -> None:
    """Just started, the proxy does not say yet where its rollout is; and a new version is known by its answers."""
    deadline = time.monotonic() + NOTICE_SECONDS
    problem = DemoError(f"the proxy did not notice {NEW} within {NOTICE_SECONDS:.0f} s", scene.tail())
    while time.monotonic() < deadline:
        try:
            if NEW in _ask(scene, "/api/v1/rollout").identity.get(CANDIDATE, ""):
                return
        except DemoError as error:
            problem = error
        time.sleep(LOOK)
    raise problem


@contextmanager
def _users(scene: Stage, rate: float, seconds: float) -> Generator[Outcome, None, None]:
    """Users who shop meanwhile; what they got, complete at the end."""
    host, _, port = scene.traffic.rpartition(":")
    outcome, ended = Outcome(), threading.Event()

    def shop() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            requests = plan(int(rate * seconds), seed=2)
            runner.run(drive(requests, host, int(port), seconds, lambda _: None, ended.is_set, outcome))

    thread = threading.Thread(target=shop, name="users", daemon=True)
    thread.start()
    try:
        yield outcome
    finally:
        ended.set()
        thread.join()


def _ask(scene: Stage, path: str, body: dict[str, str] | None = None) -> RolloutStatus:
    """Where the rollout is, as anyone gets it; with a body after a command. Raises DemoError."""
    sent = None if body is None else msgspec.json.encode(body)
    request = urllib.request.Request(
        f"http://{scene.admin}{path}", sent, {"Content-Type": "application/json"} if sent else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - http alone
            return msgspec.json.decode(answer.read(), type=RolloutStatus)
    except (OSError, msgspec.MsgspecError) as error:
        said = error.read().decode(errors="replace") if isinstance(error, urllib.error.HTTPError) else ""
        raise DemoError(f"{path} of the admin API at {scene.admin}: {error} {said}".rstrip(), scene.tail()) from error
