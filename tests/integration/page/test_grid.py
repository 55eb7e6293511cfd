"""A rectangle of the grid is marked by mouse and by keyboard, and retried, without a script too."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import browse, wait_for_poll
from tests.integration.api_world import Api, make_api, small_pipeline
from tests.integration.page.page_driver import COUNT_TOUCHED, failing, press

DATES = [f"2021-10-{day}" for day in range(19, 29)]
MARKED = "30 outputs: 10 dates × 3 processors"


@pytest.fixture
def api(tmp_path: Path) -> Api:
    """Ten dates that failed."""
    api = make_api(tmp_path, made=lambda: small_pipeline(jobs={"breaker_threshold": 1000}))
    api.world.script = failing
    api.enqueue(DATES[0], DATES[-1])
    api.world.run()
    return api


def cell(page: Page, processor: str, date: str) -> tuple[float, float]:
    """The middle of a cell in the window."""
    column = page.locator("thead .day").evaluate_all("all => all.map(one => one.abbr)").index(date)
    box = page.locator(f"tr[data-processor={processor}] td").nth(column).bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def retry(page: Page, api: Api) -> None:
    """Retry what is marked: first it is shown, then it is done."""
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator("#preview")).to_have_text("Retry 10 dates")
    assert {api.get(f"/v1/dates/{date}")["state"] for date in DATES} == {"failed"}
    page.get_by_role("button", name="Retry 10 dates").click()
    expect(page.get_by_text("Retried 10 dates")).to_be_visible()
    assert {api.get(f"/v1/dates/{date}")["state"] for date in DATES} == {"pending"}


def test_a_rectangle_is_dragged_with_the_mouse_and_retried(api: Api, page: Page) -> None:
    page.goto("/grid")
    page.locator("html[data-polls]").wait_for()
    page.mouse.move(*cell(page, "box", DATES[0]))
    page.mouse.down()
    page.mouse.move(*cell(page, "zones", DATES[-1]), steps=4)
    page.mouse.up()
    expect(page.locator("#marked-count")).to_have_text(MARKED)
    expect(page.locator("#marked")).to_be_visible()
    retry(page, api)


def test_a_rectangle_is_marked_by_keyboard_and_kept_in_the_url(api: Api, page: Page) -> None:
    page.goto("/grid")
    page.locator("html[data-polls]").wait_for()
    page.locator(".grid-scroll").focus()
    for key in ("Home", "ArrowRight", *["Shift+ArrowRight"] * 9, *["Shift+ArrowDown"] * 2):
        page.keyboard.press(key)
    expect(page.locator("#marked-count")).to_have_text(MARKED)
    # Then whoever opens this URL sees the same rectangle
    page.goto(page.url)
    expect(page.locator("#marked-count")).to_have_text(MARKED)
    expect(page.locator("#marked")).to_be_visible()
    retry(page, api)


def test_a_shift_click_extends_the_rectangle_which_is_enqueued_as_a_selection(api: Api, page: Page) -> None:
    page.goto("/grid")
    page.locator("html[data-polls]").wait_for()
    page.mouse.click(*cell(page, "box", DATES[0]))
    page.keyboard.down("Shift")
    page.mouse.click(*cell(page, "extra", DATES[-1]))
    page.keyboard.up("Shift")
    expect(page.locator("#marked-count")).to_have_text("20 outputs: 10 dates × 2 processors")
    # When the rectangle is enqueued, its plan is shown first, for the marked processors alone
    page.get_by_role("button", name="Enqueue", exact=True).click()
    expect(page.get_by_label("Select", exact=True)).to_have_value("box,extra")
    expect(page.locator(".plan .figures")).to_contain_text("Jobs20")
    press(page, "Enqueue 10 dates")
    page.wait_for_url("**/backfills/2")
    # Then as many jobs run as the plan has
    api.world.script = api.world.well
    api.world.run()
    expect(page.get_by_text("20 attempts", exact=True)).to_be_visible()
    assert [row["outcome"] for row in api.get("/v1/dates")["items"]] == ["selected"] * 10


def test_a_rectangle_is_chosen_and_retried_without_a_script(chromium: Browser, api: Api, url: str) -> None:
    with browse(chromium, url, java_script_enabled=False) as page:
        page.goto("/grid")
        page.get_by_label("From").fill(DATES[0])
        page.get_by_label("To", exact=True).fill(DATES[-1])
        for name in ("box", "extra", "zones"):
            page.get_by_label(name, exact=True).check()
        retry(page, api)


def test_a_cell_tells_its_figures_and_enter_opens_its_date(api: Api, page: Page) -> None:
    page.goto("/grid")
    page.locator("html[data-polls]").wait_for()
    page.mouse.move(*cell(page, "box", DATES[0]))
    expect(page.locator("#tip")).to_contain_text(f"{DATES[0]} box failed")
    expect(page.locator("#tip")).to_contain_text("exit 1")
    page.mouse.click(*cell(page, "box", DATES[0]))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/dates/{DATES[0]}")


def test_the_grid_follows_what_happens_and_keeps_what_is_marked(api: Api, page: Page) -> None:
    page.goto("/grid")
    page.locator("html[data-polls]").wait_for()
    page.mouse.click(*cell(page, "box", DATES[0]))
    api.world.script = api.world.well
    api.post(f"/v1/dates/{DATES[0]}/retry")
    api.world.run()
    wait_for_poll(page)
    expect(page.locator("tr[data-processor=box] td.v-complete")).to_have_count(1)
    expect(page.locator("#marked-count")).to_have_text("1 output: 1 date × 1 processor")
    expect(page.get_by_label("box", exact=True)).to_be_checked()
    # When nothing happens, a poll touches nothing
    page.evaluate(COUNT_TOUCHED)
    wait_for_poll(page)
    assert page.evaluate("touched") == 0
