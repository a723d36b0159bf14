"""A browser that looks at the dashboard: headless Chromium, driven by Playwright.

with browsing() as browser, Visit.to(proxy, browser) as visit:
    visit.open("rollout")
    visit.do("Pause", reason="lunch")
    visit.sees("operator")
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.e2e.harness import Proxy

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""It asks nobody for anything but the page."""
AXE = Path(sys.prefix) / "sdks" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = ("overview", "rollout", "differences", "flags", "freezes", "audit")
SECONDS = 20_000.0


@contextmanager
def browsing() -> Generator[Browser, None, None]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """Somebody at a page of a proxy. `wrong` is what the browser complained of."""

    page: Page
    address: str
    wrong: list[str] = field(default_factory=list)

    @classmethod
    @contextmanager
    def to(cls, proxy: Proxy, browser: Browser, **options: Any) -> Generator[Visit, None, None]:
        """Somebody else than before: nothing is remembered. Complaints of the browser fail at the end."""
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(SECONDS)
        expect.set_options(timeout=SECONDS)
        visit = cls(context.new_page(), proxy.admin)
        visit.page.on("pageerror", lambda error: visit.wrong.append(str(error)))
        visit.page.on("dialog", lambda dialog: visit.wrong.append(f"a script of somebody else ran: {dialog.message}"))
        visit.page.on("console", lambda said: visit.wrong.append(said.text) if said.type == "error" else None)
        try:
            yield visit
            # Answers that are no success are part of some tests; the browser notes each.
            assert [each for each in visit.wrong if "Failed to load resource" not in each] == []
        finally:
            context.close()

    def open(self, page: str = "overview") -> Visit:
        self.page.goto(f"{self.address}/#/{page}")
        expect(self.page.locator("main h1")).to_be_visible()
        return self

    def sees(self, text: str | re.Pattern[str], where: str = "main") -> None:
        expect(self.page.locator(where).first).to_contain_text(text)

    def panel(self, title: str) -> Locator:
        return self.page.locator("section.panel").filter(has=self.page.get_by_role("heading", name=title, exact=True))

    def do(self, label: str, within: Locator | None = None, confirm: bool = True, **values: str) -> None:
        """Press a button, say what its dialog asks for, and confirm; the dialog has to be gone then."""
        (within or self.page).get_by_role("button", name=label, exact=True).first.click()
        dialog = self.page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        for name, value in values.items():
            control = dialog.locator(f"[name='{name}']")
            if control.evaluate("it => it.tagName") == "SELECT":
                control.select_option(value)
            else:
                control.fill(value)
        if confirm:
            dialog.locator("button[type=submit]").click()
            expect(dialog).to_have_count(0)

    def violations(self) -> list[str]:
        """What axe-core finds on the page as it is: rules of WCAG 2.2, level AA, and its best practices."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {json.dumps([node['html'] for node in each['nodes']][:3])}" for each in found["violations"]
        ]

    def width(self) -> int:
        """How wide the page is, in pixels: more than the window where something sticks out."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))
