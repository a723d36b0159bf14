"""What was learned outlives the run; what is wrong on the disk costs what was learned, never the start."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from shadowproxy.runtime import templates_file
from shadowproxy.runtime.templates_file import restore, save


def test_what_is_kept_comes_back_and_can_be_read_by_people(tmp_path: Path) -> None:
    assert restore(tmp_path) == ({}, ())
    save(tmp_path, {"shop": ["/users/{id}", "/"]})
    assert restore(tmp_path) == ({"shop": ["/users/{id}", "/"]}, ())
    path = tmp_path / "templates.json"
    assert '    "shop": [\n      "/users/{id}",' in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_kept_in_no_file_but_what_was_there_goes(tmp_path: Path) -> None:
    save(tmp_path, {})
    assert list(tmp_path.iterdir()) == []
    save(tmp_path, {"shop": ["/a"]})
    save(tmp_path, {})
    assert restore(tmp_path) == ({}, ())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "truncated"),
        ("[]", "Expected `object`"),
        ('{"services": {"a": "b"}}', "Expected `array`"),
        ('{"services": {}, "version": 2}', "its version is 2, this is for 1"),
        ("\xff\xfe", "malformed"),
        ("x" * 100, "too large"),
    ],
)
def test_a_file_that_cannot_be_understood_is_moved_away(
    text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates_file, "MAX_BYTES", 90)
    (tmp_path / "templates.json").write_bytes(text.encode("latin-1"))
    found, [said] = restore(tmp_path)
    assert found == {}
    assert why in said
    assert said.endswith(f"moved to {tmp_path}/templates.json.corrupt: templates are learned anew")
    assert [path.name for path in tmp_path.iterdir()] == ["templates.json.corrupt"]


def test_one_that_cannot_be_moved_either_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    (tmp_path / "templates.json").write_text("{")
    _, [said] = restore(tmp_path)
    assert "it cannot be moved away (Permission denied): templates are learned anew" in said


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "templates.json").mkdir()
    found, [said] = restore(tmp_path)
    assert (found, "cannot be read (Is a directory): templates are learned anew" in said) == ({}, True)


def test_entries_that_were_never_learned_are_left_out(tmp_path: Path) -> None:
    kept = {"services": {"shop": ["/a", "no path", "/users/{userId}", "/b/../c", "/b"]}}
    (tmp_path / "templates.json").write_text(json.dumps(kept))
    found, [said] = restore(tmp_path)
    assert found == {"shop": ["/a", "/b"]}
    assert said.endswith("3 entries are no learned templates: left out")
