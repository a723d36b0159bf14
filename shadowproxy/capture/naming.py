"""How the files of a rotated recording are called: `shop.gor`, and the older ones `shop.1.gor`, `shop.2.gor`. Pure."""

from __future__ import annotations

import re
from pathlib import Path


def older(newest: Path, number: int) -> Path:
    """The file that was the newest one `number` rotations ago."""
    return newest.with_name(f"{newest.stem}.{number}{newest.suffix}")


def age_of(path: Path, newest: Path) -> int | None:
    """How many rotations ago `path` was the newest file, by its name; None when it is no older file of `newest`."""
    name = rf"{re.escape(newest.stem)}\.([1-9][0-9]{{0,8}}){re.escape(newest.suffix)}"
    found = re.fullmatch(name, path.name) if path.parent == newest.parent else None
    return int(found[1]) if found else None
