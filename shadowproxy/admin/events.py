"""Server-sent events (HTML standard, section 9.2): the status every second, new examples as they come."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from aiohttp import web

from shadowproxy.admin.problems import ProblemError
from shadowproxy.control.watchers import Watchers, WatchersError

_WRITE_SECONDS: Final = 10.0
"""A follower that takes nothing for so long is let go."""


async def stream(request: web.Request, watchers: Watchers) -> web.StreamResponse:
    """Follow until either side ends. Raises ProblemError (503) when there are too many followers."""
    try:
        with watchers.joined() as queue:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
            await response.prepare(request)
            try:
                await asyncio.wait_for(response.write(b"retry: 2000\n\n"), _WRITE_SECONDS)
                while (event := await queue.get()) is not None:
                    data = msgspec.json.encode(event.body)
                    line = b"event: %b\ndata: %b\n\n" % (event.name.encode(), data)
                    await asyncio.wait_for(response.write(line), _WRITE_SECONDS)
            except (ConnectionError, TimeoutError):
                pass  # the follower is gone, or as good as gone
            return response
    except WatchersError:
        raise ProblemError(503, "too many follow the events already; try again later") from None
