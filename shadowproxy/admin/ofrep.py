"""OFREP: SDKs ask for flags over HTTP, one or all of them, and hear when something changed.

What they are told is what requests carry: what is killed or DISABLED, then a rollout's overlay by the targeting key,
then the flag's own targeting. Nothing of a context is kept, counted or logged.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import math
import os
import time
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web
from msgspec import UNSET

from shadowproxy.admin import queries
from shadowproxy.admin.answers import ACCESS, STATE, caller
from shadowproxy.admin.ofrep_values import (
    Endpoint,
    Evaluated,
    EvaluatedAll,
    EventStream,
    Question,
    Refetch,
    Unevaluated,
)
from shadowproxy.admin.operation import EVENTS as STREAM
from shadowproxy.admin.operation import Operation, Told
from shadowproxy.admin.problems import ProblemError
from shadowproxy.control.flags.desk import Desk
from shadowproxy.control.state import State
from shadowproxy.control.watchers import WatchersError
from shadowproxy.flags.evaluation import GENERAL, PARSE_ERROR, Flag
from shadowproxy.model.flags import FlagsPolicy

PREFIX: Final = "/ofrep/"
EVENTS: Final = "/ofrep/v1/events"
TICKET: Final = "ticket"
TICKET_SECONDS: Final = 3600
MAX_DEPTH: Final = 16
HEARTBEAT: Final = 20.0
"""Seconds: proxies on the way cut silent connections, mostly after 60."""
_WRITE_SECONDS: Final = 10.0
_AT_ONCE: Final = 200
"""Flags of a bulk evaluation between two turns of the loop, some 0.5 ms."""
_SECRET: Final = os.urandom(32)


class Limiter:
    """Questions of each caller: a bucket that holds those of one second (`rate`) and fills as fast."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, who: str, rate: int, now: float) -> float:
        """Takes one. Seconds until there is one again, 0: it was there."""
        level, then = self._buckets.get(who, (float(rate), now))
        level = min(rate, level + (now - then) * rate)
        if level < 1.0:
            return (1.0 - level) / rate
        self._buckets[who] = level - 1.0, now
        return 0.0


LIMITER: Final = web.AppKey("limiter", Limiter)


async def single(request: web.Request) -> web.Response:
    """One flag."""
    state = request.app[STATE]
    key = request.match_info["key"]
    queries.only(request)
    desk, context = await _asked(request, state, key)
    if isinstance(context, web.Response):
        return context
    flag = desk.set.get(key)
    if flag is None:
        return _failed(404, "FLAG_NOT_FOUND", f"there is no flag {key!r}", key)
    found = _evaluated(desk, flag, context)
    return _json(found, 400 if found.errorCode is not UNSET else 200)


async def bulk(request: web.Request) -> web.Response:
    """All flags; 304 where they are what the caller has already."""
    state = request.app[STATE]
    queries.only(request, "flagConfigEtag", "flagConfigLastModified")
    desk, context = await _asked(request, state)
    if isinstance(context, web.Response):
        return context
    flags: list[Evaluated] = []
    for number, flag in enumerate(desk.set, 1):
        flags.append(_evaluated(desk, flag, context))
        if not number % _AT_ONCE:
            await asyncio.sleep(0)
    etag = f'"{hashlib.blake2b(msgspec.json.encode(flags), digest_size=16).hexdigest()}"'
    headers = {str(hdrs.ETAG): etag}
    if _has(request.headers.get(hdrs.IF_NONE_MATCH, ""), etag):
        return web.Response(status=304, headers=headers)
    uri = EVENTS + (f"?{TICKET}={_ticket(time.time())}" if state.launch.admin.tokens else "")
    metadata: dict[str, Any] = {**_plain(desk.set.definitions.metadata), "version": desk.version}
    return _json(EvaluatedAll(flags, [EventStream("sse", Endpoint(uri))], metadata), headers=headers)


async def events(request: web.Request) -> web.StreamResponse:
    """Tells when something changed, so that whoever listens asks again."""
    queries.only(request, TICKET)
    state = request.app[STATE]
    desk = _desk(state)
    try:
        with desk.watchers.joined() as queue:
            headers = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            try:
                await _write(response, b"retry: 2000\n\n")
                last = request.headers.get("Last-Event-ID")
                if last is not None and last != desk.event:
                    await _write(response, _event(desk))
                while True:
                    try:
                        if await asyncio.wait_for(queue.get(), HEARTBEAT) is None:
                            break
                    except TimeoutError:
                        await _write(response, b": still here\n\n")
                        continue
                    await _write(response, _event(desk))
            except (ConnectionError, TimeoutError):
                pass  # the follower is gone, or as good as gone
            return response
    except WatchersError:
        raise ProblemError(503, "too many follow the flags already; ask again from time to time") from None


def has_ticket(request: web.Request) -> bool:
    """Whether a request for events brings a ticket of ours: EventSource of browsers sends no fields."""
    until, _, seal = request.query.get(TICKET, "").partition(".")
    if request.path != EVENTS or not until.isascii() or not until.isdigit() or len(until) > 12:
        return False
    return int(until) >= time.time() and hmac.compare_digest(seal.encode(), _seal(until).encode())


def _ticket(now: float) -> str:
    until = str(int(now) + TICKET_SECONDS)
    return f"{until}.{_seal(until)}"


def _seal(until: str) -> str:
    return hmac.new(_SECRET, until.encode(), hashlib.sha256).hexdigest()[:32]


# The question


