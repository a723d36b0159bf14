"""What other people's code and scripts may rely on exists under the names they know."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
import typer

import shadowproxy
from shadowproxy.cli.main import app

PACKAGES = sorted(module.name for module in pkgutil.iter_modules(shadowproxy.__path__, "shadowproxy.") if module.ispkg)
COMMANDS = {
    "run",
    "check",
    "schema",
    "demo",
    "status",
    "health",
    "report",
    "diffs",
    "replay",
    "rollout",
    "flags",
    "freeze",
    "watch",
    "audit",
}


@pytest.mark.parametrize("name", PACKAGES)
def test_what_a_room_exports_is_there_once_and_in_order(name: str) -> None:
    module = importlib.import_module(name)
    exported = list(getattr(module, "__all__", ()))
    assert len(set(exported)) == len(exported)
    assert [each for each in exported if not hasattr(module, each)] == []


def test_every_command_is_there() -> None:
    assert set(typer.main.get_command(app).commands) >= COMMANDS
