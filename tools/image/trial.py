"""Tries an image's files as an engine would run them: root read-only, /data and /tmp in memory, uid 10001.

Started by `python -m tools.image` with mounts and a network of its own: `python -m tools.image.trial ROOT DOCKERFILE`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tools.image.dockerfile import Stage, stages

CONFIG: Final = """\
probe: {listen: "0.0.0.0:9901"}
data_dir: /data
upstreams:
  primary: {urls: ["http://127.0.0.1:9001"]}
  candidate: {urls: ["http://127.0.0.1:9002"]}
"""
LIBRARIES: Final = """\
import bz2, ctypes, lzma, sqlite3, ssl, uuid, zlib
print("fine" if ssl.create_default_context().cert_store_stats()["x509_ca"] else "no certificate of an authority")
"""
PATIENCE: Final = 15.0
"""Seconds until it must be ready, and to end in."""


class Trial:
    def __init__(self, root: Path, stage: Stage) -> None:
        self.root = root
        self.stage = stage
        self.failed = False
        user, _, group = stage.settings["USER"].partition(":")
        self._user, self._group = int(user), int(group or user)

    def start(self, argv: list[str]) -> subprocess.Popen[str]:
        environment = self.stage.environment()
        script = 'exec chroot --userspec "$0" "$@"'
        return subprocess.Popen(
            ["sh", "-c", script, f"{self._user}:{self._group}", str(self.root), *self._found(argv)],
            env=environment | {"PATH": f"{environment['PATH']}:/usr/sbin:/usr/bin:/bin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _found(self, argv: list[str]) -> list[str]:
        """chroot looks for a program by this process's PATH: the image's is what counts."""
        places = (Path(place) for place in self.stage.environment()["PATH"].split(":"))
        path = next(place / argv[0] for place in places if (self.root / str(place)[1:] / argv[0]).exists())
        return [str(path), *argv[1:]]

    def run(self, argv: list[str]) -> tuple[int, str]:
        child = self.start(argv)
        said, _ = child.communicate(timeout=120)
        return child.returncode, said

    def say(self, what: str, good: bool, detail: str = "") -> None:
        self.failed |= not good
        print(f"{'ok    ' if good else 'FAILED'} {what}{': ' + detail if detail and not good else ''}", flush=True)

    def serve(self) -> None:
        """ENTRYPOINT and CMD, the health check until it is well, and the stop signal."""
        began = time.monotonic()
        server = self.start([*self.stage.argv("ENTRYPOINT"), *self.stage.argv("CMD")])
        check = self.stage.argv("HEALTHCHECK")
        code, said = 1, "not asked"
        while code and server.poll() is None and time.monotonic() < began + PATIENCE:
            code, said = self.run(check)
        self.say(f"healthy {time.monotonic() - began:.1f} s after the start, by {' '.join(check)}", code == 0, said)
        number = getattr(signal, self.stage.settings["STOPSIGNAL"])
        began = time.monotonic()
        server.send_signal(number)
        try:
            said, _ = server.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            said, _ = server.communicate()
        took = time.monotonic() - began
        self.say(f"{number.name} ends it in {took:.1f} s with code {server.returncode}", server.returncode == 0, said)
        code, said = self.run(check)
        self.say("and then it is not healthy", code == 1, said)

    def demo(self) -> None:
        code, said = self.run(["shadowproxy", "demo", "--no-rollout"])
        faults = [line for line in said.splitlines() if "seeded faults" in line]
        self.say(f"shadowproxy demo: {' '.join(faults) or 'no verdict'}", code == 0, said[-3000:])

    def nothing_else(self) -> None:
        python = ["python3", "-c"]
        for path in ("/file", "/opt/shadowproxy/file", "/usr/local/lib/file", "/etc/shadowproxy/file"):
            code, said = self.run([*python, f"open({path!r}, 'w')"])
            self.say(f"{path} cannot be written", code == 1 and "Read-only file system" in said, said)
        code, said = self.run([*python, "import os; print(os.getuid(), os.getgid(), os.getgroups())"])
        self.say(f"runs as {said.strip()}", said.split()[:2] == [str(self._user), str(self._group)], said)
        code, said = self.run([*python, LIBRARIES])
        self.say("Python has TLS, sqlite and the compressions", said.strip() == "fine", said)
        shells = [
            str(path.relative_to(self.root))
            for path in self.root.glob("**/bin/*")
            if path.name in {"sh", "bash", "pip", "apt"}
        ]
        self.say("no shell, no package manager", not shells, " ".join(shells))


def main() -> int:
    root, stage = Path(sys.argv[1]), stages(Path(sys.argv[2]).read_text())[-1]
    (root / "etc/shadowproxy/config.yaml").write_text(CONFIG)
    trial = Trial(root, stage)
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["mount", "--bind", root, root],
        ["mount", "-o", "remount,bind,ro", root],
        ["mount", "-t", "tmpfs", "-o", f"uid={trial._user},gid={trial._group},mode=0750", "tmpfs", root / "data"],
        ["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", root / "tmp"],
        ["mount", "-t", "proc", "proc", root / "proc"],
        ["mount", "--rbind", "/dev", root / "dev"],
    ):
        subprocess.run(command, check=True)
    trial.nothing_else()
    trial.serve()
    trial.demo()
    return int(trial.failed)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
