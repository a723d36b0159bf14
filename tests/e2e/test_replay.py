"""`shadowproxy replay` from beginning to end, against real servers."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shadowproxy.capture import ANSWER, REQUEST, Record, encode_record
from tests.e2e.harness import eventually
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer

SECOND = 1_000_000_000
Upstreams = Callable[[Script], RawUpstream]


def shop(version: int = 1, delay: float = 0.0) -> Script:
    """JSON that says what was asked for; version 2 counts the stock differently."""

    async def script(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            method, target, _ = head.decode("latin-1").split("\r\n")[0].split(" ")
            if delay:
                await asyncio.sleep(delay)
            said = {"method": method, "target": target, "sent": body.decode(), "stock": 5 if version == 1 else "5"}
            await peer.send(answer(json.dumps(said).encode(), Content_Type="application/json"))

    return script


def said(method: str, target: str, body: bytes = b"") -> bytes:
    """What version 1 answers."""
    document = {"method": method, "target": target, "sent": body.decode(), "stock": 5}
    return answer(json.dumps(document).encode(), Content_Type="application/json")


def recording(count: int, answers: bool = False, connection: str = "", gap: int = 0, first: int = 0) -> bytes:
    """Every third request writes; with `connection` they came over three connections of that name."""
    text = b""
    for number in range(first, first + count):
        method, body = ("POST", b"n=%d" % number) if number % 3 == 2 else ("GET", b"")
        head = f"{method} /items/{number} HTTP/1.1\r\nHost: shop.example\r\n"
        if body:
            head += f"Content-Length: {len(body)}\r\n"
        where = f"{connection}{number % 3}" if connection else ""
        at = SECOND + number * gap
        payload = head.encode() + b"\r\n" + body
        text += encode_record(Record(REQUEST, f"r{number}", at, payload, connection=where)) or b""
        if answers:
            reply = said(method, f"/items/{number}", body)
            text += encode_record(Record(ANSWER, f"r{number}", at, reply, 7_000_000)) or b""
    return text


def start(directory: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "shadowproxy.cli", "replay", *map(str, arguments), "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(directory)},
        process_group=0,
    )


def play(directory: Path, *arguments: object) -> tuple[int, dict[str, Any], str]:
    """Exit code, report and what was said on the way. Nothing is left behind in `directory`."""
    directory.mkdir(exist_ok=True)
    with start(directory, *arguments) as process:
        out, err = process.communicate(timeout=60)
    assert list(directory.iterdir()) == []
    return process.returncode, json.loads(out) if out else {}, err


def books(report: dict[str, Any], arm: str = "candidate") -> dict[str, Any]:
    """The sums of all routes."""
    found: dict[str, Any] = {"eligible": 0, "sent": 0, "compared": 0, "dropped": {}, "lost": {}}
    for route in report["services"][0]["routes"]:
        for name, value in route["books"][arm].items():
            if isinstance(found.get(name), int):
                found[name] += value
            elif name in found:
                found[name] |= value
    return found


def whole(count: int) -> dict[str, Any]:
    return {"eligible": count, "sent": count, "compared": count, "dropped": {}, "lost": {}}


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where a replay keeps what it needs for a while."""
    return tmp_path / "scratch"


def test_a_good_candidate_passes_and_every_request_arrives_in_the_order_of_its_connection(
    tmp_path: Path, scratch: Path, upstreams: Upstreams
) -> None:
    seen: list[tuple[str, int]] = []

    def slowly(watched: list[tuple[str, int]]) -> Script:
        async def script(peer: Peer) -> None:
            while True:
                head, body = await peer.request()
                number = int(head.split(b" ")[1].rpartition(b"/")[2])
                watched.append(("begin", number))
                await asyncio.sleep(0.002 * (number % 5))
                watched.append(("end", number))
                await peer.send(said(head.split(b" ")[0].decode(), f"/items/{number}", body))

        return script

    one, two = upstreams(slowly([])), upstreams(slowly(seen))
    path = tmp_path / "a.gor.gz"
    path.write_bytes(gzip.compress(recording(120, connection="c")))
    arms = ("--primary", one.url, "--candidate", two.url)
    code, report, err = play(scratch, path, *arms, "--speed", "max", "--header", "Authorization: Bearer t")
    assert code == 0, err
    assert books(report) == whole(120)
    assert "120/120 sent, 120 answered, 0 differ, 0 failed" in err
    assert report["notes"][0].startswith("120 of 120 recorded requests were sent in ")
    for upstream, marks in ((one, 0), (two, 120)):
        received = upstream.received
        assert received.count(b"\r\nAuthorization: Bearer t\r\n") == 120
        assert received.count(b"\r\nHost: shop.example\r\n") == 120
        assert received.count(b"\r\nX-Request-Id: ") == 120
        assert received.count(b"\r\nX-Shadow-Request: candidate\r\n") == marks
    for connection in range(3):
        mine = [event for event in seen if event[1] % 3 == connection]
        assert mine == [(what, number) for number in range(connection, 120, 3) for what in ("begin", "end")]


