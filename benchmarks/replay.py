"""How fast `shadowproxy replay` is at full speed, and how well it keeps time at 500 requests a second.

Run: `python -m benchmarks.replay`. Both arms are nginx with about 1 KiB of JSON.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.rig import Stand, nginx_arm, standing
from shadowproxy.capture import REQUEST, Record, encode_record

FAST = 30_000
PACED = 5_000
GAP = 2_000_000
"""Nanoseconds between two requests: 500 a second."""
PAYLOAD = (
    b"GET /item HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n"
    b"Accept: application/json\r\nAccept-Language: en, de;q=0.7\r\n\r\n"
)


def record(path: Path, count: int) -> Path:
    path.write_bytes(
        b"".join(encode_record(Record(REQUEST, f"r{n}", 10**18 + n * GAP, PAYLOAD)) or b"" for n in range(count))
    )
    return path


def play(stand: Stand, path: Path, candidate: str, *options: str) -> tuple[list[str], float]:
    """What the report notes, and the processor's seconds of the replay and its comparer."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "shadowproxy.cli", "replay", str(path), "-o", "json", *options),
            *("--primary", f"http://{stand.primary}", "--candidate", f"http://{candidate}"),
        ],
        capture_output=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, stand.proxy_cpus),  # one thread
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout)["notes"], seconds


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        standing(Path(directory)) as stand,
        nginx_arm(stand, "candidate") as (candidate, _),
    ):
        _, idle = play(stand, record(stand.root / "one.gor", 50), candidate, "--speed", "max")
        notes, seconds = play(stand, record(stand.root / "fast.gor", FAST), candidate, "--speed", "max")
        rate = re.search(r"([\d,]+) a second", notes[0])
        each = (seconds - idle) / FAST * 1e6
        print(f"full speed   {rate[1] if rate else '?'} requests/s, {each:.0f} µs of CPU each")
        notes, _ = play(stand, record(stand.root / "paced.gor", PACED), candidate)
        print(f"500 a second {notes[1]}")
    machine = describe()
    print(f"on {machine['processor']}, {machine['cores']} cores, Python {machine['python']}")


if __name__ == "__main__":
    main()
