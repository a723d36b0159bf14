"""The JSON that changes are made of, and words and times in it. What is wrong is a problem that says what is right."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from aiohttp import web

from shadowproxy.admin import queries
from shadowproxy.admin.problems import ProblemError
from shadowproxy.config.problems import BadValueError
from shadowproxy.config.units import parse_duration, parse_moment
from shadowproxy.report.plain import plain

JSON: Final = "application/json"
MAX_WORDS: Final = 500

T = TypeVar("T")


async def taken(request: web.Request, kind: type[T], *parameters: str) -> T:
    """The body of a change; beside it the query may have `parameters`. Raises ProblemError."""
    queries.only(request, *parameters)
    if request.content_type != JSON:
        raise ProblemError(415, f"send the change as Content-Type: {JSON}")
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProblemError(400, f"the body is not what {request.path} takes: {error}; see /openapi.json") from None


async def taken_if_any(request: web.Request, kind: type[T], *parameters: str) -> T:
    """The same where nothing has to be said: without a body all is as it is by default."""
    if request.body_exists:
        return await taken(request, kind, *parameters)
    queries.only(request, *parameters)
    return kind()


def words(text: str) -> str:
    """A reason as it is kept. None is refused for its looks: whoever goes back has no time to say it better."""
    return plain(text.strip())[:MAX_WORDS]


def required(text: str, what: str) -> str:
    """The same where there has to be one. Raises ProblemError."""
    found = words(text)
    if not found:
        raise ProblemError(400, f"reason: say why: {what}")
    return found


def moment(name: str, text: str, now: float) -> float:
    """Unix time of a duration from `now`, or of a time that is to come. Raises ProblemError."""
    try:
        return now + parse_duration(text)
    except BadValueError as no_duration:
        try:
            found = parse_moment(text)
        except BadValueError as no_moment:
            raise ProblemError(400, f"{name}: {no_duration}; or {no_moment}") from None
    if found <= now:
        raise ProblemError(400, f"{name}: {text} is over already")
    return found
