"""`python -m tools.image`: build what the Dockerfile describes in a chroot, say how big it is, and try it.

As root on Debian with debootstrap and the image's minor version of Python. Exits 0 when every step works, the files are
at most 150 MiB and every trial is passed.

"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Final

from tools.image.build import BuildError, build
from tools.image.dockerfile import DockerfileError, stages

ROOT: Final = Path(__file__).parents[2]
LIMIT: Final = 150 * 1024 * 1024
MIB: Final = 1024 * 1024


def unpacked(root: Path) -> int:
    """Bytes of all files, as an engine counts them; hard links once."""
    seen: dict[tuple[int, int], int] = {}
    for directory, _, files in os.walk(root):
        for name in files:
            found = Path(directory, name).lstat()
            seen[found.st_dev, found.st_ino] = found.st_size
    return sum(seen.values())


def packed(root: Path) -> int:
    """Bytes of its gzipped tar archive: what a registry hands out."""
    tar = subprocess.Popen(["tar", "--create", "--sort=name", "--directory", root, "."], stdout=subprocess.PIPE)
    assert tar.stdout is not None
    squeeze, total = zlib.compressobj(6), 0
    while block := tar.stdout.read(MIB):
        total += len(squeeze.compress(block))
    tar.wait()
    return total + len(squeeze.flush())


def parts(root: Path) -> list[tuple[str, int]]:
    found = {name: unpacked(root / name) for name in ("opt/shadowproxy", "usr/local", "usr", "var", "etc", "lib")}
    found["usr"] -= found["usr/local"]
    return sorted(found.items(), key=lambda each: -each[1])


def main() -> int:
    file = ROOT / "Dockerfile"
    if os.geteuid() != 0:
        print("python -m tools.image: chroot and mount need root", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="image-") as work:
        try:
            image = build(stages(file.read_text()), ROOT, Path(work))
        except (BuildError, DockerfileError) as error:
            print(f"python -m tools.image: {error}", file=sys.stderr)
            return 1
        size = unpacked(image)
        layer = packed(image) / MIB
        print(f"unpacked {size / MIB:.1f} MiB (at most {LIMIT / MIB:.0f}), as a gzipped layer {layer:.1f} MiB")
        for name, part in parts(image):
            print(f"    {part / MIB:6.1f} MiB  /{name}")
        own = ["unshare", "--mount", "--net", sys.executable, "-m", "tools.image.trial", image, file]
        tried = subprocess.run(own, cwd=ROOT)
        return tried.returncode or int(size > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
