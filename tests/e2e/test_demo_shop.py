"""`shadowproxy demo-shop`: two versions that listen and users who come, until it is told to end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request

from tests.e2e.ports import HOST, free_ports

COMMAND = (sys.executable, "-m", "shadowproxy.cli", "demo-shop")


def ask(port: int, path: str, data: bytes | None = None) -> dict[str, object]:
    with urllib.request.urlopen(f"http://{HOST}:{port}{path}", data, timeout=10) as answer:
        body: dict[str, object] = json.load(answer)
        return body


def test_two_versions_listen_users_come_and_a_signal_ends_it() -> None:
    one, two = free_ports(2)
    options = ("--primary", f"{HOST}:{one}", "--candidate", f"{HOST}:{two}", "--users", f"{HOST}:{two}")
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        try:
            assert child.stdout
            said = [child.stdout.readline() for _ in range(3)]
            assert said[:2] == [
                f"version 1 of the shop: http://{HOST}:{one}\n",
                f"version 2 of the shop: http://{HOST}:{two}\n",
            ]
            assert isinstance(ask(one, "/items/4")["stock"], int)
            assert isinstance(ask(two, "/items/4")["stock"], str)
            assert ask(two, "/deploy/3", b"") == {"version": 3, "fault": "none"}
            assert isinstance(ask(two, "/items/4")["stock"], int)
            assert "answers: " in child.stdout.readline()
            taken = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60, check=False)
            assert taken.returncode == 1
            assert taken.stderr == (
                f"shadowproxy demo-shop: version 1 cannot listen at {HOST}:{one}: address already in use\n"
            )
        finally:
            child.send_signal(signal.SIGINT)
        assert child.wait(20) == 0


def test_an_address_that_is_none_is_refused_with_what_would_be_right() -> None:
    wrong = subprocess.run([*COMMAND, "--users", "unix:/x"], capture_output=True, text=True, timeout=60, check=False)
    assert wrong.returncode == 2
    assert "--users: write host:port, such as 127.0.0.1:9001" in wrong.stderr
