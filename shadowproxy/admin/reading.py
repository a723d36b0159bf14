"""What the API says of the running proxy: probes, metrics, status, charts, the audit, events."""

from __future__ import annotations

import time
from typing import Any, Final

from aiohttp import web

from shadowproxy.admin import answers, queries
from shadowproxy.admin.answers import STATE
from shadowproxy.admin.events import stream
from shadowproxy.admin.operation import EVENTS, TEXT, UNREADABLE, Operation, Told
from shadowproxy.admin.status import route_list, services, status
from shadowproxy.admin.values import Points, RouteStatus, ServiceStatus, Status
from shadowproxy.control.rollout.notifying import Event
from shadowproxy.control.watchers import FlagsChanged
from shadowproxy.metrics.exposition import CONTENT_TYPE, expose
from shadowproxy.store import DiffSummary
from shadowproxy.store.audit import AuditPage


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


async def _series(request: web.Request) -> web.Response:
    state = request.app[STATE]
    service, span = queries.series(request, state)
    arms = next(each.upstreams for each in state.policy.services if each.name == service)
    found = state.series.points(service, arms, span)
    return answers.json_response(Points(service, found.step, found.at, found.weight, found.arms))


async def _audit(request: web.Request) -> web.Response:
    state = request.app[STATE]
    query = queries.audit(request, state)
    page = await state.read(state.audit.page, query.service, query.limit, query.offset, holding=query.holding)
    return answers.json_response(page)


async def _events(request: web.Request) -> web.StreamResponse:
    queries.only(request)
    return await stream(request, request.app[STATE].watchers)


_STATUS: Final[dict[str, Any]] = {"parameters": ("service",), "group": "status"}
METRICS: Final = Operation(
    "/metrics",
    _metrics,
    "Prometheus metrics",
    content=TEXT,
    description=(
        "In the text format 0.0.4; [metrics.md](metrics.md) has every series. The listener `metrics.listen` serves it"
        " too."
    ),
    group="metrics",
)
OPERATIONS: Final = (
    Operation(
        "/healthz",
        _healthz,
        "Whether control answers",
        content=TEXT,
        description="That users are served does not depend on it.",
        group="probes",
    ),
    Operation(
        "/readyz",
        _readyz,
        "Whether every worker listens",
        content=TEXT,
        refused={503: "Not every worker listens, or the proxy is draining."},
        own={503: (str,)},
        group="probes",
    ),
    METRICS,
    Operation("/api/v1/status", _status, "Processes, services, reloads and the store", Status, **_STATUS),
    Operation("/api/v1/services", _services, "The services with their upstreams", list[ServiceStatus], **_STATUS),
    Operation("/api/v1/routes", _routes, "The routes, learned ones too", list[RouteStatus], **_STATUS),
    Operation(
        "/api/v1/series",
        _series,
        "How the arms did lately",
        Points,
        parameters=("service:any", "span"),
        description="For charts. It is kept in memory: after a restart of control it begins anew.",
        group="status",
        example="?span=1h",
    ),
    Operation(
        "/api/v1/events",
        _events,
        "Follow what happens",
        content=EVENTS,
        description=(
            "A stream of server-sent events without an end. A follower that takes nothing for ten seconds is let go;"
            " EventSource comes back by itself after two. One that is behind misses events: they say that something"
            " happened, the other paths how it is now."
        ),
        refused={503: "Too many follow already."},
        events=(
            Told("status", "Every second.", Status),
            Told("example", "An example is stored.", DiffSummary),
            Told("rollout", "Something was decided about a rollout.", Event),
            Told("flags", "A version of the flags came into force.", FlagsChanged),
        ),
        group="status",
    ),
    Operation(
        "/api/v1/audit",
        _audit,
        "Who changed what, newest first",
        AuditPage,
        parameters=("service", "who", "action", "search", "limit", "offset"),
        description="What is filtered is filtered in the whole audit, not in a page of it.",
        refused={503: UNREADABLE},
        group="audit",
        example="?action=rollout&limit=5",
    ),
)
