"""The dashboard in a real browser: each page, each action, and what must never happen."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import PAGES, Visit, browsing
from tests.e2e.flags import processes
from tests.e2e.harness import Proxy, eventually
from tests.e2e.rollouts import Operator, Version, rollout_settings, users, versions

FLAGS = Path(__file__).parents[2] / "config" / "flags.json"
STAGES: list[dict[str, Any]] = [
    {"name": "mirror", "shadow": {"sample": "100%"}, "bake": {"for": "1s", "requests": 20}},
    {"name": "go", "approve": {"timeout": "1h"}},
    {"name": "first users", "canary": {"weight": "20%"}, "bake": {"for": "1h"}},
    {"flag": {"flag": "new-checkout", "variant": "on", "weights": ["10%", "100%"], "bake": {"for": "1h"}}},
    {"name": "ramp", "progressive": {"weights": ["50%", "100%"]}, "bake": {"for": "1h"}},
]
WEEKEND = {"name": "weekend", "cron": "0 16 * * FRI", "duration": "64h", "zone": "Europe/Berlin", "classes": ["fix"]}
TOKENS = [
    {"name": "ann", "role": "operator", "token": "ann-changes-things"},
    {"name": "bob", "role": "viewer", "token": "bob-only-looks-on"},
]


@pytest.fixture(scope="module")
def browser() -> Generator[Browser, None, None]:
    with browsing() as found:
        yield found


@dataclass
class Scene:
    proxy: Proxy
    blue: Version
    green: Version
    operator: Operator

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.proxy.api("rollout")
        return found


Make = Callable[..., Any]


@pytest.fixture
def scene(tmp_path: Path) -> Make:
    @contextmanager
    def made(**top: Any) -> Generator[Scene, None, None]:
        flags = tmp_path / "flags.json"
        flags.write_text(FLAGS.read_text())
        with versions() as (blue, green):
            whole = {"flags": {"file": str(flags)}, "freeze": [WEEKEND], **top}
            config = rollout_settings(blue, green, top=whole, stages=STAGES, checks=[{"check": "error_rate"}])
            with Proxy.start(tmp_path / "proxy", config) as proxy, users(proxy.port, rate=60.0, count=100):
                yield Scene(proxy, blue, green, Operator(proxy))

    return made


def test_every_page_is_legible_for_everybody(scene: Make, browser: Browser) -> None:
    """In the light and in the dark, wide and on a phone: nothing sticks out, nothing is wrong for axe-core."""
    with scene() as at:
        at.green.body = {"price": "7", "tags": ["b", "a"]}
        at.operator.act("start")
        at.operator.until(lambda now: now["holds"])
        at.operator.post("freeze/start", reason="a fair", until="2h")
        eventually(lambda: at.proxy.api("causes")["items"])
        cause = at.proxy.api("causes")["items"][0]["id"]
        pages = (*PAGES, f"differences/{cause}", "flags/new-checkout")
        for scheme, width in (("light", 1280), ("dark", 360)):
            viewport = {"width": width, "height": 800}
            with Visit.to(at.proxy, browser, color_scheme=scheme, viewport=viewport) as visit:
                for page in pages:
                    visit.open(page)
                    expect(visit.page.get_by_text("Loading …")).to_have_count(0)
                    assert (page, visit.violations()) == (page, [])
                    assert (page, visit.width()) == (page, width)
                    expect(visit.page.get_by_role("button", name="Abort")).to_be_in_viewport()


def test_an_operator_carries_a_rollout_from_its_start_to_its_end(scene: Make, browser: Browser) -> None:
    with scene() as at, Visit.to(at.proxy, browser) as visit:
        visit.open()
        visit.sees("waits to be started")
        visit.do("Start", reason="release 2.7")
        visit.sees("go waits for approval")
        visit.do("Approve", reason="looks well")
        visit.sees("20%", ".top")
        assert at.status()["stage"] == "first users"
        visit.open("rollout")
        visit.do("Pause", reason="lunch")
        visit.sees(re.compile("operator.*lunch", re.DOTALL))
        visit.do("Resume")
        expect(visit.page.locator(".holds").get_by_text("operator")).to_have_count(0)
        at.operator.until(lambda now: now["bake"]["seconds"] >= 1)  # every worker runs the part: it may be gone out of
        visit.do("Promote", reason="no time")
        visit.sees(re.compile("10% have new-checkout=on"))
        expect(visit.page.locator(".timeline [aria-current=step]")).to_contain_text("new-checkout")
        visit.do("Hold the watch")
        visit.sees("Hand over")
        assert at.status()["watch"]["holder"] == "local"
        visit.do("Abort", reason="enough")
        visit.sees("aborted", ".top")
        expect(visit.page.get_by_role("button", name="Abort")).to_be_disabled()
        visit.sees("enough")
        visit.do("Retry", stage="first users")
        visit.sees("attempt 2")
        history = at.proxy.api("rollout/history")["items"]
        assert {each["by"] for each in history if each["action"] in {"approved", "paused", "aborted"}} == {"local"}


def test_charts_come_with_their_tables(scene: Make, browser: Browser) -> None:
    with scene() as at, Visit.to(at.proxy, browser) as visit:
        eventually(lambda: len(at.proxy.api("series")["at"]) >= 2, 30)
        visit.open("rollout")
        charts = visit.page.locator("figure.chart")
        expect(charts).to_have_count(5)
        expect(charts.first.locator("canvas")).to_be_visible()
        charts.first.get_by_text("as a table").click()
        expect(charts.first.locator("tbody tr")).not_to_have_count(0)
        visit.page.get_by_role("link", name="a day").click()
        assert "span=24h" in visit.page.url


def test_flags_are_changed_and_changed_back(scene: Make, browser: Browser) -> None:
    with scene() as at, Visit.to(at.proxy, browser) as visit:
        visit.open("flags")
        visit.sees("page-size")
        visit.page.get_by_role("searchbox").fill("check")
        expect(visit.page.locator("section tbody").first.locator("tr")).to_have_count(1)
        assert "search=check" in visit.page.url
        visit.page.get_by_role("link", name="new-checkout").click()
        visit.do("Ramp …", variant="on", share="25%", reason="go")
        visit.sees("on for 25%, else off")
        visit.do("Kill", reason="pager")
        visit.sees("killed")
        assert at.proxy.api("flags/new-checkout")["flag"]["killed"] is True
        visit.do("Enable")
        visit.sees("on for 25%, else off")
        visit.do("Edit …", confirm=False, definition='{"state": "ENABLED"}')
        visit.page.get_by_role("dialog").locator("button[type=submit]").click()
        expect(visit.page.get_by_role("dialog").get_by_role("alert")).to_contain_text("variants")
        visit.page.get_by_role("button", name="Cancel").click()
        first = visit.panel("Versions").locator("tbody tr").last
        visit.do("Back to it", first)
        visit.sees("off for everybody")


def test_freezes_are_shown_started_and_ended(scene: Make, browser: Browser) -> None:
    with scene() as at, Visit.to(at.proxy, browser) as visit:
        visit.open("freezes")
        visit.sees("weekend")
        expect(visit.page.locator("table.calendar .turn").first).to_contain_text("weekend")
        visit.do("Freeze …", reason="the fair is on", until="3h")
        visit.sees("the fair is on", ".banner")
        visit.sees("Going back is always possible", ".banner")
        [freeze] = [each for each in at.proxy.api("freeze") if each["source"] == "manual"]
        assert (freeze["services"], freeze["classes"], freeze["by"]) == (["default"], ["feature"], "local")
        visit.do("End", reason="it is over")
        expect(visit.page.locator(".banner")).to_have_count(0)
        visit.open("audit")
        visit.page.get_by_label("Search").fill("FAIR")
        expect(visit.page.locator("tbody tr")).to_have_count(1)
        visit.sees("the fair is on")


def test_a_difference_is_looked_at_and_accepted(scene: Make, browser: Browser) -> None:
    with scene() as at, Visit.to(at.proxy, browser) as visit:
        at.blue.body, at.green.body = {"items": [{"id": 1}]}, {"items": [{"id": "1"}]}
        eventually(lambda: at.proxy.api("causes")["items"])
        visit.open("differences")
        visit.page.get_by_label("Search").fill("no such field")
        visit.sees("Nothing matches")
        visit.page.get_by_label("Search").fill("ITEMS")
        visit.page.locator("tbody th a").first.click()
        visit.sees("$.items")
        expect(visit.page.locator(".bodies mark").first).to_be_visible()
        visit.sees("ignore:\n")
        visit.sees("unordered:\n")
        visit.do("Accept …", owner="shop", reason="by design", expires="7d")
        visit.page.get_by_role("link", name="← all differences").click()
        expect(visit.panel("Accepted")).to_contain_text("by design")
        [entry] = at.proxy.api("report")["services"][0]["accepted"]
        assert (entry["owner"], entry["state"]) == ("shop", "active")


HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}</pre></td>`${alert(3)}`javascript:alert(4)"


def test_captured_bodies_execute_nothing(scene: Make, browser: Browser) -> None:
    with scene() as at, Visit.to(at.proxy, browser) as visit:
        at.green.body = {HOSTILE: HOSTILE, "price": 7}
        causes = eventually(lambda: at.proxy.api("causes")["items"])
        for page in ("overview", "differences", f"differences/{causes[0]['id']}"):
            visit.open(page)
            expect(visit.page.get_by_text("Loading …")).to_have_count(0)
        visit.sees("<script>alert(2)</script>")
        visit.sees("{{7*7}}")
        assert visit.page.locator("main img, main script, main iframe").count() == 0
        visit.page.evaluate("const it = document.createElement('script'); window.it = it;")
        with pytest.raises(Exception, match=r"TrustedScript|Content Security Policy"):
            visit.page.evaluate("window.it.text = 'window.pwned = 1'; document.body.append(window.it); ")
        assert visit.page.evaluate("window.pwned") is None
        assert visit.wrong
        visit.wrong.clear()


def test_of_two_operators_each_sees_what_the_other_does_and_one_wins(scene: Make, browser: Browser) -> None:
    with scene() as at, Visit.to(at.proxy, browser) as ann, Visit.to(at.proxy, browser) as bob:
        at.operator.act("start")
        at.operator.until(lambda now: now["holds"])
        at.operator.act("approve")
        for each in (ann, bob):
            each.open("rollout")
            each.sees("20%", ".top")
            each.do("Promote", confirm=False)
        at.operator.until(lambda now: now["bake"]["seconds"] >= 1)  # every worker runs it: it may be gone out of
        ann.page.get_by_role("dialog").locator("button[type=submit]").click()
        for each in (ann, bob):
            each.sees("new-checkout 10%", ".top")
        bob.page.get_by_role("dialog").locator("button[type=submit]").click()
        expect(bob.page.get_by_role("dialog").get_by_role("alert")).to_contain_text("it is in new-checkout 10%")
        bob.page.get_by_role("button", name="Cancel").click()
        assert [step["stage"] for step in at.status()["steps"] if step["state"] == "now"] == ["new-checkout 10%"]
        ann.do("Abort")
        expect(bob.page.locator("[role=log]")).to_contain_text("aborted")


def test_somebody_signs_in_with_what_the_role_permits(scene: Make, browser: Browser) -> None:
    with scene(admin={"tokens": TOKENS}) as at, Visit.to(at.proxy, browser) as visit:
        visit.page.goto(at.proxy.admin)
        visit.page.get_by_label("Token").fill("guessed")
        visit.page.get_by_role("button", name="Sign in").click()
        expect(visit.page.get_by_role("alert")).to_contain_text("not known")
        visit.page.get_by_label("Token").fill(TOKENS[1]["token"])
        visit.page.get_by_label("Token").press("Enter")
        visit.sees("bob (viewer)", ".top")
        expect(visit.page.get_by_role("button", name="Abort")).to_be_disabled()
        expect(visit.page.get_by_role("button", name="Start")).to_have_count(0)
        visit.page.get_by_role("button", name="Sign out").click()
        visit.page.get_by_label("Token").fill(TOKENS[0]["token"])
        visit.page.get_by_label("Token").press("Enter")
        visit.do("Start", reason="go")
        visit.sees("running", ".top")
        [cookie] = visit.page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        stored = visit.page.evaluate("({...localStorage, ...sessionStorage})")
        seen = json.dumps([visit.page.url, visit.page.content(), cookie, stored])
        for each in TOKENS:
            assert each["token"] not in seen
            assert each["token"] not in at.proxy.log.read_text()


def test_what_is_old_says_so_and_is_live_again_by_itself(scene: Make, browser: Browser) -> None:
    with scene() as at, Visit.to(at.proxy, browser) as visit:
        visit.open()
        visit.sees("waits to be started")
        expect(visit.page.get_by_text("Loading …")).to_have_count(0)
        visit.sees("● live", ".top")
        [control] = processes(at.proxy, "ctl")
        os.kill(control, signal.SIGSTOP)
        try:
            visit.sees("not live", ".top")
            visit.sees("Not current.")
        finally:
            os.kill(control, signal.SIGCONT)
        visit.sees("● live", ".top")
        os.kill(control, signal.SIGKILL)
        eventually(lambda: processes(at.proxy, "ctl") not in ([], [control]))
        visit.sees("● live", ".top")
        visit.do("Start")


def test_a_keyboard_is_enough_to_go_back(scene: Make, browser: Browser) -> None:
    with scene() as at, Visit.to(at.proxy, browser) as visit:
        at.operator.act("start")
        visit.open()
        visit.sees("● live", ".top")
        for _ in range(60):  # from wherever the focus is: round the page once
            visit.page.keyboard.press("Tab")
            if visit.page.evaluate("document.activeElement.textContent") == "Abort":
                break
        abort = visit.page.get_by_role("button", name="Abort", exact=True)
        expect(abort).to_be_focused()
        abort.press("Enter")
        dialog = visit.page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        visit.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(abort).to_be_focused()
        abort.press("Enter")
        expect(dialog).to_be_visible()
        visit.page.get_by_label("Reason").focus()
        visit.page.keyboard.type("three in the morning")
        visit.page.keyboard.press("Enter")
        visit.sees("aborted", ".top")
        assert "three in the morning" in at.status()["why"]
