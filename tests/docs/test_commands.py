"""Every command in the documents is run, in its order, as its reader would: on a machine of its own.

A document is one reader: a shell in an empty directory with `config/` and `docs/examples/` in it, the ports of the
documents to itself (`tests/docs/reader.py`), and shadowproxy on its path. What comments right before a block say:

- `<!-- runs: never: REASON -->`: it is not run;
- `<!-- runs: background until COMMAND -->`: each line goes on while the document does; the next block begins when
  COMMAND succeeds;
- `<!-- exits: 0 or 1 -->`: with what its commands may end, if not with 0 alone.

Anywhere in a document `<!-- stage: NAME -->` starts what its commands need: `tests/docs/stages/NAME.sh`. There ID is
made to be the id of something; in a document it stands for one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.documents import COMMANDS, DOCUMENTS, ROOT, Block, blocks, stage
from tests.docs.reader import is_alone, read

STAGES = Path(__file__).parent / "stages"
READ = {path: [block for block in blocks(path) if block.language in COMMANDS] for path in DOCUMENTS}
NEVER = "never"


def is_run(block: Block) -> bool:
    return not block.said.get("runs", "").startswith(NEVER)


def commands(text: str) -> list[str]:
    """The commands of a block: a line each, and those that go on over several."""
    whole, found = "", []
    for line in text.splitlines():
        whole += line + "\n"
        if not line.endswith("\\") and _is_whole(whole):
            if whole.strip() and not whole.lstrip().startswith("#"):
                found.append(whole)
            whole = ""
    return [*found, whole] if whole.strip() else found


def _is_whole(text: str) -> bool:
    """Whether a shell would go on reading: an open loop, quote or here-document."""
    here = re.search(r"<<-?\s*'?(\w+)'?", text)
    if here:
        return bool(re.search(rf"^{here[1]}$", text.split("\n", 1)[1], re.MULTILINE))
    return subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False).returncode == 0


def script(of_it: list[Block]) -> str:
    """What one reader types, with a mark after each command that says where it stands and how it ended."""
    lines = []
    for block in of_it:
        kind, _, until = block.said.get("runs", "").partition(" until ")
        typed = [re.sub(r"\bID\b", "$ID", command) for command in commands(block.text)]
        allowed = "|".join(re.findall(r"\d+", block.said.get("exits", "0")))
        for command in typed:
            if kind == "background":
                lines.append(f"{_bare(command)} >>background.log 2>&1 &")
            else:
                # The command has a line to itself: what is behind a # in it is a comment.
                wrong = f"echo '@@ {block.place}' \"ends with $code\""
                lines.append(f"{command}code=$?; case $code in {allowed}) ;; *) {wrong};; esac")
        if until:
            lines.append(f"until_ready {until} || echo '@@ {block.place} is not ready'")
    return "\n".join(lines)


def _bare(command: str) -> str:
    return re.sub(r"\s+#.*$", "", command.rstrip("\n"))


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """The directory that a reader works in."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    examples = ROOT / "docs" / "examples"
    if examples.exists():
        shutil.copytree(examples, tmp_path / "docs" / "examples")
    return tmp_path


@pytest.mark.e2e
@pytest.mark.timeout(400)  # where readers take turns, the wait is a part of it
@pytest.mark.parametrize(
    "document",
    [path for path, of_it in READ.items() if any(map(is_run, of_it))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_command_does_what_it_is_said_to(document: Path, desk: Path) -> None:
    setup = f". {STAGES / stage(document)}.sh\n" if stage(document) else ""
    typed = setup + script([each for each in READ[document] if is_run(each)])
    said, code = read(typed, desk, is_alone())
    assert "@@ " not in said, said[-8000:]
    assert "Traceback" not in said, said[-8000:]
    assert code == 0, said[-8000:]


def test_what_is_not_run_says_why() -> None:
    unsaid = [
        block.place
        for of_it in READ.values()
        for block in of_it
        if not is_run(block) and len(block.said["runs"].removeprefix(NEVER).strip(" :")) < 8
    ]
    assert unsaid == []


def test_every_block_says_what_it_is() -> None:
    """A block without a language hides from these tests."""
    silent = [block.place for path in DOCUMENTS for block in blocks(path) if not block.language]
    assert silent == []


def test_every_block_begins_its_line() -> None:
    """One that is indented, as in a list, hides too."""
    fences = re.compile(r"^(?:[ >]+```|\s*~~~).*$", re.MULTILINE)
    assert [(path.name, found) for path in DOCUMENTS for found in fences.findall(path.read_text())] == []


def test_what_is_said_of_a_block_is_understood() -> None:
    """A slip in a comment would be a comment like any other."""
    said = re.compile(r"<!--(?! Made by )\s*(.*?)\s*-->")
    known = re.compile(r"(runs: (never: .+|background( until .+)?)|exits: \d+( or \d+)*|stage: \w+|yaml: .+)")
    found = [(path.name, each) for path in DOCUMENTS for each in said.findall(path.read_text())]
    assert [each for each in found if not known.fullmatch(each[1])] == []


def test_every_stage_is_used() -> None:
    assert {path.stem for path in STAGES.glob("*.sh")} == {stage(path) for path in READ} - {""}


def test_commands_over_several_lines_are_one() -> None:
    text = "a \\\n  -b\n# why\nfor x in 1 2; do\n  echo $x\ndone\ncat > f <<'E'\nx\nE\nlast # why\n"
    assert [each.split("\n")[0] for each in commands(text)] == [
        "a \\",
        "for x in 1 2; do",
        "cat > f <<'E'",
        "last # why",
    ]
