"""`shadowproxy report`: what differs, and in the exit code what follows."""

from __future__ import annotations

import typer

from shadowproxy.cli.client import DEFAULT_ADMIN, Admin, Service, Token, ask
from shadowproxy.cli.formats import FailOn, Format, FormatOption, Full, Out, finish


def report(
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: FormatOption = Format.text,
    out: Out = None,
    fail_on: FailOn = None,
    full: Full = False,
) -> None:
    """Say what differs. Exits 0 without a regression, 1 with one, 3 where fewer than 50 pairs were compared."""
    from shadowproxy.report import Report

    found, _ = ask(Report, admin, token, "/api/v1/report", service=service)
    raise typer.Exit(finish(found, fail_on, output, out, full))
