"""`shadowproxy audit`: filters are passed on, and what comes back is a line each."""

from __future__ import annotations

import json
from typing import Any

from shadowproxy.store.audit import AuditEntry, AuditPage
from tests.cli.conftest import Run

AT = 1_764_115_200.0
ENTRY = AuditEntry(17, AT, "ann", "flags.kill", "shop", {"flag": "new"}, "pager")


def test_entries_are_a_line_each_and_what_is_left_out_is_said(run: Run, answers: dict[str, Any]) -> None:
    failed = AuditEntry(16, AT, "bob\x1b[2J", "diffs.accept", "", {}, "by design", "the disk is full")
    answers["/api/v1/audit"] = AuditPage([ENTRY, failed], 40, 2, 0)
    filters = ("--who", "a", "--action", "flags", "--search", "pager", "--limit", "2", "--service", "shop")
    code, out, _ = run("audit", *filters)
    first, second, rest = out.splitlines()
    assert code == 0
    assert first == "   17  2025-11-26T00:00:00Z  ann              flags.kill · shop            pager"
    assert "\x1b" not in second
    assert second.endswith("by design; it failed: the disk is full")
    assert rest == "1 to 2 of 40; older ones with --offset 2"
    asked = {"service": "shop", "who": "a", "action": "flags", "search": "pager", "limit": 2, "offset": 0}
    assert answers["asked"][0][3] == asked


def test_nothing_and_json(run: Run, answers: dict[str, Any]) -> None:
    answers["/api/v1/audit"] = AuditPage([], 0, 50, 0)
    assert run("audit")[1] == "nothing matches\n"
    answers["/api/v1/audit"] = AuditPage([], 4, 50, 9)
    assert run("audit", "--offset", "9")[1] == "nothing after that; there are 4\n"
    assert json.loads(run("audit", "-o", "json")[1])["total"] == 4
