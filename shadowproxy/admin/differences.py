"""Stored examples, causes, and what settles them: what the API says of how the candidate differs."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from aiohttp import hdrs, web

from shadowproxy.admin import answers, changes, queries
from shadowproxy.admin.answers import STATE
from shadowproxy.admin.operation import NO_SERVICE, UNREADABLE, Operation
from shadowproxy.admin.problems import ProblemError
from shadowproxy.admin.values import (
    AcceptAnswer,
    AcceptChange,
    CauseAnswer,
    CausePage,
    ResetAnswer,
    ResetChange,
    Row,
    Rule,
)
from shadowproxy.control.state import State
from shadowproxy.model.pair import Example
from shadowproxy.model.totals import CauseTotal
from shadowproxy.report import Cause
from shadowproxy.store import DiffPage

CAUSE: Final = "c-"
"""Ids of causes begin so; others are of examples."""


async def _diffs(request: web.Request) -> web.Response:
    state = request.app[STATE]
    return answers.json_response(await state.read(state.store.find, queries.diffs(request, state)))


async def _diff(request: web.Request) -> web.Response:
    queries.only(request)
    return answers.json_response(await _example(request.app[STATE], request.match_info["id"]))


async def _bodies(request: web.Request) -> web.Response:
    from shadowproxy.admin import sides  # needed by few

    queries.only(request)
    example = await _example(request.app[STATE], request.match_info["id"])
    return answers.json_response(await asyncio.to_thread(sides.rows, example))


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


async def _accept(request: web.Request) -> web.Response:
    return answers.json_response(await changes.accept(request, request.app[STATE]))


async def _reset(request: web.Request) -> web.Response:
    return answers.json_response(await changes.reset(request, request.app[STATE]))


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


_OF_ONE: Final[dict[str, Any]] = {
    "refused": {404: "No id begins so, or more than one does.", 503: UNREADABLE},
    "group": "differences",
}
_UNWRITTEN: Final = "What is kept on disk cannot be read, or the audit cannot be written: nothing is changed."
OPERATIONS: Final = (
    Operation(
        "/api/v1/diffs",
        _diffs,
        "Stored examples, newest first",
        DiffPage,
        parameters=("service", "route", "arm", "field", "kind", "limit", "offset"),
        refused={503: UNREADABLE},
        group="differences",
        example="?kind=body_type&limit=5",
    ),
    Operation(
        "/api/v1/diffs/rules",
        _rules,
        "Lines of configuration that settle the differences of a cause or an example",
        list[Rule],
        parameters=("id",),
        description="They are to be pasted: nothing is changed. None: a failure is not settled by a rule.",
        example="?id=ID",
        **_OF_ONE,
    ),
    Operation("/api/v1/diffs/{id}", _diff, "One example", Example, **_OF_ONE),
    Operation(
        "/api/v1/diffs/{id}/bodies",
        _bodies,
        "The bodies of an example, side by side",
        list[Row],
        description="Lines that differ, and a little around them; `…` stands for others. Of JSON a value is a line.",
        **_OF_ONE,
    ),
    Operation(
        "/api/v1/causes",
        _causes,
        "What mismatches have in common, by impact",
        CausePage,
        parameters=("service", "route", "search", "limit", "offset"),
        refused={503: UNREADABLE},
        group="differences",
        example="?limit=5",
    ),
    Operation("/api/v1/causes/{id}", _cause, "One cause with its smallest example", CauseAnswer, **_OF_ONE),
    Operation(
        "/api/v1/diffs/accept",
        _accept,
        "Accept how the candidate differs",
        AcceptAnswer,
        method=hdrs.METH_POST,
        body=AcceptChange,
        description=(
            "What: `example`, or `cause`, or `route` with `field` and `kind`. Entries are written into the file of"
            " accepted differences, which is then read again; from then on such pairs are counted apart."
        ),
        refused={
            404: "There is no such example, cause or service.",
            409: "It cannot be accepted, or the file cannot be edited: then `entry` is what to add by hand.",
            503: _UNWRITTEN,
        },
        group="differences",
        example={"cause": "c-5f1c", "owner": "checkout", "reason": "by design since 2.7", "expires": "30d"},
    ),
    Operation(
        "/api/v1/diffs/reset",
        _reset,
        "Begin the evidence of a service anew",
        ResetAnswer,
        method=hdrs.METH_POST,
        body=ResetChange,
        refused={404: NO_SERVICE, 409: "The service has no candidate.", 503: _UNWRITTEN},
        group="differences",
        example={"reason": "the primary was deployed"},
    ),
)
