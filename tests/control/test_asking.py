"""Asking the arms for their version. A real server is asked in the e2e tests."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from shadowproxy.control import asking
from shadowproxy.control.asking import MAX_ANSWER, MAX_VERSION, Question, ask, questions, read_version
from shadowproxy.model.policy import Endpoint, Policy, ServicePolicy, UpstreamPolicy, UpstreamTls, VersionPolicy
from shadowproxy.model.rollout import Split

UPSTREAM = UpstreamPolicy((Endpoint("http://a:80"), Endpoint("http://b:80")))


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (b"v1.2.3\n", "v1.2.3"),
        (b"  v1.2.3  \r\nbuilt yesterday", "v1.2.3"),
        (b'{"version": "v2", "commit": "abc"}', "v2"),
        (b'{"version": 17}', "17"),
        (b'{"version": 1.5}', "1.5"),
        (b'{"version": true}', ""),
        (b'{"version": null}', ""),
        (b'{"version": ["v1"]}', ""),
        (b'{"commit": "abc"}', ""),
        (b'{"version": "v2', ""),
        (b'{"a":' + b"[" * 4000, ""),
        (b"", ""),
        (b"\x00\x01", ""),
        (b'{"version": "red\\u001b[31m"}', ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"v" * 500, "v" * MAX_VERSION),
    ],
)
def test_a_version_is_a_member_or_the_first_line(answer: bytes, version: str) -> None:
    assert read_version(answer) == version


def test_every_arm_of_services_that_say_where_is_asked() -> None:
    arms = {"primary": UPSTREAM, "candidate": UPSTREAM}
    policy = Policy(
        (ServicePolicy("shop", 0, arms, version=VersionPolicy(get="/version")), ServicePolicy("mail", 1, arms))
    )
    assert questions(policy) == [
        ("shop", "primary", UPSTREAM, "/version", ""),
        ("shop", "candidate", UPSTREAM, "/version", ""),
    ]


@pytest.mark.parametrize(
    ("split", "asked"),
    [
        (None, []),
        (Split("v2", weight=0.5), []),
        (Split("v2", weight=1.0), []),
        (Split("v2", weight=1.0, leased=False), [("shop", "primary", UPSTREAM, "/", "x-version")]),
        (Split("v2", weight=0.0, leased=False), []),
    ],
)
def test_a_primary_that_no_user_meets_after_a_promotion_is_asked(split: Split | None, asked: list[Question]) -> None:
    arms = {"primary": UPSTREAM, "candidate": UPSTREAM}
    shop = ServicePolicy("shop", 0, arms, version=VersionPolicy(header="x-version"), split=split)
    assert questions(Policy((shop,))) == asked


async def test_a_header_names_the_version_whatever_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    web = Web(monkeypatch)
    web.answers["http://a:80/"] = (404, b"nothing here")
    web.headers = {"x-version": "v2"}
    assert await ask(UPSTREAM, "/", "x-version") == "v2"
    assert await ask(UPSTREAM, "/", "x-other") == ""


class Web:
    """What stands for aiohttp: answers by URL, an exception among them is raised."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: Any) -> None:
        self.answers = {f"http://{host}:80/version": answer for host, answer in answers.items()}
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.connectors: list[Any] = []
        monkeypatch.setattr(asking.aiohttp, "ClientSession", self._session)
        monkeypatch.setattr(asking.aiohttp, "TCPConnector", lambda **settings: settings)
        monkeypatch.setattr(asking.aiohttp, "UnixConnector", lambda path: path)

    def _session(self, connector: Any, **_settings: Any) -> Web:
        self.connectors.append(connector)
        return self

    async def __aenter__(self) -> Web:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def get(self, url: str, **settings: Any) -> Reply:
        self.asked.append((url, settings))
        answer = self.answers.get(url, (404, b""))
        if isinstance(answer, Exception):
            raise answer
        return Reply(self.headers, *answer)


class Reply:
    def __init__(self, headers: dict[str, str], status: int, *pieces: bytes) -> None:
        self.headers = headers
        self.status = status
        self.content = Pieces(pieces)

    async def __aenter__(self) -> Reply:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Pieces:
    """A body as aiohttp hands it out: a plain read ends with the first piece."""

    def __init__(self, pieces: tuple[bytes, ...]) -> None:
        self.pieces = pieces

    async def readexactly(self, size: int) -> bytes:
        whole = b"".join(self.pieces)
        if len(whole) < size:
            raise asyncio.IncompleteReadError(whole, size)
        return whole[:size]


async def test_the_first_url_that_answers_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    web = Web(monkeypatch, a=(200, b"v1\n"), b=(200, b"v2\n"))
    assert await ask(UPSTREAM, "/version") == "v1"
    ((url, settings),) = web.asked
    assert url == "http://a:80/version"
    assert settings["allow_redirects"] is False


@pytest.mark.parametrize(
    "answer",
    [
        (503, b"v9"),
        (302, b"v9"),
        (200, b""),
        OSError("refused"),
        aiohttp.ServerDisconnectedError(),
        TimeoutError(),
        ValueError("no header"),
    ],
)
async def test_a_url_that_does_not_answer_is_passed_over(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    Web(monkeypatch, a=answer, b=(200, b"v2"))
    assert await ask(UPSTREAM, "/version") == "v2"


async def test_when_none_answers_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    Web(monkeypatch, a=OSError("refused"))
    assert await ask(UPSTREAM, "/version") == ""


async def test_an_answer_that_never_comes_is_waited_for_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "WITHIN", 0.0)

    async def never(*_: Any) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(asking, "_ask", never)
    assert await ask(UPSTREAM, "/version") == ""


async def test_an_answer_in_pieces_is_read_whole_and_a_long_one_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    Web(monkeypatch, a=(200, b'{"ver', b'sion": "v3"}'))
    assert await ask(UPSTREAM, "/version") == "v3"
    Web(monkeypatch, a=(200, b"v4\n", b"x" * MAX_ANSWER))
    assert await ask(UPSTREAM, "/version") == "v4"


async def test_a_unix_socket_and_a_server_name_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    web = Web(monkeypatch)
    web.answers["http://localhost/version"] = (200, b"v5")
    local = UpstreamPolicy((Endpoint("unix:/run/app.sock", unix="/run/app.sock"),))
    assert await ask(local, "/version") == "v5"
    assert web.connectors == ["/run/app.sock"]
    web.answers["https://a:443/version"] = (200, b"v6")
    monkeypatch.setattr(asking, "client_context", lambda tls: "context")
    secure = UpstreamPolicy((Endpoint("https://a:443", scheme="https"),), tls=UpstreamTls(server_name="a.example"))
    assert await ask(secure, "/version") == "v6"
    assert web.connectors[-1] == {"ssl": "context"}
    assert web.asked[-1][1]["server_hostname"] == "a.example"
