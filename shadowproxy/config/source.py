"""The configuration file as text, read once and bounded."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Final

from shadowproxy.config.problems import BadValueError
from shadowproxy.config.units import render_size

MAX_BYTES: Final = 4 * 1024 * 1024


def text_of(path: FilePath) -> str:
    """What the file holds. Raises BadValueError."""
    if path.is_dir():
        raise BadValueError("this is a directory: name the file in it")
    if not path.exists():
        raise BadValueError("there is no such file: write the path of one, or use --primary URL alone")
    data = bounded(path, MAX_BYTES)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"the file is not UTF-8 (byte {error.start + 1}, in line {line}): save it as UTF-8"
        raise BadValueError(message) from None


def bounded(path: FilePath, most: int) -> bytes:
    """A regular file's bytes. Raises BadValueError when it is none, cannot be read or is larger than `most`."""
    if not path.is_file():
        raise BadValueError(f"the file {'is no regular file' if path.exists() else 'does not exist'}: name one that is")
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise BadValueError(f"the file cannot be read ({error.strerror}): let this user read it") from None
    if len(data) > most:
        raise BadValueError(f"the file is larger than {render_size(most)}")
    return data
