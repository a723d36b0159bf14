"""Change a YAML file: comments and order stay, what else it says stays, and a reader sees the old file or the new one.

A change is a function that is applied to plain data and to the round-trip parser's: what is written must read back as
the first says, else the file stays as it is.
"""

from __future__ import annotations

import copy
import fcntl
import io
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from shadowproxy.config.problems import BadValueError
from shadowproxy.config.source import text_of
from shadowproxy.config.tree import read

Change = Callable[[Any], Any]
"""Takes the data of a file (None: there is nothing in it), changes it in place, and returns it."""

LOCK_SECONDS: Final = 2.0
_AS_OFTEN: Final = 0.02
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DASH: Final = re.compile(r"^( *)- ", re.MULTILINE)
_NESTED_DASH: Final = re.compile(
    r"^( *)[^\s#-][^#\n]*:[ \t]*(?:#[^\n]*)?\n(?: *#[^\n]*\n|[ \t]*\n)*( *)- ", re.MULTILINE
)
_NESTED_KEY: Final = re.compile(
    r"^[^\s#-][^#\n]*:[ \t]*(?:#[^\n]*)?\n(?: *#[^\n]*\n|[ \t]*\n)*( +)[^\s#-]", re.MULTILINE
)


class EditError(Exception):
    """A file that stays as it was. The text is one line: which file, why, and what would be right."""


def edit(path: Path, change: Change, check: Callable[[str, str], None]) -> None:
    """Change the file, or make it. `check` gets the old and the new text, and may raise EditError for what they say.

    Two writers take turns. A link stays one, and a file keeps its mode. Raises EditError.
    """
    target = path.resolve()
    try:
        with _locked(target):
            text = text_of(target) if target.exists() else ""
            new = changed(text, str(path), change)
            check(text, new)
            if new != text:
                _replace(target, new)
    except BadValueError as error:
        raise EditError(f"{path}: {error}") from None
    except OSError as error:
        raise EditError(f"{path} cannot be written: {error.strerror or error}") from None


def changed(text: str, file: str, change: Change) -> str:
    """The text of a file after a change. Raises EditError where it is not YAML, or would not say what was meant."""
    before = read(text, file)
    if before.problems:
        raise EditError(str(before.problems[0]))
    wanted = change(copy.deepcopy(before.data))
    if wanted == before.data:
        return text
    yaml = _yaml(text)
    try:
        data = yaml.load(text)
    except YAMLError as error:  # what this parser cannot read, and the other can
        raise EditError(f"{file} cannot be changed: {' '.join(str(error).split())}: change it by hand") from None
    ending = "\r\n" if "\r\n" in text else "\n"
    head = text.rstrip() + "\n" if data is None and text.strip() else ""
    out = io.StringIO()
    yaml.dump(_plain_dates(change(data)), out)
    new = (head + out.getvalue()).replace("\n", ending)
    if read(new, file).data != wanted:
        raise EditError(f"{file} cannot be changed without changing what else stands in it: change it by hand")
    return new


def shown(data: Any) -> str:
    """Data as it would be written into a file."""
    out = io.StringIO()
    _yaml("").dump(_plain_dates(data), out)
    return out.getvalue()


def _yaml(text: str) -> YAML:
    """A round-trip parser that indents as the text does."""
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = 1_000_000
    nested = _NESTED_DASH.search(text)
    first = _DASH.search(text)
    offset = len(nested[2]) - len(nested[1]) if nested else len(first[1]) if first and text.lstrip()[:1] != "{" else 0
    deeper = _NESTED_KEY.search(text)
    yaml.indent(mapping=len(deeper[1]) if deeper else 2, sequence=max(offset, 0) + 2, offset=max(offset, 0))
    return yaml


def _plain_dates(data: Any) -> Any:
    """Dates as dates, which are written without quotes."""
    if isinstance(data, dict):
        for key, value in data.items():
            data[key] = _plain_dates(value)
    elif isinstance(data, list):
        for index, value in enumerate(data):
            data[index] = _plain_dates(value)
    elif type(data) is str and _DATE.fullmatch(data):
        with suppress(ValueError):
            return date.fromisoformat(data)
    return data


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The directory's lock, so that no file is left behind. Raises OSError, EditError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise EditError(f"{path} is being written by somebody else: try again") from None
                time.sleep(_AS_OFTEN)
        yield
    finally:
        os.close(directory)


def _replace(path: Path, text: str) -> None:
    mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        new.chmod(mode)
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
