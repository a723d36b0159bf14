"""`make dashboard-load`: the dashboard after a bad day, in headless Chromium: how soon it paints, its longest task.

5,000 causes, a day of charts and audit, events that go on: `tests/e2e/crowded.py`. Each page is opened three times; the
median counts. Exits 1 where a first paint takes a second or more, or a task more than 100 ms.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from playwright.sync_api import Browser, Page

from tests.e2e.browser import PAGES, browsing
from tests.e2e.crowded import serving

FIRST_PAINT: Final = 1000.0
LONGEST_TASK: Final = 100.0
"""Milliseconds."""
TIMES: Final = 3
LOOKS_FOR: Final = 4000.0
"""Milliseconds at a page: events come, it is scrolled."""
WORDS: Final = {"differences": "field9", "audit": "said"}
"""What is searched for, and found."""
OBSERVER: Final = """
window.tasks = [];
new PerformanceObserver((list) => list.getEntries().forEach((each) => window.tasks.push(each.duration)))
  .observe({ type: 'longtask', buffered: true });
"""
PAINTED: Final = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


class Look(NamedTuple):
    """Milliseconds, and how many elements the page has."""

    paint: float
    task: float
    elements: int


def look(browser: Browser, address: str, page: str) -> Look:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        tab = context.new_page()
        tab.add_init_script(OBSERVER)
        tab.goto(f"{address}/#/{page}")
        tab.locator("main h1").wait_for()
        _use(tab, page)
        task = tab.evaluate("Math.max(0, ...window.tasks)")
        return Look(tab.evaluate(PAINTED), task, tab.evaluate("document.querySelectorAll('*').length"))
    finally:
        context.close()


def _use(tab: Page, page: str) -> None:
    """What somebody does there: scroll, search, wait."""
    tab.wait_for_timeout(LOOKS_FOR / 2)
    tab.mouse.wheel(0, 20_000)
    if page in WORDS:
        search = tab.get_by_role("searchbox").first
        search.fill(WORDS[page])
        search.press("Enter")
    elif page == "rollout":
        tab.get_by_role("link", name="a day").click()
    tab.wait_for_timeout(LOOKS_FOR / 2)


def main() -> int:
    worst = 0
    print("| page | first paint | longest task | elements |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory, serving(Path(directory)) as address, browsing() as browser:
        for page in PAGES:
            looks = [look(browser, address, page) for _ in range(TIMES)]
            paint, task = (statistics.median(each[which] for each in looks) for which in (0, 1))
            elements = max(each.elements for each in looks)
            worst |= paint >= FIRST_PAINT or task > LONGEST_TASK
            shown = f"{task:.0f} ms" if task else "under 50 ms"
            print(f"| {page} | {paint:.0f} ms | {shown} | {elements:,} |", flush=True)
        print(f"\nChromium {browser.version}, the median of {TIMES}")
    return int(worst)


if __name__ == "__main__":
    sys.exit(main())
