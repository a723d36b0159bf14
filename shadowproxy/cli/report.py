"""`shadowproxy report`: what differs, and in the exit code what follows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shadowproxy.cli.client import DEFAULT_ADMIN, Admin, Service, Token, ask, fail
from shadowproxy.cli.formats import FailOn, Format, FormatOption, Full, Out, finish, load

if TYPE_CHECKING:
    from shadowproxy.report import Report

MOST_EXAMPLES = 20


def report(
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: FormatOption = Format.text,
    out: Out = None,
    fail_on: FailOn = None,
    full: Full = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="Say what changed since 2h ago, or since a report stored as JSON; else since the last one.",
        ),
    ] = None,
    stored: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A report stored as JSON, instead of asking a running proxy."),
    ] = None,
    examples: Annotated[
        int | None,
        typer.Option(
            min=0, max=MOST_EXAMPLES, help="How many examples are in it whole. Default: 20 in HTML, none elsewhere."
        ),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Whether later reports say what changed since this one.")
    ] = True,
) -> None:
    """Say what differs. Exits 0 without a regression, 1 with one, 3 where fewer than 50 pairs were compared."""
    ago = _duration(since)
    if stored is not None and ago:
        raise typer.BadParameter(
            f"{since!r} asks a running proxy; with --from give a stored report", param_hint="--since"
        )
    if stored is None:
        found = _asked(admin, token, service, output, ago, examples, record)
    else:
        found = _narrowed(load(stored, "--from"), service, stored)
    if since is not None and not ago:
        found = _since(found, load(Path(since), "--since", "nor a duration such as 2h"))
    raise typer.Exit(finish(found, fail_on, output, out, full))


def _asked(
    admin: str,
    token: str | None,
    service: str | None,
    output: Format,
    since: str | None,
    examples: int | None,
    record: bool,
) -> Report:
    from shadowproxy.report import Report

    whole = examples if examples is not None else MOST_EXAMPLES if output is Format.html else 0
    query = {"service": service, "since": since, "examples": whole or None, "record": "true" if record else None}
    return ask(Report, admin, token, "/api/v1/report", **query)[0]


def _narrowed(found: Report, service: str | None, path: Path) -> Report:
    from shadowproxy.report import narrow

    names = [each.name for each in found.services]
    if service is not None and service not in names:
        fail(f"--service {service}: {path} has {', '.join(names) or 'no service'}")
    return found if service is None else narrow(found, service)


def _since(found: Report, earlier: Report) -> Report:
    from shadowproxy.report import compare
    from shadowproxy.report.history import memories

    return compare(found, memories(earlier))


def _duration(since: str | None) -> str | None:
    """What was given, if it is a duration; None: it is a file."""
    from shadowproxy.config.problems import BadValueError
    from shadowproxy.config.units import parse_duration

    try:
        parse_duration(since or "")
    except BadValueError:
        return None
    return since
