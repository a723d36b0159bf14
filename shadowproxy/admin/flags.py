"""What the API says of feature flags, and how it changes them. Changes are audited by the desk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web

from shadowproxy.admin import bodies, queries
from shadowproxy.admin.answers import ACCESS, STATE, caller, json_response
from shadowproxy.admin.flag_values import (
    FlagAnswer,
    FlagChange,
    FlagDetail,
    FlagHistory,
    FlagList,
    FlagRampChange,
    FlagRevertChange,
    FlagSetChange,
    FlagSplit,
    FlagStatus,
    FlagVersion,
    LastChange,
    Share,
)
from shadowproxy.admin.operation import Operation
from shadowproxy.admin.problems import ProblemError
from shadowproxy.control.flags.commands import FlagCommand, UnknownFlagError, UnwritableError, plain
from shadowproxy.control.flags.desk import Desk
from shadowproxy.control.state import State
from shadowproxy.flags import changing
from shadowproxy.flags.changing import RefusedError
from shadowproxy.flags.definitions import Definition
from shadowproxy.flags.reading import header_name
from shadowproxy.flags.selection import lists_of, selected
from shadowproxy.store.flags import Version

BODIES: Final[dict[str, type[Any]]] = {
    "set": FlagSetChange,
    "ramp": FlagRampChange,
    "kill": FlagChange,
    "enable": FlagChange,
    "disable": FlagChange,
    "revert": FlagRevertChange,
}
"""Every command and what it takes."""
SUMMARIES: Final = {
    "set": "Give everybody one variant of a flag, or replace its definition",
    "ramp": "Give a share of the users one variant of a flag",
    "kill": "Give everybody the off variant of a flag, whatever the file says",
    "enable": "Have a flag evaluated again",
    "disable": "Leave a flag to each caller's own default",
    "revert": "Go back to what flags were in an earlier version",
}
KNOWN_WITHIN: Final = 3.0
_SHOWN: Final = 100


async def listed(request: web.Request) -> web.Response:
    queries.only(request)
    state = request.app[STATE]
    desk = await _desk(state)
    exposed = _exposed(state)
    items = [_status(state, key, each, exposed) for key, each in desk.set.definitions.flags.items()]
    found = FlagList(
        desk.version,
        desk.kept.file,
        desk.is_told(time.monotonic()),
        list(desk.problems),
        list(desk.remarks),
        items,
    )
    return json_response(found)


async def one(request: web.Request) -> web.Response:
    queries.only(request)
    state = request.app[STATE]
    desk = await _desk(state)
    key = request.match_info["key"]
    definition = desk.set.definitions.flags.get(key)
    if definition is None:
        raise ProblemError(404, f"there is no flag {key!r}")
    change = desk.kept.changes.get(key)
    written = desk.kept.base.flags.get(key)
    last = LastChange(change.who, change.reason, change.at) if change is not None else None
    status = _status(state, key, definition, _exposed(state))
    counted = sorted(desk.tally.split(key), key=lambda each: -each[2])
    split = [FlagSplit(*each) for each in counted]
    return json_response(FlagDetail(status, desk.version, plain(definition) or {}, plain(written), last, split))


async def history(request: web.Request) -> web.Response:
    query = queries.flag_history(request)
    desk = await _desk(request.app[STATE])
    found = [each for each in reversed(desk.history) if query.flag is None or query.flag in each.flags]
    items = [_version(each) for each in found[query.offset : query.offset + query.limit]]
    return json_response(FlagHistory(items, len(found), query.limit, query.offset))


def commanding(action: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of a command."""

    async def command(request: web.Request) -> web.Response:
        state = request.app[STATE]
        wanted = await bodies.taken(request, BODIES[action])
        desk = await _desk(state)
        reason = bodies.words(wanted.reason)
        if wanted.override and not reason:
            raise ProblemError(400, "reason: a freeze is overridden only with a reason")
        who = caller(request, request.app[ACCESS]).name
        try:
            version = await desk.change(_command(action, wanted, who, reason))
        except UnknownFlagError as error:
            raise ProblemError(404, str(error)) from None
        except UnwritableError as error:
            raise ProblemError(503, str(error)) from None
        except RefusedError as error:
            raise ProblemError(409, str(error)) from None
        definition = desk.set.definitions.flags.get(wanted.flag)
        status = None if definition is None else _status(state, wanted.flag, definition, _exposed(state))
        return json_response(FlagAnswer(version, await desk.told(), status))

    return command


