"""Nothing is possible on the page that is not in the commands, nor the other way: both use the same operations."""

from __future__ import annotations

import re
from pathlib import Path

from shadowproxy.admin.api import OPERATIONS

PACKAGE = Path(__file__).parents[2] / "shadowproxy"
PARTS = re.compile(r"\$?\{[^}]*\}+")
ONLY_PAGES = {
    "/api/v1/session",  # a browser signs in; a command has its token
    "/api/v1/diffs/{id}/bodies",  # a command lays the bodies of an example side by side by itself
    "/api/v1/series",  # the points of charts; Prometheus has them for programs
}
ONLY_PROGRAMS = {"/api/v1/services", "/openapi.json", "/healthz", "/readyz", "/metrics", "/", "/ui/{file:.+}"}
"""For scrapers, probes and generators, or the page itself."""


def named(paths: list[Path]) -> set[str]:
    """The operations whose address stands in these files; a part that is filled in is any."""
    text = re.sub(r"\{quote\([^}]*\)\}", "*", "\n".join(path.read_text() for path in paths))
    found = re.findall(r"[\"'`](/api/v1/[^\"'`?\s]*|rollout/[^\"'`?\s]*|freeze/[^\"'`?\s]*|flags/[^\"'`?\s]*)", text)
    wanted = {PARTS.sub("*", each if each.startswith("/") else f"/api/v1/{each}") for each in found}
    return {endpoint.path for endpoint in OPERATIONS if any(_is(endpoint.path, each) for each in wanted)}


def _is(path: str, wanted: str) -> bool:
    pattern = re.escape(wanted).replace(r"\*", "[^/]+")
    return re.fullmatch(pattern, re.sub(r"\{\w+[^}]*\}", "x", path)) is not None


COMMANDS = named(sorted((PACKAGE / "cli").glob("*.py")))
PAGES = named(sorted((PACKAGE / "admin" / "web").glob("*.js")))


def test_what_the_page_asks_for_the_commands_ask_for() -> None:
    assert PAGES - COMMANDS <= ONLY_PAGES


def test_every_operation_is_in_the_commands() -> None:
    operations = {each.path for each in OPERATIONS if not each.path.startswith("/ofrep/")}
    assert operations - COMMANDS - ONLY_PAGES - ONLY_PROGRAMS == set()


def test_what_changes_something_is_on_the_page() -> None:
    changes = {each.path for each in OPERATIONS if each.method == "POST" and each.path.startswith("/api/")}
    assert changes - PAGES == set()
