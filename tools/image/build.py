"""Runs the steps of a Dockerfile in plain directories, one for each stage.

The first stage's base image is made from Debian's archive and this machine's Python of the same minor version, moved to
where the official image has it: same distribution, same layout, without the engine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.dist_check import interpreter
from tools.image.dockerfile import Stage, copied, variables

RUNTIME: Final = "ca-certificates,libssl3,libsqlite3-0,libffi8,libbz2-1.0,liblzma5,libreadline8,libuuid1,zlib1g"
"""What the official slim image adds to Debian for Python."""
PATH: Final = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSED_ON: Final = re.compile(r"(?i)(pip_(index|extra|default|find)\w*|\w*_proxy)")
"""How this machine reaches its registries. Nothing of it lasts: it is the environment of the steps alone."""
CERTIFICATES: Final = "/run/registries.pem"


class BuildError(Exception):
    pass


def python_of(version: str) -> Path:
    """The prefix of an interpreter of this minor version. Raises BuildError."""
    python = interpreter(version)
    if python is None:
        raise BuildError(f"no Python {version} on this machine: the image's base has one")
    said = subprocess.run(
        [python, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True, check=True
    )
    return Path(said.stdout.strip())


def base(image: str, root: Path) -> None:
    """An official `python:X.Y-slim-SUITE`, near enough: Debian's minimum, Python under /usr/local."""
    found = re.fullmatch(r"python:(\d+\.\d+)-slim-(\w+)", image)
    if found is None:
        raise BuildError(f"FROM {image}: only python:X.Y-slim-SUITE can be made here")
    version, suite = found.groups()
    _run(["debootstrap", "--variant=minbase", f"--include={RUNTIME}", suite, str(root)])
    prefix = python_of(version)
    ignore = shutil.ignore_patterns("__pycache__", "test", "*.a")
    shutil.copytree(prefix / "lib" / f"python{version}", root / "usr/local/lib" / f"python{version}", ignore=ignore)
    shutil.rmtree(root / "usr/local/lib" / f"python{version}" / "site-packages")
    shutil.copy2((prefix / "bin" / f"python{version}").resolve(), root / "usr/local/bin" / f"python{version}")
    for library in (prefix / "lib").glob("libpython3*.so*"):
        shutil.copy2(library, root / "usr/local/lib", follow_symlinks=False)
    for link in ("python3", "python"):
        (root / "usr/local/bin" / link).symlink_to(f"python{version}")
    for file in ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf"):
        if Path(file).exists():
            shutil.copy(file, root / file[1:])
    if certificates := os.environ.get("PIP_CERT"):
        shutil.copy(certificates, root / CERTIFICATES[1:])
    for directory in ("/etc/apt/sources.list.d", "/etc/apt/apt.conf.d"):
        shutil.copytree(directory, root / directory[1:], dirs_exist_ok=True)
    _chroot(root, ["ldconfig"], {}, "/")
    _chroot(root, ["/usr/local/bin/python3", "-m", "ensurepip"], {}, "/")


def build(stages: list[Stage], context: Path, work: Path) -> Path:
    """Runs every step; returns the root of the last stage. Raises BuildError."""
    roots: dict[str, Path] = {}
    for number, stage in enumerate(stages):
        root = work / (stage.name or "image")
        root.mkdir(parents=True)
        if stage.base != "scratch":
            print(f"[{number}] FROM {stage.base}", flush=True)
            base(stage.base, root)
        _stage(stage, context, root, roots)
        roots[stage.name] = root
    return root


def _stage(stage: Stage, context: Path, root: Path, roots: dict[str, Path]) -> None:
    environment: dict[str, str] = {}
    directory = "/"
    for step in stage.steps:
        print(f"    {step.word} {' '.join(step.text.split())[:110]}", flush=True)
        if step.word == "ENV":
            environment.update(variables(step.text))
        elif step.word == "WORKDIR":
            directory = step.text
            (root / directory[1:]).mkdir(parents=True, exist_ok=True)
        elif step.word == "COPY":
            _copy(step.text, context, root, directory, roots)
        else:
            _chroot(root, ["/bin/sh", "-c", step.text], environment, directory)


def _copy(text: str, context: Path, root: Path, directory: str, roots: dict[str, Path]) -> None:
    options, sources, destination = copied(text)
    source_root = roots[options["from"]] if "from" in options else context
    target = root / os.path.normpath(os.path.join(directory, destination)).lstrip("/")  # noqa: PTH118
    for source in sources:
        path = source_root / source.lstrip("/")
        into = target if path.is_dir() or not destination.endswith("/") else target / path.name
        # As an engine has it: the content of a directory, links as links, a stage's files with their owners and modes.
        _run(
            ["cp", "-a", f"{path}/." if path.is_dir() else str(path), str(into)],
            make=into if path.is_dir() else into.parent,
        )
        owner = options.get("chown", "" if "from" in options else "0:0")
        if owner:
            _run(["chown", "-R", owner, str(into)])


def _passed_on() -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}
    return found | ({"PIP_CERT": CERTIFICATES} if "PIP_CERT" in os.environ else {})


def _chroot(root: Path, argv: list[str], environment: dict[str, str], directory: str) -> None:
    script = f'mount -t proc proc "{root}/proc" && mount --rbind /dev "{root}/dev" && exec chroot "{root}" "$@"'
    inside = ["/usr/bin/env", f"--chdir={directory}", *argv]
    _run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *inside],
        env={
            "PATH": PATH,
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            **_passed_on(),
            **environment,
        },
    )


def _run(argv: list[str], make: Path | None = None, env: dict[str, str] | None = None) -> None:
    if make is not None:
        make.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
        raise BuildError(f"exit code {done.returncode}: {' '.join(argv)[:300]}")
