"""`shadowproxy replay`: recorded traffic against the arms, compared as live traffic is, and the report."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shadowproxy.cli.formats import FailOn, Format, FormatOption, Full, Out, finish

if TYPE_CHECKING:
    from shadowproxy.replay.run import Options
    from shadowproxy.report import Report

WRONG: Final = 2
_SPEED: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)x?")
_RATE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(?:/s)?")


Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="GoReplay files or HAR, also as .gz; patterns such as 'shop*.gor'."),
]
Candidate = Annotated[str, typer.Option(metavar="URL", help="The version under test.")]
Primary = Annotated[
    str | None, typer.Option(metavar="URL", help="What it is compared with. Absent: the recorded answers.")
]
Secondary = Annotated[
    str | None, typer.Option(metavar="URL", help="A second instance of the primary's version: shows what is noise.")
]
Speed = Annotated[
    str | None, typer.Option(metavar="2x|max", help="How much faster than recorded; max: as fast as possible.")
]
Rate = Annotated[
    str | None, typer.Option(metavar="N/s", help="So many requests a second, evenly, whatever was recorded.")
]
Headers = Annotated[
    list[str] | None,
    typer.Option(metavar="'NAME: VALUE'", help="Set on every request, such as credentials; may be repeated."),
]
Config = Annotated[
    Path | None, typer.Option(metavar="CONFIG", help="A configuration whose routes and comparison rules hold.")
]
Service = Annotated[str | None, typer.Option(metavar="NAME", help="One of several services of CONFIG.")]
Concurrency = Annotated[int, typer.Option(min=1, max=10_000, help="Requests under way at once, at most.")]
DataDir = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where examples are kept. Absent: nowhere after the report.")
]


def replay(
    files: Files,
    candidate: Candidate,
    primary: Primary = None,
    secondary: Secondary = None,
    speed: Speed = None,
    rate: Rate = None,
    header: Headers = None,
    config: Config = None,
    service: Service = None,
    concurrency: Concurrency = 64,
    data_dir: DataDir = None,
    output: FormatOption = Format.text,
    out: Out = None,
    fail_on: FailOn = None,
    full: Full = False,
) -> None:
    """Send recorded requests to the candidate and compare: with the primary's answers, or with the recorded ones.

    Exits as report does: 0 without a regression, 1 with one, 3 where fewer than 50 pairs were compared.
    """
    from shadowproxy.replay.rules import Targets
    from shadowproxy.replay.run import Options

    if speed is not None and rate is not None:
        raise typer.BadParameter("give --speed or --rate, not both", param_hint="--rate")
    if out is not None and not out.parent.is_dir():
        raise typer.BadParameter(f"there is no directory {out.parent}", param_hint="--out")
    options = Options(
        files=files,
        targets=Targets(candidate, primary, secondary),
        speed=_speed(speed),
        rate=_rate(rate),
        fields=_fields(header or []),
        config=config,
        service=service,
        data_dir=data_dir,
        concurrency=concurrency,
    )
    raise typer.Exit(finish(_played(options, out), fail_on, output, out, full))


def _played(options: Options, out: Path | None) -> Report:
    """The report of a replay. Ends the command where there is none."""
    from shadowproxy.replay.run import Interrupted, RecordingError, UsageError
    from shadowproxy.replay.run import replay as play

    try:
        report = play(options)
    except (UsageError, RecordingError, OSError) as error:
        for line in str(error).splitlines():
            print(f"shadowproxy replay: {line}", file=sys.stderr)
        raise typer.Exit(WRONG) from None
    except Interrupted as interrupted:
        raise typer.Exit(128 + interrupted.number) from None
    if out is not None:
        print(report.conclusion, *report.notes, sep="\n", file=sys.stderr)
    return report


def _speed(text: str | None) -> float | None:
    if text == "max":
        return None
    found = _SPEED.fullmatch(text or "1x")
    if found is None or not float(found[1]):
        raise typer.BadParameter("write how much faster, such as 2x or 0.5x, or max", param_hint="--speed")
    return float(found[1])


def _rate(text: str | None) -> float | None:
    if text is None:
        return None
    found = _RATE.fullmatch(text)
    if found is None or not float(found[1]):
        raise typer.BadParameter("write requests a second, such as 100/s", param_hint="--rate")
    return float(found[1])


def _fields(lines: list[str]) -> dict[str, str]:
    from shadowproxy.replay.rules import UsageError, header_fields

    try:
        return header_fields(lines)
    except UsageError as error:
        raise typer.BadParameter(str(error), param_hint="--header") from None
