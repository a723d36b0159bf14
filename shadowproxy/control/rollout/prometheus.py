"""The values of PromQL checks, asked of a Prometheus by range query (https://prometheus.io/docs/prometheus/latest/querying/api/).

Each check is asked once per step, in a task of its own: whoever waits for an answer, it is not the rollout. What is no
clear answer is an answer that says why: no data, several series, a value that is no number, a refusal, silence.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec
from msgspec import Struct

from shadowproxy.control.rollout.placeholders import PlaceholderError, substitute
from shadowproxy.model.rollout import PROMQL, Check, Prometheus
from shadowproxy.model.terms import CANDIDATE, PRIMARY
from shadowproxy.rollout.facts import Answer
from shadowproxy.upstream.tasks import spawn

MAX_ANSWER: Final = 1024 * 1024
"""Bytes."""
CATCH_UP: Final = 60
"""Steps that one query reaches back at most: what was missed while Prometheus was gone is asked for later."""
LATE: Final = 3
"""Steps after which the newest value is too old to be news: Prometheus itself looks back 5 minutes."""
_MAX_WORDS: Final = 200

Series = tuple[tuple[float, float], ...]


class QueryError(Exception):
    """Why there is no clear answer, for people."""


class Asked(Struct, frozen=True):
    """What placeholders stand for: the service, and the version of each arm."""

    service: str
    versions: Mapping[str, str]


class _Data(Struct):
    resultType: str = ""  # noqa: N815 - Prometheus' name
    result: list[dict[str, Any]] = []


class _Response(Struct):
    status: str
    data: _Data = msgspec.field(default_factory=_Data)
    error: str = ""


class Queries:
    """The PromQL checks of one service. `start` what is due, `take` what has come. Times are Unix time."""

    def __init__(self, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._session = session
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._due: dict[str, float] = {}
        self._end: dict[str, float] = {}
        """By check the newest time that was answered."""
        self._answers: dict[str, Answer] = {}

    def start(self, prometheus: Prometheus | None, checks: Sequence[Check], asked: Asked, now: float) -> None:
        """Ask what is due. A check that still waits for its answer is not asked again."""
        if prometheus is None:
            return
        for check in checks:
            if check.kind != PROMQL or check.name in self._asking:
                continue
            if not now < self._due.get(check.name, 0.0) <= now + check.step:  # a clock may be set back
                self._due[check.name] = now + check.step
                self._asking[check.name] = spawn(self._ask(prometheus, check, asked, now))

    def take(self) -> dict[str, Answer]:
        """What has come since the last call: each answer once."""
        answers, self._answers = self._answers, {}
        return answers

    def stop(self) -> None:
        """Let go of what was asked."""
        for task in self._asking.values():
            task.cancel()

    async def _ask(self, prometheus: Prometheus, check: Check, asked: Asked, now: float) -> None:
        try:
            answer = await self._answer(prometheus, check, asked, now)
        except QueryError as error:
            answer = Answer(why=str(error))
        finally:
            del self._asking[check.name]
        self._answers[check.name] = answer

    async def _answer(self, prometheus: Prometheus, check: Check, asked: Asked, now: float) -> Answer:
        end = math.floor(now / check.step) * check.step
        first = min(self._end.get(check.name, end - check.step) + check.step, end)
        start = max(first, end - CATCH_UP * check.step)
        arms = (CANDIDATE, PRIMARY) if check.against == PRIMARY else (CANDIDATE,)
        found = await asyncio.gather(
            *(self._series(prometheus, check, asked, arm, start, end) for arm in arms), return_exceptions=True
        )
        series: dict[str, Series] = {}
        for arm, result in zip(arms, found, strict=True):
            if isinstance(result, BaseException):
                raise result
            series[arm] = result
            if end - result[-1][0] > LATE * check.step:
                raise QueryError(f"the newest value of the {arm} is {end - result[-1][0]:.0f} s old")
        self._end[check.name] = min(values[-1][0] for values in series.values())
        return Answer(series[CANDIDATE], series.get(PRIMARY, ()))

    async def _series(
        self, prometheus: Prometheus, check: Check, asked: Asked, arm: str, start: float, end: float
    ) -> Series:
        version = asked.versions.get(arm, "")
        if "$version" in check.promql and not version:
            raise QueryError(f"the version of the {arm} is not known yet")
        try:
            query = substitute(check.promql, {"version": version, "service": asked.service, "arm": arm})
        except PlaceholderError as error:
            raise QueryError(str(error)) from error
        form = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{check.step:g}"}
        return _read(await self._post(prometheus, form), arm)

    async def _post(self, prometheus: Prometheus, form: Mapping[str, str]) -> _Response:
        url = prometheus.url.rstrip("/") + "/api/v1/query_range"
        try:
            async with (
                asyncio.timeout(prometheus.timeout),
                self._session().post(url, data=form, headers=prometheus.headers, allow_redirects=False) as answer,
            ):
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        raise QueryError(f"Prometheus answered with more than {MAX_ANSWER:,} bytes")
        except TimeoutError as error:
            raise QueryError(f"Prometheus did not answer within {prometheus.timeout:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise QueryError(f"Prometheus cannot be asked: {error}"[:_MAX_WORDS]) from error
        try:
            response = msgspec.json.decode(body, type=_Response)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise QueryError(f"Prometheus answered {answer.status} with something else than its JSON") from error
        if answer.status != 200 or response.status != "success":
            raise QueryError(f"Prometheus answered {answer.status}: {response.error or 'no reason given'}"[:_MAX_WORDS])
        return response


def _read(response: _Response, arm: str) -> Series:
    """The values of the one series that a check is about. Raises QueryError."""
    result = response.data.result
    if response.data.resultType != "matrix":
        raise QueryError(f"the query gives {response.data.resultType or 'nothing'}, not values over time")
    if not result:
        raise QueryError(f"no data: the query finds no series for the {arm}")
    if len(result) > 1:
        raise QueryError(f"the query finds {len(result)} series for the {arm}: it has to give one, as with sum(…)")
    try:
        values = tuple((float(at), float(value)) for at, value in result[0].get("values", ()))
    except (TypeError, ValueError) as error:
        raise QueryError(f"the values of the {arm} cannot be read") from error
    if not values:
        raise QueryError(f"no data: the series of the {arm} has no values")
    if not all(math.isfinite(at) and math.isfinite(value) for at, value in values):
        raise QueryError(f"a value of the {arm} is not a number")
    return values
