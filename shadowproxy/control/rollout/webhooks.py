"""Webhooks as gates: somebody else's program is asked whether a rollout may go on.

2xx is yes, every other status is no. With `confirm` no means not yet; else it is a failure. Who gives no answer has not
said anything: that is inconclusive, and asked again at the next interval.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct

from shadowproxy.model.rollout import FAIL, INCONCLUSIVE, PASS, WEBHOOK, Check
from shadowproxy.rollout.facts import GateAnswer
from shadowproxy.upstream.tasks import spawn

MAX_DETAIL: Final = 200
"""Characters of an answer that are kept: the reason it gives."""
RETRY_AFTER: Final = 1.0
"""Seconds."""

_encode: Final = msgspec.json.Encoder().encode


class Question(Struct, frozen=True):
    """What a gate is told, as JSON."""

    service: str
    rollout: str
    attempt: int
    stage: str
    weight: float
    versions: dict[str, str] = {}


class Gates:
    """The gates of one service. `start` asks what is due, `said` has the newest word of each. Times are Unix time."""

    def __init__(self, session: Callable[[], aiohttp.ClientSession], retry_after: float = RETRY_AFTER) -> None:
        self._session = session
        self._retry_after = retry_after
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._due: dict[str, float] = {}
        self._about: Question | None = None
        self.said: dict[str, GateAnswer] = {}

    def start(self, checks: Sequence[Check], question: Question, now: float) -> None:
        """Ask what is due. What was said of another stage says nothing of this one."""
        if question != self._about:
            self.stop()
            self._about = question
            self._due.clear()
            self.said = {}
        for check in checks:
            if check.kind != WEBHOOK or check.name in self._asking:
                continue
            if not now < self._due.get(check.name, 0.0) <= now + check.interval:  # a clock may be set back
                self._due[check.name] = now + check.interval
                self._asking[check.name] = spawn(self._ask(check, question, now))

    def stop(self) -> None:
        """Let go of what was asked."""
        for task in self._asking.values():
            task.cancel()
        self._asking = {}

    async def _ask(self, check: Check, question: Question, now: float) -> None:
        body = _encode({**msgspec.to_builtins(question), "check": check.name})
        why = ""
        for attempt in range(check.retries + 1):
            if attempt:
                await asyncio.sleep(self._retry_after)
            try:
                status, detail = await self._post(check, body)
            except TimeoutError:
                why = f"no answer within {check.timeout:g} s"
            except (aiohttp.ClientError, OSError, ValueError) as error:
                why = f"it cannot be asked: {error}"[:MAX_DETAIL]
            else:
                self._hear(check, GateAnswer(now, *_verdict(check, status, detail)))
                return
        self._hear(check, GateAnswer(now, INCONCLUSIVE, why))

    async def _post(self, check: Check, body: bytes) -> tuple[int, str]:
        async with (
            asyncio.timeout(check.timeout),
            self._session().post(
                check.url, data=body, headers={"Content-Type": "application/json"}, allow_redirects=False
            ) as answer,
        ):
            text = await answer.content.read(4 * MAX_DETAIL)
            return answer.status, text.decode("utf-8", "replace").strip().partition("\n")[0][:MAX_DETAIL]

    def _hear(self, check: Check, answer: GateAnswer) -> None:
        del self._asking[check.name]
        self.said[check.name] = answer


def _verdict(check: Check, status: int, detail: str) -> tuple[str, str]:
    words = f"it answered {status}" + (f": {detail}" if detail else "")
    if 200 <= status < 300:
        return PASS, words
    return (INCONCLUSIVE if check.confirm else FAIL), words
