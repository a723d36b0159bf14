"""What runs in each child: the entry points, and what a child does around them.

The entry points are a table, so that tests of the supervisor can put small processes in their place.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shadowproxy.metrics.counters import Counters
from shadowproxy.model.commands import Apply, Names
from shadowproxy.model.flags import NO_FLAGS, FlagsInForce
from shadowproxy.model.policy import Launch
from shadowproxy.runtime import loader
from shadowproxy.runtime.children import COMPARER, CONTROL, WORKER, Fork
from shadowproxy.runtime.loading import Keeper, Reader
from shadowproxy.runtime.logs import Log, capture_logging
from shadowproxy.runtime.sockets import Sockets, remove_directory

SHARED_IMPORTS: Final = ("shadowproxy.runtime.worker", "shadowproxy.runtime.comparer", "shadowproxy.compare.engine")
"""Imported by the supervisor before it forks: its children share the pages and start at once, and a worker that is
replaced months later runs the same code as its siblings (docs/decisions/0004-what-the-supervisor-imports.md)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What every child is born with. `key` masks values in examples."""

    launch: Launch
    apply: Apply
    names: Names
    counters: Counters
    sockets: Sockets
    key: bytes
    flags: FlagsInForce = NO_FLAGS


@dataclass(frozen=True, slots=True)
class Roles:
    """The entry points: the three roles get the order, the setting and their end of the commands connection."""

    worker: Callable[[Fork, Setting, socket.socket], None]
    comparer: Callable[[Fork, Setting, socket.socket], None]
    control: Callable[[Fork, Setting, socket.socket], None]
    read: Reader
    keep: Keeper


def _worker(order: Fork, setting: Setting, commands: socket.socket) -> None:
    from shadowproxy.runtime.worker import run_worker

    run_worker(
        order.index,
        order.block,
        setting.launch,
        setting.apply,
        setting.names,
        setting.counters,
        commands,
        setting.sockets.slots,
        setting.sockets.comparer_paths,
        setting.flags,
    )


def _comparer(order: Fork, setting: Setting, commands: socket.socket) -> None:
    from shadowproxy.runtime.comparer import run_comparer

    sockets = setting.sockets
    run_comparer(
        order.index,
        setting.launch,
        setting.apply,
        commands,
        sockets.comparers[order.index],
        sockets.feed_path,
        setting.key,
    )


def _control(order: Fork, setting: Setting, commands: socket.socket) -> None:
    from shadowproxy.runtime.control import run_control

    sockets = setting.sockets
    listeners = {"admin": sockets.admin, **({"metrics": sockets.metrics} if sockets.metrics else {})}
    run_control(
        setting.launch,
        setting.apply.policy,
        setting.apply.registry,
        setting.counters,
        commands,
        sockets.feed,
        listeners,
        setting.apply.problems,
    )


def run_role(roles: Roles, order: Fork, setting: Setting, commands: socket.socket, log: Log) -> None:
    """Be the child that `order` asks for, until it ends."""
    sockets = setting.sockets
    run, own = {
        WORKER: (roles.worker, sockets.serving()),
        COMPARER: (roles.comparer, sockets.comparers[order.index : order.index + 1]),
        CONTROL: (roles.control, [sockets.admin, sockets.feed, *([sockets.metrics] if sockets.metrics else [])]),
    }[order.role]
    keep = set(own)
    for listener in sockets.everything():
        if listener not in keep:
            listener.close()
    supervisor = os.getppid()
    capture_logging(log)
    run(order, setting, commands)
    if order.role == COMPARER and os.getppid() != supervisor:
        remove_directory(sockets.directory)  # the supervisor died and cannot; the workers have ended before


REAL_ROLES: Final = Roles(_worker, _comparer, _control, loader.read, loader.keep)
