"""What a result was taken on, and with which versions."""

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path

from benchmarks.contestants import ENGINES, version

PACKAGES = ("uvloop", "httptools", "msgspec", "aiohttp")


def describe() -> dict[str, str]:
    """The machine and every version, as words."""
    described = {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit(),
        "wrk": _first_match(["wrk", "-v"], r"wrk \S*?(\d\S*)"),
    }
    described |= {name: version(engine) or "not installed" for name, engine in ENGINES.items()}
    for name in PACKAGES:
        try:
            described[name] = package_version(name)
        except PackageNotFoundError:
            described[name] = "not installed"
    return described


def slug(described: dict[str, str]) -> str:
    """A file name's part for the machine: the processor and its cores, no host name."""
    return re.sub(r"[^a-z0-9]+", "-", f"{described['processor']} {described['cores']} cores".lower()).strip("-")


def processor() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.machine()


def commit() -> str:
    return _first_match(["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"], r"(\S+)")


def _first_match(argv: list[str], pattern: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return "unknown"
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "unknown"
