from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = [
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'shadowproxy'; from shadowproxy.cli.main import main; main()",
]


def completed(shell: str, *words: str) -> list[str]:
    asked = {
        "_SHADOWPROXY_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    if shell != "bash":
        asked["_TYPER_COMPLETE_ARGS"] = " ".join(words)
        asked["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    done = subprocess.run(PROGRAM, env={**os.environ, **asked}, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_told_how_a_command_goes_on(shell: str) -> None:
    found = " ".join(completed(shell, "shadowproxy", "rollout", "re"))
    assert all(word in found for word in ("resume", "retry", "replay"))
    assert "abort" not in found
