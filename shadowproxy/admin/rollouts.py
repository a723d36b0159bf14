"""What the API says of rollouts and has them do. Commands are audited by the controller, which does not wait for the
disk when users are sent back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from aiohttp import hdrs, web

from shadowproxy.admin import bodies, queries
from shadowproxy.admin.answers import ACCESS, STATE, caller, json_response
from shadowproxy.admin.operation import NO_ROLLOUT, NO_SERVICE, Operation
from shadowproxy.admin.problems import ProblemError
from shadowproxy.admin.rollout_status import rollout_status
from shadowproxy.admin.rollout_values import (
    AdvanceChange,
    Explanation,
    HistoryEntry,
    HistoryPage,
    PromoteChange,
    RetryChange,
    RolloutChange,
    RolloutStatus,
)
from shadowproxy.control.state import State
from shadowproxy.model.rollout import BACK
from shadowproxy.rollout.explaining import explain
from shadowproxy.rollout.values import Command, Refusal, View

if TYPE_CHECKING:
    from shadowproxy.store.audit import AuditEntry

BODIES: Final[dict[str, type[RolloutChange]]] = {
    "start": AdvanceChange,
    "approve": AdvanceChange,
    "pause": RolloutChange,
    "resume": AdvanceChange,
    "promote": PromoteChange,
    "abort": RolloutChange,
    "rollback": RolloutChange,
    "retry": RetryChange,
}
"""Every command and what it takes."""
KNOWN_WITHIN: Final = 3.0
"""Seconds for a command to wait until control has read its store. Going back does not wait for that."""
_UNREAD: Final = "what is known of rollouts is not read yet; try again in a second"


async def status(request: web.Request) -> web.Response:
    queries.only(request, "service")
    now = time.time()
    return json_response(rollout_status(viewed(request.app[STATE], request.query.get("service"), now), now))


async def history(request: web.Request) -> web.Response:
    state = request.app[STATE]
    query = queries.history(request)
    service = viewed(state, request.query.get("service"), time.time()).state.service
    page = await state.read(state.audit.page, service, query.limit, query.offset, query.attempt)
    # The logs are verified by `rollout replay`: that takes seconds.
    problems = await state.read(state.audit.verify, logs=False)
    items = [_entry(each) for each in page.items]
    return json_response(HistoryPage(service, items, page.total, page.limit, page.offset, problems))


async def explanation(request: web.Request) -> web.Response:
    queries.only(request, "service")
    now = time.time()
    view = viewed(request.app[STATE], request.query.get("service"), now)
    return json_response(Explanation(view.state.service, explain(view.state, now)))


def commanding(action: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of a command."""

    async def command(request: web.Request) -> web.Response:
        state = request.app[STATE]
        wanted = await bodies.taken_if_any(request, BODIES[action], "service")
        now = time.time()
        service = named(state, wanted.service, request.query.get("service"))
        who = caller(request, request.app[ACCESS]).name
        if action not in BACK and _is_configured(state, service):
            await _known(state)
        answer = await state.rollouts.command(service, _command(action, wanted, who, now))
        if isinstance(answer, Refusal):
            raise ProblemError(409, answer.why)
        view = state.rollouts.view(service, now) or View(answer)
        return json_response(rollout_status(view, now))

    return command


async def _known(state: State) -> None:
    """Whoever starts a rollout as soon as the proxy is ready waits until control has read what it knows."""
    try:
        await asyncio.wait_for(state.rollouts.known.wait(), KNOWN_WITHIN)
    except TimeoutError:
        raise ProblemError(503, _UNREAD) from None


def viewed(state: State, service: str | None, now: float) -> View:
    """The rollout of the service of this name, or the only one. Raises ProblemError."""
    name = named(state, service)
    view = state.rollouts.view(name, now)
    if view is not None:
        return view
    if _is_configured(state, name):
        raise ProblemError(503, _UNREAD)
    raise ProblemError(404, f"the service {name} has no rollout: give it one with `rollout:`")


def named(state: State, *given: str | None) -> str:
    """The service of this name, or the only one that has a rollout. Raises ProblemError."""
    names = {name for name in given if name is not None}
    known = [each.name for each in state.policy.services]
    if len(names) > 1:
        raise ProblemError(400, f"two services are named: {', '.join(sorted(names))}")
    for name in names:
        queries.check_service(state, name)
        return name
    with_one = [name for name in known if _has_rollout(state, name)] or known
    if len(with_one) > 1:
        raise ProblemError(400, f"which service? there are {', '.join(with_one)}")
    return with_one[0]


