"""Commands in sentences and tables, such as those of the runbooks, are run too, one after another on one machine.

Each is one that a running proxy answers: it may say no (exit code 1) or that it cannot be said (3), and follow until it
is stopped; it may not be misunderstood (2) or break. What stands for something else is replaced by something.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.documents import DOCUMENTS, ROOT
from tests.docs.reader import is_alone, read
from tests.docs.test_names import PROGRAM, calls_in_sentences, place

STAGE = Path(__file__).parent / "stages" / "readme.sh"
STANDS_FOR = {
    "CONFIG": "shadowproxy.yaml",
    "FILE": "shadowproxy.yaml",
    "FLAG": "new-checkout",
    "TEXT": "why",
    "STAGE": "mirror",
    "ID": '"$ID"',
    "c-39c83d52a8": '"$ID"',
    "--until …": "--until 2h",
    "--expires …": "--expires 30d",
    "…": "why",
}
ELSEWHERE = ("run", "demo", "demo-shop", "replay", "--install-completion", "report --from")
"""What starts something of its own, changes the shell, or needs a file that other blocks make."""
FOLLOWS = ("watch", "rollout status --watch", "rollout status -w", "status --watch")


def is_whole(call: str) -> bool:
    """Whether nothing is missing in it that it cannot do without: otherwise it is the name of a command."""
    command, words = PROGRAM, call.split()
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    return not hasattr(command, "commands") and (bool(words) or not any(each.required for each in command.params))


def typed(call: str) -> str:
    for word, something in STANDS_FOR.items():
        call = call.replace(word, something)
    stopped = "timeout 1 " if call.startswith(FOLLOWS) else ""
    return f"{stopped}shadowproxy {call}"


CALLS = {
    call: place(document)
    for document in DOCUMENTS
    for call in calls_in_sentences(document)
    if is_whole(call) and not call.startswith(ELSEWHERE)
}


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_a_running_proxy_understands_what_sentences_say(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    lines = [f". {STAGE}", "until_ready shadowproxy diffs list --route '/users/{id}'"]
    for call, where in CALLS.items():
        lines.append(f"{typed(call)} </dev/null >said.txt 2>&1; code=$?")
        lines.append(
            f"case $code in 0|1|3|124) ;; *) echo '@@ {where}:' {call!r} \"ends with $code\"; cat said.txt;; esac"
        )
        lines.append("grep -q Traceback said.txt && cat said.txt")
    lines.append("true")
    said, code = read("\n".join(lines), tmp_path, is_alone())
    assert "@@ " not in said, said[-8000:]
    assert "Traceback" not in said, said[-8000:]
    assert code == 0, said[-8000:]
