"""Every operation of the admin listener, from the tables beside their handlers, and the application made of them."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any, Final

from aiohttp import hdrs, web

from shadowproxy.admin import (
    answers,
    dashboard,
    differences,
    flags,
    freezes,
    ofrep,
    queries,
    reading,
    reports,
    rollouts,
    sessions,
    watch,
)
from shadowproxy.admin.access import Access
from shadowproxy.admin.answers import STATE
from shadowproxy.admin.operation import Operation
from shadowproxy.control.state import State
from shadowproxy.model.policy import Bind


async def _openapi(request: web.Request) -> web.Response:
    queries.only(request)
    # In a thread: the sources are read for what they say, which takes a third of a second.
    return web.Response(body=await asyncio.to_thread(_described), content_type="application/json")


@cache
def _described() -> bytes:
    from shadowproxy.admin.openapi import document  # needed by few

    return document(OPERATIONS)


OPERATIONS: Final = (
    *reading.OPERATIONS,
    *reports.OPERATIONS,
    *differences.OPERATIONS,
    *rollouts.OPERATIONS,
    *watch.OPERATIONS,
    *freezes.OPERATIONS,
    *flags.OPERATIONS,
    *sessions.OPERATIONS,
    *ofrep.OPERATIONS,
    Operation("/openapi.json", _openapi, "This description, as OpenAPI 3.1", group="pages"),
    *dashboard.OPERATIONS,
)


def application(state: State, bind: Bind) -> web.Application:
    """Everything, for the admin listener, which listens on `bind`."""
    access = Access(state.launch.admin, bind)
    app = _application(state, OPERATIONS, [answers.explained, answers.guard(access, ofrep.has_ticket)])
    app[answers.ACCESS] = access
    app[ofrep.LIMITER] = ofrep.Limiter()
    return app


def metrics_application(state: State) -> web.Application:
    """/metrics alone, for the `metrics` listener: no token, any Host."""
    return _application(state, (reading.METRICS,), [answers.explained])


def _application(state: State, operations: tuple[Operation, ...], middlewares: list[Any]) -> web.Application:
    app = web.Application(middlewares=middlewares, client_max_size=answers.MAX_BODY)
    app[STATE] = state
    for each in operations:
        if each.method == hdrs.METH_GET:
            app.router.add_get(each.path, each.handler)  # and HEAD
        else:
            app.router.add_route(each.method, each.path, each.handler)
    app.on_response_prepare.append(answers.finish)
    return app