def _has_rollout(state: State, name: str) -> bool:
    """One that is no longer configured may still be under way."""
    return _is_configured(state, name) or state.rollouts.view(name, time.time()) is not None


def _is_configured(state: State, name: str) -> bool:
    return any(each.name == name and each.rollout for each in state.policy.services)


def _command(action: str, wanted: RolloutChange, who: str, now: float) -> Command:
    override = wanted.override if isinstance(wanted, AdvanceChange) else None
    is_full = isinstance(wanted, PromoteChange) and wanted.full
    if override is not None:
        bodies.required(wanted.reason, "a freeze is overridden only with a reason")
    if is_full:
        bodies.required(wanted.reason, "all that is left of the plan is passed over")
    return Command(
        action=action,
        who=who,
        reason=bodies.words(wanted.reason),
        at=now,
        full=is_full,
        stage=wanted.stage if isinstance(wanted, PromoteChange | RetryChange) else None,
        attempt=wanted.attempt,
        override=bodies.moment("override.until", override.until, now) if override is not None else None,
    )


def _entry(entry: AuditEntry) -> HistoryEntry:
    why = f"{entry.reason}; not done: {entry.error}" if entry.error else entry.reason
    return HistoryEntry(entry.number, entry.at, entry.who, entry.action, why, entry.what)


_WHAT: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "start": ("Start a rollout", "Nobody moves before.", {}),
    "approve": (
        "Approve the present part",
        "Of a stage that waits for it; the next one begins.",
        {"reason": "seen"},
    ),
    "pause": ("Pause a rollout", "Its weight stays, nothing advances; checks go on and may send users back.", {}),
    "resume": ("Resume a rollout", "Holds that a person may let go are let go; the present part goes on.", {}),
    "promote": (
        "Go on to the next part, or to the end",
        "What the bake still lacks is passed over.",
        {"full": True, "reason": "measured elsewhere"},
    ),
    "abort": ("End a rollout", "All users are sent back at once; one that has not started will not start.", {}),
    "rollback": (
        "Roll back",
        "All users are sent back at once, also of a rollout that is promoted.",
        {"reason": "errors at checkout"},
    ),
    "retry": ("Begin a new attempt", "After one that was rolled back or aborted.", {"stage": "first users"}),
}
"""Of every command what it does, what the name does not say, and a body."""
_NONE: Final = {404: NO_ROLLOUT, 503: "What is known is not read yet."}
_GOING_BACK: Final = {404: NO_SERVICE, 409: "It does not apply to where the rollout is; the detail says what would."}
_GOING_ON: Final = {
    **_GOING_BACK,
    409: "It does not apply to where the rollout is, a freeze holds it, or the audit cannot be written.",
    503: "What is known is not read yet.",
}
OPERATIONS: Final = (
    Operation(
        "/api/v1/rollout",
        status,
        "Where a rollout is, and why",
        RolloutStatus,
        parameters=("service:one",),
        refused=_NONE,
        group="rollout",
    ),
    Operation(
        "/api/v1/rollout/history",
        history,
        "What was decided, newest first, and whether the audit is whole",
        HistoryPage,
        parameters=("service:one", "limit", "offset", "attempt"),
        refused=_NONE | {503: "What is known is not read yet, or what is kept on disk cannot be reached."},
        group="rollout",
        example="?limit=5",
    ),
    Operation(
        "/api/v1/rollout/explain",
        explanation,
        "Why a rollout is where it is, in sentences",
        Explanation,
        parameters=("service:one",),
        refused=_NONE,
        group="rollout",
    ),
    *(
        Operation(
            f"/api/v1/rollout/{action}",
            commanding(action),
            _WHAT[action][0],
            RolloutStatus,
            parameters=("service:one",),
            method=hdrs.METH_POST,
            body=body,
            is_body_needed=False,
            description=_WHAT[action][1],
            refused=_GOING_BACK if action in BACK else _GOING_ON,
            group="rollout",
            example=_WHAT[action][2],
        )
        for action, body in BODIES.items()
    ),
)
