"""YAML 1.2 → validated document → policy.

Importing this package costs little: pydantic and the YAML parser are imported when something is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shadowproxy.config.differences import host_names, restart_keys
from shadowproxy.config.overrides import Overrides
from shadowproxy.config.problems import ConfigError, Problem
from shadowproxy.model.policy import Loaded, Registry

__all__ = [
    "ConfigError",
    "Overrides",
    "Problem",
    "describe",
    "host_names",
    "load",
    "restart_keys",
    "schema",
]


def load(
    path: Path | None,
    overrides: Overrides,
    registry: Registry,
    environ: Mapping[str, str],
    *,
    from_data_dir: bool = True,
) -> Loaded:
    """Read the file at `path` (None: options alone), with what the command line says instead of it.

    `registry` gives rows to services and routes that it knows; it is not changed, the grown copy is in the result.
    `environ` is where `${NAME}` looks; `from_data_dir`: accepted differences in the data directory count too. Raises
    ConfigError with every problem at once.
    """
    from shadowproxy.config.loading import load as read

    return read(path, overrides, registry, environ, from_data_dir=from_data_dir)


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the file, for editors."""
    from shadowproxy.config.json_schema import schema as render

    return render()


def describe(loaded: Loaded) -> list[str]:
    """Lines that say what the configuration means, for people. Secrets are masked."""
    from shadowproxy.config.describing import describe as render

    return render(loaded)
