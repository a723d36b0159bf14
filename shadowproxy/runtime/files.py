"""Files of the data directory that are replaced as a whole, and moved away where they cannot be understood."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


class UnreadableError(Exception):
    """Which file cannot be read and why, or cannot be understood and was moved away."""


def replace_file(path: Path, data: bytes) -> None:
    """Write `data` to `path`, mode 0600, so that a reader sees the old file or the new one. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: Path, kind: type[T], max_bytes: int) -> T | None:
    """What a file of JSON holds; None: there is none. Raises UnreadableError."""
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableError(f"{path}: it cannot be read ({error.strerror})") from error
    try:
        if len(data) > max_bytes:
            raise msgspec.DecodeError("it is too large")
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableError(f"{path}: {error}; {set_aside(path)}") from error


def set_aside(path: Path) -> str:
    """Move a file away that cannot be understood, over the one before; what was done, in words."""
    aside = path.with_name(path.name + ".corrupt")
    try:
        path.replace(aside)
    except OSError as error:
        return f"it cannot be moved away ({error.strerror})"
    return f"moved to {aside}"
