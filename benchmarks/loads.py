"""The two loads: wrk for saturation (closed loop), benchmarks.openloop for percentiles at a fixed rate (open loop)."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WRK_CONNECTIONS = 48
UPLOAD_BYTES = 1 << 20
UPLOAD_SCRIPT = f"""wrk.method = "POST"
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.body = string.rep("x", {UPLOAD_BYTES})
"""


class LoadFailedError(Exception):
    """The generator did not give figures; says what it printed."""


@dataclass(frozen=True, slots=True)
class Saturation:
    """A closed-loop run: requests answered, seconds it took, errors (sockets and statuses other than 2xx and 3xx)."""

    requests: int
    seconds: float
    errors: int

    @property
    def rps(self) -> float:
        return self.requests / self.seconds


ROOT = Path(__file__).parent.parent
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_wrk(text: str) -> Saturation:
    """Read wrk's report. Raises LoadFailedError where its summary line is missing."""
    summary = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m|h),", text)
    if summary is None:
        raise LoadFailedError(f"wrk gave no summary: {text.strip() or 'it printed nothing'}")
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    statuses = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = sum(map(int, sockets.groups())) if sockets else 0
    errors += int(statuses[1]) if statuses else 0
    return Saturation(int(summary[1]), float(summary[2]) * UNITS[summary[3]], errors)


def saturate(
    port: int, path: str, seconds: float, cpus: frozenset[int], connections: int = WRK_CONNECTIONS
) -> Saturation:
    """As many requests as the proxy takes, on `connections` keep-alive connections."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        if path == "/upload":
            script.write(UPLOAD_SCRIPT)
            script.flush()
            argv += ["-s", script.name]
        return parse_wrk(_run([*argv, f"http://127.0.0.1:{port}{path}"], seconds + 30, cpus))


def paced_argv(port: int, rate: float, windows: Sequence[float], seed: int = 1) -> list[str]:
    """The command that asks for /item at `rate` per second through the windows, given in seconds."""
    asked = ["--rate", f"{rate:.0f}", "--seed", str(seed), "--windows", ",".join(f"{seconds:g}" for seconds in windows)]
    return [sys.executable, "-m", "benchmarks.openloop", str(port), *asked]


def parse_paced(text: str) -> list[dict[str, float]]:
    """What each window saw, from openloop's report. Raises LoadFailedError where it is none."""
    try:
        return list(json.loads(text)["windows"])
    except (ValueError, KeyError) as error:
        raise LoadFailedError(f"openloop gave no figures: {text.strip() or 'it printed nothing'}") from error


def paced(
    port: int, rate: float, windows: Sequence[float], cpus: frozenset[int], seed: int = 1
) -> list[dict[str, float]]:
    """Run openloop and wait for it; what each window saw."""
    return parse_paced(_run(paced_argv(port, rate, windows, seed), sum(windows) + 30, cpus))


def _run(argv: list[str], limit: float, cpus: frozenset[int]) -> str:
    pinned = ["taskset", "-c", ",".join(map(str, sorted(cpus))), *argv]
    done = subprocess.run(pinned, capture_output=True, text=True, check=False, timeout=limit, cwd=ROOT)
    if done.returncode != 0:
        raise LoadFailedError(f"{' '.join(argv)} ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
