"""Rules about freezes."""

from __future__ import annotations

from shadowproxy.config import document as doc
from shadowproxy.config.findings import Findings
from shadowproxy.config.freeze import FreezeWindow
from shadowproxy.config.planning import bounds
from shadowproxy.config.problems import Path
from shadowproxy.config.rules.common import once

_TIMES = (("cron", "duration"), ("start", "end"))


def windows(document: doc.Document, findings: Findings) -> None:
    """Every window has a name of its own, one pair of times, and is for somebody."""
    once(("freeze",), "name", [window.name for window in document.freeze or ()], "the name", findings)
    services = {name for name, _, _ in document.named()}
    for index, window in enumerate(document.freeze or ()):
        path: Path = ("freeze", index)
        _times(path, window, findings)
        for at, name in enumerate(window.services or ()):
            if name not in services and not findings.is_blamed(("services",)):
                right = f"is no service: write one of {', '.join(sorted(services))}"
                findings.wrong((*path, "services", at), right)
        for key in ("classes", "services"):
            if getattr(window, key) == ():
                findings.wrong((*path, key), "is empty, so that nothing is stopped: write some, or delete it")


def _times(path: Path, window: FreezeWindow, findings: Findings) -> None:
    written = [key for pair in _TIMES for key in pair if window.has(key)]
    blamed = any(findings.is_blamed((*path, key)) for pair in _TIMES for key in pair)
    if blamed or findings.is_blamed(path):
        return
    if not written:
        findings.wrong(path, "has no time: write cron and duration, or start and end")
    for once_only in ("start", "end"):
        if once_only in written and ("cron" in written or "duration" in written):
            findings.wrong((*path, once_only), "stands beside cron and duration: keep one of the two", at_key=True)
            return
    for pair in _TIMES:
        for one, other in (pair, pair[::-1]):
            if one in written and other not in written:
                findings.lacks(path, other, f"is missing: {one} needs {other} beside it")
    start, end = bounds(window)
    if start is not None and end is not None and end <= start:
        findings.wrong((*path, "end"), "is not after start: write a later one")
