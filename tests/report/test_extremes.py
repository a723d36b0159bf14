"""A stored report may come from anywhere: what can be read can be rendered, judged, compared and remembered."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from shadowproxy.report import (
    Report,
    compare,
    judge,
    render_html,
    render_json,
    render_junit,
    render_markdown,
    render_text,
)
from shadowproxy.report.history import memories
from shadowproxy.report.judging import WORDS
from tests.report.reports import full
from tests.store.examples import example

INTEGERS = (0, 1, -1, 10**6, 2**63 - 1, -(2**63))
FLOATS = (0.0, -1.0, 1e-300, 1e9, 1e300, -1e300)
TEXTS = ("", "x", "\x00\u202e\n\r\t", "`|<&\"'", "candidate_", "candidate", "p50", "pass", "{}", "é" * 300)


def whole() -> Any:
    report = compare(full(examples=[example(1, id="3f2a9c")]), memories(full()))
    return msgspec.to_builtins(report)


def mutated(value: Any, chance: Random) -> Any:
    """The same shape with other leaves, here and there."""
    if isinstance(value, dict):
        return {name: mutated(each, chance) for name, each in value.items()}
    if isinstance(value, tuple):
        return [mutated(each, chance) for each in value]
    if isinstance(value, list):
        most = chance.choice([0, 1, 9, 9, 9]) if all(isinstance(each, dict) for each in value) else 9
        return [mutated(each, chance) for each in value][:most]
    if isinstance(value, bool) or value is None or chance.random() < 0.8:
        return value
    return chance.choice(INTEGERS if isinstance(value, int) else FLOATS if isinstance(value, float) else TEXTS)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_can_be_read_can_be_rendered(seed: int) -> None:
    chance = Random(seed)
    raw = msgspec.json.encode(mutated(whole(), chance))
    report = msgspec.json.decode(raw, type=Report)
    report = compare(judge(report, [chance.choice(list(WORDS))]), memories(report))
    for render in (render_html, render_json, render_junit, render_markdown, render_text):
        assert render(report)
    assert render_text(report, full=True)


@pytest.mark.parametrize("raw", [b'{"x":' + b"[" * 200_000, b"[" * 200_000, b'{"version": 1e999}'])
def test_hostile_files_are_refused(raw: bytes, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    from shadowproxy.cli.formats import load

    path = tmp_path / "x.json"
    path.write_bytes(raw)
    with pytest.raises(typer.Exit):
        load(path, "--from")
    assert "not a report as JSON" in capsys.readouterr().err
