"""Look up the names of upstreams again and again, away from the workers, and keep the last good answer."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from shadowproxy.model.policy import Policy

LOOKUP_SECONDS: Final = 3.0
"""What one lookup may take. A later answer is not waited for; the next round asks again."""

MAX_THREADS: Final = 32

Lookup = Callable[[str], Awaitable[tuple[str, ...]]]

log = logging.getLogger(__name__)


def host_names(policy: Policy) -> set[str]:
    """Every host of every upstream that is a name, not an address."""
    return {
        endpoint.host
        for service in policy.services
        for upstream in service.upstreams.values()
        for endpoint in upstream.endpoints
        if endpoint.host and not _is_address(endpoint.host)
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Lookups:
    """getaddrinfo in threads of its own, at most one for each name.

    The loop's own resolver will not do: an answer that never comes would hold up the others, and the loop's end.
    """

    def __init__(self, getaddrinfo: Callable[..., list[Any]] = socket.getaddrinfo) -> None:
        self._getaddrinfo = getaddrinfo
        self._threads = ThreadPoolExecutor(MAX_THREADS, "names")
        self._running: dict[str, asyncio.Future[list[Any]]] = {}

    async def __call__(self, name: str) -> tuple[str, ...]:
        """The addresses of `name`, in the order of preference of RFC 6724, each once. Raises OSError."""
        running = self._running.get(name)
        if running is None:
            ask = functools.partial(self._getaddrinfo, name, None, type=socket.SOCK_STREAM)
            running = asyncio.get_running_loop().run_in_executor(self._threads, ask)
            self._running[name] = running
            running.add_done_callback(lambda done: self._finished(name, done))
        found = await asyncio.shield(running)
        return tuple(dict.fromkeys(str(address[0]) for *_, address in found))

    def close(self) -> None:
        """Begin nothing more; what runs is left to the end of the process."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _finished(self, name: str, done: asyncio.Future[list[Any]]) -> None:
        del self._running[name]
        if not done.cancelled():
            done.exception()  # whoever asked may have given up: asyncio need not complain that nobody looked


class Resolver:
    """The last good addresses of each name."""

    def __init__(self, lookup: Lookup, timeout: float = LOOKUP_SECONDS) -> None:
        self._lookup = lookup
        self._timeout = timeout
        self._good: dict[str, tuple[str, ...]] = {}
        self._failing: dict[str, str] = {}

    @property
    def addresses(self) -> dict[str, tuple[str, ...]]:
        return dict(self._good)

    async def refresh(self, names: Iterable[str]) -> bool:
        """Look all of `names` up, in parallel, and forget the others. True if any answer is new.

        The same addresses in another order are not new: servers rotate them.
        """
        wanted = sorted(names)
        answers = await asyncio.gather(*(self._ask(name) for name in wanted))
        before = self._good
        self._good = {}
        changed = False
        for name, answer in zip(wanted, answers, strict=True):
            old = before.get(name)
            if answer and (old is None or set(answer) != set(old)):
                changed = True
                self._good[name] = answer
            elif old is not None:
                self._good[name] = old
        return changed

    async def _ask(self, name: str) -> tuple[str, ...]:
        """The addresses, or nothing; a change between working and failing is logged once."""
        why = ""
        answer: tuple[str, ...] = ()
        try:
            answer = await asyncio.wait_for(self._lookup(name), self._timeout)
        except TimeoutError:
            why = f"no answer within {self._timeout:g} s"
        except OSError as error:
            why = error.strerror or str(error)
        if why and name not in self._failing:
            log.warning("name %s cannot be resolved: %s; the last good addresses stay", name, why)
        elif not why and self._failing.pop(name, ""):
            log.info("name %s resolves again", name)
        if why:
            self._failing[name] = why
        return answer
