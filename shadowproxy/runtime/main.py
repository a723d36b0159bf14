"""From options to a running supervisor: read the configuration, open the sockets, share the imports, run."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import select
import sys
import time

from shadowproxy.model.policy import Registry
from shadowproxy.runtime.loading import Loading, Outcome, Request, start_loading
from shadowproxy.runtime.logs import open_log
from shadowproxy.runtime.roles import SHARED_IMPORTS, Roles
from shadowproxy.runtime.sockets import BindError, open_sockets
from shadowproxy.runtime.supervisor import Supervisor

WRONG_USAGE = 2


def main(options: dict[str, object], roles: Roles) -> int:
    """Run the tree; returns the exit code: 0, 2 for a start that is not possible, 128 + n for a second signal n.

    `options` are those of `shadowproxy run`, by name, plus `config`.
    """
    log = open_log("supervisor", "auto")
    request = Request(options, epoch=os.urandom(8).hex(), sequence=1, registry=Registry())
    loading = start_loading(request, roles.read, roles.keep, log, disown=lambda: None, now=time.monotonic())
    raise_descriptor_limit()
    for module in SHARED_IMPORTS:  # while the configuration is being read next door
        importlib.import_module(module)
    first = _wait(loading)
    if first.loaded is None:
        return _refuse(*first.problems)
    try:
        sockets = open_sockets(first.loaded.launch)
    except BindError as error:
        return _refuse(str(error))
    log = open_log("supervisor", first.loaded.launch.log_format)
    for warning in first.warnings:
        log.warning(warning)
    for alarm in first.alarms:
        log.error(alarm)
    gc.collect()
    gc.freeze()  # what is here now is garbage for nobody: no collection dirties the shared pages
    return Supervisor(options=options, first=first, loaded=first.loaded, sockets=sockets, roles=roles, log=log).run()


def _refuse(*problems: str) -> int:
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return WRONG_USAGE


def _wait(loading: Loading) -> Outcome:
    with contextlib.closing(loading):
        while (left := loading.deadline - time.monotonic()) > 0:
            select.select([loading], [], [], left)
            if outcome := loading.read():
                return outcome
        return loading.give_up()


def raise_descriptor_limit() -> None:
    """As many descriptors as the system allows without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
