"""Clients as users have them: curl, Node's fetch, and a bare socket for what no client would send."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
from contextlib import closing
from dataclasses import dataclass

from tests.e2e.ports import HOST


@dataclass(frozen=True)
class Reply:
    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def field(self, name: str) -> str | None:
        """The first value of a field, by its lower-case name."""
        return next((value for key, value in self.fields if key.lower() == name), None)


def curl(url: str, *options: str, body: bytes | None = None) -> Reply:
    """One request with curl; bodies stay as they came. Raises CalledProcessError where curl is not satisfied."""
    if body is not None:
        options = (*options, "--data-binary", "@-")
    run = subprocess.run(
        ["curl", "--silent", "--show-error", "--include", "--max-time", "30", *options, url],
        input=body,
        capture_output=True,
        check=True,
    )
    rest, head = run.stdout, b"HTTP/1.1 100"
    while head.startswith(b"HTTP/1.1 1"):
        head, _, rest = rest.partition(b"\r\n\r\n")
    line, *rows = head.decode("latin-1").split("\r\n")
    fields = [(name, value.strip()) for name, _, value in (row.partition(":") for row in rows)]
    return Reply(int(line.split(" ")[1]), fields, rest)


_FETCH = """
const {url, options, times} = JSON.parse(require('fs').readFileSync(0));
(async () => {
  const replies = [];
  for (let i = 0; i < times; i++) {
    const r = await fetch(url, options);
    replies.push([r.status, [...r.headers], Buffer.from(await r.arrayBuffer()).toString('base64')]);
  }
  console.log(JSON.stringify(replies));
})();
"""


def node_fetch(url: str, times: int = 1, **options: object) -> list[Reply]:
    """The same request `times` times with Node's fetch; `options` are fetch's own."""
    run = subprocess.run(
        ["node", "-e", _FETCH],
        input=json.dumps({"url": url, "options": options, "times": times}).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    return [Reply(status, fields, base64.b64decode(body)) for status, fields, body in json.loads(run.stdout)]


def send_raw(port: int, data: bytes, seconds: float = 10.0, half_close: bool = False) -> bytes:
    """Everything that comes back until the other side closes.

    A reset ends it as a close does: what had arrived counts. Raises TimeoutError when the connection stays open.
    """
    received = b""
    with closing(socket.create_connection((HOST, port), timeout=seconds)) as connection:
        try:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                received += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
    return received
