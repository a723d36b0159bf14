"""Pictures of the dashboard for the documents: `make screenshots` writes docs/images/*.png.

Two versions of the demo's shop, the proxy in front of them, live traffic, a rollout that is carried to its first users.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import sync_playwright

from shadowproxy.demo.shop import ROUTES
from shadowproxy.demo.traffic import drive, plan

ROOT: Final = Path(__file__).parents[1]
IMAGES: Final = ROOT / "docs" / "images"
TRAFFIC, ADMIN, PROBE = 18080, 19900, 19901
SHOTS: Final = (
    ("overview", "overview", {"width": 1280, "height": 1000}, "light"),
    ("rollout", "rollout", {"width": 1280, "height": 1500}, "light"),
    ("differences", "differences", {"width": 1280, "height": 700}, "light"),
    ("cause", "differences/{cause}", {"width": 1280, "height": 1500}, "light"),
    ("flags", "flags", {"width": 1280, "height": 700}, "light"),
    ("freezes", "freezes", {"width": 1280, "height": 900}, "light"),
    ("audit", "audit", {"width": 1280, "height": 700}, "light"),
    ("phone", "overview", {"width": 360, "height": 760}, "dark"),
)
BROWSER: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
)


def configuration(one: str, two: str, again: str) -> dict[str, Any]:
    methods = {"checkout": ["POST"], "cart": ["POST"]}
    match = [{"path": path, **({"methods": methods[name]} if name in methods else {})} for name, path in ROUTES]
    return {
        "listen": f"127.0.0.1:{TRAFFIC}",
        "admin": {"listen": f"127.0.0.1:{ADMIN}"},
        "probe": {"listen": f"127.0.0.1:{PROBE}"},
        "drain": {"timeout": "2s"},
        "service": "shop",
        "upstreams": {
            arm: {"urls": [f"http://127.0.0.1:{port}"]}
            for arm, port in zip(("primary", "candidate", "secondary"), (one, two, again), strict=True)
        },
        "version": {"header": "server"},
        "flags": {"file": "flags.json", "context": {"email": "header:x-email"}},
        "freeze": [
            {
                "name": "weekend",
                "cron": "0 16 * * FRI",
                "duration": "64h",
                "zone": "Europe/Berlin",
                "reason": "nobody is here",
            },
            {"name": "office hours", "kind": "allow", "cron": "0 9 * * 1-5", "duration": "8h", "classes": ["fix"]},
        ],
        "rollout": {
            "name": "shop-2",
            "warmup": "1s",
            "checks": [
                {"check": "error_rate", "mode": "observe"},
                {"check": "latency_p99", "mode": "observe"},
                {"check": "regressed_fields", "mode": "observe"},
            ],
            "stages": [
                {"name": "mirror", "shadow": {"sample": "100%"}, "bake": {"for": "10s", "requests": 200}},
                {"name": "go", "approve": {"timeout": "12h"}},
                {"name": "first users", "canary": {"weight": "10%"}, "bake": {"for": "1h", "requests": 5000}},
                {"flag": {"flag": "new-checkout", "variant": "on", "weights": ["10%", "100%"], "bake": {"for": "30m"}}},
                {"name": "ramp", "progressive": {"weights": ["25%", "50%", "100%"]}, "bake": {"for": "30m"}},
            ],
        },
        "routes": [{"name": name, "match": each} for (name, _), each in zip(ROUTES, match, strict=True)],
    }


@contextmanager
def backend(version: int) -> Generator[str, None, None]:
    command = [sys.executable, "-m", "shadowproxy.demo.backend", str(version)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        yield child.stdout.readline().strip() if child.stdout else ""
        child.terminate()


@contextmanager
def proxy(directory: Path, config: dict[str, Any]) -> Generator[None, None, None]:
    shutil.copy(ROOT / "config" / "flags.json", directory)
    (directory / "shadowproxy.yaml").write_text(json.dumps(config))
    command = [sys.executable, "-m", "shadowproxy.cli", "run", "shadowproxy.yaml"]
    with subprocess.Popen(command, cwd=directory, stderr=subprocess.DEVNULL) as child:
        until(lambda: ask("status")["ready"])
        yield
        child.terminate()


class Quiet:
    """Nobody looks at how far it is."""

    def __call__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Quiet:
        return self


def traffic(stopped: threading.Event) -> None:
    while not stopped.is_set():
        asyncio.run(drive(plan(500), "127.0.0.1", TRAFFIC, 10.0, Quiet()))  # type: ignore[arg-type]


def ask(path: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{ADMIN}/api/v1/{path}", data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read())


def until(question: Any, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := question():
                return found
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.3)
    raise SystemExit("it takes too long")


def shoot() -> None:
    cause = until(lambda: ask("causes")["items"])[0]["id"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(BROWSER))
        for name, page, size, scheme in SHOTS:
            context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
            tab = context.new_page()
            tab.goto(f"http://127.0.0.1:{ADMIN}/#/{page.format(cause=cause)}")
            tab.wait_for_timeout(2500)
            tab.screenshot(path=IMAGES / f"{name}.png")
            context.close()
        browser.close()


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = [stack.enter_context(backend(version)) for version in (1, 2, 1)]
        stack.enter_context(proxy(directory, configuration(*ports)))
        stopped = threading.Event()
        users = threading.Thread(target=traffic, args=(stopped,), daemon=True)
        users.start()
        try:
            ask("rollout/start", {"reason": "release 2"})
            ask("flags/ramp", {"flag": "banner", "variant": "winter", "share": "25%", "reason": "the sale begins"})
            until(lambda: any(hold["reason"] == "approval" for hold in ask("rollout")["holds"]))
            ask("rollout/approve", {"reason": "looks as expected"})
            time.sleep(45)
            shoot()
        finally:
            stopped.set()
            users.join()


if __name__ == "__main__":
    main()
