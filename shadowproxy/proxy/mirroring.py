"""Who hears of a request that the primary serves: its route's mirrors, each by its sample, and the recorder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shadowproxy.http1 import RequestHead
from shadowproxy.metrics import layout as at
from shadowproxy.model.sampling import share
from shadowproxy.shadow.tap import Tap, hold_out, offer, transcribe

if TYPE_CHECKING:
    from shadowproxy.proxy.client import ClientConnection
    from shadowproxy.proxy.snapshot import Route, Service
    from shadowproxy.proxy.splitting import Draw


def tap(
    client: ClientConnection,
    head: RequestHead,
    request_id: bytes,
    moment: float,
    service: Service,
    route: Route,
    draw: Draw | None,
    flags: tuple[bytes, bytes] | None = None,
) -> Tap | None:
    """The tap on a request of `moment`, Unix time; None: nobody wants it. `draw` is what a split says of its user,
    `flags` are its field and that of the candidate's copy, None: they are the same.
    """
    if head.shadow is not None and client.peer.trusted:
        client.site.counters[at.COPIES_RECEIVED] += 1
        return None
    h, held_out = 1.0, service.held_out
    if draw is not None:
        h, held_out = draw.h, held_out or draw.held_out
    elif route.needs_share:
        h = share(service.salt, request_id)
    made = None
    if held_out:
        hold_out(route.mirrors, head)
    else:
        made = offer(route.mirrors, route.resampler, head, request_id, moment, h)
        if made is not None:
            made.flags = flags
    if route.recorder is not None:
        made = transcribe(made, route.recorder, head, request_id, moment, h, client.number)
    return made
