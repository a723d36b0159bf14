"""Who takes part: for each its program, its configuration (a template in peers/) and its command line."""

import importlib.util
import re
import shutil
import string
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
AGAIN = " (again)"
ONE_THREAD = {"GOMAXPROCS": "1"}


@dataclass(frozen=True, slots=True)
class Engine:
    """How one proxy is started. `argv` and `mirror_argv` hold the placeholders that `command` fills in."""

    name: str
    program: str
    argv: tuple[str, ...]
    version_argv: tuple[str, ...]
    version_pattern: str
    mirrors: bool
    template: str | None = None
    mirror_argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            name="shadowproxy",
            program="shadowproxy",
            argv=("{program}", "run", "{config}"),
            version_argv=("{python}", "-c", "import shadowproxy; print(shadowproxy.__version__)"),
            version_pattern=r"(\S+)",
            mirrors=True,
            template="shadowproxy.yaml",
        ),
        Engine(
            name="haproxy",
            program="haproxy",
            argv=("{program}", "-db", "-f", "{config}"),
            version_argv=("{program}", "-v"),
            version_pattern=r"version (\d[\d.]*)",
            mirrors=False,
            template="haproxy.cfg",
        ),
        Engine(
            name="nginx",
            program="nginx",
            argv=("{program}", "-e", "stderr", "-p", "{dir}", "-c", "{config}"),
            version_argv=("{program}", "-v"),
            version_pattern=r"nginx/(\S+)",
            mirrors=True,
            template="nginx.conf",
        ),
        Engine(
            name="envoy",
            program="envoy",
            argv=("{program}", "-c", "{config}", "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"),
            version_argv=("{program}", "--version"),
            version_pattern=r"/(\d+\.\d+\.\d+)/",
            mirrors=True,
            template="envoy.yaml",
        ),
        Engine(
            name="traefik",
            program="traefik",
            argv=(
                "{program}",
                "--entrypoints.in.address=127.0.0.1:{port}",
                "--providers.file.filename={config}",
                "--providers.file.watch=false",
                "--log.level=ERROR",
                "--global.checknewversion=false",
                "--global.sendanonymoususage=false",
            ),
            version_argv=("{program}", "version"),
            version_pattern=r"Version:\s+(\S+)",
            mirrors=True,
            template="traefik.yaml",
            env=ONE_THREAD,
        ),
        Engine(
            name="caddy",
            program="caddy",
            argv=("{program}", "run", "--config", "{config}", "--adapter", "caddyfile"),
            version_argv=("{program}", "version"),
            version_pattern=r"v(\S+)",
            mirrors=False,
            template="Caddyfile",
            env={**ONE_THREAD, "XDG_DATA_HOME": "{dir}", "XDG_CONFIG_HOME": "{dir}"},
        ),
        Engine(
            name="aiohttp",
            program="python",
            argv=("{program}", str(PEERS / "aiohttp_proxy.py"), "--port", "{port}", "--primary", "{primary}"),
            mirror_argv=("--candidate", "{candidate}"),
            version_argv=("{python}", "-c", "import aiohttp; print(aiohttp.__version__)"),
            version_pattern=r"(\S+)",
            mirrors=True,
        ),
    )
}


class _Template(string.Template):
    delimiter = "@"


def render(template: str, *, mirror: bool, values: Mapping[str, object]) -> str:
    """Fill in `@{name}` and switch on the lines marked `#mirror:` or, where nothing is mirrored, `#forward:`.

    Raises KeyError for a placeholder without a value.
    """
    wanted = "mirror" if mirror else "forward"
    lines = (re.sub(rf"^(\s*)#{wanted}:", r"\1", line) for line in template.splitlines())
    kept = (line for line in lines if not re.match(r"\s*#(mirror|forward):", line))
    return _Template("\n".join(kept) + "\n").substitute(values)


def program(engine: Engine) -> str | None:
    """The path of the engine's program, or None when it is not installed here."""
    if engine.program == "python":
        return sys.executable
    if engine.program == "envoy" and (package := importlib.util.find_spec("envoy")) and package.origin:
        # The command that the package installs is a Python script around this; CPU and memory are to be Envoy's alone.
        return str(Path(package.origin).parent / "_bin" / "envoy")
    beside = Path(sys.executable).parent / engine.program
    return (
        str(beside)
        if beside.exists()
        else shutil.which(engine.program, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    )


def command(engine: Engine, *, mirror: bool, values: Mapping[str, object]) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment to start the engine with; its configuration is written beside."""
    known = {**values, "program": program(engine), "python": sys.executable}
    if engine.template:
        config = Path(str(values["dir"])) / engine.template
        config.write_text(render((PEERS / engine.template).read_text(), mirror=mirror, values=values))
        known["config"] = config
    parts = engine.argv + (engine.mirror_argv if mirror else ())
    return [part.format_map(known) for part in parts], {
        name: text.format_map(known) for name, text in engine.env.items()
    }


def version(engine: Engine) -> str | None:
    """The version the program states, or None where it is not installed."""
    path = program(engine)
    if path is None:
        return None
    argv = [part.format(program=path, python=sys.executable) for part in engine.version_argv]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    found = re.search(engine.version_pattern, done.stdout + done.stderr)
    return found[1] if found else None


def engine_of(contestant: str) -> Engine:
    """The engine behind a contestant's name: the second entry of the A/A line is the first one's engine."""
    return ENGINES[contestant.removesuffix(AGAIN)]
