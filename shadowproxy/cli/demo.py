"""`shadowproxy demo`: two embedded versions of a service, the proxy in front of them, live traffic, the report."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    text = "text"
    json = "json"


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    duration: Annotated[str, typer.Option(help="How long the traffic lasts, such as 10s.")] = "10s",
    requests: Annotated[
        int, typer.Option(min=1, help="How many requests users send; with few of them faults stay unseen.")
    ] = 3000,
    output: Annotated[Output, typer.Option("--output", "-o", help="How the report is written.")] = Output.text,
) -> None:
    """Two embedded versions of a service, the proxy in front of them, live traffic, the report.

    Version 2 has five seeded faults. Exits 0 when every one of them is in the report, else 1.
    """
    from shadowproxy.config.problems import BadValueError
    from shadowproxy.config.units import parse_duration
    from shadowproxy.demo.run import Options, run

    try:
        seconds = parse_duration(duration)
    except BadValueError as error:
        raise typer.BadParameter(str(error), param_hint="--duration") from None
    raise typer.Exit(run(Options(requests=requests, seconds=seconds, keep=keep, output=output.value)))
