"""Configurations written in a line or two, and what reading them says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shadowproxy.config import ConfigError, Overrides, Problem, load
from shadowproxy.model.policy import Loaded, Registry

PLAIN = "upstreams: {primary: {urls: [http://127.0.0.1:9001]}}\n"
MIRRORED = "upstreams: {primary: {urls: [http://127.0.0.1:9001]}, candidate: {urls: [http://127.0.0.1:9002]}}\n"


def write(directory: Path, text: str) -> Path:
    path = directory / "proxy.yaml"
    path.write_text(text)
    return path


def loaded(
    directory: Path,
    text: str,
    overrides: Overrides | None = None,
    environ: Mapping[str, str] | None = None,
    registry: Registry | None = None,
) -> Loaded:
    return load(write(directory, text), overrides or Overrides(), registry or Registry(), environ or {})


def problems(
    directory: Path,
    text: str,
    overrides: Overrides | None = None,
    environ: Mapping[str, str] | None = None,
    registry: Registry | None = None,
) -> list[Problem]:
    """Everything that is wrong, in the order of the file; the file is shown as `proxy.yaml`."""
    try:
        loaded(directory, text, overrides, environ, registry)
    except ConfigError as error:
        return [p._replace(file=Path(p.file).name) for p in error.problems]
    return []


def said(directory: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """`path: message` of every problem."""
    return [f"{p.path}: {p.message}" for p in problems(directory, text, environ=environ)]
