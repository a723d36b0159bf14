"""Commands run in this process, and an admin API that is a table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from shadowproxy.cli import client
from shadowproxy.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the admin API says, by path; `asked` collects the parameters."""
    found: dict[str, Any] = {"asked": []}

    def fetch(admin: str, token: str | None, path: str, **query: object) -> bytes:
        found["asked"].append((admin, token, path, {k: v for k, v in query.items() if v is not None}))
        return msgspec.json.encode(found[path])

    monkeypatch.setattr(client, "fetch", fetch)
    monkeypatch.delenv("SHADOWPROXY_ADMIN", raising=False)
    monkeypatch.delenv("SHADOWPROXY_TOKEN", raising=False)
    return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["shadowproxy", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the admin API answers to changes, by path: a value, or a ClientError; `sent` collects the bodies."""
    found: dict[str, Any] = {"sent": []}

    def send(admin: str, token: str | None, path: str, body: Mapping[str, object]) -> bytes:
        found["sent"].append((path, {key: value for key, value in body.items() if value is not None}))
        if isinstance(found[path], client.ClientError):
            raise found[path]
        return msgspec.json.encode(found[path])

    monkeypatch.setattr(client, "send", send)
    return found
