"""What a proxy takes before any request: memory by workers and comparers, and seconds until it is ready.

`python -m benchmarks.sizing` takes half a minute and prints the table that is in `docs/sizing.md`.
"""

import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.processes import free_ports, pss_mib, tree

SHAPES = ((1, 1), (2, 1), (4, 2), (8, 4))
"""Workers and comparers."""
ROUNDS = 3
CONFIG = """\
listen: 127.0.0.1:{0}
admin: {{listen: "127.0.0.1:{1}"}}
probe: {{listen: "127.0.0.1:{2}"}}
workers: {workers}
comparers: {comparers}
data_dir: {data}
upstreams:
  primary: {{urls: ["http://127.0.0.1:1"]}}
  candidate: {{urls: ["http://127.0.0.1:2"]}}
"""


def started(workers: int, comparers: int) -> tuple[float, float, int]:
    """Seconds until ready, MiB (proportional set size of the tree), processes."""
    with tempfile.TemporaryDirectory() as place:
        path, ports = Path(place, "c.yaml"), free_ports(3)
        path.write_text(CONFIG.format(*ports, workers=workers, comparers=comparers, data=place))
        began = time.monotonic()
        command = [sys.executable, "-m", "shadowproxy.cli", "run", str(path)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                _wait(f"http://127.0.0.1:{ports[2]}/readyz")
                seconds = time.monotonic() - began
                time.sleep(2.0)  # what is done once after the start is done
                return seconds, pss_mib(process.pid), len(tree(process.pid))
            finally:
                process.send_signal(signal.SIGTERM)


def _wait(url: str) -> None:
    for _ in range(1000):
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.01)
        else:
            return
    raise SystemExit(f"{url} does not answer")


def main() -> None:
    print("| workers | comparers | processes | idle MiB | seconds until ready |")
    print("|---|---|---|---|---|")
    for workers, comparers in SHAPES:
        found = [started(workers, comparers) for _ in range(ROUNDS)]
        seconds, memory = (statistics.median(each[which] for each in found) for which in (0, 1))
        print(f"| {workers} | {comparers} | {found[0][2]} | {memory:.0f} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