def test_a_bad_and_slow_candidate_fails_and_nothing_is_given_up_at_full_speed(
    tmp_path: Path, scratch: Path, upstreams: Upstreams
) -> None:
    path = tmp_path / "a.gor"
    path.write_bytes(recording(600))
    arms = ("--primary", upstreams(shop()).url, "--candidate", upstreams(shop(2, delay=0.1)).url)
    code, report, err = play(scratch, path, *arms, "--speed", "max", "--concurrency", "200")
    assert code == 1, err
    assert books(report) == whole(600)
    fields = {(field["field"], field["kind"]) for field in report["services"][0]["routes"][0]["fields"]}
    assert fields == {("$.stock", "body_type")}
    assert [each["shadow_status"] for each in report["examples"]] == [200] * len(report["examples"])
    assert '"stock": "5"' in report["examples"][0]["shadow_body"]
    assert "600 differ" in err


def har(count: int) -> str:
    """As a browser has it: over HTTP/2, with the fields of encoded bodies and the bodies decoded."""
    entries = [
        {
            "startedDateTime": f"1970-01-01T00:00:02.{number:03}Z",
            "time": 4,
            "request": {"method": "GET", "url": f"https://shop.example/items/{number}", "httpVersion": "h2"},
            "response": {
                "status": 200,
                "headers": [
                    {"name": "content-type", "value": "application/json"},
                    {"name": "content-encoding", "value": "br"},
                ],
                "content": {"text": said("GET", f"/items/{number}").partition(b"\r\n\r\n")[2].decode()},
            },
        }
        for number in range(count)
    ]
    return json.dumps({"log": {"entries": entries}})


def test_without_a_primary_recorded_answers_of_any_format_are_compared_with(
    tmp_path: Path, scratch: Path, upstreams: Upstreams
) -> None:
    for number, first in enumerate((30, 0)):
        (tmp_path / f"a.{number}.gor").write_bytes(recording(30, answers=True, first=first, gap=1000))
    (tmp_path / "a.har").write_text(har(40))
    pattern = tmp_path / "a.*"
    code, report, err = play(scratch, pattern, "--candidate", upstreams(shop()).url, "--rate", "500/s")
    assert code == 0, err
    assert books(report) == whole(100)
    assert report["services"][0]["upstreams"]["primary"] == [f"recorded in {pattern}"]


def test_rules_of_a_configuration_hold(tmp_path: Path, scratch: Path, upstreams: Upstreams) -> None:
    path, config = tmp_path / "a.gor", tmp_path / "shadowproxy.yaml"
    path.write_bytes(recording(60) + b"1 bad %d\nGET / HTTP/1.1\r\n\r\n" % (2 * SECOND) + "\n🐵🙈🙉\n1 cut".encode())
    config.write_text(
        """
        upstreams: {primary: {urls: [http://127.0.0.1:1]}, candidate: {urls: [http://127.0.0.1:1]}}
        shadow: {sample: 1%}
        compare: {ignore: ["$.stock"]}
        routes: [{name: item, match: {path: "/items/{id}", methods: [GET]}}]
        """
    )
    arms = ("--primary", upstreams(shop()).url, "--candidate", upstreams(shop(2)).url)
    # Not by latency: on a busy machine either of two shops is the slower one.
    judged = ("--fail-on", "fields,errors,failures")
    code, report, err = play(scratch, path, *arms, "--config", config, "--speed", "max", *judged)
    assert code == 0, (err, report["conclusion"])
    assert books(report) == whole(60)
    routes = {route["name"]: route["verdicts"]["candidate"] for route in report["services"][0]["routes"]}
    assert (routes["item"]["ignored"], routes["other"]["ignored"]) == (40, 20)
    assert "not sent: 1 host; request 61: host: an HTTP/1.1 request needs a Host field" in report["notes"]
    assert f"{path}: the last record, of 5 bytes, has no end and was left out" in report["notes"]


def test_a_signal_ends_the_sending_and_what_was_compared_is_reported(
    tmp_path: Path, scratch: Path, upstreams: Upstreams
) -> None:
    path = tmp_path / "a.gor"
    path.write_bytes(recording(2000, gap=SECOND // 100))
    one, two = upstreams(shop()), upstreams(shop())
    scratch.mkdir()
    with start(scratch, path, "--primary", one.url, "--candidate", two.url) as process:
        eventually(lambda: two.received.count(b"X-Shadow-Request") >= 60)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    report = json.loads(out)
    assert process.returncode == 0
    count = books(report)["compared"]
    assert 60 <= count < 2000
    assert books(report) == whole(count)
    assert report["notes"][0].startswith(f"stopped early: {count:,} of 2,000 recorded requests were sent in ")
    assert list(scratch.iterdir()) == []
