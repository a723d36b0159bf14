"""The configuration file as text, read once and bounded."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Final

from shadowproxy.config.problems import BadValueError

MAX_BYTES: Final = 4 * 1024 * 1024


def text_of(path: FilePath) -> str:
    """What the file holds. Raises BadValueError."""
    try:
        if path.is_dir():
            raise BadValueError("this is a directory: name the file in it")
        if not path.exists():
            raise BadValueError(
                "there is no such file: write the path of a configuration, or use --primary URL without one"
            )
        if not path.is_file():
            raise BadValueError("this is no regular file: name a file of YAML")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise BadValueError(f"the file cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if len(data) > MAX_BYTES:
        raise BadValueError(f"the file is larger than {MAX_BYTES // 1024 // 1024}MiB: no configuration is")
    return decoded(data)


def decoded(data: bytes) -> str:
    """UTF-8 text, with or without a byte order mark. Raises BadValueError."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadValueError(
            f"the file is not UTF-8 (byte {error.start + 1}, in line {line}): save it as UTF-8"
        ) from None
