"""`shadowproxy check CONFIG` says what a configuration means; `shadowproxy schema` prints its JSON Schema."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

INVALID = 2
"""Wrong usage or configuration."""


class Output(StrEnum):
    text = "text"
    json = "json"


def check(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration file.")],
    output: Annotated[Output, typer.Option("--output", "-o", help="How the answer is written.")] = Output.text,
) -> None:
    """Say what a configuration means, or everything that is wrong with it. Exits 2 when it cannot be used."""
    from shadowproxy.config import ConfigError, Overrides, describe, load
    from shadowproxy.config.describing import masked
    from shadowproxy.config.flag_file import examine
    from shadowproxy.model.policy import Registry

    try:
        loaded = load(config, Overrides(), Registry(), os.environ)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        if output is Output.json:
            _print_json({"ok": False, "problems": [problem._asdict() for problem in error.problems]})
        raise typer.Exit(INVALID) from None
    flags = examine(loaded.policy)
    for warning in (*loaded.warnings, *flags.warnings):
        print(f"warning: {warning}", file=sys.stderr)
    if flags.problems:
        print(*flags.problems, sep="\n", file=sys.stderr)
        if output is Output.json:
            _print_json({"ok": False, "problems": [{"message": problem} for problem in flags.problems]})
        raise typer.Exit(INVALID)
    if output is Output.json:
        _print_json({"ok": True, **masked(loaded)})
    else:
        print(*describe(loaded), sep="\n")


def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    from shadowproxy.config import schema as render

    _print_json(render())


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))
