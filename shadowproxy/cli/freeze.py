"""`shadowproxy freeze`: when changes are not wanted, and a freeze by hand. Going back is never frozen."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated

import typer

from shadowproxy.cli.client import (
    DEFAULT_ADMIN,
    Admin,
    Output,
    OutputOption,
    Reason,
    Service,
    Token,
    ask,
    order,
    print_json,
)

app = typer.Typer(help="Freezes: list them, start one by hand, end it.", rich_markup_mode=None)


class ChangeClass(StrEnum):
    feature = "feature"
    fix = "fix"
    security = "security"


class InFlight(StrEnum):
    hold = "hold"
    goes_on = "continue"
    rollback = "rollback"


@app.command("list")
def list_(
    admin: Admin = DEFAULT_ADMIN, token: Token = None, service: Service = None, output: OutputOption = Output.text
) -> None:
    """List the freezes of the configuration and those by hand, and which of them are active."""
    from shadowproxy.admin.rollout_values import FreezeStatus
    from shadowproxy.cli.rollout_text import freezes

    found, body = ask(list[FreezeStatus], admin, token, "/api/v1/freeze", service=service)
    if output is Output.json:
        print_json(body)
    else:
        print(*freezes(found, time.time()), sep="\n")


@app.command()
def calendar(
    days: Annotated[int, typer.Option(min=1, max=366, help="How many, from now on.")] = 28,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: OutputOption = Output.text,
) -> None:
    """List when freezes are active, from now on."""
    from shadowproxy.admin.rollout_values import FreezeTurn
    from shadowproxy.cli.rollout_text import turns

    found, body = ask(list[FreezeTurn], admin, token, "/api/v1/freeze/calendar", service=service, days=days)
    if output is Output.json:
        print_json(body)
    else:
        print(*turns(found, days), sep="\n")


@app.command()
def start(
    *,
    reason: Reason,
    until: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="2h, 2026-12-31 (the last day, UTC), or a time; or until ended."),
    ] = None,
    service: Annotated[
        list[str] | None, typer.Option("--service", metavar="NAME", help="Only of this service; may be repeated.")
    ] = None,
    stops: Annotated[
        list[ChangeClass] | None,
        typer.Option("--class", help="What it stops, feature unless said otherwise; may be repeated."),
    ] = None,
    in_flight: Annotated[
        InFlight, typer.Option("--in-flight", help="What becomes of a rollout that runs.")
    ] = InFlight.hold,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    output: OutputOption = Output.text,
) -> None:
    """Start a freeze by hand, now."""
    from shadowproxy.admin.rollout_values import FreezeStatus
    from shadowproxy.cli.rollout_text import freezes

    body = {"reason": reason, "until": until, "services": service, "classes": stops, "in_flight": in_flight}
    found, answer = order(FreezeStatus, admin, token, "/api/v1/freeze/start", body)
    if output is Output.json:
        print_json(answer)
    else:
        print(*freezes([found], time.time()), sep="\n")


@app.command()
def end(
    freeze: Annotated[str, typer.Argument(metavar="[ID]", help="From the list; not needed where there is one.")] = "",
    *,
    reason: Reason,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    output: OutputOption = Output.text,
) -> None:
    """End a freeze that was started by hand."""
    from shadowproxy.admin.rollout_values import FreezeStatus
    from shadowproxy.report.plain import plain

    found, answer = order(FreezeStatus, admin, token, "/api/v1/freeze/end", {"id": freeze, "reason": reason})
    if output is Output.json:
        print_json(answer)
    else:
        print(f"{plain(found.id)} is over: {plain(found.reason)}")
