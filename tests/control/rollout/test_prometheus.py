"""What is no clear answer of Prometheus is an answer that says why."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
import msgspec
import pytest

from shadowproxy.control.rollout.prometheus import CATCH_UP, MAX_ANSWER, Asked, Queries
from shadowproxy.model.rollout import ERROR_RATE, PROMQL, Check, Prometheus
from shadowproxy.rollout.facts import Answer
from tests.control.rollout.web import Posted, Reply, Settled, Web

ASKED = Asked("shop", {"candidate": "v2", "primary": "v1"})
MEMORY = Check("memory", PROMQL, promql='mem{v="$version"}', step=10.0)
BOTH = Check("memory", PROMQL, promql='mem{v="$version"}', step=10.0, against="primary")
NOW = 1_000_003.0


def matrix(*series: list[list[object]]) -> tuple[int, bytes]:
    result = [{"metric": {}, "values": values} for values in series]
    return 200, msgspec.json.encode({"status": "success", "data": {"resultType": "matrix", "result": result}})


FRESH = matrix([[999_990, "1"], [1_000_000, "2.5"]])


async def ask(web: Web, check: Check = MEMORY, asked: Asked = ASKED, timeout: float = 1.0) -> Answer:
    queries = Queries(web.session)
    queries.start(Prometheus("http://prom/base/", timeout, {"X-Scope": "a"}), [check], asked, NOW)
    await Settled()
    return queries.take()["memory"]


async def test_the_values_of_the_candidate_are_asked_for_by_range() -> None:
    web = Web(FRESH)
    assert await ask(web) == Answer(((999_990.0, 1.0), (1_000_000.0, 2.5)))
    (posted,) = web.posted
    assert (posted.url, posted.headers) == ("http://prom/base/api/v1/query_range", {"X-Scope": "a"})
    assert posted.data == {"query": 'mem{v="v2"}', "start": "1000000.000", "end": "1000000.000", "step": "10"}


async def test_against_the_primary_both_are_asked() -> None:
    def reply(posted: Posted) -> Reply:
        return matrix([[1_000_000, "2" if "v2" in posted.data["query"] else "1"]])

    answer = await ask(Web(reply), BOTH)
    assert answer == Answer(((1_000_000.0, 2.0),), ((1_000_000.0, 1.0),))


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (matrix(), "no data: the query finds no series for the candidate"),
        (matrix([]), "no data: the series of the candidate has no values"),
        (matrix([[1_000_000, "1"]], [[1_000_000, "2"]]), "finds 2 series for the candidate"),
        (matrix([[1_000_000, "NaN"]]), "not a number"),
        (matrix([[1_000_000, "+Inf"]]), "not a number"),
        (matrix([[1_000_000, "one"]]), "cannot be read"),
        (matrix([[1_000_000]]), "cannot be read"),
        (matrix([[999_960, "1"]]), "the newest value of the candidate is 40 s old"),
        ((200, b'{"status": "success", "data": {"resultType": "scalar", "result": []}}'), "gives scalar"),
        ((200, b"<html>"), "something else than its JSON"),
        ((200, b"\xff\xfe"), "something else than its JSON"),
        ((200, b" " * (MAX_ANSWER + 1)), "more than 1,048,576 bytes"),
        ((400, b'{"status": "error", "error": "parse error"}'), "answered 400: parse error"),
        ((503, b'{"status": "error"}'), "answered 503: no reason given"),
        ((302, b""), "answered 302"),
        (aiohttp.ClientConnectionError("refused"), "cannot be asked: refused"),
    ],
)
async def test_what_is_no_clear_answer_says_why(reply: Reply, why: str) -> None:
    answer = await ask(Web(reply))
    assert why in answer.why
    assert answer.candidate == ()


async def test_a_version_that_is_not_known_is_not_asked_for() -> None:
    web = Web(FRESH)
    assert (await ask(web, asked=Asked("shop", {}))).why == "the version of the candidate is not known yet"
    assert web.posted == []


async def test_a_version_that_would_change_the_query_is_not_put_in() -> None:
    check = Check("memory", PROMQL, promql="x[$version]", step=10.0)
    assert "inside quotes" in (await ask(Web(FRESH), check, Asked("shop", {"candidate": "1m]) or x"}))).why


class Clocked:
    """Queries asked again as time passes."""

    def __init__(self, reply: Callable[[Posted], Reply] | Reply) -> None:
        self.web = Web(reply)
        self.queries = Queries(self.web.session)

    async def at(self, now: float, timeout: float = 1.0) -> dict[str, Answer]:
        checks = [MEMORY, Check("errors", ERROR_RATE)]
        self.queries.start(Prometheus("http://prom", timeout), checks, ASKED, now)
        await Settled()
        return self.queries.take()


def newest(posted: Posted) -> Reply:
    return matrix([[float(posted.data["end"]), "1"]])


async def test_once_per_step_and_each_answer_once() -> None:
    world = Clocked(newest)
    assert [len(await world.at(NOW + second)) for second in range(21)] == [1, *[0] * 9, 1, *[0] * 9, 1]
    assert await world.at(NOW - 3600), "a clock may be set back"


async def test_what_was_missed_is_asked_for_within_bounds() -> None:
    world = Clocked(newest)
    await world.at(NOW)
    world.web.reply = aiohttp.ClientConnectionError("refused")
    await world.at(NOW + 10)
    world.web.reply = newest
    await world.at(NOW + 20)
    await world.at(NOW + 20_000)
    starts = [(float(each.data["start"]), float(each.data["end"])) for each in world.web.posted]
    assert starts[2] == (1_000_010.0, 1_000_020.0)
    assert starts[3] == (1_020_000.0 - 10 * CATCH_UP, 1_020_000.0)


async def test_silence_is_an_answer_that_nobody_waits_for() -> None:
    world = Clocked(None)
    assert await world.at(NOW, timeout=0.0) == {"memory": Answer(why="Prometheus did not answer within 0 s")}
    assert await world.at(NOW + 10, timeout=100.0) == {}
    assert await world.at(NOW + 20, timeout=100.0) == {}
    assert len(world.web.posted) == 2, "one at a time"
    world.queries.stop()
    await Settled()


async def test_without_a_prometheus_nothing_is_asked() -> None:
    queries = Queries(Web().session)
    queries.start(None, [MEMORY], ASKED, NOW)
    await Settled()
    assert queries.take() == {}
