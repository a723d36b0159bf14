"""`${NAME}`, `${NAME:-default}` and `${file:/path}` in string scalars, expanded after parsing.

What they become is never parsed as YAML, so a value cannot add keys, and is never shown in a message. `$${` is a
literal `${`. As in a shell, `:-` also covers a variable that is set and empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final

from shadowproxy.config.problems import BadValueError, Path
from shadowproxy.config.source import bounded
from shadowproxy.config.tree import Tree, leaves

MAX_FILE: Final = 64 * 1024
"""Bytes of a file that a value may be read from: a secret, not a document."""

_REFERENCE: Final = re.compile(
    r"\$(?P<literal>\$\{)"
    r"|\$\{file:(?P<file>[^{}]+)\}"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}"
    r"|(?P<broken>\$\{)"
)


class Expanded(str):
    """Text that came out of an expansion, and may stand for a number where the field wants one."""

    __slots__ = ()


def expand(text: str, environ: Mapping[str, str], base: FilePath) -> str:
    """`text` with every reference replaced; files are relative to `base`. Raises BadValueError."""

    def replace(found: re.Match[str]) -> str:
        if found["literal"]:
            return "${"
        if found["file"]:
            return _content(base / found["file"])
        if found["broken"]:
            raise BadValueError("write ${NAME}, ${NAME:-default} or ${file:/path}; a literal ${ is written $${")
        name, default = found["name"], found["default"]
        value = environ.get(name, None if default is None else "")
        if value is None:
            raise BadValueError(f"the variable {name} is not set: set it, or write a default as in ${{{name}:-…}}")
        return value or default or ""

    return Expanded(_REFERENCE.sub(replace, text)) if "${" in text else text


def _content(path: FilePath) -> str:
    """What a file holds, less one line end at its end, as secrets are written. Raises BadValueError."""
    try:
        text = bounded(path, MAX_FILE).decode()
    except UnicodeDecodeError:
        raise BadValueError("the file is not UTF-8 text: save it as such") from None
    return text.removesuffix("\n").removesuffix("\r")


def expand_all(tree: Tree, environ: Mapping[str, str], base: FilePath) -> list[tuple[Path, str]]:
    """Expand every string of the tree where it stands; returns what failed. A failed value stays as written."""
    failed: list[tuple[Path, str]] = []
    for path, value in list(leaves(tree.data)):
        if not isinstance(value, str) or "${" not in value:
            continue
        try:
            parent: Any = tree.data
            for step in path[:-1]:
                parent = parent[step]
            parent[path[-1]] = expand(value, environ, base)
        except BadValueError as error:
            failed.append((path, str(error)))
    return failed
