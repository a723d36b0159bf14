"""`shadowproxy diffs ignore`: a rule that ignores fields, as lines of configuration or written into a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import quote

import typer

from shadowproxy.cli.accept import CAUSE
from shadowproxy.cli.client import (
    DEFAULT_ADMIN,
    Admin,
    Output,
    OutputOption,
    Service,
    Token,
    ask,
    fail,
    print_json,
)


class _Found(NamedTuple):
    """Whose differences these are, and their fields. `route` None: the rule is of the whole service, as `note` says."""

    service: str | None
    route: str | None
    fields: list[str]
    note: str = ""


def ignore(
    id_: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="An example or a cause: all that counts in it.")
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="The field, such as $.updated_at or header:server; may be repeated.")
    ] = None,
    route: Annotated[str | None, typer.Option(help="Without an ID: of this route alone.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Write the rule into this configuration.")
    ] = None,
    admin: Admin = DEFAULT_ADMIN,
    token: Token = None,
    service: Service = None,
    output: OutputOption = Output.text,
) -> None:
    """Print the rule that ignores these fields, or write it into a configuration, which takes a reload."""
    from shadowproxy.compare.paths import check_path
    from shadowproxy.config.ignoring import lines

    if id_ is not None:
        if route is not None:
            fail("an ID has its route: leave out --route")
        found = _differing(id_, field, service, admin, token)
    elif field:
        found = _Found(service, route, field)
    else:
        fail("say what to ignore: an ID, or --field")
    for each in found.fields:
        why = check_path(each)
        if why is not None:
            fail(why)
    if config is not None:
        _write(config, found, output)
        return
    text = lines(found.service, found.route, found.fields)
    if output is Output.json:
        print_json({**found._asdict(), "lines": text})
    else:
        print(f"# {found.note}\n{text}" if found.note else text, end="")


def _write(config: Path, found: _Found, output: Output) -> None:
    from shadowproxy.config.editing import EditError
    from shadowproxy.config.ignoring import write

    try:
        place, added = write(config, found.service, found.route, found.fields, os.environ)
    except EditError as error:
        fail(str(error))
    if output is Output.json:
        print_json({"file": str(config), "place": place, "added": added})
    elif not added:
        print(f"{config}: nothing to add, {place} has all of it")
    else:
        print(f"{config}: added to {place}: {', '.join(added)}")
        if found.note:
            print(found.note)
        print("The rule holds after a reload: send SIGHUP to the proxy.")


def _differing(id_: str, wanted: list[str] | None, service: str | None, admin: str, token: str | None) -> _Found:
    """The fields that count in an example or a cause, or those of them that are wanted."""
    from shadowproxy.admin.values import CauseAnswer, RouteStatus
    from shadowproxy.model.pair import Example
    from shadowproxy.model.terms import CONFIGURED, OTHER
    from shadowproxy.report.plain import plain

    if id_.startswith(CAUSE):
        cause = ask(CauseAnswer, admin, token, f"/api/v1/causes/{quote(id_, safe='')}")[0].cause
        of, route, failure = cause.service, cause.route, cause.failure
        fields = [field for field, _ in cause.keys]
    else:
        example = ask(Example, admin, token, f"/api/v1/diffs/{quote(id_, safe='')}")[0]
        of, route, failure = example.service, example.route, example.failure or ""
        standing = [each for each in example.differences if not (each.by_rule or each.noise or each.accepted)]
        fields = [each.field for each in standing]
    if failure:
        fail(f"the candidate gave no whole answer ({failure}): there is no field to ignore")
    if service not in {None, of}:
        fail(f"{id_} is of the service {of}, not of {service}")
    chosen = [field for field in dict.fromkeys(fields) if not wanted or field in wanted]
    if not chosen:
        fail(f"{id_} does not differ there; there is {', '.join(dict.fromkeys(fields)) or 'nothing that counts'}")
    routes, _ = ask(list[RouteStatus], admin, token, "/api/v1/routes", service=of)
    if route in {each.name for each in routes if each.origin == CONFIGURED} - {OTHER}:
        return _Found(of, route, chosen)
    return _Found(of, None, chosen, f"{plain(route)} is no configured route: this is a rule of the whole service.")
