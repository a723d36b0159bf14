"""What all client connections of a worker share: the snapshot, the clock, the counters, the names it goes by."""

from __future__ import annotations

import os
from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING, Final

from shadowproxy.endpoints.learner import MAX_PATH
from shadowproxy.http1 import RequestHead
from shadowproxy.metrics import layout as at
from shadowproxy.model import errors
from shadowproxy.model.errors import Fault
from shadowproxy.proxy.access_log import AccessLog, Entry
from shadowproxy.proxy.snapshot import Snapshot
from shadowproxy.upstream.deadlines import Deadlines

if TYPE_CHECKING:
    from shadowproxy.proxy.client import ClientConnection
    from shadowproxy.proxy.flagging import Flagging

MAX_SIGHTED: Final = 32
"""Paths between two looks at them, a tenth of a second: a sample is all that learning needs."""


class Site:
    """One per worker. `draining` makes every answer say `Connection: close`."""

    def __init__(
        self,
        snapshot: Snapshot,
        deadlines: Deadlines,
        counters: memoryview,
        instance: str,
        access_log: AccessLog,
    ) -> None:
        self.snapshot = snapshot
        self.flags: Flagging | None = None
        """None: there is no flags section. Swapped with the snapshot, in one turn of the loop."""
        self.deadlines = deadlines
        self.counters = counters
        self.draining = False
        self.clients: set[ClientConnection] = set()
        self.beginning = 0
        """Connections accepted that have not got as far as HTTP."""
        self.access_log = access_log
        self.pseudonym = f"shadowproxy-{instance[:12]}".encode()
        """What `Via` calls this instance; a request that carries it went round in a loop (RFC 9110 7.6.3)."""
        self.via = b"\r\nVia: 1.1 " + self.pseudonym + b"\r\n"
        self.date = b""
        self.sighted: list[tuple[str, bytes]] = []
        """Services and paths of requests that matched no route, a sample."""
        self._id_prefix = os.urandom(8).hex().encode()
        self._last_id = int.from_bytes(os.urandom(4), "big")
        self.refresh()

    def refresh(self) -> None:
        """Called about once a second."""
        self.date = formatdate(time(), usegmt=True).encode("ascii")

    def new_id(self) -> bytes:
        """A request id of 32 hexadecimal digits, unique over workers and restarts."""
        self._last_id += 1
        return b"%b%016x" % (self._id_prefix, self._last_id)

    def refusal(self, head: RequestHead) -> Fault | None:
        """Why a request goes to no service."""
        if head.via is not None and self.pseudonym in head.via:
            return errors.LOOP
        limit = self.snapshot.limits.body
        if limit is not None and head.framing > limit:
            return errors.BODY_TOO_LARGE
        return None

    def sight(self, service: str, head: RequestHead) -> None:
        """A request that matched no route was answered well. OPTIONS is, for whatever path, by many a framework.

        Its caller looks at `MAX_SIGHTED` first: mostly there are enough.
        """
        if len(head.path) <= MAX_PATH and head.method != b"OPTIONS":
            self.sighted.append((service, head.path))

    def log_refusal(self, fault: Fault, detail: str, request_id: bytes, peer: str) -> None:
        """An entry for what never became a request."""
        log = self.access_log
        if log.enabled and log.wants(failed=True):
            why = f"{fault.reason}: {detail}" if detail else fault.reason
            log.add(Entry(time(), request_id.decode("ascii"), peer, "", "", fault.status, 0.0, 0, fault=why))

    def opened(self, client: ClientConnection) -> bool:
        """Register a connection; False when there are too many."""
        if len(self.clients) >= self.snapshot.limits.connections:
            return False
        self.clients.add(client)
        self.counters[at.ACCEPTED] += 1
        client.number = self.counters[at.ACCEPTED]
        self.counters[at.CLIENT_CONNECTIONS] = len(self.clients)
        return True

    def closed(self, client: ClientConnection) -> None:
        self.clients.discard(client)
        self.counters[at.CLIENT_CONNECTIONS] = len(self.clients)
