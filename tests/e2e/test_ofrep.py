"""Stock OpenFeature SDKs ask the admin listener, and get what requests carry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.flags import change, section, written
from tests.e2e.harness import Proxy
from tests.e2e.ports import HOST
from tests.e2e.talk import settings
from tests.flags.reference import reference_python

Start = Callable[..., Proxy]
HERE = Path(__file__).parent / "ofrep"
MODULES = Path(sys.prefix) / "sdks" / "node_modules"
TOKENS = [
    {"name": "shop", "role": "evaluator", "token": "asks-for-flags"},
    {"name": "ann", "role": "operator", "token": "may-do-everything"},
]
ANN = {"targetingKey": "ann", "email": "ann@x.com"}


@pytest.fixture
def proxy(proxies: Start, tmp_path: Path) -> Proxy:
    file = written(tmp_path / "flags.json", metadata={"team": "shop"})
    return proxies(settings(f"http://{HOST}:1", flags=section(file)))


def told(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def asked(proxy: Proxy, key: str = "", context: Any = ANN, **headers: str) -> httpx.Response:
    path = f"/ofrep/v1/evaluate/flags{'/' + key if key else ''}"
    return httpx.post(proxy.admin + path, json={"context": context}, headers=headers)


def test_the_python_sdk_gets_every_type(proxy: Proxy) -> None:
    done = subprocess.run(
        [reference_python(), HERE / "sdk.py", proxy.admin, ""], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    said = [(each["value"], each["variant"], each["reason"], each["error"]) for each in told(done.stdout)]
    assert said[:5] == [
        (False, "off", "STATIC", None),
        ("Hallo Welt", "hello", "TARGETING_MATCH", None),
        (3, "low", "STATIC", None),
        (0.5, "half", "STATIC", None),
        ({"columns": 3}, "wide", "STATIC", None),
    ]
    # Version 0.3.0 of the provider expects a variant also where the protocol has none.
    assert [(value, error) for value, _, _, error in said[5:]] == [
        (True, "GENERAL"),
        (7, "TYPE_MISMATCH"),
        (True, "GENERAL"),
    ]


def node(proxy: Proxy, mode: str, token: str = "", **more: Any) -> subprocess.Popen[str]:
    if not MODULES.exists():
        pytest.fail(f"there is no {MODULES}: `make test` makes it")
    command = ["node", str(HERE / "sdk.cjs"), mode, proxy.admin, token]
    env = os.environ | {"NODE_PATH": str(MODULES)}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def test_the_javascript_sdk_for_servers_gets_every_type(proxy: Proxy) -> None:
    output, errors = node(proxy, "server").communicate(timeout=60)
    said = [(each["value"], each.get("variant"), each["reason"]) for each in told(output)]
    assert said == [
        (False, "off", "STATIC"),
        ("Hallo Welt", "hello", "TARGETING_MATCH"),
        (3, "low", "STATIC"),
        ({"columns": 3}, "wide", "STATIC"),
        # Version 0.1.3 of the provider takes an answer without a value for an error; the default is the caller's own.
        (True, None, "ERROR"),
        (True, None, "ERROR"),
    ], errors


def test_the_javascript_sdk_for_pages_hears_of_a_change(proxies: Start, tmp_path: Path) -> None:
    file = written(tmp_path / "flags.json")
    proxy = proxies(settings(f"http://{HOST}:1", flags=section(file), admin={"tokens": TOKENS}))
    page = node(proxy, "web", "asks-for-flags")
    assert page.stdout is not None
    first = json.loads(page.stdout.readline())
    assert (first["ready"]["value"], first["banner"]) == (False, "Hallo Welt")
    began = time.monotonic()
    answer = httpx.post(
        f"{proxy.admin}/api/v1/flags/set",
        json={"flag": "new-checkout", "variant": "on"},
        headers={"Authorization": "Bearer may-do-everything"},
    )
    assert answer.status_code == 200
    second = json.loads(page.stdout.readline())
    assert second["changed"]["value"] is True
    assert time.monotonic() - began < 8, "it did not wait for the next poll"
    _, errors = page.communicate(timeout=30)
    assert page.returncode == 0, errors


def test_one_flag_is_answered_as_the_protocol_says(proxy: Proxy) -> None:
    found = asked(proxy, "banner")
    assert found.json() == {
        "key": "banner",
        "value": "Hallo Welt",
        "reason": "TARGETING_MATCH",
        "variant": "hello",
        "metadata": {"team": "shop"},
    }
    assert asked(proxy, "off").json() == {"key": "off", "reason": "DISABLED", "metadata": {"team": "shop"}}
    assert asked(proxy, "nobody").json()["reason"] == "DEFAULT"
    missing = asked(proxy, "nope")
    assert (missing.status_code, missing.json()["errorCode"]) == (404, "FLAG_NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "PARSE_ERROR"),
        (b"[]", 400, "PARSE_ERROR"),
        (b'{"context": []}', 400, "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 7}}', 400, "INVALID_CONTEXT"),
        (b'{"context": {"a": ' + b"[" * 50 + b"]" * 50 + b"}}", 400, "INVALID_CONTEXT"),
        (b" " * 70_000, 413, "GENERAL"),
    ],
)
def test_a_bad_question_is_refused_as_the_protocol_says(proxy: Proxy, body: bytes, status: int, code: str) -> None:
    url = f"{proxy.admin}/ofrep/v1/evaluate/flags/limit"
    answer = httpx.post(url, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["errorCode"], answer.json()["key"]) == (status, code, "limit")


def test_all_flags_come_once_and_then_not_until_something_changes(proxy: Proxy) -> None:
    first = asked(proxy)
    assert [each["key"] for each in first.json()["flags"]][:2] == ["new-checkout", "banner"]
    assert first.json()["eventStreams"] == [{"type": "sse", "endpoint": {"requestUri": "/ofrep/v1/events"}}]
    etag = first.headers["etag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        again = asked(proxy, **{"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
    assert asked(proxy, context={"email": "eve@y.com"}, **{"If-None-Match": etag}).status_code == 200
    change(proxy, "set", flag="limit", variant="high")
    later = asked(proxy, **{"If-None-Match": etag})
    assert later.status_code == 200
    assert later.headers["etag"] != etag


def test_who_only_asks_for_flags_can_do_nothing_else(proxies: Start, tmp_path: Path) -> None:
    file = written(tmp_path / "flags.json")
    proxy = proxies(settings(f"http://{HOST}:1", flags=section(file), admin={"tokens": TOKENS}))
    assert asked(proxy).status_code == 401
    assert asked(proxy, **{"X-API-Key": "wrong"}).status_code == 401
    assert asked(proxy, **{"X-API-Key": "asks-for-flags"}).status_code == 200
    assert asked(proxy, Authorization="Bearer asks-for-flags").status_code == 200
    for path in ("/api/v1/status", "/api/v1/flags", "/api/v1/session"):
        headers = {"Authorization": "Bearer asks-for-flags", "X-API-Key": "may-do-everything"}
        assert httpx.get(proxy.admin + path, headers=headers).status_code == 403
    stream = asked(proxy, **{"X-API-Key": "asks-for-flags"}).json()["eventStreams"][0]["endpoint"]["requestUri"]
    assert "asks-for-flags" not in stream
    with httpx.stream("GET", proxy.admin + stream) as events:
        assert events.status_code == 200
    assert httpx.get(proxy.admin + stream[:-1] + "x").status_code == 401


def test_too_many_questions_are_told_when_to_come_again(proxies: Start, tmp_path: Path) -> None:
    file = written(tmp_path / "flags.json")
    proxy = proxies(settings(f"http://{HOST}:1", flags=section(file, ofrep={"rate": 2})))
    answers = [asked(proxy, "limit") for _ in range(6)]
    late = [each for each in answers if each.status_code == 429]
    assert late
    assert all(int(each.headers["retry-after"]) >= 1 for each in late)


def test_evaluations_are_counted_without_whose_they_were(proxy: Proxy) -> None:
    asked(proxy, "banner")
    asked(proxy, "banner", {"targetingKey": "somebody-special"})
    counted = proxy.metrics().of("shadowproxy_flag_evaluations_total", "flag", "variant", "reason")
    assert counted == {("banner", "hello", "TARGETING_MATCH"): 1.0, ("banner", "none", "DEFAULT"): 1.0}
    assert "somebody-special" not in httpx.get(f"{proxy.admin}/metrics").text + proxy.tail(10_000)
