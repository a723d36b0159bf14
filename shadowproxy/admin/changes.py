"""What the admin API changes. Each change is audited before it is made, and only one is made at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from shadowproxy.admin import bodies, queries
from shadowproxy.admin.answers import ACCESS, caller
from shadowproxy.admin.problems import ProblemError
from shadowproxy.admin.values import AcceptAnswer, AcceptChange, AcceptedEntry, ResetAnswer, ResetChange
from shadowproxy.compare.findings import Key
from shadowproxy.config.matching import parse_reason
from shadowproxy.config.problems import BadValueError
from shadowproxy.control.state import State
from shadowproxy.model.pair import Difference
from shadowproxy.model.policy import Policy, ServicePolicy
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.store import StoreError

if TYPE_CHECKING:
    from shadowproxy.config.accepted import AcceptedEntry as FileEntry

IN_FORCE_WITHIN: Final = 5.0
"""Seconds to wait for the reload that puts an entry in force."""

log = logging.getLogger(__name__)


class Change(Struct, frozen=True):
    """Somebody changes something: as the audit has it."""

    who: str
    action: str
    service: str
    what: dict[str, Any]
    reason: str


async def accept(request: web.Request, state: State) -> AcceptAnswer:
    from shadowproxy.config import accepted, accepting, editing  # needed by few

    wanted = await bodies.taken(request, AcceptChange)
    now = time.time()
    service, found = await _differences(state, wanted, now)
    file = service.accepted_file
    readers = [each.name for each in state.policy.services if each.accepted_file == file]
    shared = {"service": service.name} if len(readers) > 1 else {}
    with _checking():
        expires = None if wanted.expires is None else accepting.expiry(wanted.expires, now)
        more = {"owner": wanted.owner, "reason": wanted.reason, "expires": expires, **shared}
        entries = [accepted.entry_from({**values, **more}) for values in found]
    made = [_entry(entry) for entry in entries]
    what = {"file": file, "entries": msgspec.to_builtins(made)}
    change = Change(caller(request, request.app[ACCESS]).name, "diffs.accept", service.name, what, made[0].reason)
    async with _audited(state, change):
        try:
            await asyncio.to_thread(accepting.accept, Path(file), entries, readers)
        except editing.EditError as error:
            detail = f"{error}; nothing is accepted: mend that, or add the entry by hand"
            raise ProblemError(409, detail, entry=accepting.as_text(entries)) from None
        in_force = await state.reloaded(lambda policy: _holds(policy, service.name, entries), IN_FORCE_WITHIN)
    return AcceptAnswer(service.name, file, made, in_force, [] if in_force else list(state.problems))


async def reset(request: web.Request, state: State) -> ResetAnswer:
    wanted = await bodies.taken(request, ResetChange)
    service = _service(state, wanted.service)
    with _checking("reason: "):
        reason = parse_reason(wanted.reason)
    async with _audited(
        state, Change(caller(request, request.app[ACCESS]).name, "diffs.reset", service.name, {}, reason)
    ):
        now = time.time()
        state.knowledge.renew(service.name, now)
    return ResetAnswer(service.name, now)


@asynccontextmanager
async def _audited(state: State, change: Change) -> AsyncIterator[None]:
    """Alone, and in the audit before it happens; also why it then did not. Raises StoreError where it cannot be."""

    async def write(error: str = "") -> None:
        values = (change.who, change.action, change.service, change.what, change.reason, error)
        await state.read(state.audit.append, time.time(), *values)

    async with state.changing:
        await write()
        try:
            yield
        except Exception as error:
            try:
                await write(error.detail if isinstance(error, ProblemError) else f"{type(error).__name__}: {error}")
            except StoreError as unwritten:
                log.error("the audit does not say that %s was not done: %s", change.action, unwritten)
            raise


async def _differences(state: State, wanted: AcceptChange, now: float) -> tuple[ServicePolicy, list[dict[str, str]]]:
    """The service, and route, field, kind and shape of each difference to accept. Raises ProblemError."""
    named = [name for name in ("example", "cause", "route") if getattr(wanted, name) is not None]
    if len(named) != 1:
        raise ProblemError(400, "say what to accept: an example, a cause, or route, field and kind; one of them")
    if wanted.example is not None:
        service, route, found = await _of_example(state, wanted.example)
    elif wanted.cause is not None:
        service, route, found = await _of_cause(state, wanted, now)
    else:
        return _named(state, wanted)
    if wanted.service not in {None, service.name}:
        raise ProblemError(404, f"this is of the service {service.name}, not of {wanted.service}")
    chosen = {
        key: shape for key, shape in found.items() if wanted.field in {None, key[0]} and wanted.kind in {None, key[1]}
    }
    if not chosen:
        there = ", ".join(f"{field} {kind}" for field, kind in found) or "nothing that counts"
        raise ProblemError(400, f"it does not differ so; there is {there}")
    return service, [_values(route, key, shape, wanted) for key, shape in chosen.items()]


async def _of_example(state: State, prefix: str) -> tuple[ServicePolicy, str, dict[Key, str]]:
    example = await state.read(state.store.example, prefix)
    if example is None:
        raise ProblemError(404, f"no example, or more than one, begins with {prefix!r}: see `diffs list`")
    if example.failure is not None:
        raise ProblemError(409, _failed(example.failure))
    if example.arm != CANDIDATE:
        raise ProblemError(409, f"this example is of the {example.arm}: only the candidate's differences are accepted")
    return _service(state, example.service), example.route, _shapes(example.differences)


async def _of_cause(state: State, wanted: AcceptChange, now: float) -> tuple[ServicePolicy, str, dict[Key, str]]:
    prefix = wanted.cause or ""
    cause = state.cause(now, prefix)
    if cause is None:
        raise ProblemError(404, f"no cause, or more than one, begins with {prefix!r}: see `diffs causes`")
    if cause.failure:
        raise ProblemError(409, _failed(cause.failure))
    if not cause.keys:
        raise ProblemError(409, "this cause does not tell its fields: accept an example, or name route, field and kind")
    if cause.left_out and wanted.field is None:
        many = f"{cause.left_out:,} fields of this cause are not listed"
        raise ProblemError(409, f"{many}: name route, field and kind, where $.a..* is all that is below $.a")
    example = await state.read(state.store.cause_example, cause) if wanted.shape is True else None
    shapes = _shapes(example.differences) if example is not None else {}
    return _service(state, cause.service), cause.route, {key: shapes.get(key, "") for key in cause.keys}


def _named(state: State, wanted: AcceptChange) -> tuple[ServicePolicy, list[dict[str, str]]]:
    service = _service(state, wanted.service)
    if wanted.field is None or wanted.kind is None:
        raise ProblemError(400, "route needs field and kind beside it")
    routes = ["*", *(route.name for route in service.routes), service.other.name]
    if wanted.route not in routes:
        raise ProblemError(400, f"there is no route {wanted.route!r}; there are {', '.join(routes)}")
    return service, [_values(wanted.route or "", (wanted.field, wanted.kind), "", wanted)]


def _values(route: str, key: Key, shape: str, wanted: AcceptChange) -> dict[str, str]:
    field, kind = key
    if wanted.shape is True and not shape:
        raise ProblemError(409, f"what {field} looks like is not known here: write the shape itself")
    chosen = shape if wanted.shape is True else wanted.shape or ""
    return {"route": route, "field": field, "kind": kind, **({"shape": chosen} if chosen else {})}


def _shapes(differences: Iterable[Difference]) -> dict[Key, str]:
    """What the candidate's value looks like in every difference that counts."""
    standing = [each for each in differences if not (each.by_rule or each.noise or each.accepted)]
    return {(each.field, each.kind): each.shape for each in standing}


def _failed(kind: str) -> str:
    return f"the candidate gave no whole answer ({kind}): that is a failure, and cannot be accepted"


def _service(state: State, name: str | None) -> ServicePolicy:
    """The service of this name, or the only one. Raises ProblemError."""
    chosen = queries.one_service(state, name)
    service = next(each for each in state.policy.services if each.name == chosen)
    if CANDIDATE not in service.upstreams:
        raise ProblemError(409, f"the service {chosen} has no candidate: nothing of it differs")
    return service


@contextmanager
def _checking(name: str = "") -> Iterator[None]:
    try:
        yield
    except BadValueError as error:
        raise ProblemError(400, f"{name}{error}") from None


def _entry(entry: FileEntry) -> AcceptedEntry:
    policy = entry.policy()
    return AcceptedEntry(
        policy.id,
        policy.route,
        policy.field,
        policy.kind,
        policy.shape,
        policy.owner,
        policy.reason,
        policy.expires,
        entry.service or "",
    )


def _holds(policy: Policy, service: str, entries: Iterable[FileEntry]) -> bool:
    """Whether the entries are in force as they were written."""
    accepted = {entry for each in policy.services if each.name == service for entry in each.accepted}
    return all(entry.policy() in accepted for entry in entries)
