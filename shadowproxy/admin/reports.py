"""The report over HTTP: in each format, with whole examples and with what changed, where they are asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from aiohttp import hdrs, web
from msgspec.structs import replace

from shadowproxy.admin import queries
from shadowproxy.admin.answers import STATE
from shadowproxy.admin.operation import JSON, Operation
from shadowproxy.control.examples import with_examples
from shadowproxy.control.state import State
from shadowproxy.report import (
    Report,
    build,
    compare,
    render_html,
    render_json,
    render_junit,
    render_markdown,
    render_text,
)
from shadowproxy.store import StoreError

RENDERERS: Final[dict[str, tuple[str, Callable[[Report], str | bytes]]]] = {
    "json": ("application/json", render_json),
    "text": ("text/plain", render_text),
    "markdown": ("text/markdown", render_markdown),
    "junit": ("application/xml", render_junit),
    "html": ("text/html", render_html),
}


async def respond(request: web.Request) -> web.Response:
    """The report that a request asks for."""
    state = request.app[STATE]
    wanted = queries.report(request, state)
    report = await made(state, wanted.service, wanted.since)
    if wanted.record:
        state.history.record(report)
    if wanted.examples:
        report = await with_examples(state, report, wanted.examples)
    content, render = RENDERERS[wanted.format]
    # In a thread: a page with bodies in it takes a second to write, and others are waiting.
    body = await asyncio.to_thread(render, report)
    response = web.Response(
        body=body.encode() if isinstance(body, str) else body, content_type=content, charset="utf-8"
    )
    if wanted.format == "html":
        from shadowproxy.report.html_page import CONTENT_SECURITY_POLICY

        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["Content-Disposition"] = 'inline; filename="shadowproxy-report.html"'
    return response


async def made(state: State, service: str | None, since: float | None = None) -> Report:
    """The report now, of all services or of one, compared with the last recorded one at least `since` seconds old."""
    now = time.time()
    report = build(await state.facts(now), service)
    try:
        await state.read(state.history.load)
    except StoreError as error:
        return replace(report, notes=[*report.notes, f"what changed is not known: {error}"])
    before = {each.name: state.history.before(each.name, now - (since or 0.0)) for each in report.services}
    return compare(report, {name: memory for name, memory in before.items() if memory})


OPERATIONS: Final = (
    Operation(
        "/api/v1/report",
        respond,
        "What differs, what follows, and what changed",
        Report,
        parameters=("service", "format", "examples", "since", "record"),
        contents=tuple(content for content, _ in RENDERERS.values() if content != JSON),
        description="What cannot be read is missing from the report, and its `notes` say so.",
        answered={str(hdrs.CONTENT_DISPOSITION): "Of HTML: the name of a file to keep it under."},
        group="report",
        example="?format=markdown",
    ),
)
