"""Every path of the admin listener, in one table, and the application made from it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import hdrs, web

from shadowproxy.admin import (
    answers,
    changes,
    dashboard,
    flags,
    freezes,
    ofrep,
    queries,
    reports,
    rollouts,
    sessions,
    watch,
)
from shadowproxy.admin.access import Access
from shadowproxy.admin.answers import STATE
from shadowproxy.admin.events import stream
from shadowproxy.admin.flag_values import FlagAnswer, FlagDetail, FlagHistory, FlagList
from shadowproxy.admin.ofrep_values import Evaluated, EvaluatedAll, Question
from shadowproxy.admin.problems import ProblemError
from shadowproxy.admin.rollout_values import (
    Explanation,
    FreezeEnd,
    FreezeStart,
    FreezeStatus,
    FreezeTurn,
    HistoryPage,
    RolloutStatus,
    WatchChange,
    WatchStatus,
)
from shadowproxy.admin.status import route_list, services, status
from shadowproxy.admin.values import (
    AcceptAnswer,
    AcceptChange,
    CauseAnswer,
    CausePage,
    Points,
    ResetAnswer,
    ResetChange,
    RouteStatus,
    Row,
    Rule,
    ServiceStatus,
    Status,
)
from shadowproxy.control.state import State
from shadowproxy.metrics.exposition import CONTENT_TYPE, expose
from shadowproxy.model.pair import Example
from shadowproxy.model.policy import Bind
from shadowproxy.model.totals import CauseTotal
from shadowproxy.report import Cause, Report
from shadowproxy.store import DiffPage
from shadowproxy.store.audit import AuditPage

CAUSE: Final = "c-"
"""Ids of causes begin so; others are of examples."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. `answer` is the type of its JSON; without one `content` says what comes.

    `body` is the type of the JSON that a change takes.
    """

    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str
    answer: Any = None
    content: str = "application/json"
    parameters: tuple[str, ...] = ()
    method: str = hdrs.METH_GET
    body: Any = None


async def _healthz(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _readyz(request: web.Request) -> web.Response:
    if request.app[STATE].is_ready(time.monotonic()):
        return web.Response(text="ok\n")
    return web.Response(status=503, text="not every worker listens, or the proxy is draining\n")


async def _metrics(request: web.Request) -> web.Response:
    body = expose(request.app[STATE].scrape(time.monotonic()))
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


async def _status(request: web.Request) -> web.Response:
    state = request.app[STATE]
    queries.only(request, "service")
    chosen = queries.service(request, state)
    return answers.json_response(status(state, time.monotonic(), time.time(), chosen))


async def _services(request: web.Request) -> web.Response:
    queries.only(request, "service")
    chosen = queries.service(request, request.app[STATE])
    return answers.json_response([each for each in services(request.app[STATE]) if chosen in {None, each.name}])


async def _routes(request: web.Request) -> web.Response:
    state = request.app[STATE]
    queries.only(request, "service")
    return answers.json_response(route_list(state, queries.service(request, state)))


async def _diffs(request: web.Request) -> web.Response:
    state = request.app[STATE]
    return answers.json_response(await state.read(state.store.find, queries.diffs(request, state)))


async def _diff(request: web.Request) -> web.Response:
    state = request.app[STATE]
    queries.only(request)
    prefix = request.match_info["id"]
    return answers.json_response(await _example(state, prefix))


async def _causes(request: web.Request) -> web.Response:
    state = request.app[STATE]
    query = queries.causes(request, state)
    items, total = await state.cause_page(time.time(), query)
    return answers.json_response(CausePage(items, total, query.limit, query.offset))


async def _cause(request: web.Request) -> web.Response:
    state = request.app[STATE]
    queries.only(request)
    found, cause = await _found(state, request.match_info["id"])
    return answers.json_response(CauseAnswer(cause, await state.read(state.store.cause_example, found)))


async def _report(request: web.Request) -> web.Response:
    return await reports.respond(request, request.app[STATE])


async def _accept(request: web.Request) -> web.Response:
    return answers.json_response(await changes.accept(request, request.app[STATE]))


async def _reset(request: web.Request) -> web.Response:
    return answers.json_response(await changes.reset(request, request.app[STATE]))


async def _audit(request: web.Request) -> web.Response:
    state = request.app[STATE]
    query = queries.audit(request, state)
    page = await state.read(state.audit.page, query.service, query.limit, query.offset, holding=query.holding)
    return answers.json_response(page)


async def _events(request: web.Request) -> web.StreamResponse:
    state = request.app[STATE]
    queries.only(request)
    return await stream(request, state.watchers)


async def _bodies(request: web.Request) -> web.Response:
    from shadowproxy.admin import sides  # needed by few

    state = request.app[STATE]
    queries.only(request)
    example = await _example(state, request.match_info["id"])
    return answers.json_response(await asyncio.to_thread(sides.rows, example))


async def _example(state: State, prefix: str) -> Example:
    example = await state.read(state.store.example, prefix)
    if example is None:
        raise ProblemError(404, f"no example, or more than one, begins with {prefix!r}: see `diffs list`")
    return example


async def _found(state: State, prefix: str) -> tuple[CauseTotal, Cause]:
    """A cause as it is kept, and as it is shown."""
    found = state.cause(time.time(), prefix)
    if found is None:
        raise ProblemError(404, f"no cause, or more than one, begins with {prefix!r}: see `diffs causes`")
    (cause,) = await state.shown([found])
    return found, cause


async def _rules(request: web.Request) -> web.Response:
    from shadowproxy.admin import rules  # needed by few

    state = request.app[STATE]
    id_ = queries.rules(request)
    if id_.startswith(CAUSE):
        _, cause = await _found(state, id_)
        differing = rules.of_cause(cause)
    else:
        differing = rules.of_example(await _example(state, id_))
    service = next((each for each in state.policy.services if each.name == differing.service), None)
    return answers.json_response(list(rules.rules(differing, service.routes if service is not None else ())))


async def _series(request: web.Request) -> web.Response:
    state = request.app[STATE]
    service, span = queries.series(request, state)
    arms = next(each.upstreams for each in state.policy.services if each.name == service)
    found = state.series.points(service, arms, span)
    return answers.json_response(Points(service, found.step, found.at, found.weight, found.arms))


async def _openapi(_request: web.Request) -> web.Response:
    from shadowproxy.admin.openapi import document  # needed by few, and never twice

    return web.Response(body=document(ENDPOINTS), content_type="application/json")


_METRICS: Final = Endpoint("/metrics", _metrics, "Prometheus metrics", content="text/plain")
ENDPOINTS: Final = (
    Endpoint("/healthz", _healthz, "Whether the control process answers", content="text/plain"),
    Endpoint("/readyz", _readyz, "Whether every worker listens; 503 while draining", content="text/plain"),
    _METRICS,
    Endpoint("/api/v1/status", _status, "Processes, upstreams and counts", Status, parameters=("service",)),
    Endpoint("/api/v1/services", _services, "The services", list[ServiceStatus], parameters=("service",)),
    Endpoint("/api/v1/routes", _routes, "The routes", list[RouteStatus], parameters=("service",)),
    Endpoint(
        "/api/v1/diffs",
        _diffs,
        "Stored examples, newest first",
        DiffPage,
        parameters=("service", "route", "arm", "field", "kind", "limit", "offset"),
    ),
    Endpoint(
        "/api/v1/diffs/rules",
        _rules,
        "Lines of configuration that settle the differences of a cause or an example",
        list[Rule],
        parameters=("id",),
    ),
    Endpoint("/api/v1/diffs/{id}", _diff, "One example, by its id or the beginning of it", Example),
    Endpoint("/api/v1/diffs/{id}/bodies", _bodies, "The lines in which the bodies of an example differ", list[Row]),
    Endpoint(
        "/api/v1/causes",
        _causes,
        "What mismatches have in common, by impact",
        CausePage,
        parameters=("service", "route", "search", "limit", "offset"),
    ),
    Endpoint("/api/v1/causes/{id}", _cause, "One cause with its smallest example, by its id", CauseAnswer),
    Endpoint(
        "/api/v1/report",
        _report,
        "What differs, what follows, and what changed",
        Report,
        parameters=("service", "format", "examples", "since", "record"),
    ),
    Endpoint(
        "/api/v1/diffs/accept",
        _accept,
        "Accept how the candidate differs",
        AcceptAnswer,
        method=hdrs.METH_POST,
        body=AcceptChange,
    ),
    Endpoint(
        "/api/v1/diffs/reset",
        _reset,
        "Begin the evidence of a service anew",
        ResetAnswer,
        method=hdrs.METH_POST,
        body=ResetChange,
    ),
    Endpoint(
        "/api/v1/audit",
        _audit,
        "Who changed what, newest first",
        AuditPage,
        parameters=("service", "who", "action", "search", "limit", "offset"),
    ),
    Endpoint("/api/v1/series", _series, "How the arms did lately", Points, parameters=("service", "span")),
    Endpoint("/api/v1/rollout", rollouts.status, "Where a rollout is, and why", RolloutStatus, parameters=("service",)),
    Endpoint(
        "/api/v1/rollout/history",
        rollouts.history,
        "What was decided, newest first, and whether the audit is whole",
        HistoryPage,
        parameters=("service", "limit", "offset", "attempt"),
    ),
    Endpoint(
        "/api/v1/rollout/explain",
        rollouts.explanation,
        "Why a rollout is where it is, in sentences",
        Explanation,
        parameters=("service",),
    ),
    *(
        Endpoint(
            f"/api/v1/rollout/{action}",
            rollouts.commanding(action),
            f"{action.capitalize()} a rollout; 409 where that does not apply",
            RolloutStatus,
            parameters=("service",),
            method=hdrs.METH_POST,
            body=body,
        )
        for action, body in rollouts.BODIES.items()
    ),
    Endpoint("/api/v1/freeze", freezes.listed, "Freezes, by hand first", list[FreezeStatus], parameters=("service",)),
    Endpoint(
        "/api/v1/freeze/calendar",
        freezes.calendar,
        "When freezes are active, from now on",
        list[FreezeTurn],
        parameters=("service", "days"),
    ),
    Endpoint(
        "/api/v1/freeze/start",
        freezes.start,
        "Start a freeze by hand",
        FreezeStatus,
        method=hdrs.METH_POST,
        body=FreezeStart,
    ),
    Endpoint(
        "/api/v1/freeze/end",
        freezes.end,
        "End a freeze that was started by hand",
        FreezeStatus,
        method=hdrs.METH_POST,
        body=FreezeEnd,
    ),
    Endpoint("/api/v1/flags", flags.listed, "Feature flags, in the order of the file", FlagList),
    Endpoint(
        "/api/v1/flags/history",
        flags.history,
        "Versions of the flags, newest first",
        FlagHistory,
        parameters=("flag", "limit", "offset"),
    ),
    Endpoint("/api/v1/flags/{id}", flags.one, "One flag with its definition, by its key", FlagDetail),
    *(
        Endpoint(
            f"/api/v1/flags/{action}",
            flags.commanding(action),
            f"{flags.SUMMARIES[action]}; 409 where that does not apply",
            FlagAnswer,
            method=hdrs.METH_POST,
            body=body,
        )
        for action, body in flags.BODIES.items()
    ),
    Endpoint(
        "/api/v1/watch",
        watch.change,
        "Hold the watch of a rollout, renew it, release it, hand it over",
        WatchStatus,
        parameters=("service",),
        method=hdrs.METH_POST,
        body=WatchChange,
    ),
    Endpoint(
        "/ofrep/v1/evaluate/flags",
        ofrep.bulk,
        "OFREP: evaluate all flags; 304 where nothing is different",
        EvaluatedAll,
        method=hdrs.METH_POST,
        body=Question,
        parameters=("flagConfigEtag", "flagConfigLastModified"),
    ),
    Endpoint(
        "/ofrep/v1/evaluate/flags/{id}",
        ofrep.single,
        "OFREP: evaluate one flag",
        Evaluated,
        method=hdrs.METH_POST,
        body=Question,
    ),
    Endpoint(
        ofrep.EVENTS,
        ofrep.events,
        "OFREP: server-sent events when flags change",
        content="text/event-stream",
        parameters=("ticket",),
    ),
    Endpoint("/api/v1/session", sessions.who, "Who is signed in", sessions.Session),
    Endpoint(
        "/api/v1/session",
        sessions.sign_in,
        "Sign in with a token; a cookie stands for it from then on",
        sessions.Session,
        method=hdrs.METH_POST,
        body=sessions.SignIn,
    ),
    Endpoint("/api/v1/session", sessions.sign_out, "Sign out", sessions.Session, method=hdrs.METH_DELETE),
    Endpoint(
        "/api/v1/events", _events, "Server-sent events: status, example, rollout, flags", content="text/event-stream"
    ),
    Endpoint("/openapi.json", _openapi, "This document"),
    Endpoint("/", dashboard.page, "The dashboard", content="text/html"),
    Endpoint(dashboard.PREFIX + "{file:.+}", dashboard.file, "A file of the dashboard", content="text/javascript"),
)


def application(state: State, bind: Bind) -> web.Application:
    """Everything, for the admin listener, which listens on `bind`."""
    access = Access(state.launch.admin, bind)
    app = _application(state, ENDPOINTS, [answers.explained, answers.guard(access, ofrep.has_ticket)])
    app[answers.ACCESS] = access
    app[ofrep.LIMITER] = ofrep.Limiter()
    return app


def metrics_application(state: State) -> web.Application:
    """/metrics alone, for the `metrics` listener: no token, any Host."""
    return _application(state, (_METRICS,), [answers.explained])


def _application(state: State, endpoints: tuple[Endpoint, ...], middlewares: list[Any]) -> web.Application:
    app = web.Application(middlewares=middlewares, client_max_size=answers.MAX_BODY)
    app[STATE] = state
    for endpoint in endpoints:
        if endpoint.method == hdrs.METH_GET:
            app.router.add_get(endpoint.path, endpoint.handler)  # and HEAD
        else:
            app.router.add_route(endpoint.method, endpoint.path, endpoint.handler)
    app.on_response_prepare.append(answers.finish)
    return app
