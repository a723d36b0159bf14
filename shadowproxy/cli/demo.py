"""`shadowproxy demo`: embedded versions of a service, the proxy in front of them, live traffic, report and rollout."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from shadowproxy.cli.client import wants_color

if TYPE_CHECKING:
    from shadowproxy.demo.walk import View
    from shadowproxy.model.policy import Bind


class Output(StrEnum):
    text = "text"
    json = "json"


class Fault(StrEnum):
    errors = "errors"
    slow = "slow"
    diff = "diff"


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    duration: Annotated[str, typer.Option(help="How long the traffic lasts, such as 10s.")] = "10s",
    requests: Annotated[
        int, typer.Option(min=1, help="How many requests users send; with few of them faults stay unseen.")
    ] = 3000,
    fault: Annotated[
        Fault | None, typer.Option(help="Only the rollout, and this befalls version 3 once it has users.")
    ] = None,
    rollout: Annotated[bool, typer.Option("--rollout/--no-rollout", help="Whether version 3 is rolled out.")] = True,
    bake: Annotated[str, typer.Option(help="How long each part of the rollout takes at least.")] = "6s",
    output: Annotated[Output, typer.Option("--output", "-o", help="How the report is written.")] = Output.text,
) -> None:
    """Embedded versions of a service, the proxy in front of them, live traffic, a report and a rollout: a minute.

    Version 2 is shadowed and has five seeded faults. Version 3 has none and takes the users over: shadow, canary,
    progressive; with --fault it is rolled back. Exits 0 when every seeded fault was found and no user was harmed by
    what should have been held back, else 1.
    """
    from shadowproxy.demo.run import Options, run

    options = Options(
        requests=requests,
        seconds=_seconds(duration, "--duration"),
        keep=keep,
        output=output.value,
        rollout=rollout,
        fault=fault.value if fault else "",
        bake=_seconds(bake, "--bake"),
    )
    raise typer.Exit(run(options, view=_view))


def demo_shop(
    primary: Annotated[str, typer.Option(help="Where version 1 listens.")] = "127.0.0.1:9001",
    candidate: Annotated[str, typer.Option(help="Where the candidate listens.")] = "127.0.0.1:9002",
    deployed: Annotated[int, typer.Option("--deploy", min=1, max=3, help="Which version the candidate is.")] = 2,
    secondary: Annotated[str, typer.Option(help="Where version 1 listens once more, if anywhere.")] = "",
    users: Annotated[str, typer.Option(help="Where users shop: the proxy that you start.")] = "127.0.0.1:8080",
    rate: Annotated[int, typer.Option(min=1, max=1000, help="Requests a second, of all users together.")] = 100,
) -> None:
    """Two versions of a small shop and its users, for a proxy that you start yourself, until Ctrl-C.

    Version 2 has five seeded faults. POST /deploy/3 at the candidate's address makes it version 3, which has none;
    POST /fault/errors, slow, diff or feature breaks it, /fault/none mends it. Every 5 s a line says who served.
    """
    from shadowproxy.demo.alone import Places, run
    from shadowproxy.demo.stage import DemoError

    places = Places(
        primary=_place(primary, "--primary"),
        candidate=_place(candidate, "--candidate"),
        users=_place(users, "--users"),
        again=_place(secondary, "--secondary") if secondary else None,
        rate=rate,
        deployed=deployed,
    )
    try:
        run(places, lambda line: print(line, flush=True))
    except DemoError as error:
        print(f"shadowproxy demo-shop: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _seconds(text: str, option: str) -> float:
    """A duration such as `10s`."""
    from shadowproxy.config.problems import BadValueError
    from shadowproxy.config.units import parse_duration

    try:
        return parse_duration(text)
    except BadValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _place(text: str, option: str) -> Bind:
    """An address of the shop: host and port."""
    from shadowproxy.config.addresses import parse_bind
    from shadowproxy.config.problems import BadValueError

    try:
        place = parse_bind(text)
    except BadValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
    if place.unix or not place.port:
        raise typer.BadParameter("write host:port, such as 127.0.0.1:9001", param_hint=option)
    return place


def _view(stream: TextIO) -> View:
    """As `rollout status --watch` shows it: in place on a terminal, else a line for each change."""
    from shadowproxy.cli.live import Lines, Screen
    from shadowproxy.cli.rollout_text import changes, render
    from shadowproxy.report.terminal import WIDTH, Paint

    if not stream.isatty():
        return Lines(changes, stream)
    paint = Paint(wants_color())
    return Screen(lambda found, columns, brief: render(found, paint, min(columns, WIDTH), is_brief=brief), stream)
