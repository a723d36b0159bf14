"""`shadowproxy diffs accept|reset`: changes that a running proxy makes and audits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shadowproxy.cli.client import (
    DEFAULT_ADMIN,
    Admin,
    Output,
    OutputOption,
    Reason,
    Service,
    Token,
    change,
    fail,
    print_json,
)

if TYPE_CHECKING:
    from shadowproxy.admin.values import AcceptAnswer, AcceptedEntry

CAUSE: Final = "c-"
"""How ids of causes begin, and no example's."""


def accept(
    id_: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="An example or a cause. Without one: --route, --field and --kind."),
    ] = None,
    *,
    reason: Reason,
    owner: Annotated[str | None, typer.Option(help="Who answers for it.", show_default="$USER")] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="WHEN", help="30d, 2026-12-31 (the last day, UTC), or a time. Else never.")
    ] = None,
    field: Annotated[str | None, typer.Option(help="Only this field, such as $.price.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind of difference, such as body_type.")] = None,
    route: Annotated[str | None, typer.Option(help="Without an ID: the route, or * for all.")] = None,
    shape: Annotated[bool, typer.Option("--shape", help="Only values that look as in the example.")] = False,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: OutputOption = Output.text,
) -> None:
    """Accept how the candidate differs: in an example, in a cause, or in a field. Writes the file of accepted ones."""
    from shadowproxy.admin.values import AcceptAnswer

    if id_ is not None and route is not None:
        fail("an ID has its route: leave out --route")
    who = owner or os.environ.get("USER") or os.environ.get("LOGNAME")
    if not who:
        fail("say who answers for it: --owner NAME")
    named = {"cause" if id_.startswith(CAUSE) else "example": id_} if id_ is not None else {"route": route}
    answer, body = change(
        AcceptAnswer,
        admin,
        token,
        "/api/v1/diffs/accept",
        **named,
        service=service,
        field=field,
        kind=kind,
        shape=shape or None,
        owner=who,
        reason=reason,
        expires=expires,
    )
    if output is Output.json:
        print_json(body)
    else:
        print(*_lines(answer), sep="\n")
    if not answer.in_force:
        why = answer.problems[0] if answer.problems else "the configuration is still being read"
        fail(f"{answer.file} is written and not in force: {why}")


def _lines(answer: AcceptAnswer) -> Iterator[str]:
    from shadowproxy.report.plain import plain

    yield f"accepted in {plain(answer.file)}{', in force' if answer.in_force else ''}:"
    for entry in answer.entries:
        yield f"  {entry.id}  {plain(_what(entry))}"


def _what(entry: AcceptedEntry) -> str:
    what = " ".join(filter(None, (entry.route, entry.field, entry.kind, entry.shape)))
    return f"{what}, expires {entry.expires}" if entry.expires else what


def reset(
    *,
    reason: Reason,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: OutputOption = Output.text,
) -> None:
    """Begin the evidence of a service anew: of fields, latency and errors. Counts stay, and what is known of noise."""
    from shadowproxy.admin.values import ResetAnswer

    answer, body = change(ResetAnswer, admin, token, "/api/v1/diffs/reset", service=service, reason=reason)
    if output is Output.json:
        print_json(body)
    else:
        print(f"the evidence of {answer.service} begins anew")
