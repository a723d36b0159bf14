"""Live traffic is captured without its secrets, and gates a candidate when it is replayed."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from shadowproxy.capture import GoReplayReader
from tests.e2e.conftest import Starter
from tests.e2e.harness import HOST, Proxy, eventually, get
from tests.e2e.test_replay import Upstreams, books, play, whole
from tests.e2e.upstreams import Peer, Script, answer

SECRETS = ("hunter2hunter2", "c00kiec00kie", "t0kent0ken", "ada@example.org", "s3ssions3ssion")
COUNT = 60


def shop(version: int = 1) -> Script:
    """Answers with secrets of its own, compressed; version 2 forgets a field."""

    async def script(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            number = head.split(b" ")[1].partition(b"?")[0].rpartition(b"/")[2].decode()
            said: dict[str, Any] = {"id": number, "email": "ada@example.org", "access_token": "t0kent0ken", "stock": 5}
            if version == 2:
                del said["stock"]
            body = gzip.compress(json.dumps(said).encode())
            fields = {
                "Content_Type": "application/json",
                "Content_Encoding": "gzip",
                "Set_Cookie": "sid=s3ssions3ssion",
            }
            await peer.send(answer(body, **fields))

    return script


def visit(proxy: Proxy) -> None:
    """Users with secrets in every place, on two connections that are kept."""
    connections = [http.client.HTTPConnection(HOST, proxy.port, timeout=10) for _ in range(2)]
    for number in range(COUNT):
        connection = connections[number % 2]
        fields = {"Cookie": "sid=c00kiec00kie", "Authorization": "Bearer t0kent0ken"}
        target, body = f"/items/{number}?token=t0kent0ken&lang=de", None
        if number % 3 == 2:
            fields["Content-Type"] = "application/json"
            body = json.dumps({"user": {"password": "hunter2hunter2"}, "n": number})
        connection.request("POST" if body else "GET", target, body, fields)
        response = connection.getresponse()
        assert response.status == 200
        assert b"hunter2" not in response.read()
    for connection in connections:
        connection.close()


@pytest.fixture
def recording(tmp_path: Path, proxies: Starter, upstreams: Upstreams) -> Path:
    """What a proxy without any candidate recorded: `COUNT` requests of users after those that tried whether it does."""
    path = tmp_path / "captures" / "shop.gor"
    proxy = proxies(
        {
            "upstreams": {"primary": {"urls": [upstreams(shop()).url]}},
            "compare": {"redact": ["$.email"]},
            "capture": {"path": str(path)},
        }
    )
    eventually(lambda: get(f"{proxy.url}/items/try")[0] == 200 and path.exists())
    before = proxy.metrics()
    visit(proxy)
    eventually(lambda: (proxy.metrics() - before).total("shadowproxy_captured_total") >= COUNT)
    assert (proxy.metrics() - before).total("shadowproxy_capture_dropped_total") == 0
    return path


def test_captured_traffic_holds_no_secret_and_gates_a_candidate(
    tmp_path: Path, recording: Path, upstreams: Upstreams
) -> None:
    raw = recording.read_bytes()
    assert [secret for secret in SECRETS if secret.encode() in raw] == []
    assert b"gzip" not in raw
    assert stat.S_IMODE(recording.stat().st_mode) == 0o600
    records = GoReplayReader().feed(raw)
    total = len(records) // 2
    assert [record.kind for record in records] == ["1", "2"] * total
    requests = records[-2 * COUNT :: 2]
    assert len({record.connection for record in requests}) == 2
    posted = json.loads(requests[2].payload.partition(b"\r\n\r\n")[2])
    assert re.fullmatch(r"~[0-9a-f]{8}~", posted["user"]["password"])
    assert posted["n"] == 2

    scratch = tmp_path / "scratch"
    good, bad = upstreams(shop()), upstreams(shop(2))
    login = ("--header", "Authorization: Bearer t0kent0ken")
    code, report, err = play(scratch, recording, "--primary", upstreams(shop()).url, "--candidate", good.url, *login)
    assert code == 0, err
    assert books(report) == whole(total)
    assert good.received.count(b"\r\nAuthorization: Bearer t0kent0ken\r\n") == total
    assert good.received.count(b"\r\nX-Forwarded-Proto: http\r\n") == total

    code, report, err = play(scratch, recording, "--candidate", good.url, "--speed", "max")
    assert code == 0, f"{report}{err}"
    assert books(report) == whole(total)
    assert sum(route["verdicts"]["candidate"]["ignored"] for route in report["services"][0]["routes"]) == total

    code, report, err = play(scratch, recording, "--candidate", bad.url, "--speed", "max")
    assert code == 1, err
    routes = report["services"][0]["routes"]
    fields = {(field["field"], field["kind"]) for route in routes for field in route["fields"]}
    assert fields == {("$.stock", "body_missing")}
