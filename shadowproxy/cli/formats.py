"""How a report leaves a command: its format, its file, and what makes it fail. `report` and `replay` share it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shadowproxy.cli.client import fail, wants_color

if TYPE_CHECKING:
    from shadowproxy.report import Report


class Format(StrEnum):
    text = "text"
    json = "json"
    markdown = "markdown"
    junit = "junit"
    html = "html"


FormatOption = Annotated[Format, typer.Option("--output", "-o", help="How the report is written.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Where it is written, whole or not at all; else to stdout.")
]
Full = Annotated[bool, typer.Option("--full", help="As text: leave nothing out.")]


def _words(given: list[str] | None) -> list[str]:
    from shadowproxy.report.judging import UnknownWordError, parse

    try:
        return list(parse(given or ()))
    except UnknownWordError as error:
        raise typer.BadParameter(str(error)) from None


FailOn = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on",
        metavar="LIST",
        callback=_words,
        help="What makes the exit code 1, instead of the report's own verdict: fields, errors, latency, failures,"
        " mismatches, open, expired, incomparable, inconclusive, or none. Comma-separated, or repeated.",
    ),
]


def finish(report: Report, words: list[str] | None, output: Format, out: Path | None, full: bool = False) -> int:
    """Judge a report by the words of `--fail-on`, write it, and return the exit code. Ends the command on errors."""
    from shadowproxy.report import judge

    judged = judge(report, words or ())
    body = rendered(judged, output, full, color=out is None and wants_color())
    if out is None:
        sys.stdout.write(body)
    else:
        try:
            write(out, body)
        except OSError as error:
            fail(f"--out {out}: {error.strerror or error}")
    return judged.exit_code


def rendered(report: Report, output: Format, full: bool, color: bool) -> str:
    from shadowproxy import report as renderings

    match output:
        case Format.json:
            return renderings.render_json(report).decode()
        case Format.markdown:
            return renderings.render_markdown(report)
        case Format.junit:
            return renderings.render_junit(report)
        case Format.html:
            return renderings.render_html(report)
        case Format.text:
            return renderings.render_text(report, color=color, full=full)


def write(path: Path, body: str) -> None:
    """The whole file or, on an error, the one that was there before. Raises OSError."""
    data = body.encode()
    if path.exists() and not path.is_file():
        path.write_bytes(data)  # a device or a pipe cannot be replaced
        return
    target = path.resolve()  # a link stays one
    new = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        new.write_bytes(data)
        new.replace(target)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise


MAX_FILE: Final = 64 * 1024 * 1024
"""Of a stored report, which has at most 20 examples of a few hundred KiB."""


def load(path: Path, option: str, hint: str = "") -> Report:
    """A report that was stored as JSON; ends the command with one line where it is none.

    `hint` says what else the option takes.
    """
    import msgspec

    from shadowproxy.report import Report

    try:
        with path.open("rb") as file:
            body = file.read(MAX_FILE + 1)
        if len(body) > MAX_FILE:
            fail(f"{option} {path}: larger than {MAX_FILE // 1024 // 1024} MiB; {_RIGHT}")
        return msgspec.json.decode(body, type=Report)
    except OSError as error:
        fail(f"{option} {path}: {error.strerror or error}{f', {hint}' if hint else ''}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        fail(f"{option} {path}: not a report as JSON ({error}); {_RIGHT}")


_RIGHT: Final = "write one with: shadowproxy report -o json --out FILE"
