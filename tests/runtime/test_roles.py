"""Each process imports what it runs: memory that nobody uses is the same in every one of them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shadowproxy.runtime.roles import SHARED_IMPORTS

CONFIGURATION = ("pydantic", "ruamel.yaml", "typer", "shadowproxy.config")
SELDOM = ("lxml", "deepdiff", "sqlite3", "shadowproxy.replay", "shadowproxy.cli", "shadowproxy.demo")
RENDERERS = ("text", "markdown", "junit", "html", "html_page", "example", "bodies")


def imported(*modules: str) -> set[str]:
    """Everything that a fresh interpreter has imported once it has these."""
    code = f"import importlib, sys; [importlib.import_module(name) for name in {modules}]; print(*sys.modules)"
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=unmeasured)
    return set(done.stdout.split())


@pytest.fixture(name="shared", scope="module")
def _shared() -> set[str]:
    return imported("shadowproxy.runtime.supervisor", *SHARED_IMPORTS)


def test_what_is_imported_before_the_fork_is_what_workers_and_comparers_run(shared: set[str]) -> None:
    assert shared.isdisjoint({*CONFIGURATION, *SELDOM, "aiohttp", "shadowproxy.control", "shadowproxy.report"})


def test_a_comparer_imports_nothing_after_the_fork(shared: set[str]) -> None:
    """Three megabytes of its own, otherwise: what is imported there dirties what was shared."""
    assert imported("shadowproxy.runtime.supervisor", *SHARED_IMPORTS, "shadowproxy.runtime.comparer") == shared


def test_control_imports_no_renderer_and_no_parser_of_configurations_until_somebody_asks() -> None:
    found = imported("shadowproxy.runtime.control")
    assert found.isdisjoint(
        {"pydantic", "ruamel.yaml", "lxml", "deepdiff", "difflib", "xml.etree", "prometheus_client"}
    )
    assert found.isdisjoint({f"shadowproxy.report.{name}" for name in RENDERERS})
