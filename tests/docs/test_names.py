"""What the documents name in passing is there: commands and their options, files, series, paths of the API.

Blocks of commands are run elsewhere; this is for what stands in sentences, in tables, in pipelines of others, and in
the blocks that are not run.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from shadowproxy.admin.api import OPERATIONS
from shadowproxy.admin.openapi import document as description
from shadowproxy.admin.sealing import COOKIE
from shadowproxy.cli.main import app
from shadowproxy.flags.reading import read
from shadowproxy.metrics.series import HISTOGRAM, SERIES
from tests.docs.documents import DOCUMENTS, ROOT, blocks

PROGRAM: Any = typer.main.get_command(app)
SPAN = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
OTHERS = re.compile(r"\b(?:helm|kubectl|docker|podman|pip|image:|useradd)\b")
"""Of a line that has the word shadowproxy as a name of something else."""
SERVED_ELSEWHERE = {"/api/v1/query_range"}
"""Prometheus's."""
AFTER_A_FAMILY = ("_bucket", "_sum", "_count")
SUFFIXES = {".py", ".md", ".yaml", ".json", ".sh", ".js", ".css", ".txt", ".lock"}
MADE = ("dist/", "results/")
"""By commands, and not in the repository."""


def place(document: Path) -> str:
    return str(document.relative_to(ROOT))


def spans(document: Path) -> Iterator[str]:
    """What is written as code in a sentence or a table, `\\|` of a table as `|`."""
    for span in SPAN.findall(FENCED.sub("", document.read_text(encoding="utf-8"))):
        yield span.replace("\\|", "|")


def calls_in_sentences(document: Path) -> Iterator[str]:
    """The commands of shadowproxy in sentences and tables, without its name, which may be left out there."""
    groups = [name for name, command in PROGRAM.commands.items() if hasattr(command, "commands")]
    for span in spans(document):
        if found := re.fullmatch(rf"(?:shadowproxy (.+)|((?:{'|'.join(groups)}) [a-z].*))", span):
            yield found[1] or found[2]


def calls(document: Path) -> Iterator[str]:
    """Those, and the ones in blocks."""
    yield from calls_in_sentences(document)
    for block in blocks(document):
        for line in block.text.replace("\\\n", " ").splitlines():
            if not OTHERS.search(line):
                yield from re.findall(r"(?:^|[\s'\"])shadowproxy ([a-z-]+(?!:)(?: .*)?)$", line)


def wrong(call: str) -> str:
    """What a call has that the program does not; nothing if it is well."""
    call = re.split(r"\s[|>&;]|;|\s2>|'$", call.replace("…", "X"))[0]
    try:
        words = shlex.split(call, comments=True)
    except ValueError:
        words = call.split()
    command = PROGRAM
    while words and hasattr(command, "commands") and re.match(r"[a-z]", words[0]):
        if words[0] not in command.commands:
            return f"there is no {words[0]!r}"
        command = command.commands[words.pop(0)]
    known = {each for param in command.params for each in param.opts + param.secondary_opts} | {"--help", "-h"}
    for word in words:
        if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known:
            return f"it has no {word}"
    return ""


def test_commands_that_are_named_are_the_program_s() -> None:
    named = [(place(document), call) for document in DOCUMENTS for call in calls(document)]
    assert [(where, call, why) for where, call in named if (why := wrong(call))] == []


def test_what_the_program_does_not_have_is_seen() -> None:
    assert wrong("rollout aprove") == "there is no 'aprove'"
    assert wrong('rollout approve --mesage "looks well"') == "it has no --mesage"
    assert wrong('rollout approve -m "looks well" && exit') == ""


def test_series_that_are_named_are_exported() -> None:
    exported = {series.name for series in SERIES}
    exported |= {f"{series.name}{end}" for series in SERIES if series.kind == HISTOGRAM for end in AFTER_A_FAMILY}
    series = re.compile(r"(?<!\w)shadowproxy_[a-z0-9_]*[a-z0-9](?!\w)")
    named = {(place(document), name) for document in DOCUMENTS for name in series.findall(document.read_text())}
    assert sorted(each for each in named if each[1] not in exported | {COOKIE}) == []


def test_paths_of_the_api_that_are_named_are_served() -> None:
    served = [
        re.compile(re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(each)))
        for each in json.loads(description(OPERATIONS))["paths"]
    ]
    path = re.compile(r"/(?:api|ofrep)/v1/[\w{}/-]*[\w}]")
    # In a table ACTION stands for each of several.
    named = {
        (place(document), found.replace("ACTION", "start"))
        for document in DOCUMENTS
        for found in path.findall(document.read_text())
    }
    missing = [
        each for each in named if each[1] not in SERVED_ELSEWHERE and not any(one.fullmatch(each[1]) for one in served)
    ]
    assert sorted(missing) == []


def test_files_that_are_named_are_there() -> None:
    missing = []
    for document in DOCUMENTS:
        for span in spans(document):
            path, _, _ = span.partition("::")
            if not re.fullmatch(r"[\w.-]+(/[\w.-]+)+", path) or Path(path).suffix not in SUFFIXES:
                continue
            places = (ROOT, ROOT / "shadowproxy", document.parent)
            if not path.startswith(MADE) and not any((place / path).exists() for place in places):
                missing.append((place(document), path))
    assert missing == []


def test_targets_of_make_that_are_named_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (place(document), target)
        for document in DOCUMENTS
        for text in [*spans(document), *(line for block in blocks(document) for line in block.text.splitlines())]
        for target in re.findall(r"^make ([a-z-]+)", text)
    }
    assert {each for each in named if each[1] not in targets} == set()


def test_json_is_json_and_flags_are_flags() -> None:
    for document in DOCUMENTS:
        for block in blocks(document):
            if block.language == "json":
                value = json.loads(block.text)
                if "flags" in value:
                    assert set(read(block.text.encode(), block.place).flags) == set(value["flags"])
