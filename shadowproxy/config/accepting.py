"""Write into the file of accepted differences: a new entry, or another owner, reason and expiry of a present one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ruamel.yaml.comments import CommentedMap

from shadowproxy.config.accepted import AcceptedEntry, parse, written
from shadowproxy.config.editing import EditError, edit, shown
from shadowproxy.config.problems import BadValueError
from shadowproxy.config.units import parse_duration, parse_moment

_SAME: Final = ("route", "field", "kind", "shape")
_NEWER: Final = ("owner", "reason", "expires")
_DAY: Final = 86400.0


def accept(path: Path, entries: Sequence[AcceptedEntry], services: list[str]) -> None:
    """Put the entries into the file, which `services` read. Raises EditError, and then the file stays as it was."""

    def change(data: Any) -> Any:
        items = [] if data is None else data
        for entry in entries if isinstance(items, list) else ():
            _put(items, entry)
        return items

    def check(before: str, after: str) -> None:
        for text in (before, after):
            problems = parse(text, str(path), services).problems
            if problems:
                more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
                raise EditError(f"{problems[0]}{more}")

    edit(path, change, check)


def expiry(text: str, now: float) -> str:
    """An expiry as the file has it, from one such or from a duration such as `30d`. Raises BadValueError.

    What is over already is refused. `now` is Unix time.
    """
    try:
        seconds = parse_duration(text)
    except BadValueError:
        if parse_moment(text) <= now:
            raise BadValueError(f"expires: {text} is over already") from None
        return text
    until = datetime.fromtimestamp(now + seconds, UTC)
    return until.strftime("%Y-%m-%d" if seconds >= _DAY else "%Y-%m-%dT%H:%M:%SZ")


def as_text(entries: Sequence[AcceptedEntry]) -> str:
    """The entries as they stand in a file."""
    return shown([dict(written(entry)) for entry in entries])


def _put(items: list[Any], entry: AcceptedEntry) -> None:
    values = dict(written(entry))
    for item in items:
        if isinstance(item, dict) and _is_same(item, values):
            for name in _NEWER:
                _set(item, name, values.get(name))
            return
    items.append(values)


def _set(item: dict[str, Any], name: str, value: str | None) -> None:
    """Comments after an entry belong to its last key: that one stays the last, or the one before gets them."""
    if value is not None and (name in item or not isinstance(item, CommentedMap)):
        item[name] = value
    elif value is not None and isinstance(item, CommentedMap):
        item.insert(len(item) - 1, name, value)
    elif name in item:
        del item[name]
        if isinstance(item, CommentedMap) and (comment := item.ca.items.pop(name, None)):
            item.ca.items.setdefault(next(reversed(item)), comment)


def _is_same(item: dict[str, Any], values: dict[str, str]) -> bool:
    """An entry without a service is about all of them."""
    same = all(item.get(name) == values.get(name) for name in _SAME)
    return same and item.get("service") in {None, values.get("service")}
