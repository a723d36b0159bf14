"""An event loop without I/O whose clock stands still until a test moves it."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any


class FakeLoop(asyncio.AbstractEventLoop):
    """Runs callbacks only inside `run()` and `advance()`. What a callback raises reaches the test.

    Tasks and futures work: `spawn` a coroutine, then `run()`. Everything that would do I/O raises NotImplementedError.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()

    # What the code under test calls.

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise context.get("exception") or AssertionError(context["message"])

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Part of the interface that TimerHandle uses; cancelled timers are skipped when their time comes."""

    # What a test calls.

    @contextmanager
    def running(self) -> Generator[FakeLoop, None, None]:
        """Make this the loop that `asyncio.get_running_loop()` finds."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            yield self
        finally:
            asyncio._set_running_loop(before)

    def run(self) -> None:
        """Run what is ready, and what that makes ready, until nothing is. The clock does not move."""
        with self.running():
            while self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    # A Handle hands exceptions to the exception handler, which raises them here.
                    handle._run()

    def advance(self, seconds: float) -> None:
        """Move the clock, running each timer at its own time and in order."""
        self.run()
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            if timer.cancelled():
                continue
            self._now = max(self._now, when)
            self._ready.append(timer)
            self.run()
        self._now = end

    def spawn(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a coroutine and run until it waits."""
        task = self.create_task(coro)
        self.run()
        return task

    @property
    def timers(self) -> list[float]:
        """Seconds from now until each timer that still stands, soonest first."""
        return sorted(when - self._now for when, _, timer in self._timers if not timer.cancelled())
