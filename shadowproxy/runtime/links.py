"""The supervisor's connections to its children, by pid, inside its selector."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from shadowproxy.model.commands import ToRole, ToSupervisor
from shadowproxy.runtime.link import Link, LinkError

UNREAD: Final = 64 * 1024 * 1024
"""Bytes of commands that a child may leave unread before it counts as lost: dozens of the largest policies."""
_DECODER: Final = msgspec.msgpack.Decoder(ToSupervisor)

Hear = Callable[[int, ToSupervisor], None]
Lose = Callable[[int], None]


class Links:
    """`hear` gets what a child says; `lose` is called once for a child that cannot be talked to any more."""

    def __init__(self, selector: selectors.BaseSelector, hear: Hear, lose: Lose) -> None:
        self._selector = selector
        self._hear = hear
        self._lose = lose
        self._links: dict[int, Link] = {}

    def add(self, pid: int, connection: socket.socket) -> None:
        self._links[pid] = Link(connection, UNREAD)
        self._selector.register(connection, selectors.EVENT_READ, lambda events: self._serve(pid, events))

    def drop(self, pid: int) -> None:
        """Forget a child's connection, if it is still there."""
        link = self._links.pop(pid, None)
        if link:
            self._selector.unregister(link.connection)
            link.close()

    def abandon(self) -> None:
        """In a forked child: close the copies, and leave the selector, which is shared, alone."""
        for link in self._links.values():
            link.close()

    def tell(self, pids: Iterable[int], message: ToRole) -> None:
        payload = msgspec.msgpack.encode(message)
        for pid in list(pids):
            link = self._links.get(pid)
            if link is None:
                continue
            try:
                link.send(payload)
                self._watch(pid, link)
            except LinkError:
                self._lost(pid)

    def offer(self, pids: Iterable[int], message: ToRole) -> None:
        """Tell what may be lost to those who have read everything else."""
        self.tell([pid for pid in pids if pid in self._links and not self._links[pid].wants_to_write], message)

    def _serve(self, pid: int, events: int) -> None:
        link = self._links.get(pid)
        if link is None:
            return  # dropped by an event served before this one
        try:
            if events & selectors.EVENT_WRITE:
                link.flush()
                self._watch(pid, link)
            if events & selectors.EVENT_READ:
                for payload in link.receive():
                    self._hear(pid, _DECODER.decode(payload))
        except (LinkError, msgspec.MsgspecError):
            self._lost(pid)

    def _watch(self, pid: int, link: Link) -> None:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.wants_to_write else 0)
        key = self._selector.get_key(link.connection)
        if key.events != wanted:
            self._selector.modify(link.connection, wanted, key.data)

    def _lost(self, pid: int) -> None:
        self.drop(pid)
        self._lose(pid)
