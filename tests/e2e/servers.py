"""Real servers to put behind the proxy: nginx and Node, each with a configuration of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import eventually, get
from tests.e2e.ports import HOST, free_port

_NGINX = """
daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/error.log warn; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log {root}/access.log;
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;
  uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;
  default_type application/json; client_max_body_size 0; keepalive_requests 1000000;
  server {{
    listen {host}:{port};
    root {root}/files;
{locations}
    location / {{ try_files $uri $uri/ =404; }}
  }}
}}
"""


@dataclass
class Server:
    """A running server process."""

    port: int
    root: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


@contextmanager
def nginx(root: Path, files: dict[str, str], locations: str = "") -> Generator[Server, None, None]:
    """A real nginx that serves `files` (path to content) and the given `location` blocks."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin") or pytest.fail("nginx is not installed")
    for name, content in files.items():
        path = root / "files" / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    port = free_port()
    (root / "nginx.conf").write_text(_NGINX.format(root=root, host=HOST, port=port, locations=locations))
    command = [program, "-p", str(root), "-c", str(root / "nginx.conf"), "-e", str(root / "error.log")]
    with _process(command, root) as process:
        server = Server(port, root, process)
        eventually(lambda: get(server.url + "/")[0], 10, "nginx answers")
        yield server


@contextmanager
def node(root: Path, source: str) -> Generator[Server, None, None]:
    """A real Node server: `source` is the body of `(request, response) => { … }`."""
    program = shutil.which("node") or pytest.fail("node is not installed")
    root.mkdir(parents=True, exist_ok=True)
    port = free_port()
    script = f"require('http').createServer((request, response) => {{ {source} }}).listen({port}, '{HOST}');"
    with _process([program, "-e", script], root) as process:
        server = Server(port, root, process)
        eventually(lambda: socket.create_connection((HOST, port), 1).close() or True, 10, "node listens")
        yield server


@contextmanager
def _process(command: list[str], root: Path) -> Generator[subprocess.Popen[Any], None, None]:
    with (root / "output.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
