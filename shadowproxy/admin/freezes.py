"""Freezes of the configuration and those by hand, and who starts and ends them."""

from __future__ import annotations

import secrets
import time
from itertools import islice
from typing import Final

from aiohttp import hdrs, web

from shadowproxy.admin import bodies, queries
from shadowproxy.admin.answers import ACCESS, STATE, caller, json_response
from shadowproxy.admin.operation import NO_SERVICE, Operation
from shadowproxy.admin.problems import ProblemError
from shadowproxy.admin.rollout_status import freeze_status, window_status
from shadowproxy.admin.rollout_values import FreezeEnd, FreezeStart, FreezeStatus, FreezeTurn
from shadowproxy.control.state import State
from shadowproxy.model.rollout import FreezeWindow
from shadowproxy.rollout.facts import ManualFreeze
from shadowproxy.rollout.freeze import DENY, turns_of
from shadowproxy.rollout.values import FreezeCommand, Refusal

DAY: Final = 86_400.0
MAX_TURNS: Final = 500
"""Of one freeze in a calendar."""
_ID_BYTES: Final = 3


async def listed(request: web.Request) -> web.Response:
    """All of them, or those that concern one service."""
    state = request.app[STATE]
    queries.only(request, "service")
    service = queries.service(request, state)
    now = time.time()
    found = [freeze_status(each) for each in state.rollouts.freezes(now)]
    found += [window_status(each, now) for each in state.policy.freeze]
    return json_response([each for each in found if service is None or not each.services or service in each.services])


async def calendar(request: web.Request) -> web.Response:
    """When freezes begin and end, from now on."""
    state = request.app[STATE]
    service, days = queries.calendar(request, state)
    now = time.time()
    every: list[FreezeWindow | ManualFreeze] = [*state.rollouts.freezes(now), *state.policy.freeze]
    concerned = [each for each in every if service is None or not each.services or service in each.services]
    found = [
        FreezeTurn(_name(each), _kind(each), begin, end)
        for each in concerned
        for begin, end in islice(turns_of(each, now, now + days * DAY), MAX_TURNS)
    ]
    return json_response(sorted(found, key=lambda turn: turn.begins_at))


def _name(freeze: FreezeWindow | ManualFreeze) -> str:
    return freeze.name if isinstance(freeze, FreezeWindow) else freeze.id


def _kind(freeze: FreezeWindow | ManualFreeze) -> str:
    return freeze.kind if isinstance(freeze, FreezeWindow) else DENY


async def start(request: web.Request) -> web.Response:
    state = request.app[STATE]
    wanted = await bodies.taken(request, FreezeStart)
    now = time.time()
    for name in wanted.services:
        queries.check_service(state, name)
    if not wanted.classes:
        raise ProblemError(400, "classes: name at least one that is stopped: feature, fix or security")
    command = FreezeCommand(
        action="start",
        who=caller(request, request.app[ACCESS]).name,
        reason=bodies.required(wanted.reason, "whoever is stopped by it reads that"),
        at=now,
        id=f"f-{secrets.token_hex(_ID_BYTES)}",
        until=None if wanted.until is None else bodies.moment("until", wanted.until, now),
        services=wanted.services,
        classes=wanted.classes,
        in_flight=wanted.in_flight,
    )
    return await _done(state, command)


async def end(request: web.Request) -> web.Response:
    state = request.app[STATE]
    wanted = await bodies.taken(request, FreezeEnd)
    now = time.time()
    reason = bodies.required(wanted.reason, "it is kept with who and when")
    command = FreezeCommand(
        action="end",
        who=caller(request, request.app[ACCESS]).name,
        reason=reason,
        at=now,
        id=wanted.id or _only(state, now),
    )
    return await _done(state, command)


async def _done(state: State, command: FreezeCommand) -> web.Response:
    answer = await state.rollouts.freeze(command)
    if isinstance(answer, Refusal):
        raise ProblemError(409, answer.why)
    return json_response(freeze_status(answer, command.at if command.action == "end" else None))


def _only(state: State, now: float) -> str:
    standing = [each.id for each in state.rollouts.freezes(now)]
    if len(standing) > 1:
        raise ProblemError(400, f"which freeze? there are {', '.join(standing)}")
    if not standing:
        raise ProblemError(409, "no freeze was started by hand; those of the configuration are ended there")
    return standing[0]


_UNREAD: Final = "What is known of freezes is not read yet"
OPERATIONS: Final = (
    Operation(
        "/api/v1/freeze",
        listed,
        "Freezes, by hand first",
        list[FreezeStatus],
        parameters=("service",),
        group="freezes",
    ),
    Operation(
        "/api/v1/freeze/calendar",
        calendar,
        "When freezes are active, from now on",
        list[FreezeTurn],
        parameters=("service", "days"),
        description=f"In the order in which they begin, of one freeze at most {MAX_TURNS}.",
        group="freezes",
        example="?days=7",
    ),
    Operation(
        "/api/v1/freeze/start",
        start,
        "Start a freeze by hand",
        FreezeStatus,
        method=hdrs.METH_POST,
        body=FreezeStart,
        description="It holds at once. No freeze stops going back.",
        refused={404: NO_SERVICE, 409: f"{_UNREAD}, or there are too many already."},
        group="freezes",
        example={"reason": "the big sale", "until": "2h"},
    ),
    Operation(
        "/api/v1/freeze/end",
        end,
        "End a freeze that was started by hand",
        FreezeStatus,
        method=hdrs.METH_POST,
        body=FreezeEnd,
        description="What it says is how the freeze was. Those of the configuration are ended there.",
        refused={409: f"{_UNREAD}, or there is no such freeze."},
        group="freezes",
        example={"reason": "the sale is over"},
    ),
)
