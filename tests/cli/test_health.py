"""What a container's health check prints and how it ends."""

from __future__ import annotations

import socket

import pytest

from shadowproxy.cli import health as module
from shadowproxy.runtime.probe import respond
from tests.cli.conftest import Run
from tests.cli.test_client import answering, on_loopback, response


def test_it_is_well_when_the_listener_says_so(run: Run) -> None:
    listener, address = on_loopback()
    with answering(listener, respond(b"GET /healthz HTTP/1.1\r\n\r\n", lambda: "")) as asked:
        assert run("health", "--probe", address) == (0, "ok\n", "")
    assert asked[0].startswith(b"GET /healthz HTTP/1.1\r\n")


def test_ready_asks_another_question_and_the_reason_is_told(run: Run) -> None:
    listener, address = on_loopback()
    with answering(listener, respond(b"GET /readyz HTTP/1.1\r\n\r\n", lambda: "draining")) as asked:
        code, out, error = run("health", "--ready", "--probe", f"http://{address}")
    assert asked[0].startswith(b"GET /readyz ")
    assert (code, out) == (1, "")
    assert error == f"shadowproxy: http://{address} answers 503: draining\n"


def test_nobody_there(run: Run) -> None:
    listener, address = on_loopback()
    listener.close()
    code, _, error = run("health", "--probe", address)
    assert code == 1
    assert error.startswith(f"shadowproxy: nobody answers at {address}: Connection refused; probe.listen says where")


def test_a_listener_that_says_nothing_is_not_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code, _, error = run("health", "--probe", f"127.0.0.1:{listener.getsockname()[1]}")
    assert (code, "timed out" in error) == (1, True)


def test_what_does_not_speak_http_is_not_well(run: Run) -> None:
    listener, address = on_loopback()
    with answering(listener, b"220 mail.example ESMTP\r\n"):
        assert run("health", "--probe", address)[0] == 1


def test_another_server_is_not_well(run: Run) -> None:
    listener, address = on_loopback()
    with answering(listener, response(b"<h1>hello</h1>", "404 Not Found")):
        assert run("health", "--probe", address)[0] == 1


def test_a_wrong_address_is_a_wrong_command(run: Run) -> None:
    code, _, error = run("health", "--probe", "no address")
    assert code == 2
    assert error.startswith("shadowproxy: --probe 'no address' is not host:port")
