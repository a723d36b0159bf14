"""`shadowproxy run`: hands the options to the supervisor, which takes this process over."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def run(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="A YAML file; the options replace its values.")
    ] = None,
    primary: Annotated[str | None, typer.Option(metavar="URL", help="The upstream that serves users.")] = None,
    candidate: Annotated[str | None, typer.Option(metavar="URL", help="The upstream under test: gets copies.")] = None,
    secondary: Annotated[
        str | None, typer.Option(metavar="URL", help="A second instance of the primary's version: shows what is noise.")
    ] = None,
    listen: Annotated[
        list[str] | None, typer.Option(metavar="ADDR", help="host:port, [v6]:port or unix:PATH; may be repeated.")
    ] = None,
    admin: Annotated[str | None, typer.Option(metavar="ADDR", help="Admin API, dashboard and metrics.")] = None,
    probe: Annotated[str | None, typer.Option(metavar="ADDR", help="/healthz and /readyz.")] = None,
    metrics: Annotated[str | None, typer.Option(metavar="ADDR", help="/metrics alone, without a token.")] = None,
    data_dir: Annotated[str | None, typer.Option(metavar="DIR", help="Examples, policy and masking key.")] = None,
    sample: Annotated[
        str | None, typer.Option(metavar="PCT", help="Share of the requests to mirror, such as 25%.")
    ] = None,
    workers: Annotated[str | None, typer.Option(metavar="N", help="Data-plane processes, or auto.")] = None,
) -> None:
    """Serve every user from the primary and mirror to the candidate.

    CONFIG may be absent: `--primary` alone is a plain reverse proxy.
    """
    options = {
        "config": str(config) if config else None,
        "primary": primary,
        "candidate": candidate,
        "secondary": secondary,
        "listen": listen or (),
        "admin": admin,
        "probe": probe,
        "metrics": metrics,
        "data_dir": data_dir,
        "sample": sample,
        "workers": workers,
    }
    # A fresh interpreter under the same pid: what the command line needed stays out of the supervisor's memory, and
    # out of every child forked from it. -P: the working directory is not where modules are looked for.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "shadowproxy.runtime", json.dumps(options)])  # noqa: S606 - nothing is started: this process becomes the supervisor
