"""Query parameters, checked: every wrong one is a 400 (an unknown service: 404) that says what would be right."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from aiohttp import web
from msgspec import Struct

from shadowproxy.admin.problems import ProblemError
from shadowproxy.config.problems import BadValueError
from shadowproxy.config.units import parse_duration
from shadowproxy.control.series import SPANS
from shadowproxy.control.state import CauseQuery, State
from shadowproxy.model.terms import KINDS, MIRRORED_ARMS
from shadowproxy.report import MOST_EXAMPLES
from shadowproxy.store import DiffQuery
from shadowproxy.store.audit import Holding

MAX_LIMIT: Final = 500
MAX_OFFSET: Final = 1_000_000
MAX_DAYS: Final = 366
MAX_WORDS: Final = 200
FORMATS: Final = ("json", "text", "markdown", "junit", "html")


def only(request: web.Request, *allowed: str) -> None:
    """Refuse parameters that nothing reads, and repeated ones."""
    for name in request.query:
        if name not in allowed:
            known = f"there are {', '.join(allowed)}" if allowed else "there are none here"
            raise ProblemError(400, f"unknown parameter {name!r}; {known}")
        if len(request.query.getall(name)) > 1:
            raise ProblemError(400, f"parameter {name!r} is given twice")


def service(request: web.Request, state: State) -> str | None:
    """The service asked for, or None: all of them."""
    name = request.query.get("service")
    if name is not None:
        check_service(state, name)
    return name


def one_service(state: State, name: str | None) -> str:
    """The service of this name, or the only one. Raises ProblemError."""
    known = [each.name for each in state.policy.services]
    if name is None and len(known) > 1:
        raise ProblemError(400, f"which service? there are {', '.join(known)}")
    if name is not None:
        check_service(state, name)
    return name or known[0]


def check_service(state: State, name: str) -> None:
    """Raises ProblemError where there is no service of this name."""
    known = [each.name for each in state.policy.services]
    if name not in known:
        raise ProblemError(404, f"there is no service {name!r}; there are {', '.join(known)}")


class ReportQuery(Struct, frozen=True):
    """Which report. `service` None: all of them. `since` is how many seconds ago, None: since the last recorded one."""

    service: str | None
    format: str
    examples: int
    since: float | None
    record: bool


def report(request: web.Request, state: State) -> ReportQuery:
    only(request, "service", "format", "examples", "since", "record")
    wanted = _one_of(request, "format", FORMATS) or FORMATS[0]
    return ReportQuery(
        service=service(request, state),
        format=wanted,
        # A page is for reading, so it shows them unless told otherwise.
        examples=_number(request, "examples", MOST_EXAMPLES if wanted == "html" else 0, 0, MOST_EXAMPLES),
        since=_duration(request, "since"),
        record=_one_of(request, "record", ("true", "false")) == "true",
    )


def diffs(request: web.Request, state: State) -> DiffQuery:
    only(request, "service", "route", "arm", "field", "kind", "limit", "offset")
    chosen = service(request, state)
    return DiffQuery(
        service=chosen,
        route=_route(request, state, chosen),
        arm=_one_of(request, "arm", MIRRORED_ARMS),
        field=request.query.get("field"),
        kind=_one_of(request, "kind", KINDS),
        limit=_number(request, "limit", DiffQuery().limit, 1, MAX_LIMIT),
        offset=_number(request, "offset", 0, 0, MAX_OFFSET),
    )


def causes(request: web.Request, state: State) -> CauseQuery:
    only(request, "service", "route", "search", "limit", "offset")
    chosen = service(request, state)
    return CauseQuery(
        service=chosen,
        route=_route(request, state, chosen),
        search=_words(request, "search"),
        limit=_number(request, "limit", CauseQuery().limit, 1, MAX_LIMIT),
        offset=_number(request, "offset", 0, 0, MAX_OFFSET),
    )


class AuditQuery(NamedTuple):
    """Which entries of the audit. `service` None: of all."""

    service: str | None
    limit: int
    offset: int
    holding: Holding


def audit(request: web.Request, state: State) -> AuditQuery:
    only(request, "service", "who", "action", "search", "limit", "offset")
    return AuditQuery(
        service(request, state),
        _number(request, "limit", CauseQuery().limit, 1, MAX_LIMIT),
        _number(request, "offset", 0, 0, MAX_OFFSET),
        Holding(_words(request, "who"), _words(request, "action"), _words(request, "search")),
    )


def series(request: web.Request, state: State) -> tuple[str, str]:
    """The service, and the span of one of `control.series.SPANS`. Raises ProblemError."""
    only(request, "service", "span")
    return one_service(state, request.query.get("service")), _one_of(request, "span", SPANS) or next(iter(SPANS))


def calendar(request: web.Request, state: State) -> tuple[str | None, int]:
    """The service, and how many days from now."""
    only(request, "service", "days")
    return service(request, state), _number(request, "days", 28, 1, MAX_DAYS)


def rules(request: web.Request) -> str:
    """The id of a cause or an example. Raises ProblemError."""
    only(request, "id")
    if not (found := request.query.get("id")):
        raise ProblemError(400, "id is missing: that of a cause or an example")
    return found


class HistoryQuery(Struct, frozen=True):
    """Which decisions of a rollout. `attempt` None: of all."""

    limit: int
    offset: int
    attempt: int | None


def history(request: web.Request) -> HistoryQuery:
    only(request, "service", "limit", "offset", "attempt")
    return HistoryQuery(
        limit=_number(request, "limit", CauseQuery().limit, 1, MAX_LIMIT),
        offset=_number(request, "offset", 0, 0, MAX_OFFSET),
        attempt=_number(request, "attempt", 0, 1, MAX_OFFSET) or None,
    )


class FlagHistoryQuery(Struct, frozen=True):
    """Which versions of flags. `flag` None: of any."""

    flag: str | None
    limit: int
    offset: int


def flag_history(request: web.Request) -> FlagHistoryQuery:
    only(request, "flag", "limit", "offset")
    limit = _number(request, "limit", CauseQuery().limit, 1, MAX_LIMIT)
    return FlagHistoryQuery(request.query.get("flag"), limit, _number(request, "offset", 0, 0, MAX_OFFSET))


def _route(request: web.Request, state: State, service: str | None) -> str | None:
    routes = {key.partition("\n")[2] for key in state.registry.routes if service in {None, key.partition("\n")[0]}}
    return _one_of(request, "route", sorted(routes))


def _words(request: web.Request, name: str) -> str:
    text = request.query.get(name, "")
    if len(text) > MAX_WORDS:
        raise ProblemError(400, f"{name} has more than {MAX_WORDS} characters")
    return text


def _one_of(request: web.Request, name: str, known: Collection[str]) -> str | None:
    value = request.query.get(name)
    if value is not None and value not in known:
        raise ProblemError(400, f"{name} {value!r} is not one of {', '.join(known)}")
    return value


def _number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    # isascii: int() also takes the digits of other scripts; the length: and numbers of any size.
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise ProblemError(400, f"{name} {text!r} is not a whole number from {least} to {most}")
    return int(text)


def _duration(request: web.Request, name: str) -> float | None:
    text = request.query.get(name)
    try:
        return None if text is None else parse_duration(text)
    except BadValueError as error:
        raise ProblemError(400, f"{name}: {error}") from None
