"""What the page shows."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from tests.browser import browse
from tests.integration.api_world import Api
from tests.integration.page.page_driver import heading


def test_it_shows_everything_without_a_script(chromium: Browser, api: Api, url: str) -> None:
    # Given a browser that runs no script, and dates that have ended
    api.enqueue("2021-10-15", "2021-10-20")
    api.world.run()
    with browse(chromium, url, java_script_enabled=False) as page:
        # Then the first paint tells where the whole stands, with a square for each date
        page.goto("/")
        expect(page.get_by_role("heading", level=1)).to_have_text("All 6 dates ended")
        expect(page.get_by_role("img", name="2021-22: 2 complete, 4 not expected")).to_be_visible()
        page.goto("/dates/2021-10-19")
        expect(page.locator("#verdict-box")).to_contain_text("complete")


def test_a_time_reads_right_with_and_without_a_script(chromium: Browser, api: Api, url: str) -> None:
    # Given a backfill whose first jobs run
    api.enqueue("2021-10-19", "2021-10-20")
    api.world.step()
    # Then a browser that runs no script shows the absolute times
    with browse(chromium, url, java_script_enabled=False) as page:
        page.goto("/backfills")
        expect(page.get_by_text(re.compile(r"by \w+, [-\d]+ [:\d]+ UTC$"))).to_be_visible()
        page.goto("/dates/2021-10-19")
        expect(page.get_by_text(re.compile(r"^since [-\d]+ [:\d]+ UTC$")).first).to_be_visible()
    # And another one their ages
    with browse(chromium, url) as page:
        page.goto("/backfills")
        expect(page.get_by_text(re.compile(r"by \w+, \d+ \w+.* ago$"))).to_be_visible()
        page.goto("/dates/2021-10-19")
        expect(page.get_by_text(re.compile(r"^for \d+ ")).first).to_be_visible()


def test_an_empty_daemon_says_what_to_do(page: Page) -> None:
    page.goto("/")
    assert heading(page) == "Nothing enqueued yet"
    page.get_by_role("link", name="Enqueue the first one").click()
    assert heading(page) == "New backfill"


def test_it_follows_what_happens_without_being_loaded_again(api: Api, page: Page) -> None:
    # Given an overview of dates under way
    api.enqueue("2021-10-19", "2021-10-20")
    api.world.step()
    page.goto("/")
    expect(page.locator("#running + ul > li")).to_have_count(2)
    page.evaluate("window.sameAsBefore = true")
    # When they end
    api.world.run()
    # Then headline, grid and lists follow
    expect(page.get_by_role("heading", level=1)).to_have_text("All 2 dates ended")
    expect(page.get_by_role("img", name="2021-22: 2 complete")).to_be_visible()
    expect(page.locator("#running + ul")).to_contain_text("no job is running")
    assert page.evaluate("window.sameAsBefore")


def test_it_tells_what_waits_and_for_what(api: Api, page: Page) -> None:
    # Given dates that wait for the one that holds the strict phase
    api.enqueue("2021-10-19", "2021-10-22")
    while "slot" not in [date["waiting"] for date in api.get("/v1/dates?state=phase4-step-1")["items"]]:
        api.world.step()
    # Then the overview names the first of them and what it waits for
    page.goto("/")
    expect(page.locator("#wait-slot")).to_contain_text(
        "2021-10-20 is the earliest: a slot of phase4: 2021-10-19 runs"
    )


def test_what_people_wrote_is_text_and_never_markup(api: Api, page: Page) -> None:
    note = "<img src=x onerror=alert(1)>{{ 7 * 7 }}"
    api.enqueue("2021-10-19", note=note)
    for path in ("/backfills", "/backfills/1"):
        page.goto(path)
        expect(page.get_by_text(note)).to_be_visible()
        expect(page.locator("main img")).to_have_count(0)


def test_what_is_not_there_is_a_page_that_says_so(page: Page) -> None:
    for path, told in (
        ("/dates/2021-10-19", "2021-10-19 was never enqueued; enqueue it"),
        ("/dates/2021-13-01", "there is no date 2021-13-01"),
        ("/backfills/9", "there is no backfill 9; backfilld status lists them"),
        ("/validation?start=2021-10-19&end=2021-10-18", "2021-10-18 is before start 2021-10-19"),
    ):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status in (404, 422)
        expect(page.locator("main .note.bad")).to_contain_text(told)
