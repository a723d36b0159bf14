"""What an operation of the admin listener is: one method of one path, its handler, and all that is said of it.

The tables of them stand beside their handlers; the description and the reference are made from them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import hdrs, web

JSON: Final = "application/json"
TEXT: Final = "text/plain"
EVENTS: Final = "text/event-stream"

UNREADABLE: Final = "What is kept on disk cannot be reached."
NO_SERVICE: Final = "There is no service of this name."
NO_ROLLOUT: Final = "There is no service of this name, or it has no rollout."


@dataclass(frozen=True, slots=True)
class Told:
    """An event of a stream. `data` is the type of its JSON."""

    name: str
    when: str
    data: Any


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `answer` is the type of its JSON; without one `content` says what comes."""

    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str
    answer: Any = None
    parameters: tuple[str, ...] = ()
    """In the query, by their names in `parameters.PARAMETERS`."""
    method: str = hdrs.METH_GET
    body: Any = None
    """The type of the JSON that it takes."""
    is_body_needed: bool = True
    content: str = JSON
    contents: tuple[str, ...] = ()
    """Media types that it may answer with besides."""
    description: str = ""
    """What the summary and the types do not say."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Statuses with which it says no, and why, besides those that are the same everywhere."""
    own: Mapping[int, tuple[Any, ...]] = field(default_factory=dict)
    """Types with which it says no instead of a problem, or beside one; `str`: plain text."""
    headers: tuple[str, ...] = ()
    """Fields of the request that it looks at, by their names in `parameters.HEADERS`."""
    answered: Mapping[str, str] = field(default_factory=dict)
    """Fields of its answer, and what they are for."""
    events: tuple[Told, ...] = ()
    group: str = ""
    example: str | Mapping[str, Any] = ""
    """A query, or a body."""
