"""What the command line says instead of the file, put into the document before it is validated."""

from __future__ import annotations

import re
from pathlib import Path as FilePath
from typing import Any

from shadowproxy.config.overrides import Overrides
from shadowproxy.config.problems import COMMAND_LINE, BadValueError, Path
from shadowproxy.config.tree import Place, Tree, resolve
from shadowproxy.model.terms import ARMS


def apply(tree: Tree, overrides: Overrides, cwd: FilePath) -> list[tuple[str, str]]:
    """Put every option where its key stands; returns (option, message) for those that have no one place to go."""
    everywhere: list[tuple[str, Path, Any, str | None]] = [
        ("--listen", ("listen",), [_absolute(text, cwd) for text in overrides.listen] or None, None),
        ("--workers", ("workers",), overrides.workers and resolve(overrides.workers), overrides.workers),
        ("--admin", ("admin", "listen"), _absolute(overrides.admin, cwd), overrides.admin),
        ("--data-dir", ("data_dir",), overrides.data_dir and str(cwd / overrides.data_dir), overrides.data_dir),
        ("--probe", ("probe", "listen"), _absolute(overrides.probe, cwd), overrides.probe),
        ("--metrics", ("metrics", "listen"), _absolute(overrides.metrics, cwd), overrides.metrics),
    ]
    urls = [(f"--{arm}", ("upstreams", arm, "urls"), getattr(overrides, arm)) for arm in ARMS]
    served: list[tuple[str, Path, Any, str]]
    served = [(option, path, [_absolute(url, cwd)], url) for option, path, url in urls if url is not None]
    if overrides.sample is not None:
        served.append(("--sample", ("shadow", "sample"), _percent(overrides.sample), overrides.sample))
    for option, path, value, written in everywhere:
        if value is not None:
            _put(tree, option, path, value, written)
    try:
        service = _only_service(tree.data)
    except BadValueError as error:
        return [(option, str(error)) for option, *_ in served]
    for option, path, value, written in served:
        _put(tree, option, (*service, *path), value, written)
    return []


def _only_service(data: dict[str, Any]) -> Path:
    """Where the keys of the one service stand. Raises BadValueError when there are several."""
    services = data.get("services")
    if not isinstance(services, dict) or not services:
        return ()
    if len(services) > 1:
        first = next(iter(services))
        raise BadValueError(f"the file has {len(services)} services: write it into one, such as services.{first}")
    return ("services", next(iter(services)))


def _put(tree: Tree, option: str, path: Path, value: Any, written: str | None) -> None:
    """Set the value at a path, making what it stands in; a wrong value on the way is left for validation to name."""
    place = Place(COMMAND_LINE, 1, 1, (1, 1), written, option)
    parent = tree.data
    for depth, step in enumerate(path[:-1], 1):
        parent = parent.setdefault(step, {})
        tree.places.setdefault(path[:depth], place._replace(written=None))
        if not isinstance(parent, dict):
            return
    parent[path[-1]] = value
    for old in [old for old in tree.places if old[: len(path)] == path]:
        del tree.places[old]
    tree.places[path] = place
    if isinstance(value, list):
        for index, item in enumerate(value):
            tree.places[*path, index] = place._replace(written=written or item)


def _absolute(text: str | None, cwd: FilePath) -> str | None:
    """A Unix socket's path made independent of the file that the rest of the configuration stands in."""
    if text is None:
        return None
    scheme, colon, path = text.partition("unix:")
    if colon and scheme in {"", "http+"} and path and not path.startswith("/"):
        return f"{scheme}unix:{cwd / path}"
    return text


def _percent(text: str) -> str:
    return f"{text}%" if re.fullmatch(r"[0-9.]+", text) else text
