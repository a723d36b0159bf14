"""`shadowproxy watch`: be the person without whom a rollout does not advance, and see what happens as it happens."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shadowproxy.cli.client import (
    DEFAULT_ADMIN,
    NO,
    REFUSED,
    Admin,
    ClientError,
    Output,
    OutputOption,
    Service,
    Token,
    answer,
    fail,
    json_line,
    order,
    print_json,
    told,
)

if TYPE_CHECKING:
    from shadowproxy.admin.rollout_values import RolloutStatus, WatchStatus

_PATH: Final = "/api/v1/watch"
_RENEWALS: Final = 3
"""Heartbeats in the time after which the watch would lapse: two may be lost."""


class LostError(Exception):
    """Somebody else holds the watch. The text says who."""


class Vigil:
    """The watch of one rollout: a call says where the rollout is, and renews the watch when that is due.

    `monotonic` gives seconds. Raises ClientError, and LostError.
    """

    def __init__(
        self, admin: str, token: str | None, service: str | None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._admin = admin
        self._token = token
        self._service = service
        self._monotonic = monotonic
        self._due = 0.0
        self._action = "hold"

    def __call__(self) -> RolloutStatus:
        from shadowproxy.admin.rollout_values import RolloutStatus

        if self._monotonic() >= self._due:
            self._beat()
        return answer(RolloutStatus, self._admin, self._token, "/api/v1/rollout", service=self._service)

    def release(self) -> None:
        self._say("release")

    def _beat(self) -> None:
        try:
            held = self._say(self._action)
        except ClientError as error:
            if error.status != REFUSED:
                raise
            if self._action == "hold":
                raise LostError(error.detail) from None
            self._action = "hold"
            self._beat()  # by now it may be another's
            print(f"shadowproxy: the watch had lapsed: {error.detail}; it was taken again", file=sys.stderr)
            return
        self._action = "renew"
        self._due = self._monotonic() + held.ttl / _RENEWALS

    def _say(self, action: str) -> WatchStatus:
        from shadowproxy.admin.rollout_values import WatchStatus

        body: dict[str, object] = {"action": action, "service": self._service}
        return told(WatchStatus, self._admin, self._token, _PATH, body)


def watch(
    handover: Annotated[
        str | None,
        typer.Option("--handover", metavar="NAME", help="Hand the watch over to this token's name."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", "-m", metavar="TEXT", help="Of a handover; it is kept.")] = "",
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: OutputOption = Output.text,
) -> None:
    """Hold the watch of a rollout, and print what happens.

    Ends when the rollout is over, the watch is handed over, or Ctrl-C releases it. Exits 1 where somebody else holds
    it, and when the rollout was rolled back or aborted. As JSON: a line for every look.
    """
    from shadowproxy.admin.rollout_values import WatchStatus
    from shadowproxy.cli.hearing import Hearing
    from shadowproxy.cli.live import Lines, follow
    from shadowproxy.cli.rollout import exit_code
    from shadowproxy.cli.rollout_text import changes

    if handover is not None:
        body = {"action": "handover", "to": handover, "reason": reason, "service": service}
        found, answered = order(WatchStatus, admin, token, _PATH, body)
        if output is Output.json:
            print_json(answered)
            return
        print(f"{found.holder} holds the watch now, and has {found.ttl:g} s to begin: shadowproxy watch")
        return
    signal.signal(signal.SIGTERM, _interrupted)
    vigil = Vigil(admin, token, service)
    tell = (lambda _, found: [json_line(found)]) if output is Output.json else changes
    try:
        with Hearing(admin, token) as hearing:
            last = follow(vigil, Lines(tell, sys.stdout), lambda status: status.ended_at is not None, hearing.wait)
        vigil.release()
    except LostError as error:
        fail(str(error), NO)
    except ClientError as error:
        fail(str(error))
    if output is Output.text:
        print("the watch is released")
    raise typer.Exit(0 if last is None else exit_code(last))


def _interrupted(number: int, _frame: object) -> None:
    """As Ctrl-C: the watch is released. Once: `timeout` says it twice."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
