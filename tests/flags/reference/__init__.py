"""The reference engine, `openfeature-flagd-core`, in a process and an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PYTHON = Path(sys.prefix) / "reference" / "bin" / "python"


def reference_python() -> Path:
    if not PYTHON.exists():
        pytest.fail(f"there is no {PYTHON}: `make test` makes it")
    return PYTHON


class Reference:
    """Asks the engine many things at once."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Each case has `definitions`, `key`, `type`, `context` and, to be timed, `times`."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(cases) + "\n")
        stdin.flush()
        return json.loads(stdout.readline())


@contextmanager
def reference() -> Iterator[Reference]:
    engine = Path(__file__).with_name("engine.py")
    process = subprocess.Popen(
        [reference_python(), engine],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Reference(process)
    finally:
        process.communicate(timeout=10)
