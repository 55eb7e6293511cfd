"""How the page behaves: what it costs, without a daemon, by keyboard, in any window."""

from __future__ import annotations

import datetime as dt

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import browse, polls, wait_for_poll
from tests.integration.api_world import Api
from tests.integration.page.page_driver import COUNT_TOUCHED

PAGES = ("/", "/dates/2021-10-19", "/backfills", "/backfills/1", "/enqueue", "/validation")


def test_thousands_of_dates_are_a_few_elements_and_a_poll_touches_only_what_changed(
    api: Api, page: Page
) -> None:
    # Given 5,000 dates
    first = dt.date(2008, 1, 1)
    api.enqueue(str(first), str(first + dt.timedelta(days=4999)))
    page.goto("/")
    # Then each is drawn, by few elements
    drawn = page.locator("#grid path[data-label]").evaluate_all(
        "all => all.map(one => one.getAttribute('d'))"
    )
    assert sum(path.count("M") for path in drawn) == 5000
    assert page.locator("#calendar *").count() < 600
    # When nothing moves, looking again touches nothing
    page.evaluate(COUNT_TOUCHED)
    wait_for_poll(page)
    assert page.evaluate("touched") == 0
    # When one date moves, a few elements change
    api.post("/v1/dates/2010-06-01/retry")
    expect(page.get_by_role("img", name="2010: 364 not expected, 1 pending")).to_be_visible()
    assert 0 < page.evaluate("touched") < 100


def test_it_looks_less_often_while_nobody_looks_at_it(api: Api, page: Page) -> None:
    # Given a tab under a clock of ours
    api.enqueue("2021-10-19")
    page.clock.install()
    page.goto("/", wait_until="networkidle")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    # When the tab is hidden for minutes
    hide = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
    hide += "document.dispatchEvent(new Event('visibilitychange')); }"
    page.evaluate(hide, True)
    asked.clear()
    page.clock.run_for(300_000)
    # Then it asks for nothing
    assert asked == []
    # When it is seen again, it looks at once
    before = polls(page)
    page.evaluate(hide, False)
    page.wait_for_function("n => document.documentElement.dataset.polls > n", arg=before)
    assert asked


def test_it_says_when_the_daemon_does_not_answer_and_goes_on_when_it_does(api: Api, page: Page) -> None:
    api.enqueue("2021-10-19")
    page.goto("/")
    page.route("**/?part=*", lambda route: route.abort())
    expect(page.locator("#pulse")).to_have_text("no response, retrying")
    page.unroute("**/?part=*")
    expect(page.locator("#pulse")).to_have_text("live")


def test_the_calendar_is_walked_and_opened_by_keyboard(api: Api, page: Page) -> None:
    # Given dates of a season
    api.enqueue("2021-10-19", "2021-10-29")
    api.world.run()
    page.goto("/")
    # When the calendar has the focus, it begins at the last date
    page.locator("#grid").focus()
    page.keyboard.press("ArrowDown")
    tip = page.locator("#tip")
    for keys, words in (
        ((), "30 Oct 2021 never enqueued"),
        (("ArrowUp",), "Fri, 29 Oct 2021 complete"),
        (("ArrowLeft", "ArrowUp"), "Thu, 21 Oct 2021 complete"),
        (("Home",), "Mon, 18 Oct 2021 never enqueued"),
        (("ArrowDown",), "Tue, 19 Oct 2021 complete"),
    ):
        for key in keys:
            page.keyboard.press(key)
        expect(tip).to_contain_text(words)
    # Then Enter opens the date
    page.keyboard.press("Enter")
    page.wait_for_url("**/dates/2021-10-19")


def test_a_square_tells_and_opens_its_date(api: Api, page: Page) -> None:
    api.enqueue("2021-10-19", "2021-10-20")
    page.goto("/")
    svg = page.locator("#grid svg")
    box = svg.bounding_box()
    assert box is not None
    unit = box["height"] / 79
    # The second Tuesday: nobody enqueued it; the first one somebody did
    for week, words in ((1, "26 Oct 2021 never enqueued"), (0, "19 Oct 2021 pending: waiting: ")):
        page.mouse.move(box["x"] + (10 * week + 4) * unit, box["y"] + (9 + 14) * unit)
        expect(page.locator("#tip")).to_contain_text(words)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url("**/dates/2021-10-19")


def test_a_tap_on_a_square_opens_its_date(chromium: Browser, api: Api, url: str) -> None:
    api.enqueue("2021-10-19")
    with browse(chromium, url, has_touch=True) as page:
        page.goto("/", wait_until="networkidle")
        box = page.locator("#grid svg").bounding_box()
        assert box is not None
        unit = box["height"] / 79
        page.touchscreen.tap(box["x"] + 4 * unit, box["y"] + (9 + 14) * unit)
        page.wait_for_url("**/dates/2021-10-19")


def test_everything_can_be_reached_with_the_tab_key(api: Api, page: Page) -> None:
    api.enqueue("2021-10-19")
    page.goto("/")
    reached = []
    for _ in range(16):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
        )
    assert reached[0] == "Skip to the content"
    assert {"Overview", "Backfills", "Validation", "New backfill", "Pause everything", "grid"} <= set(reached)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_narrow_window_in_light_and_dark(
    chromium: Browser, api: Api, url: str, scheme: str
) -> None:
    api.enqueue("2021-10-19", "2021-10-20", note="a rather long note " * 10)
    api.world.run()
    with browse(chromium, url, viewport={"width": 390, "height": 844}, color_scheme=scheme) as page:
        for path in PAGES:
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
            ground = page.evaluate(
                "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
            )
            assert (sum(ground) < 3 * 128) == (scheme == "dark")
