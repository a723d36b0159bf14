"""Files are changed as their authors would: nothing but what was meant, or nothing at all."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from shadowproxy.config import editing
from shadowproxy.config.accepted import AcceptedEntry, entry_from, parse
from shadowproxy.config.accepting import accept, as_text
from shadowproxy.config.editing import EditError, changed

FIRST = """\
# Ours.

- route: item          # the item page
  field: $.items[].sku
  kind: body_value
  owner: ann@example.org
  reason: 'it''s a long story that goes on and on, far beyond the eighty columns that such writers like to break at'
  expires: 2026-12-31
# Ann's, too.
- {route: "*", field: "$..x", kind: body_type, owner: ann, reason: on, expires: 2026-12-31T10:00:00+02:00}
"""
SECOND = """\
- route: item
  field: $.price
  kind: body_value
  owner: bob
  reason: 'rounding: by design'
  expires: 2027-01-31
"""


def entry(**changes: Any) -> AcceptedEntry:
    values = {
        "route": "item",
        "field": "$.price",
        "kind": "body_value",
        "owner": "bob",
        "reason": "rounding: by design",
        "expires": "2027-01-31",
    }
    return entry_from({**values, **changes})


def put(path: Path, *entries: AcceptedEntry) -> str:
    accept(path, entries, ["shop", "mail"])
    text = path.read_text()
    assert parse(text, "f", ["shop", "mail"]).problems == []
    return text


def test_an_entry_is_added_at_the_end_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "accepted.yaml"
    path.write_text(FIRST)
    assert put(path, entry()) == FIRST + SECOND
    assert as_text([entry()]) == SECOND
    assert list(tmp_path.iterdir()) == [path]


def test_accepting_it_again_changes_owner_reason_and_expiry(tmp_path: Path) -> None:
    path = tmp_path / "accepted.yaml"
    path.write_text(FIRST)
    again = entry(field="$.items[].sku", owner="eve", reason="as before", expires=None)
    after = put(path, again)
    assert after.startswith("# Ours.\n\n- route: item          # the item page\n  field: $.items[].sku\n")
    assert "  owner: eve\n  reason: 'as before'\n# Ann's, too.\n- {" in after
    assert put(path, again) == after
    put(path, entry(field="$.items[].sku", shape="uuid"))
    assert len(parse(path.read_text(), "f", []).entries) == 3


def test_an_expiry_that_is_new_stands_before_what_is_written_after_the_entry(tmp_path: Path) -> None:
    path = tmp_path / "accepted.yaml"
    text = SECOND.replace("  expires: 2027-01-31\n", "") + "# The end.\n"
    path.write_text(text)
    assert put(path, entry()) == text.replace("  reason:", "  expires: 2027-01-31\n  reason:")


def test_what_is_no_text_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "accepted.yaml"
    path.write_bytes(b"- \xff")
    with pytest.raises(EditError, match="the file is not UTF-8"):
        accept(path, [entry()], ["shop"])
    assert path.read_bytes() == b"- \xff"


def test_an_entry_for_all_services_is_the_one_that_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "accepted.yaml"
    put(path, entry())
    assert put(path, entry(service="shop", owner="eve")).count("- route") == 1
    path.unlink()
    put(path, entry(service="shop"))
    assert put(path, entry(service="mail")).count("- route") == 2


@pytest.mark.parametrize(
    "before",
    ["", "# Nothing yet.\n", "[]\n", "[] # none\n", "- {route: item, field: $.a, kind: status, owner: a, reason: b}"],
)
def test_a_file_may_have_nothing_in_it(tmp_path: Path, before: str) -> None:
    path = tmp_path / "accepted.yaml"
    before = before.replace("$.a", "status")
    path.write_text(before)
    after = put(path, entry())
    assert after.endswith(SECOND)
    assert ("# Nothing yet." in after) == ("# Nothing yet." in before)


def test_a_file_and_its_directory_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "accepted.yaml"
    assert put(path, entry()) == SECOND
    assert path.stat().st_mode & 0o777 == 0o644


def test_indentation_line_ends_mode_and_links_stay(tmp_path: Path) -> None:
    target = tmp_path / "real.yaml"
    text = "  - route: item\n    field: status\n    kind: status\n    owner: a\n    reason: b\n"
    target.write_bytes(text.replace("\n", "\r\n").encode())
    target.chmod(0o640)
    path = tmp_path / "accepted.yaml"
    path.symlink_to(target)
    put(path, entry())
    assert path.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    indented = "".join(f"  {line}\r\n" for line in SECOND.splitlines())
    assert target.read_bytes().decode() == text.replace("\n", "\r\n") + indented


def test_a_file_with_mistakes_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "accepted.yaml"
    for text, says in (
        ("- route: item\n", r":1:3: \[0\].field: is missing.*\(and 3 more\)"),
        ("a: b\n", ":1:1: the file must be a list"),
        ("- [\n", ":2:1: "),
    ):
        path.write_text(text)
        with pytest.raises(EditError, match=f"{path.name}{says}"):
            accept(path, [entry()], ["shop"])
        assert path.read_text() == text


def test_what_would_be_wrong_afterwards_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "accepted.yaml"
    with pytest.raises(EditError, match="there is no web"):
        accept(path, [entry(service="web")], ["shop"])
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise OSError(30, "Read-only file system")

    path = tmp_path / "accepted.yaml"
    path.write_text(FIRST)
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(EditError, match=r"accepted.yaml cannot be written: Read-only file system$"):
        accept(path, [entry()], ["shop"])
    assert [each.name for each in tmp_path.iterdir()] == ["accepted.yaml"]
    blocked = tmp_path / "accepted.yaml" / "x.yaml"
    with pytest.raises(EditError, match="cannot be written"):
        accept(blocked, [entry()], ["shop"])


def test_two_writers_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editing, "LOCK_SECONDS", 60.0)  # eight of them, on a machine that may be busy
    path = tmp_path / "accepted.yaml"
    writers = [threading.Thread(target=accept, args=(path, [entry(field=f"$.f{n}")], ["shop"])) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(parse(path.read_text(), "f", ["shop"]).entries) == 8


def test_a_writer_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editing, "LOCK_SECONDS", 0.0)
    monkeypatch.setattr(editing, "_AS_OFTEN", 0.0)
    directory = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    try:
        with pytest.raises(EditError, match="being written by somebody else"):
            accept(tmp_path / "accepted.yaml", [entry()], ["shop"])
    finally:
        os.close(directory)


def test_what_cannot_be_written_back_as_it_was_is_not_written() -> None:
    def unsteady(data: Any) -> Any:
        data["b"] = len(calls)
        calls.append(1)
        return data

    calls: list[int] = []
    with pytest.raises(EditError, match="change it by hand"):
        changed("a: 1\n", "f", unsteady)


def test_sections_and_lists_keep_their_style() -> None:
    text = (
        '# head\nservices:\n    shop:\n        compare:\n            ignore: ["$.a"]   # why\n'
        "        routes:\n          - name: item\n            compare:\n                ignore:\n"
        "                  - $.b\n"
    )

    def ignoring(data: Any) -> Any:
        data["services"]["shop"]["compare"]["ignore"].append("$.c")
        data["services"]["shop"]["routes"][0]["compare"]["ignore"].append("$.d")
        return data

    after = changed(text, "f", ignoring)
    assert after == text.replace('["$.a"]   #', '["$.a", $.c] #') + "                  - $.d\n"
