"""`shadowproxy`: the table of commands, and how they end. An error is one line on standard error."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, Final

import typer

from shadowproxy import __version__
from shadowproxy.cli import (
    audit,
    check,
    demo,
    diffs,
    flags,
    freeze,
    health,
    replay,
    report,
    rollout,
    run,
    status,
    watch,
)

USAGE: Final = 2
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Of a file that standard output goes to. An exit code of 1 would say that something regressed."""

app = typer.Typer(
    name="shadowproxy",
    help="Serve from the primary, mirror to the candidate, tell what differs.",
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run.run)
app.command()(check.check)
app.command()(check.schema)
app.command()(demo.demo)
app.command()(demo.demo_shop)
app.command()(status.status)
app.command()(health.health)
app.command()(report.report)
app.command()(replay.replay)
app.add_typer(diffs.app, name="diffs")
app.add_typer(rollout.app, name="rollout")
app.add_typer(freeze.app, name="freeze")
app.add_typer(flags.app, name="flags")
app.command()(watch.watch)
app.command()(audit.audit)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"shadowproxy {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What stands before a command."""


def main() -> None:
    """The console script. Exit codes: 0 good, 1 a regression or a failed check, 2 usage, 3 not enough to say."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that cannot show a character is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        code = _discard_output()
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:
            raise
        _discard_output()
        print(f"shadowproxy: standard output: {error.strerror}", file=sys.stderr)
        code = USAGE
    sys.exit(code)


def _discard_output() -> int:
    """Python would complain once more when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _run() -> int:
    try:
        return app(prog_name="shadowproxy", standalone_mode=False) or 0
    except typer.Abort:
        return USAGE
    except Exception as error:
        # Typer has had its own click inside since 0.26: what both versions' usage errors share is this method.
        describe = getattr(error, "format_message", None)
        if describe is None:
            raise
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "shadowproxy"
        message = " ".join(str(describe()).split()).replace(": Value error, ", ": ")
        end = "" if message.endswith((".", "?")) else "."
        print(f"{command}: {message}{end} See {command} --help.", file=sys.stderr)
        return USAGE