def _command(action: str, wanted: Any, who: str, reason: str) -> FlagCommand:
    definition = getattr(wanted, "definition", None)
    variant = getattr(wanted, "variant", None)
    if action == "set" and (definition is None) == (variant is None):
        raise ProblemError(400, "say either a variant or a definition")
    return FlagCommand(
        action=action,
        who=who,
        reason=reason,
        at=time.time(),
        flag=wanted.flag,
        variant=variant,
        default=getattr(wanted, "default", False),
        definition=None if definition is None else msgspec.json.encode(definition),
        share=getattr(wanted, "share", ""),
        to=getattr(wanted, "to", None),
        version=wanted.version,
        override=wanted.override,
    )


async def _desk(state: State) -> Desk:
    """Whoever asks as soon as the proxy is ready waits until control has read what it knows."""
    if not state.flags.is_on:
        raise ProblemError(404, "there are no feature flags: the configuration has no flags section")
    try:
        await asyncio.wait_for(state.flags.known.wait(), KNOWN_WITHIN)
    except TimeoutError:
        raise ProblemError(503, "what is known of flags is not read yet; try again in a second") from None
    return state.flags


def _exposed(state: State) -> set[str]:
    policy = state.policy
    limit = policy.flags.max_size if policy.flags is not None else 0
    definitions = state.flags.set.definitions
    return {key for expose in lists_of(policy) for key in selected(definitions, expose, limit).keys}


def _status(state: State, key: str, definition: Definition, exposed: set[str]) -> FlagStatus:
    desk = state.flags
    ramp = changing.ramp_of(definition)
    held = desk.kept.held.get(key) or desk.kept.held.get("$evaluators")
    return FlagStatus(
        key=key,
        state=definition.state,
        variants=list(definition.variants),
        default=definition.default_variant,
        targeting=definition.rule is not None,
        killed=key in desk.set.killed,
        source="api" if key in desk.kept.changes else "file",
        change_class=changing.change_class(definition),
        header_name=header_name(key, definition),
        in_header=key in exposed,
        evaluations=desk.tally.of(key),
        ramp=None if ramp is None else Share(*ramp),
        overlays=[
            Share(overlay.variant, overlay.weight, service.name)
            for service in state.policy.services
            for overlay in (service.split.flags if service.split is not None else ())
            if overlay.flag == key
        ],
        held=held.why if held is not None else "",
    )


def _version(version: Version) -> FlagVersion:
    return FlagVersion(
        version.number,
        version.at,
        version.who,
        version.reason,
        version.source,
        version.action,
        list(version.flags)[:_SHOWN],
        len(version.flags),
    )


_NONE: Final = {404: "The configuration has no flags.", 503: "What is known of flags is not read yet."}
_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "set": {"flag": "new-checkout", "variant": "on", "reason": "seen on copies"},
    "ramp": {"flag": "new-checkout", "variant": "on", "share": "10%", "reason": "go"},
    "kill": {"flag": "new-checkout", "reason": "errors at checkout"},
    "enable": {"flag": "new-checkout"},
    "disable": {"flag": "new-checkout", "reason": "not now"},
    "revert": {"to": 1, "reason": "as it was"},
}
_SWITCHING_OFF: Final = frozenset({"kill", "disable"})
OPERATIONS: Final = (
    Operation(
        "/api/v1/flags", listed, "Feature flags, in the order of the file", FlagList, refused=_NONE, group="flags"
    ),
    Operation(
        "/api/v1/flags/history",
        history,
        "Versions of the flags, newest first",
        FlagHistory,
        parameters=("flag", "limit", "offset"),
        refused=_NONE,
        group="flags",
        example="?flag=new-checkout",
    ),
    Operation(
        "/api/v1/flags/{key}",
        one,
        "One flag with its definition",
        FlagDetail,
        description="A flag whose key is `history` is in the list alone.",
        refused=_NONE | {404: "There is no flag of this key, or the configuration has no flags."},
        group="flags",
    ),
    *(
        Operation(
            f"/api/v1/flags/{action}",
            commanding(action),
            SUMMARIES[action],
            FlagAnswer,
            method=hdrs.METH_POST,
            body=body,
            description="No freeze stops it." if action in _SWITCHING_OFF else "",
            refused={
                404: "There is no flag of this key, or the configuration has no flags.",
                409: "It does not apply to the flag, another version is in force, or a freeze holds it.",
                503: "What is known of flags is not read yet, or the audit cannot be written.",
            },
            group="flags",
            example=_EXAMPLES[action],
        )
        for action, body in BODIES.items()
    ),
)
