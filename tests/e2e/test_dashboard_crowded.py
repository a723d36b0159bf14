"""The dashboard after a bad day, in a real browser: what is shown at once is bounded, and everything can be found."""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import PAGES, SECONDS, browsing
from tests.e2e.crowded import CAUSES, Crowd, serving

pytestmark = pytest.mark.e2e
ELEMENTS = 2_000
"""At most, on any page: what keeps every task short, however much there is."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Generator[str, None, None]:
    with serving(tmp_path_factory.mktemp("crowded"), Crowd(entries=200, step=60)) as found:
        yield found


@pytest.fixture
def tab() -> Generator[Page, None, None]:
    with browsing() as browser:
        page = browser.new_page()
        page.set_default_timeout(SECONDS)
        yield page


def test_no_page_grows_with_what_there_is(address: str, tab: Page) -> None:
    for page in PAGES:
        tab.goto(f"{address}/#/{page}")
        expect(tab.locator("main h1")).to_be_visible()
        expect(tab.locator("[aria-busy=true]")).to_have_count(0)
        assert tab.evaluate("document.querySelectorAll('*').length") < ELEMENTS, page


def test_the_last_of_all_causes_is_found(address: str, tab: Page) -> None:
    tab.goto(f"{address}/#/differences?service=login")
    rows = tab.locator("main table tbody tr")
    expect(rows.first).to_be_visible()
    assert rows.count() < 100
    expect(tab.get_by_text(re.compile(rf"of {CAUSES:,}")).first).to_be_visible()
    tab.get_by_role("searchbox").first.fill(f"$.field{CAUSES - 1} ")
    tab.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text(f"$.field{CAUSES - 1}")
