"""The options of the command line that stand for keys of the file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Overrides:
    """The options of `run`, as they were written. Relative paths are relative to the working directory.

    `sample` may be `25%` or `25`. It replaces the service's share; a route that has a share of its own keeps it.
    """

    primary: str | None = None
    candidate: str | None = None
    secondary: str | None = None
    listen: tuple[str, ...] = ()
    admin: str | None = None
    sample: str | None = None
    workers: str | None = None
    data_dir: str | None = None
    probe: str | None = None
    metrics: str | None = None
