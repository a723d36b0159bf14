"""Talk to the admin API of a running proxy: the options that say where it is, one GET and one POST.

http.client on purpose: it starts in no time and knows nothing of proxies in the environment.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, NoReturn, Protocol, TypeVar
from urllib.parse import urlencode

import typer

UNREACHABLE: Final = 2
"""Exit code where no answer can be had: 1 and 3 are answers."""
NO: Final = 1
"""Exit code of a command that does not apply to what is so now."""
REFUSED: Final = 409
"""The status that says so."""
TIMEOUT: Final = 10.0

T = TypeVar("T")


class Output(StrEnum):
    text = "text"
    json = "json"


Admin = Annotated[
    str,
    typer.Option("--admin", metavar="ADDR", envvar="SHADOWPROXY_ADMIN", help="host:port, unix:PATH or a URL."),
]
Token = Annotated[
    str | None, typer.Option("--token", envvar="SHADOWPROXY_TOKEN", help="For an admin API that asks for one.")
]
Service = Annotated[str | None, typer.Option("--service", metavar="NAME", help="One of several services.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How the answer is written.")]

Reason = Annotated[str, typer.Option("--reason", "-m", metavar="TEXT", help="Why; it is kept with who and when.")]

DEFAULT_ADMIN: Final = "127.0.0.1:9900"

_ADDRESS: Final = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>\[[0-9a-fA-F:.]+\]|[^\[\]:/?#@\s]+)(?::(?P<port>\d{1,5}))?/?"
)


class ClientError(Exception):
    """No usable answer. The text is one line, for people; `entry` is what a file should have got and did not.

    `status` is that of the answer, 0: there is none; `detail` is what it says.
    """

    def __init__(self, text: str, entry: str = "", status: int = 0, detail: str = "") -> None:
        super().__init__(text)
        self.entry = entry
        self.status = status
        self.detail = detail


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def connection_to(
    address: str, port: int = 9900, timeout: float = TIMEOUT, option: str = "--admin"
) -> http.client.HTTPConnection:
    """A connection, not opened yet; `port` where the address names none.

    Raises ClientError for what is no address, by the name of the `option` that it was given with.
    """
    if address.startswith("unix:"):
        return _UnixConnection(address.removeprefix("unix:"), timeout)
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found["port"] or 0) > 65535:
        raise ClientError(f"{option} {address!r} is not host:port, [v6]:port, unix:PATH or http(s)://host:port")
    host = found["host"].strip("[]")
    if found["scheme"] == "https":
        return http.client.HTTPSConnection(host, int(found["port"] or 443), timeout=timeout)
    number = int(found["port"] or (80 if found["scheme"] else port))
    return http.client.HTTPConnection(host, number, timeout=timeout)


def fetch(admin: str, token: str | None, path: str, **query: object) -> bytes:
    """The body of a 200 answer. Raises ClientError for anything else. Parameters that are None are left out."""
    pairs = {name: value for name, value in query.items() if value is not None}
    return _exchange(admin, token, "GET", path + (f"?{urlencode(pairs)}" if pairs else ""))


def send(admin: str, token: str | None, path: str, body: Mapping[str, object]) -> bytes:
    """POST a change; what is None is left out. Returns the body of a 200 answer. Raises ClientError."""
    given = {name: value for name, value in body.items() if value is not None}
    return _exchange(admin, token, "POST", path, json.dumps(given).encode())


def _exchange(admin: str, token: str | None, method: str, target: str, sent: bytes | None = None) -> bytes:
    headers = authorization(token)
    if sent is not None:
        headers["Content-Type"] = "application/json"
    connection = connection_to(admin)
    try:
        connection.request(method, target, sent, headers)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException, ValueError) as error:
        hint = "start it with `shadowproxy run`, or say where it is with --admin or SHADOWPROXY_ADMIN"
        raise ClientError(f"no admin API answers at {admin}: {reason_of(error)}; {hint}") from error
    finally:
        connection.close()
    if response.status == 200:
        return body
    hint = "; see --token and SHADOWPROXY_TOKEN" if response.status in {401, 403} else ""
    detail, entry = _problem(body)
    raise ClientError(f"{admin} answers {response.status}: {detail}{hint}", entry, response.status, detail)


def authorization(token: str | None) -> dict[str, str]:
    """The field that carries a token; none without one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def reason_of(error: Exception) -> str:
    """Why nobody answers, in as few words as the error has."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _problem(body: bytes) -> tuple[str, str]:
    """What problem details (RFC 9457) say, or the beginning of anything else; and an entry that was not written."""
    try:
        found = json.loads(body)
        return str(found["detail"]), str(found.get("entry", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return " ".join(body[:200].decode(errors="replace").split()) or "nothing", ""


def answer(type_: type[T], admin: str, token: str | None, path: str, **query: object) -> T:
    """An answer, decoded. Raises ClientError."""
    return decode(type_, admin, fetch(admin, token, path, **query))


def told(type_: type[T], admin: str, token: str | None, path: str, body: Mapping[str, object]) -> T:
    """The answer to a change, decoded. Raises ClientError."""
    return decode(type_, admin, send(admin, token, path, body))


def ask(type_: type[T], admin: str, token: str | None, path: str, **query: object) -> tuple[T, bytes]:
    """An answer, decoded and as it came; ends the command with one line where there is none."""
    return _decoded(type_, admin, lambda: fetch(admin, token, path, **query))


def change(type_: type[T], admin: str, token: str | None, path: str, **body: object) -> tuple[T, bytes]:
    """The answer to a change. Where a file could not be written, what it should have got goes to standard output."""
    return _decoded(type_, admin, lambda: send(admin, token, path, body))


def order(
    type_: type[T], admin: str, token: str | None, path: str, body: Mapping[str, object], hint: str = ""
) -> tuple[T, bytes]:
    """The answer to a command. One that does not apply ends with 1 and the sentence that says why.

    `hint` is what can be done where nobody answers.
    """
    try:
        return decode(type_, admin, answer := send(admin, token, path, body)), answer
    except ClientError as error:
        if error.status == REFUSED:
            fail(error.detail, NO)
        fail(str(error) if error.status else f"{error}{hint}")


def _decoded(type_: type[T], admin: str, get: Callable[[], bytes]) -> tuple[T, bytes]:
    try:
        return decode(type_, admin, body := get()), body
    except ClientError as error:
        print(error.entry, end="")
        fail(str(error))


def decode(type_: type[T], admin: str, body: bytes) -> T:
    """Raises ClientError for what is no such answer."""
    import msgspec

    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        other = f"what answers at {admin} is not the admin API of this version of shadowproxy"
        raise ClientError(f"{other}: {error}") from None


class Page(Protocol):
    """Some of what there is."""

    @property
    def items(self) -> Sequence[object]: ...
    @property
    def total(self) -> int: ...
    @property
    def offset(self) -> int: ...


def left_out(page: Page, hint: str) -> Iterator[str]:
    """Where a page ends and there is more: which it is, and after `hint` the option that goes on."""
    last = page.offset + len(page.items)
    if page.items and last < page.total:
        yield f"{page.offset + 1} to {last} of {page.total:,}{hint} with --offset {last}"


def fail(message: str, code: int = UNREACHABLE) -> NoReturn:
    """One line on standard error, and the end."""
    print(f"shadowproxy: {' '.join(message.split())}", file=sys.stderr)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """Indented; bytes are JSON already."""
    import msgspec

    raw = value if isinstance(value, bytes) else msgspec.json.encode(value)
    print(msgspec.json.format(raw, indent=2).decode())


def json_line(value: object) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()


def columns(least: int, most: int, usual: int) -> int:
    """How wide lines may be: as the terminal is, within bounds; where there is none, as usual."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return usual
    return max(least, min(most, shutil.get_terminal_size().columns))


def wants_color() -> bool:
    """Only on a terminal, and not where NO_COLOR (no-color.org) or TERM says otherwise."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