async def _asked(
    request: web.Request, state: State, key: str | None = None
) -> tuple[Desk, dict[str, Any] | web.Response]:
    """The context that flags are wanted for, or why not."""
    desk = _desk(state)
    policy = state.policy.flags
    assert policy is not None  # noqa: S101 - the desk has looked
    who = caller(request, request.app[ACCESS]).name
    wait = request.app[LIMITER].wait(who, policy.ofrep.rate, time.monotonic())
    if wait:
        headers = {str(hdrs.RETRY_AFTER): str(math.ceil(wait))}
        said = f"more than {policy.ofrep.rate} questions a second"
        return desk, _failed(429, GENERAL, said, key, headers)
    await desk.known.wait()
    return desk, await _context(request, policy, key)


async def _context(request: web.Request, policy: FlagsPolicy, key: str | None) -> dict[str, Any] | web.Response:
    limit = policy.ofrep.max_body
    body = b""
    async for piece in request.content.iter_chunked(16 * 1024):
        body += piece
        if len(body) > limit:
            return _failed(413, GENERAL, f"a question has at most {limit} bytes", key)
    if request.content_type != "application/json":
        return _failed(415, GENERAL, "send the question as Content-Type: application/json", key)
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        return _failed(400, PARSE_ERROR, f"the body is not JSON: {error}", key)
    if not isinstance(asked, dict):
        return _failed(400, PARSE_ERROR, 'the body has to be an object: {"context": {…}}', key)
    context = asked.get("context", {})
    if context is None:
        context = {}
    if not isinstance(context, dict):
        return _failed(400, "INVALID_CONTEXT", "the context has to be an object", key)
    targeting_key = context.get("targetingKey")
    if targeting_key is not None and not isinstance(targeting_key, str):
        return _failed(400, "INVALID_CONTEXT", "targetingKey has to be a string", key)
    if _depth(context) > MAX_DEPTH:
        return _failed(400, "INVALID_CONTEXT", f"the context is nested deeper than {MAX_DEPTH}", key)
    return context


def _depth(value: Any) -> int:
    waiting, depth = [value], 0
    while waiting and depth <= MAX_DEPTH:
        depth += 1
        inner: list[Any] = []
        for each in waiting:
            inner += each.values() if isinstance(each, dict) else each
        waiting = [each for each in inner if isinstance(each, dict | list)]
    return depth


def _desk(state: State) -> Desk:
    if not state.flags.is_on:
        raise ProblemError(404, "there are no feature flags: the configuration has no flags section")
    return state.flags


# The answer


def _evaluated(desk: Desk, flag: Flag, context: dict[str, Any]) -> Evaluated:
    found = desk.evaluate(flag, context, time.time())
    if found.error:
        return Evaluated(flag.key, errorCode=found.error, errorDetails=found.detail)
    metadata = _plain(flag.metadata) or UNSET
    if found.variant is None:
        return Evaluated(flag.key, reason=found.reason, metadata=metadata)
    return Evaluated(flag.key, found.value, found.reason, found.variant, metadata)


def _plain(metadata: Any) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if isinstance(value, str | int | float)}


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def _failed(
    status: int, code: str, detail: str, key: str | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    return _json(Unevaluated(code, detail, UNSET if key is None else key), status, headers)


def _has(listed: str, etag: str) -> bool:
    """If-None-Match (RFC 9110 section 13.1.2): weak comparison."""
    tags = [each.strip().removeprefix("W/") for each in listed.split(",")]
    return "*" in tags or etag in tags


async def _write(response: web.StreamResponse, data: bytes) -> None:
    await asyncio.wait_for(response.write(data), _WRITE_SECONDS)


def _event(desk: Desk) -> bytes:
    data = Refetch("refetchEvaluation", f'"{desk.event}"', int(desk.changed_at))
    return b"id: %b\nevent: message\ndata: %b\n\n" % (desk.event.encode(), msgspec.json.encode(data))


_NONE: Final = "The configuration has no flags."
_QUESTION: Final[dict[str, Any]] = {
    "method": hdrs.METH_POST,
    "body": Question,
    "headers": ("X-API-Key",),
    "group": "OFREP",
    "example": {"context": {"targetingKey": "ann"}},
}
_REFUSED: Final = {
    413: "The question is larger than `flags.ofrep.max_body`.",
    429: "More questions in a second than `flags.ofrep.rate` permits; `Retry-After` says when to ask again.",
}
_OWN: Final = {413: (Unevaluated,), 415: (Unevaluated,), 429: (Unevaluated,)}
OPERATIONS: Final = (
    Operation(
        "/ofrep/v1/evaluate/flags",
        bulk,
        "Evaluate all flags",
        EvaluatedAll,
        parameters=("flagConfigEtag", "flagConfigLastModified"),
        description="A flag that cannot be evaluated is among the others, with an `errorCode`.",
        refused=_REFUSED | {404: _NONE},
        own=_OWN | {400: (Unevaluated,)},
        answered={str(hdrs.ETAG): "Of these values, for this context."},
        **_QUESTION | {"headers": ("X-API-Key", str(hdrs.IF_NONE_MATCH))},
    ),
    Operation(
        "/ofrep/v1/evaluate/flags/{key}",
        single,
        "Evaluate one flag",
        Evaluated,
        refused=_REFUSED | {404: f"There is no flag of this key. {_NONE}"},
        own=_OWN | {400: (Unevaluated, Evaluated), 404: (Unevaluated,)},
        **_QUESTION,
    ),
    Operation(
        EVENTS,
        events,
        "Hear when flags change",
        parameters=(TICKET,),
        content=STREAM,
        description="A stream of server-sent events without an end. Every 20 s without one there is a comment.",
        refused={404: _NONE, 503: "Too many follow already."},
        headers=("X-API-Key", "Last-Event-ID"),
        events=(Told("message", "What is in force, or what a rollout lays over it, has changed.", Refetch),),
        group="OFREP",
    ),
)
