"""`shadowproxy demo` from beginning to end: faults are found, users go where they should, nothing stays behind."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from shadowproxy.demo import stage as scenery
from shadowproxy.demo.run import Options, run
from shadowproxy.demo.shop import LATE_FAULTS
from shadowproxy.demo.traffic import Request, drive
from shadowproxy.demo.walk import CHECKS
from tests.e2e.harness import eventually
from tests.e2e.ports import HOST
from tests.e2e.talk import DisturbedError, until_calm
from tests.e2e.upstreams import Peer, RawUpstream, answer

FAULTS = {"changed type", "lost field", "changed value", "slow route", "server error"}


@pytest.fixture
def scratch(short: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo makes its directory."""
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    monkeypatch.setenv("TMPDIR", str(short))
    return short


def backends(scratch: Path) -> set[int]:
    """Pids of the backends of the demo whose directory is here; others may run one as well."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command, environment = (process.joinpath(name).read_bytes() for name in ("cmdline", "environ"))
            if b"shadowproxy.demo.backend" in command and f"TMPDIR={scratch}".encode() in environment.split(b"\0"):
                found.add(int(process.name))
    return found


def undisturbed(report: str) -> str:
    """The report of a demo whose copies were all compared. Raises DisturbedError where some were shed."""
    if "overload" in report:
        raise DisturbedError("copies were shed: the machine is too busy")
    return report


@pytest.mark.alone
@until_calm
def test_every_seeded_fault_is_found_then_users_go_over_and_nothing_is_left(scratch: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    code = run(Options(requests=2000, seconds=6.0, bake=2.0), out, err)
    text = undisturbed(out.getvalue())
    assert code == 0, text + err.getvalue()
    assert "5 of 5 seeded faults found." in text
    assert "2,000 requests answered (2,000 by shop/1), 0 without a whole answer" in text
    walked = ["running mirror 0%", "running first users 10%", "running ramp 25%", "ramp 50%", "ramp 95%", "promoted"]
    assert [each for each in walked if each in text] == walked, text
    assert "Version 3 took all users over" in text
    assert "admin API: http://127.0.0.1:" in text
    assert "2000/2000 requests" in err.getvalue()
    assert list(scratch.iterdir()) == []
    assert backends(scratch) == set()


@pytest.mark.alone
def test_as_json_the_report_carries_the_faults(scratch: Path) -> None:
    out = io.StringIO()
    run(Options(requests=300, seconds=1.0, output="json", rollout=False), out, io.StringIO())
    document = json.loads(out.getvalue())
    assert {fault["name"] for fault in document["faults"]} == FAULTS
    assert document["services"][0]["name"] == "shop"
    assert sum(route["requests"] for route in document["services"][0]["routes"]) == 300


@pytest.mark.alone
def test_each_late_fault_sends_users_back(scratch: Path) -> None:
    """Side by side, as a user starts them."""
    command = [sys.executable, "-m", "shadowproxy.cli", "demo", "-o", "json", "--bake", "2s", "--requests", "1500"]
    with ExitStack() as stack:
        demos = {
            fault: stack.enter_context(
                subprocess.Popen(
                    [*command, "--fault", fault], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
            )
            for fault in LATE_FAULTS
        }
        said = {fault: demo.communicate(timeout=100) for fault, demo in demos.items()}
    for fault, (out, err) in said.items():
        document = json.loads(out)
        rollout = document["rollout"]
        assert (demos[fault].returncode, rollout["phase"], rollout["weight"]) == (0, "rolled_back", 0.0), err
        assert [(each["name"], each["found"]) for each in document["faults"]] == [(fault, True)]
        assert f"rolled back: {CHECKS[fault]}" in rollout["why"]
        assert "running · first users · 10% to the candidate" in err
    assert list(scratch.iterdir()) == []


def test_a_proxy_that_does_not_come_up_is_one_line_and_the_end_of_its_log(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenery, "configuration", lambda *addresses: "listen: [nonsense\n")
    out, err = io.StringIO(), io.StringIO()
    assert run(Options(requests=10, seconds=1.0), out, err) == 1
    first, *tail = err.getvalue().splitlines()
    assert first == "shadowproxy demo: the proxy did not come up; the end of its log:"
    assert any("shadowproxy.yaml:" in line for line in tail)
    assert out.getvalue() == ""
    assert list(scratch.iterdir()) == []


async def test_a_broken_answer_is_counted_and_the_next_request_gets_a_new_connection() -> None:
    replies = iter([answer(b"a", Server="one"), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"", b"junk"])

    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(next(replies, answer(b"b", Server="two", Connection="close")))

    with RawUpstream(once).running() as upstream:
        requests = [Request("GET", f"/{index}", "agent") for index in range(60)]
        outcome = await drive(requests, HOST, upstream.port, 0.1, lambda done: None)
    # Three answers that are not whole, and perhaps a request on the connection that closed without a word of it.
    assert outcome.broken in {3, 4}
    assert outcome.answered == outcome.statuses[200] == 60 - outcome.broken
    assert set(outcome.servers) == {"one", "two"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_mid_traffic_stops_everything(scratch: Path, number: signal.Signals, code: int) -> None:
    command = [sys.executable, "-m", "shadowproxy.cli", "demo", "--duration", "60s"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
    assert demo.stderr
    assert b"version 1 and version 2" in demo.stderr.readline()
    assert len(backends(scratch)) == 3
    demo.send_signal(number)
    _, rest = demo.communicate(timeout=30)
    assert demo.returncode == code, rest.decode()
    assert b"Traceback" not in rest
    assert list(scratch.iterdir()) == []
    eventually(lambda: not backends(scratch), 5.0, "the backends have ended")


@pytest.mark.alone
@until_calm
def test_kept_it_runs_until_it_is_told_to_end(scratch: Path) -> None:
    command = [sys.executable, "-m", "shadowproxy.cli", "demo", "--keep", "--no-rollout"]
    command += ["--duration", "2s", "--requests", "1000"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)
    assert demo.stderr
    while "keeps running" not in (line := demo.stderr.readline()):
        assert line, "the demo ended by itself"
    demo.send_signal(signal.SIGINT)
    out, _ = demo.communicate(timeout=30)
    assert "5 of 5 seeded faults found." in undisturbed(out)
    assert demo.returncode == 0
    assert list(scratch.iterdir()) == []
