"""`shadowproxy report`: what differs, and in the exit code what follows."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from shadowproxy.cli.client import DEFAULT_ADMIN, Admin, Service, Token, ask, print_json, wants_color


class Format(StrEnum):
    text = "text"
    json = "json"
    markdown = "markdown"


def report(
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: Annotated[Format, typer.Option("--output", "-o", help="How the report is written.")] = Format.text,
) -> None:
    """Say what differs. Exits 0 without a regression, 1 with one, 3 where fewer than 50 pairs were compared."""
    from shadowproxy.report import Report, render_markdown, render_text

    found, body = ask(Report, admin, token, "/api/v1/report", service=service)
    if output is Format.json:
        print_json(body)
    elif output is Format.markdown:
        print(render_markdown(found), end="")
    else:
        print(render_text(found, color=wants_color()), end="")
    raise typer.Exit(found.exit_code)
