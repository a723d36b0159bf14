"""`make dist-check`: the wheel in dist/ runs the demo in an empty environment, with each Python found here.

A Python that pyproject.toml claims and this machine has not is said so, and is no failure: only one that was tried
and did not work is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
CLAIM: Final = re.compile(r"Programming Language :: Python :: (3\.\d+)")
DEMO: Final = ("demo", "--no-rollout")


def claimed() -> list[str]:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    return [found[1] for each in classifiers if (found := CLAIM.fullmatch(each))]


def interpreter(version: str) -> str | None:
    """On the path, or among pyenv's."""
    places = [f"python{version}", *map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python3")))]
    return next((path for name in places if (path := shutil.which(name)) and _works(path, version)), None)


def _works(path: str, version: str) -> bool:
    said = subprocess.run([path, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"], capture_output=True)
    return said.stdout.decode().strip() == version


def wheel() -> Path:
    found = sorted((ROOT / "dist").glob("shadowproxy-*.whl"))
    if len(found) != 1:
        sys.exit(f"make dist-check: one wheel is expected in dist/, there are {len(found)}: make dist")
    return found[0]


def trial(python: str, package: Path) -> bool:
    """Elsewhere than in the checkout, so that nothing of it is imported; no variable of ours helps."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SHADOWPROXY"))}
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([python, "-m", "venv", f"{place}/env"], check=True)
        subprocess.run([f"{place}/env/bin/python", "-m", "pip", "install", "--quiet", package], check=True)
        done = subprocess.run([f"{place}/env/bin/shadowproxy", *DEMO], cwd=place, env=environment, capture_output=True)
    said = done.stdout.decode().splitlines()
    print(f"    {next((line for line in said if 'seeded faults' in line), 'no verdict')} (exit code {done.returncode})")
    if done.returncode:
        sys.stderr.buffer.write(done.stdout[-3000:] + done.stderr[-3000:])
    return done.returncode == 0


def main() -> int:
    package = wheel()
    good = []
    for version in claimed():
        python = interpreter(version)
        print(f"Python {version}: {package.name}" if python else f"Python {version}: not on this machine", flush=True)
        if python:
            good.append(trial(python, package))
    return int(not good or not all(good))


if __name__ == "__main__":
    sys.exit(main())
