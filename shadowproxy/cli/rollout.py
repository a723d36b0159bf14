"""`shadowproxy rollout`: where a rollout is and why, and what a person may have it do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shadowproxy.cli import rollout_plan, rollout_replay
from shadowproxy.cli.client import (
    DEFAULT_ADMIN,
    NO,
    Admin,
    ClientError,
    Output,
    OutputOption,
    Reason,
    Service,
    Token,
    answer,
    ask,
    fail,
    json_line,
    order,
    print_json,
    wants_color,
)
from shadowproxy.model.rollout import BACK

if TYPE_CHECKING:
    from shadowproxy.admin.rollout_values import RolloutStatus

app = typer.Typer(
    help="Carry a rollout: look at it, and have it start, go on, or go back. A command that is refused exits 1.",
    rich_markup_mode=None,
)

Attempt = Annotated[
    int | None, typer.Option("--attempt", metavar="N", help="Only if the rollout is still at this attempt.")
]
Override = Annotated[
    str | None,
    typer.Option("--override", metavar="UNTIL", help="Freezes do not hold it until then: 2h, or a time. Needs -m."),
]

_HELP: Final = {
    "start": "Start a rollout that is pending. Starting twice is one start.",
    "approve": "Approve the stage that waits for it.",
    "pause": "Hold the rollout where it is. The candidate keeps the users that it has.",
    "resume": "Go on after a pause, or after a hold that a person has to lift.",
    "abort": "End the attempt: all users go back to the primary, at once.",
    "rollback": "Send all users back to the primary, at once. After a promotion, too.",
}
"""Of commands that say no more than their name."""
_SIGNAL: Final = "kill -USR2 the supervisor: that sends all users back without it"
_NARROWEST: Final = 60
"""Columns below which the live view is cut rather than broken into lines of few words."""


def _forward(action: str) -> Callable[..., None]:
    def command(
        reason: Reason = "",
        override: Override = None,
        attempt: Attempt = None,
        admin: Admin = DEFAULT_ADMIN,
        token: Token = None,
        service: Service = None,
        output: OutputOption = Output.text,
    ) -> None:
        body = {"override": _until(override), "attempt": attempt, "service": service, "reason": reason}
        _order(action, admin, token, output, body)

    return command


def _stop(action: str) -> Callable[..., None]:
    def command(
        reason: Reason = "",
        attempt: Attempt = None,
        admin: Admin = DEFAULT_ADMIN,
        token: Token = None,
        service: Service = None,
        output: OutputOption = Output.text,
    ) -> None:
        _order(action, admin, token, output, {"attempt": attempt, "service": service, "reason": reason})

    return command


def promote(
    reason: Reason = "",
    full: Annotated[bool, typer.Option("--full", help="To the end of the plan: all users. Needs -m.")] = False,
    stage: Annotated[str | None, typer.Option("--from", metavar="PART", help="Only out of this part.")] = None,
    override: Override = None,
    attempt: Attempt = None,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: OutputOption = Output.text,
) -> None:
    """Go on to the next part of the plan now, whatever is missing in this one."""
    body = {"override": _until(override), "attempt": attempt, "service": service, "reason": reason}
    _order("promote", admin, token, output, {**body, "full": full or None, "stage": stage})


def retry(
    reason: Reason = "",
    stage: Annotated[str | None, typer.Option("--from", metavar="STAGE", help="Not from the first stage.")] = None,
    override: Override = None,
    attempt: Attempt = None,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: OutputOption = Output.text,
) -> None:
    """Begin a new attempt, by the plan of the configuration."""
    body = {"override": _until(override), "attempt": attempt, "service": service, "reason": reason}
    _order("retry", admin, token, output, {**body, "stage": stage})


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it is over, or until Ctrl-C.")] = False,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: OutputOption = Output.text,
) -> None:
    """Show where a rollout is and why.

    Exits 1 when it was rolled back or aborted, and while a failed check holds it.
    """
    from shadowproxy.admin.rollout_values import RolloutStatus
    from shadowproxy.cli.rollout_text import render
    from shadowproxy.report.terminal import Paint

    if watch:
        raise typer.Exit(_followed(admin, token, service, output))
    found, body = ask(RolloutStatus, admin, token, "/api/v1/rollout", service=service)
    if output is Output.json:
        print_json(body)
    else:
        print(*render(found, Paint(wants_color())), sep="\n")
    raise typer.Exit(exit_code(found))


def history(
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many of the newest.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="How many newer ones to leave out.")] = 0,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: OutputOption = Output.text,
) -> None:
    """Show what was decided: when, by whom and why. Exits 1 when an entry was changed or is missing."""
    from shadowproxy.admin.rollout_values import HistoryPage
    from shadowproxy.cli import rollout_text

    asked = {"service": service, "limit": limit, "offset": offset}
    page, body = ask(HistoryPage, admin, token, "/api/v1/rollout/history", **asked)
    if output is Output.json:
        print_json(body)
    else:
        print(*rollout_text.history(page), sep="\n")
    for problem in page.problems:
        print(f"shadowproxy: {problem}", file=sys.stderr)
    raise typer.Exit(NO if page.problems else 0)


def explain(
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: OutputOption = Output.text,
) -> None:
    """Say why a rollout is where it is, in sentences."""
    from shadowproxy.admin.rollout_values import Explanation
    from shadowproxy.report.terminal import WIDTH, wrapped

    found, body = ask(Explanation, admin, token, "/api/v1/rollout/explain", service=service)
    if output is Output.json:
        print_json(body)
        return
    for sentence in found.sentences:
        print(*wrapped(sentence, WIDTH), sep="\n")


def _until(override: str | None) -> dict[str, str] | None:
    return None if override is None else {"until": override}


def _order(action: str, admin: str, token: str | None, output: Output, asked: Mapping[str, object]) -> None:
    """Have it done, and say where that leads."""
    from shadowproxy.admin.rollout_values import RolloutStatus
    from shadowproxy.cli.rollout_text import outcome
    from shadowproxy.report.terminal import Paint

    path, hint = f"/api/v1/rollout/{action}", f"; {_SIGNAL}" if action in BACK else ""
    found, body = order(RolloutStatus, admin, token, path, asked, hint)
    if output is Output.json:
        print_json(body)
    else:
        print(*outcome(found, Paint(wants_color())), sep="\n")


def _followed(admin: str, token: str | None, service: str | None, output: Output) -> int:
    """Show it until it is over; the exit code. As JSON: a line for every answer."""
    from shadowproxy.admin.rollout_values import RolloutStatus
    from shadowproxy.cli.hearing import Hearing
    from shadowproxy.cli.live import Lines, Screen, follow
    from shadowproxy.cli.rollout_text import changes, render
    from shadowproxy.report.terminal import WIDTH, Paint

    def asked() -> RolloutStatus:
        return answer(RolloutStatus, admin, token, "/api/v1/rollout", service=service)

    view: Screen[RolloutStatus] | Lines[RolloutStatus] = Lines(changes, sys.stdout)
    if output is Output.json:
        view = Lines(lambda _, found: [json_line(found)], sys.stdout)
    elif sys.stdout.isatty():
        paint = Paint(wants_color())

        def draw(found: RolloutStatus, columns: int, is_brief: bool) -> Iterable[str]:
            return render(found, paint, min(max(columns, _NARROWEST), WIDTH), is_brief=is_brief)

        view = Screen(draw, sys.stdout)

    def is_over(found: RolloutStatus) -> bool:
        """Whether nothing more happens; in a pipe nobody is there to decide what becomes of a failed check."""
        return found.ended_at is not None or (isinstance(view, Lines) and exit_code(found) != 0)

    try:
        with Hearing(admin, token) as hearing:
            found = follow(asked, view, is_over, hearing.wait)
    except ClientError as error:
        fail(str(error))
    return 0 if found is None else exit_code(found)


def exit_code(status: RolloutStatus) -> int:
    """Of a rollout that was rolled back or aborted, or that a failed check holds: 1."""
    from shadowproxy.model.rollout import ABORTED, ROLLED_BACK

    is_failed = any(hold.reason == "failed" for hold in status.holds)
    return NO if is_failed or status.phase in {ABORTED, ROLLED_BACK} else 0


_COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "plan": rollout_plan.plan,
    "start": _forward("start"),
    "status": status,
    "approve": _forward("approve"),
    "pause": _stop("pause"),
    "resume": _forward("resume"),
    "promote": promote,
    "abort": _stop("abort"),
    "rollback": _stop("rollback"),
    "retry": retry,
    "history": history,
    "explain": explain,
    "replay": rollout_replay.replay,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, help=_HELP.get(_name))(_command)
