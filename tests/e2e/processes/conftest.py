"""A supervisor with stub roles, started and stopped by a fixture."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import nursery
from tests.e2e.harness import eventually, get


@dataclass
class Tree:
    """A running supervisor. `launch` is written as JSON; port 0 is used everywhere and read from the log."""

    directory: Path
    process: nursery.Child
    seen: set[int] = field(default_factory=set)

    @property
    def config(self) -> Path:
        return self.directory / "config.json"

    def log(self) -> list[dict[str, Any]]:
        lines = (self.directory / "log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if line["event"] == event]

    @property
    def addresses(self) -> dict[str, Any]:
        return self.logged("shadowproxy serves")[0]

    @property
    def url(self) -> str:
        return self.addresses["listen"][0]

    def about(self) -> dict[str, Any]:
        """What one worker says about itself."""
        return json.loads(get(self.url + "/")[1])

    def abouts(self, count: int) -> dict[int, dict[str, Any]]:
        """What every worker says, by slot."""
        found: dict[int, dict[str, Any]] = {}

        def complete() -> bool:
            about = self.about()
            found[about["slot"]] = about
            return len(found) >= count

        eventually(complete)
        return found

    def probe(self, path: str) -> tuple[int, str]:
        status, body = get(self.addresses["probe"] + path)
        return status, body.decode().strip()

    def children(self, role: str = "") -> list[int]:
        """Pids of the living children, of one role by its process name's beginning."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parent = path.joinpath("stat").read_text().rpartition(")")[2].split()
                comm = path.joinpath("comm").read_text().strip()
                if int(parent[1]) == self.process.pid and parent[0] != "Z":
                    self.seen.add(int(path.name))
                    if comm.startswith(f"shadowproxy:{role}"):
                        found.append(int(path.name))
        return sorted(found)

    def notes(self, role: str) -> list[str]:
        path = self.directory / "data" / f"{role}.notes"
        return path.read_text().splitlines() if path.exists() else []

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 10.0) -> int:
        return self.process.wait(seconds)

    def survivors(self) -> list[int]:
        """Children once seen that are still there."""
        found = []
        for pid in self.seen:
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text()
                if "shadowproxy" in fields and fields.rpartition(")")[2].split()[0] != "Z":
                    found.append(pid)
        return found

    def rewrite(self, **document: Any) -> None:
        self.config.write_text(json.dumps(document))


Starter = Callable[..., Tree]


def launch(directory: Path, **more: Any) -> dict[str, Any]:
    local = {"host": "127.0.0.1", "port": 0}
    return {
        "listen": [local],
        "admin": {"bind": local},
        "probe": local,
        "data_dir": str(directory / "data"),
        "drain_timeout": 1.0,
        "log_format": "json",
        **more,
    }


@pytest.fixture
def trees(tmp_path: Path, short: Path) -> Generator[Starter, None, None]:
    """`trees(workers=2, document={…}, ready=False)`: further arguments go into `launch`."""
    started: list[Tree] = []

    def start(document: dict[str, Any] | None = None, ready: bool = True, **more: Any) -> Tree:
        directory = tmp_path / f"tree{len(started)}"
        directory.mkdir()
        (directory / "config.json").write_text(json.dumps(document or {"launch": launch(directory, **more)}))
        with (directory / "log").open("wb") as log:
            process = nursery.fork(
                "tests.e2e.processes.stubs",
                [json.dumps({"config": str(directory / "config.json")})],
                cwd=Path(__file__).parents[3],
                env=os.environ | {"TMPDIR": str(short)},
                output=log,
            )
        tree = Tree(directory, process)
        started.append(tree)
        if ready:
            eventually(lambda: tree.logged("shadowproxy serves"), says=(directory / "log").read_text)
        return tree

    yield start
    for tree in started:
        tree.children()
        if tree.process.poll() is None:
            tree.process.kill()
        tree.process.wait()
        for pid in tree.survivors():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
