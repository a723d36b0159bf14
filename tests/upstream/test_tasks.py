"""Tasks are kept while they run, and what they raise is not lost."""

from __future__ import annotations

import asyncio
import gc

import pytest

from shadowproxy.upstream.tasks import spawn
from tests.fakes.loop import FakeLoop


def test_a_task_that_nobody_holds_runs_to_its_end() -> None:
    loop, done = FakeLoop(), []

    async def work() -> None:
        await asyncio.sleep(1.0)
        done.append(True)

    with loop.running():
        spawn(work())
    loop.run()
    gc.collect()
    loop.advance(1.0)
    assert done == [True]


def test_what_a_task_raises_reaches_the_loop() -> None:
    loop = FakeLoop()

    async def work() -> None:
        raise ZeroDivisionError

    with loop.running():
        spawn(work())
    with pytest.raises(ZeroDivisionError):
        loop.run()


def test_a_cancelled_task_is_no_failure() -> None:
    loop = FakeLoop()

    async def work() -> None:
        await asyncio.sleep(1.0)

    with loop.running():
        task = spawn(work())
    loop.run()
    task.cancel()
    loop.run()
    assert task.cancelled()
