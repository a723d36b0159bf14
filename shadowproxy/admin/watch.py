"""The watch of a rollout: who holds it, for how long, and to whom it goes."""

from __future__ import annotations

import time
from typing import Final

from aiohttp import hdrs, web

from shadowproxy.admin import bodies
from shadowproxy.admin.access import OPERATOR
from shadowproxy.admin.answers import ACCESS, STATE, caller, json_response
from shadowproxy.admin.operation import NO_ROLLOUT, Operation
from shadowproxy.admin.problems import ProblemError
from shadowproxy.admin.rollout_status import watch_status
from shadowproxy.admin.rollout_values import WatchChange, WatchStatus
from shadowproxy.admin.rollouts import named, viewed
from shadowproxy.control.state import State
from shadowproxy.rollout.values import Refusal, WatchCommand


async def change(request: web.Request) -> web.Response:
    """Answers with who holds it then."""
    state = request.app[STATE]
    wanted = await bodies.taken(request, WatchChange, "service")
    now = time.time()
    service = named(state, wanted.service, request.query.get("service"))
    plan = viewed(state, service, now).state.plan
    if wanted.action == "handover":
        _check_person(state, wanted.to)
    who = caller(request, request.app[ACCESS]).name
    command = WatchCommand(wanted.action, who, now, wanted.to, bodies.words(wanted.reason))
    answer = await state.rollouts.watch(service, command)
    if isinstance(answer, Refusal):
        raise ProblemError(409, answer.why)
    return json_response(watch_status(plan, answer))


def _check_person(state: State, name: str) -> None:
    """A name that is mistyped would let the watch lapse. With client certificates nobody knows all names."""
    admin = state.launch.admin
    people = [token.name for token in admin.tokens if token.role == OPERATOR]
    has_certificates = admin.cert is not None and bool(admin.cert.client_ca)
    if people and not has_certificates and name not in people:
        raise ProblemError(400, f"to: there is no operator {name!r}; there are {', '.join(people)}")


OPERATIONS: Final = (
    Operation(
        "/api/v1/watch",
        change,
        "Hold the watch of a rollout, renew it, release it, hand it over",
        WatchStatus,
        parameters=("service:one",),
        method=hdrs.METH_POST,
        body=WatchChange,
        description="Where `supervise: required`, a rollout advances only while somebody holds its watch.",
        refused={
            404: NO_ROLLOUT,
            409: "Somebody else holds it, or nobody does.",
            503: "What is known of rollouts is not read yet.",
        },
        group="rollout",
        example={"action": "hold"},
    ),
)
