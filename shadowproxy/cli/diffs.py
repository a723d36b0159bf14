"""`shadowproxy diffs`: the stored examples, what mismatches have in common, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from shadowproxy.cli import accept, ignore
from shadowproxy.cli.accept import CAUSE
from shadowproxy.cli.client import (
    DEFAULT_ADMIN,
    Admin,
    Output,
    OutputOption,
    Service,
    Token,
    ask,
    columns,
    left_out,
    print_json,
    wants_color,
)

if TYPE_CHECKING:
    from shadowproxy.admin.values import CausePage, Rule
    from shadowproxy.store import DiffPage, DiffSummary

LEAST: Final = 40
MOST: Final = 200
"""Columns of what is shown side by side."""

app = typer.Typer(help="What differs: look at it, accept it, ignore it.", rich_markup_mode=None)
app.command()(accept.accept)
app.command()(ignore.ignore)
app.command()(accept.reset)


@app.command("list")
def list_(
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    route: Annotated[str | None, typer.Option(help="Only of this route.")] = None,
    field: Annotated[str | None, typer.Option(help="Only where this field differs, such as $.item.price.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind, such as body_type.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, newest first.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="How many newer ones to leave out.")] = 0,
    output: OutputOption = Output.text,
) -> None:
    """List stored examples, newest first."""
    from shadowproxy.store import DiffPage

    filters = {"service": service, "route": route, "field": field, "kind": kind, "limit": limit, "offset": offset}
    page, body = ask(DiffPage, admin, token, "/api/v1/diffs", **filters)
    if output is Output.json:
        print_json(body)
    else:
        print(*render(page), sep="\n")


@app.command()
def causes(
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    route: Annotated[str | None, typer.Option(help="Only of this route.")] = None,
    search: Annotated[str | None, typer.Option(help="Only with these words in field, route or sentence.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, by impact.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="How many larger ones to leave out.")] = 0,
    output: OutputOption = Output.text,
) -> None:
    """List what mismatches have in common, those with the most pairs first."""
    from shadowproxy.admin.values import CausePage

    filters = {"service": service, "route": route, "search": search, "limit": limit, "offset": offset}
    page, body = ask(CausePage, admin, token, "/api/v1/causes", **filters)
    if output is Output.json:
        print_json(body)
    else:
        print(*render_causes(page, time.time()), sep="\n")


@app.command()
def rules(
    id_: Annotated[str, typer.Argument(metavar="ID", help="An example or a cause; its beginning is enough.")],
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    output: OutputOption = Output.text,
) -> None:
    """Print the lines of configuration that would settle what differs: ignored, or without an order."""
    from shadowproxy.admin.values import Rule

    found, body = ask(list[Rule], admin, token, "/api/v1/diffs/rules", id=id_)
    if output is Output.json:
        print_json(body)
    elif found:
        print(*(_rule(each) for each in found), sep="\n")
    else:
        print("no rule of `compare` settles this: `diffs accept` says that it is meant")


def _rule(rule: Rule) -> str:
    """As a configuration has it; what is said of it is a comment."""
    from shadowproxy.report.plain import plain

    note = f"; {plain(rule.note)}" if rule.note else ""
    return f"# {rule.name} {', '.join(map(plain, rule.fields))}{note}\n{rule.lines.rstrip()}"


@app.command()
def show(
    example: Annotated[
        str,
        typer.Argument(metavar="ID", help="An example or a cause, from a list or a report; its beginning is enough."),
    ],
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    output: OutputOption = Output.text,
) -> None:
    """Show one example, or a cause with its smallest one: both answers, what differs, and the request as a command."""
    from shadowproxy.admin.values import CauseAnswer
    from shadowproxy.model.pair import Example
    from shadowproxy.report.example import render_cause, render_example
    from shadowproxy.report.terminal import WIDTH

    look: dict[str, Any] = {"color": wants_color(), "width": columns(LEAST, MOST, WIDTH)}
    if example.startswith(CAUSE):
        answer, body = ask(CauseAnswer, admin, token, f"/api/v1/causes/{quote(example, safe='')}")
        if output is Output.json:
            print_json(body)
        else:
            print(render_cause(answer.cause, answer.example, time.time(), **look), end="")
        return
    found, body = ask(Example, admin, token, f"/api/v1/diffs/{quote(example, safe='')}")
    if output is Output.json:
        print_json(body)
    else:
        print(render_example(found, **look), end="")


def render(page: DiffPage) -> Iterator[str]:
    from shadowproxy.report.plain import clip

    if not page.items:
        yield "no examples" if not page.total else f"no examples from {page.offset} on; there are {page.total:,}"
        return
    for item in page.items:
        when = time.strftime("%m-%d %H:%M:%S", time.localtime(item.at))
        name = clip(f"{item.service}/{item.route.removeprefix('/')}", 20)
        yield f"{item.id}  {when}  {name:<20} {clip(f'{item.method} {item.target}', 28):<28} {clip(_what(item), 32)}"
    yield from left_out(page, "; the next")


def render_causes(page: CausePage, now: float) -> Iterator[str]:
    """Three lines for each cause, and a fourth where there is a suggestion."""
    from shadowproxy.report import phrases
    from shadowproxy.report.plain import clip
    from shadowproxy.report.terminal import WIDTH, wrapped

    if not page.items:
        yield "no causes" if not page.total else f"no causes from {page.offset} on; there are {page.total:,}"
        return
    for cause in page.items:
        where = f"{cause.service} · {cause.route}"
        yield f"{cause.id}  {phrases.impact(cause)} · {clip(where, 30)} · {phrases.statuses(cause)}"
        yield from (f"  {line}" for line in wrapped(cause.words, WIDTH - 2))
        example = f" · example {cause.example.id}" if cause.example else ""
        yield f"  {phrases.seen(cause, now)}{example}"
        yield from (f"    {line}" for line in phrases.suggestion(cause, WIDTH - 4))
    yield from left_out(page, "; the next")


def _what(item: DiffSummary) -> str:
    if item.failure:
        return item.failure
    more = f" +{item.differences - 1}" if item.differences > 1 else ""
    return f"{item.field or ''} {item.kind or ''}{more}".strip()
