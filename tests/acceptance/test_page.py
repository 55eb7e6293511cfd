"""The page over the real daemon and real jobs: enqueue, watch, pause, resume, a log that follows, the end."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.acceptance.daemon import daemon
from tests.browser import browse


def test_a_season_opener_from_the_form_to_its_end(chromium: Browser, tmp_path: Path) -> None:
    with daemon(tmp_path / "d", pace="0.5") as one, browse(chromium, one.client.url) as page:
        # Given a backfill that somebody enqueues after having seen its plan
        page.goto("/enqueue?start=2021-10-18&end=2021-10-19")
        expect(page.locator(".plan")).to_contain_text("1 not expected, 1 enqueued")
        page.get_by_role("button", name="Enqueue 1 date").click()
        page.wait_for_url("**/backfills/1")
        # When its jobs run, the overview shows them, and the date's page follows what they write
        page.goto("/")
        page.locator("#running + ul > li a").first.click()
        expect(page.locator("details[open] pre.log").first).to_contain_text("2021-10-19")
        # When everything is paused, what runs ends and nothing more starts
        page.goto("/")
        page.get_by_role("button", name="Pause everything").click()
        page.get_by_role("dialog").get_by_role("button", name="Pause everything").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Everything is paused")
        expect(page.locator("#running + ul")).to_contain_text("nothing starts while everything is paused")
        # When it is resumed, the date comes to its end, and the grid shows how
        page.get_by_role("button", name="Resume everything").click()
        page.get_by_role("dialog").get_by_role("button", name="Resume everything").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("All 2 dates ended")
        expect(page.get_by_role("img", name="2021-22: 1 bootstrap, 1 not expected")).to_be_visible()
