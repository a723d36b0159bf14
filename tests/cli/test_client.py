from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

from shadowproxy.cli.client import ClientError, ask, connection_to, fail, fetch, wants_color


@contextmanager
def answering(listener: socket.socket, answer: bytes) -> Iterator[list[bytes]]:
    """One connection is answered with these bytes; yields what was asked."""
    asked: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            request = connection.recv(65536)
            if request.startswith(b"POST ") and request.endswith(b"\r\n\r\n"):
                request += connection.recv(65536)
            asked.append(request)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    with listener:
        thread.start()
        yield asked
        thread.join(10)


def on_loopback() -> tuple[socket.socket, str]:
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"127.0.0.1:{listener.getsockname()[1]}"


def response(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("127.0.0.1:9900", "127.0.0.1", 9900),
        ("proxy", "proxy", 9900),
        ("[::1]:81", "::1", 81),
        ("http://proxy", "proxy", 80),
        ("https://proxy/", "proxy", 443),
        ("https://proxy:9900", "proxy", 9900),
    ],
)
def test_addresses(address: str, host: str, port: int) -> None:
    connection = connection_to(address)
    assert (connection.host, connection.port) == (host, port)


@pytest.mark.parametrize("address", ["", "a:b", "a:99999", "ftp://a", "http://a/path", "a b", "[::1", "u:p@h:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ClientError, match="is not host:port"):
        connection_to(address)


def test_the_token_and_the_parameters_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # not for us
    listener, address = on_loopback()
    with answering(listener, response(b"{}")) as asked:
        assert fetch(address, "s3cret", "/api/v1/diffs", kind="status", route=None, field="$.a b&c") == b"{}"
    assert asked[0].startswith(b"GET /api/v1/diffs?kind=status&field=%24.a+b%26c HTTP/1.1\r\n")
    assert b"Authorization: Bearer s3cret\r\n" in asked[0]


def test_unix_sockets(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "admin"))
    listener.listen()
    with answering(listener, response(b"hello")) as asked:
        assert fetch(f"unix:{tmp_path}/admin", None, "/") == b"hello"
    assert b"Host: localhost" in asked[0]
    assert b"Authorization" not in asked[0]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            response(b'{"detail": "this token is not known"}', "401 Unauthorized"),
            "this token is not known; see --token",
        ),
        (response(b'{"detail": "there is no service"}', "404 Not Found"), "answers 404: there is no service"),
        (response(b"<h1>\nno</h1>", "502 Bad Gateway"), "answers 502: <h1> no</h1>"),
        (response(b"\xff\xfe", "500 X"), "answers 500: "),
        (response(b"", "500 X"), "answers 500: nothing"),
        (response(b"[]", "500 X"), "answers 500: []"),
        (b"SSH-2.0-OpenSSH\r\n", "no admin API answers"),
        (b"", "no admin API answers"),
    ],
)
def test_anything_but_an_answer_is_explained(answer: bytes, says: str) -> None:
    listener, address = on_loopback()
    with answering(listener, answer), pytest.raises(ClientError) as caught:
        fetch(address, None, "/")
    assert says in str(caught.value)


def test_nobody_there() -> None:
    listener, address = on_loopback()
    listener.close()
    with pytest.raises(ClientError, match="Connection refused; start it with"):
        fetch(address, None, "/")


def test_errors_end_the_command_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    listener, address = on_loopback()
    with answering(listener, response(b'{"a": "x"}')), pytest.raises(typer.Exit) as caught:
        ask(dict[str, int], address, None, "/")
    assert caught.value.exit_code == 2
    with pytest.raises(typer.Exit):
        ask(dict[str, int], "no address", None, "/")
    with pytest.raises(typer.Exit):
        fail("two\nlines")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert "is not the admin API of this version" in said[0]
    assert said[2] == "shadowproxy: two lines"


@pytest.mark.parametrize(
    ("terminal", "environment", "wanted"),
    [(True, {}, True), (False, {}, False), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False)],
)
def test_color(terminal: bool, environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    assert wants_color() is wanted
