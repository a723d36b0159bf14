"""`shadowproxy audit`: who changed what, and what was decided."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from shadowproxy.cli.client import DEFAULT_ADMIN, Admin, Output, OutputOption, Service, Token, ask, left_out, print_json

if TYPE_CHECKING:
    from shadowproxy.store.audit import AuditPage


def audit(
    who: Annotated[str | None, typer.Option(help="Only what somebody of this name did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only actions with this in their name, such as freeze.")] = None,
    search: Annotated[str | None, typer.Option(help="Only entries with these words in them.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, from the newest.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="How many newer ones to leave out.")] = 0,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: OutputOption = Output.text,
) -> None:
    """List who changed what, and what was decided, newest first. `rollout history` says whether the chain holds."""
    from shadowproxy.store.audit import AuditPage

    filters = {"service": service, "who": who, "action": action, "search": search, "limit": limit, "offset": offset}
    page, body = ask(AuditPage, admin, token, "/api/v1/audit", **filters)
    if output is Output.json:
        print_json(body)
    else:
        print(*render(page), sep="\n")


def render(page: AuditPage) -> Iterator[str]:
    from shadowproxy.report.plain import clip, moment, plain

    for entry in page.items:
        what = f"{plain(entry.action)}{f' · {plain(entry.service)}' if entry.service else ''}"
        failed = f"; it failed: {plain(entry.error)}" if entry.error else ""
        said = f"{clip(entry.who, 16):<16} {what:<28} {plain(entry.reason)}{failed}"
        yield f"{entry.number:>5}  {moment(entry.at)}  {said}".rstrip()
    if not page.items:
        yield "nothing matches" if not page.total else f"nothing after that; there are {page.total:,}"
    yield from left_out(page, "; older ones")
