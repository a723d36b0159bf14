"""`shadowproxy flags`: what feature flags are, and how they are changed. Switching off is never refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from shadowproxy.cli.client import (
    DEFAULT_ADMIN,
    Admin,
    Output,
    OutputOption,
    Reason,
    Token,
    ask,
    fail,
    order,
    print_json,
)

if TYPE_CHECKING:
    from shadowproxy.admin.flag_values import FlagAnswer, FlagDetail, FlagList, FlagStatus, FlagVersion

app = typer.Typer(
    help="Feature flags: look at them, and switch them on and off. A command that is refused exits 1.",
    rich_markup_mode=None,
)

Key = Annotated[str, typer.Argument(metavar="FLAG", help="The flag's key.")]
Version = Annotated[int | None, typer.Option("--version", metavar="N", help="Only if this version is still in force.")]
Override = Annotated[bool, typer.Option("--override", help="Freezes that permit it do not hold it. Needs -m.")]

_MARK: Final = {True: "on", False: "off"}


@app.command("list")
def list_(admin: Admin = DEFAULT_ADMIN, token: Token = None, output: OutputOption = Output.text) -> None:
    """List the flags: what each gives, who changed it, and what keeps it from requests."""
    from shadowproxy.admin.flag_values import FlagList

    found, body = ask(FlagList, admin, token, "/api/v1/flags")
    if output is Output.json:
        print_json(body)
    else:
        print(*_listing(found), sep="\n")


@app.command()
def get(flag: Key, admin: Admin = DEFAULT_ADMIN, token: Token = None, output: OutputOption = Output.text) -> None:
    """Show one flag with its definition."""
    from shadowproxy.admin.flag_values import FlagDetail

    found, body = ask(FlagDetail, admin, token, f"/api/v1/flags/{quote(flag, safe='')}")
    if output is Output.json:
        print_json(body)
    else:
        print(*_detail(found), sep="\n")


@app.command("set")
def set_(
    flag: Key,
    variant: Annotated[str | None, typer.Argument(metavar="[VARIANT]", help="What everybody gets.")] = None,
    default: Annotated[
        bool, typer.Option("--default", help="Only those whom targeting gives none get it; the targeting stays.")
    ] = False,
    definition: Annotated[
        str | None, typer.Option("--definition", metavar="FILE", help="A whole definition, JSON; - is standard input.")
    ] = None,
    reason: Reason = "",
    version: Version = None,
    override: Override = False,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    output: OutputOption = Output.text,
) -> None:
    """Give everybody one variant, or replace the definition, also of a flag that is new."""
    if (variant is None) == (definition is None):
        raise typer.BadParameter("say either a variant or --definition FILE")
    body = {"variant": variant, "default": default or None, "definition": _read(definition)}
    _order("set", admin, token, output, {"flag": flag, **body}, reason, version, override)


@app.command()
def ramp(
    flag: Key,
    variant: Annotated[str, typer.Argument(metavar="VARIANT", help="What the share gets.")],
    share: Annotated[str, typer.Argument(metavar="SHARE", help="Of the users, such as 10%.")],
    reason: Reason = "",
    version: Version = None,
    override: Override = False,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    output: OutputOption = Output.text,
) -> None:
    """Give a share of the users one variant; the others get the default. Other targeting comes first, as before."""
    _order("ramp", admin, token, output, {"flag": flag, "variant": variant, "share": share}, reason, version, override)


def _simple(action: str, words: str) -> None:
    def command(
        flag: Key,
        reason: Reason = "",
        version: Version = None,
        override: Override = False,
        admin: Admin = DEFAULT_ADMIN,
        token: Token = None,
        output: OutputOption = Output.text,
    ) -> None:
        _order(action, admin, token, output, {"flag": flag}, reason, version, override)

    app.command(action, help=words)(command)


_simple("kill", "Give everybody the off variant, at once and whatever the file says, until somebody lifts it.")
_simple("enable", "Have the flag evaluated; it lifts a kill.")
_simple("disable", "Leave the flag to each caller's own default: requests and SDKs are told nothing of it.")


@app.command()
def history(
    flag: Annotated[str | None, typer.Argument(metavar="[FLAG]", help="Only versions in which it changed.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="How many.")] = 20,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    output: OutputOption = Output.text,
) -> None:
    """List the versions, newest first: who changed what, when and why."""
    from shadowproxy.admin.flag_values import FlagHistory

    found, body = ask(FlagHistory, admin, token, "/api/v1/flags/history", flag=flag, limit=limit)
    if output is Output.json:
        print_json(body)
    elif not found.items:
        print("nothing was changed yet")
    else:
        print(*(line for each in found.items for line in _version(each)), sep="\n")


@app.command()
def revert(
    flag: Annotated[str, typer.Argument(metavar="[FLAG]", help="Only this one; absent: all of them.")] = "",
    *,
    to: Annotated[int, typer.Option("--to", metavar="N", help="The version to go back to; see history.")],
    reason: Reason = "",
    version: Version = None,
    override: Override = False,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    output: OutputOption = Output.text,
) -> None:
    """Go back to what was in force in an earlier version."""
    _order("revert", admin, token, output, {"flag": flag, "to": to}, reason, version, override)


def _order(
    action: str,
    admin: str,
    token: str | None,
    output: Output,
    body: dict[str, Any],
    reason: str,
    version: int | None,
    override: bool,
) -> None:
    from shadowproxy.admin.flag_values import FlagAnswer

    whole = {**body, "reason": reason, "version": version, "override": override or None}
    found, answer = order(FlagAnswer, admin, token, f"/api/v1/flags/{action}", whole)
    if output is Output.json:
        print_json(answer)
    else:
        print(*_answer(found), sep="\n")


def _read(source: str | None) -> object:
    if source is None:
        return None
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError) as error:
        fail(f"--definition {source}: {getattr(error, 'strerror', None) or error}")


# Words


def _listing(found: FlagList) -> Iterator[str]:
    from shadowproxy.report.plain import plain

    known = "every worker has it" if found.in_force else "not every worker has it yet"
    yield f"version {found.version} of {plain(found.file)}, {known}"
    for problem in found.problems:
        yield f"the file cannot be used: {plain(problem)}"
    for warning in found.warnings:
        yield f"warning: {plain(warning)}"
    width = max((len(plain(each.key)) for each in found.items), default=0)
    for each in found.items:
        yield f"  {plain(each.key):<{width}}  {_words(each)}"


def _words(flag: FlagStatus) -> str:
    """What it gives, and what is special about it."""
    from shadowproxy.report.plain import percent, plain

    default = "the caller's default" if flag.default is None else plain(flag.default)
    if flag.state == "DISABLED":
        said = ["disabled: the caller's default"]
    elif flag.killed:
        said = [f"KILLED: {default} for everybody"]
    elif flag.ramp is not None:
        said = [f"{plain(flag.ramp.variant)} for {percent(flag.ramp.share)}, else {default}"]
    elif flag.targeting:
        said = [f"by targeting, else {default}"]
    else:
        said = [f"{default} for everybody"]
    said += [
        f"the rollout of {plain(each.service)} gives {plain(each.variant)} to {percent(each.share)}"
        for each in flag.overlays
    ]
    if flag.source == "api":
        said.append("changed here, not in the file")
    if flag.held:
        said.append(f"an edit of the file waits: {plain(flag.held)}")
    if not flag.in_header:
        said.append("in no request's header")
    return "; ".join(said)


def _detail(found: FlagDetail) -> Iterator[str]:
    from shadowproxy.report.plain import plain

    flag = found.flag
    yield f"{plain(flag.key)}: {_words(flag)}"
    yield f"  variants     {', '.join(map(plain, flag.variants))}"
    yield f"  header       {plain(flag.header_name) if flag.in_header else 'no request carries it'}"
    yield f"  change class {flag.change_class}"
    yield f"  evaluations  {flag.evaluations:,}"
    if found.changed is not None:
        why = f": {plain(found.changed.reason)}" if found.changed.reason else ""
        yield f"  changed      by {plain(found.changed.who)}{why}"
    yield f"version {found.version}:"
    yield from (plain(line) for line in json.dumps(found.definition, indent=2, ensure_ascii=False).splitlines())


def _version(version: FlagVersion) -> Iterator[str]:
    from shadowproxy.report.plain import plain
    from shadowproxy.rollout.phrases import moment

    flags = ", ".join(map(plain, version.flags[:5]))
    more = f" and {version.number - 5} more" if version.number > 5 else ""
    yield f"{version.version:>5}  {moment(version.at)}  {plain(version.who)}  {plain(version.action)}"
    yield f"       {flags}{more}" + (f" · {plain(version.reason)}" if version.reason else "")


def _answer(found: FlagAnswer) -> Iterator[str]:
    from shadowproxy.report.plain import plain

    if found.flag is not None:
        yield f"{plain(found.flag.key)}: {_words(found.flag)}"
    known = "every worker has it" if found.in_force else "not every worker has it yet: see shadowproxy status"
    yield f"version {found.version}, {known}"
