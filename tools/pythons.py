"""`make pythons`: the tests that start no processes, with each Python that pyproject.toml claims and that is here.

What is claimed was tried: this and `make dist-check`, which runs the demo with each, are how.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.dist_check import ROOT, claimed, interpreter

OWN: Final = Path(sys.prefix)


def trial(python: str, version: str, arguments: list[str]) -> bool:
    place = OWN / "pythons" / version
    if not (place / "bin/python").exists():
        subprocess.run([python, "-m", "venv", place], check=True)
    subprocess.run([place / "bin/python", "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}[dev]"], check=True)
    if not (place / "reference").exists():
        (place / "reference").symlink_to(OWN / "reference")
    command = [place / "bin/pytest", "-q", "-n", "2", "--ignore", "tests/e2e", *arguments]
    return subprocess.run(command, cwd=ROOT).returncode == 0


def main() -> int:
    good = []
    for version in claimed():
        python = interpreter(version)
        print(f"Python {version}" if python else f"Python {version}: not on this machine", flush=True)
        if python:
            good.append(trial(python, version, sys.argv[1:]))
    return int(not good or not all(good))


if __name__ == "__main__":
    sys.exit(main())
