"""A gate says yes, no, or nothing."""

from __future__ import annotations

import aiohttp
import msgspec
import pytest

from shadowproxy.control.rollout.webhooks import Gates, Question
from shadowproxy.model.rollout import FAIL, INCONCLUSIVE, PASS, PROMQL, WEBHOOK, Check
from shadowproxy.rollout.facts import GateAnswer
from tests.control.rollout.web import Posted, Reply, Settled, Web

QUESTION = Question("shop", "checkout-v2", 1, "first users", 0.05, {"candidate": "v2"})
NOW = 1_000.0


def gate(confirm: bool = False, timeout: float = 5.0) -> Check:
    return Check("load", WEBHOOK, url="http://gate/ok", interval=30.0, timeout=timeout, retries=2, confirm=confirm)


async def said(web: Web, check: Check) -> GateAnswer:
    gates = Gates(web.session, retry_after=0.0)
    gates.start([check, Check("memory", PROMQL)], QUESTION, NOW)
    await Settled()
    return gates.said["load"]


async def test_it_is_told_what_it_is_asked_about() -> None:
    web = Web((204, b""))
    assert await said(web, gate()) == GateAnswer(NOW, PASS, "it answered 204")
    (posted,) = web.posted
    assert posted.url == "http://gate/ok"
    assert msgspec.json.decode(posted.data) == {
        "service": "shop",
        "rollout": "checkout-v2",
        "attempt": 1,
        "stage": "first users",
        "weight": 0.05,
        "versions": {"candidate": "v2"},
        "check": "load",
    }


@pytest.mark.parametrize(
    ("reply", "confirm", "verdict", "words"),
    [
        ((200, b"all good\nreally"), False, PASS, "it answered 200: all good"),
        ((412, b"12 of 40 failed"), False, FAIL, "it answered 412: 12 of 40 failed"),
        ((302, b""), False, FAIL, "it answered 302"),
        ((403, b"not before noon"), True, INCONCLUSIVE, "it answered 403: not before noon"),
        ((200, b"\xff" * 1000), True, PASS, "it answered 200: " + "\ufffd" * 200),
        (aiohttp.ClientConnectionError("refused"), False, INCONCLUSIVE, "it cannot be asked: refused"),
        (TimeoutError(), False, INCONCLUSIVE, "no answer within 5 s"),
    ],
)
async def test_what_it_says(reply: Reply, confirm: bool, verdict: str, words: str) -> None:
    assert await said(Web(reply), gate(confirm)) == GateAnswer(NOW, verdict, words)


async def test_one_that_gives_no_answer_is_asked_again_at_once() -> None:
    replies: list[Reply] = [aiohttp.ClientConnectionError("refused"), TimeoutError(), (200, b"")]
    web = Web(lambda posted: replies.pop(0))
    assert (await said(web, gate())).said == PASS
    assert len(web.posted) == 3


async def test_it_is_asked_at_each_interval_and_the_newest_word_stands() -> None:
    replies: list[Reply] = [(403, b""), (200, b"")]
    web = Web(lambda posted: replies.pop(0))
    gates = Gates(web.session)
    verdicts = []
    for second in range(31):
        gates.start([gate(confirm=True)], QUESTION, NOW + second)
        await Settled()
        verdicts.append(gates.said["load"].said)
    assert verdicts == [INCONCLUSIVE] * 30 + [PASS]


async def test_what_was_said_of_one_stage_says_nothing_of_the_next() -> None:
    def reply(posted: Posted) -> Reply:
        return (200, b"") if b"first users" in posted.data else None

    gates = Gates(Web(reply).session)
    gates.start([gate()], QUESTION, NOW)
    await Settled()
    assert gates.said["load"].said == PASS
    gates.start([gate()], msgspec.structs.replace(QUESTION, stage="ramp"), NOW + 1)
    await Settled()
    assert gates.said == {}
    gates.start([gate()], QUESTION, NOW + 2)
    await Settled()
    assert gates.said["load"].at == NOW + 2, "an answer about a stage that is over is not waited for"
    gates.stop()
