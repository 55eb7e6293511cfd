"""The page in a real browser, over the real API and engine in a simulated world."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from daemon.executors import Job
from tests.browser import after_a_look, looking, looks
from tests.integration.api_world import Api, listening, make_api
from tests.simulation.world import Work

COUNT_TOUCHED = """
window.touched = 0;
const ours = (one) => one.target.nodeName !== "TIME";  // ages go on by themselves
const everything = { subtree: true, childList: true, attributes: true, characterData: true };
new MutationObserver((all) => { touched += all.filter(ours).length; }).observe(document.body, everything);
"""
PAGES = ("/", "/dates/2021-10-19", "/backfills", "/backfills/1", "/enqueue", "/validation")


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return make_api(tmp_path)


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    with listening(api.app) as url:
        yield url


@pytest.fixture
def page(chromium: Browser, url: str) -> Iterator[Page]:
    with looking(chromium, url) as page:
        yield page


def failing(job: Job) -> Work:
    return Work(code=1)


def heading(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text()


def press(page: Page, name: str, reason: str | None = None) -> None:
    """Press a button once the page's script is there, and go on in its dialog where there is one."""
    page.locator("html[data-looks]").wait_for()
    page.get_by_role("button", name=name, exact=True).first.click()
    if reason is not None:
        dialog = page.get_by_role("dialog")
        if reason:
            dialog.get_by_label("Reason").fill(reason)
        dialog.get_by_role("button", name="Go on").click()


# ---- What it shows


def test_it_shows_everything_without_a_script(chromium: Browser, api: Api, url: str) -> None:
    # Given a browser that runs no script, and dates that have ended
    api.enqueue("2021-10-15", "2021-10-20")
    api.world.run()
    with looking(chromium, url, java_script_enabled=False) as page:
        # Then the first paint tells where the whole stands, with a square for each date
        page.goto("/")
        expect(page.get_by_role("heading", level=1)).to_have_text("All 6 dates ended")
        expect(page.get_by_role("img", name="2021-22: 2 complete, 4 not expected")).to_be_visible()
        page.goto("/dates/2021-10-19")
        expect(page.locator("#verdict-box")).to_contain_text("complete")


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
    expect(page.locator("#running + ul")).to_contain_text("no job runs now")
    assert page.evaluate("window.sameAsBefore")


def test_it_tells_what_waits_and_for_what(api: Api, page: Page) -> None:
    # Given dates that wait for the one that holds the strict phase
    api.enqueue("2021-10-19", "2021-10-22")
    while "slot" not in [date["waiting"] for date in api.get("/v1/dates?state=phase4-step-1")["items"]]:
        api.world.step()
    # Then the overview names the first of them and what it waits for
    page.goto("/")
    expect(page.locator("#wait-slot")).to_contain_text(
        "2021-10-20 is the first: a slot of phase4: 2021-10-19 runs"
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
        ("/dates/2021-10-19", "2021-10-19 was never enqueued"),
        ("/dates/2021-13-01", "there is no date 2021-13-01"),
        ("/backfills/9", "there is no backfill 9"),
        ("/validation?start=2021-10-19&end=2021-10-18", "2021-10-18 is before start 2021-10-19"),
    ):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status in (404, 422)
        expect(page.locator("main .note.bad")).to_contain_text(told)


# ---- What it does


def test_a_backfill_is_enqueued_after_its_plan_was_seen(api: Api, page: Page) -> None:
    # Given a filled-in form
    page.goto("/enqueue")
    page.get_by_label("From").fill("2021-10-17")
    page.get_by_label("To", exact=True).fill("2021-10-20")
    page.get_by_label("Note").fill("the opener")
    press(page, "Show the plan")
    # Then the plan is shown, with its commands, and nothing is enqueued yet
    expect(page.locator(".plan")).to_contain_text(
        "4 dates, 2021-10-17 to 2021-10-20: 2 not expected, 2 enqueued"
    )
    expect(page.locator(".plan")).to_contain_text("box")
    assert api.get("/v1/backfills")["items"] == []
    # When it is confirmed, its page opens
    press(page, "Enqueue 2 dates")
    page.wait_for_url("**/backfills/1")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Backfill 1")
    (backfill,) = api.get("/v1/backfills")["items"]
    assert (backfill["start"], backfill["end"], backfill["note"]) == (
        "2021-10-17",
        "2021-10-20",
        "the opener",
    )


def test_a_form_that_is_wrong_says_what_and_keeps_what_was_given(page: Page) -> None:
    page.goto("/enqueue?start=2021-10-20&end=2021-10-19&note=mine")
    expect(page.get_by_role("alert").filter(has_text="end")).to_contain_text("is before start")
    expect(page.get_by_label("Note")).to_have_value("mine")


def test_everything_is_paused_with_a_reason_and_resumed(api: Api, page: Page) -> None:
    # Given live dates
    api.enqueue("2021-10-19")
    page.goto("/")
    # When everything is paused
    press(page, "Pause everything", reason="lunch")
    # Then the page and the API say so, and why
    expect(page.get_by_role("heading", level=1)).to_have_text("Everything is paused")
    expect(page.locator(".note.warn")).to_contain_text("lunch")
    assert api.get("/v1/progress")["paused"]
    # When it is resumed
    press(page, "Resume everything")
    expect(page.get_by_role("heading", level=1)).to_have_text("0 of 1 date ended")
    assert not api.get("/v1/progress")["paused"]


def test_a_dialog_can_be_left_without_any_harm(api: Api, page: Page) -> None:
    api.enqueue("2021-10-19")
    page.goto("/")
    press(page, "Pause everything")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    press(page, "Pause everything")
    page.get_by_role("button", name="Never mind").click()
    after_a_look(page)
    assert not api.get("/v1/progress")["paused"]


def test_a_hold_is_lifted(api: Api, page: Page) -> None:
    # Given a processor that the same error has paused
    api.world.script = failing
    api.enqueue("2021-10-19", "2021-10-26")
    api.world.run(40)
    assert [hold["key"] for hold in api.get("/v1/holds")["items"]][:1] == ["box"]
    page.goto("/")
    # When its hold is lifted, it is gone from the page and from the daemon
    page.locator("#hold-processor-box").get_by_role("button", name="Lift").click()
    expect(page.locator("#hold-processor-box")).to_have_count(0)
    assert "box" not in [hold["key"] for hold in api.get("/v1/holds")["items"]]


def test_a_backfill_is_paused_resumed_cancelled_and_retried(api: Api, page: Page) -> None:
    api.enqueue("2021-10-19", "2021-10-20")
    page.goto("/backfills")
    page.get_by_role("link", name="2021-10-19 to 2021-10-20").click()
    pill = page.locator("h1 .pill")
    for button, status in (("Pause", "paused"), ("Resume", "active")):
        press(page, button)
        expect(pill).to_have_text(status)
    press(page, "Cancel", reason="")
    expect(pill).to_have_text("cancelling")
    api.world.run()
    expect(pill).to_have_text("cancelled")
    press(page, "Retry 2 failed dates")
    expect(pill).to_have_text("active")
    api.world.run()
    expect(pill).to_have_text("finished")
    expect(page.locator(".figures")).to_contain_text("2 complete")


def test_a_gap_is_accepted_with_a_reason_and_a_date_is_retried(api: Api, page: Page) -> None:
    # Given a date whose critical source fails
    api.world.script = failing
    api.enqueue("2021-10-19")
    api.world.run()
    page.goto("/dates/2021-10-19")
    expect(page.locator("#reason")).to_contain_text("box")
    # When the gap is accepted, history knows by whom and why, and the date goes on
    page.locator("#verdict-box").get_by_role("button", name="Accept").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("the source never had it")
    page.get_by_role("dialog").get_by_role("button", name="Go on").click()
    expect(page.locator("#verdict-box")).to_contain_text("accepted by anonymous: the source never had it")
    api.world.script = api.world.well
    api.world.run()
    expect(page.locator(".facts")).to_contain_text("done, accepted")
    # When it is retried, it starts again
    press(page, "Retry")
    expect(page.locator(".track [aria-current]")).to_have_text("pending")
    api.world.run()
    expect(page.locator(".track [aria-current]")).to_have_text("done")


def test_a_gap_needs_its_reason(api: Api, page: Page) -> None:
    api.world.script = failing
    api.enqueue("2021-10-19")
    api.world.run()
    page.goto("/dates/2021-10-19")
    page.locator("#verdict-box").get_by_role("button", name="Accept").click()
    page.get_by_role("dialog").get_by_role("button", name="Go on").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert api.get("/v1/dates/2021-10-19")["processors"][0]["accepted"] is None


def test_what_the_api_refuses_is_told_in_its_own_words(api: Api, page: Page) -> None:
    # Given a page that does not know yet that its backfill has finished
    api.enqueue("2021-10-19")
    page.goto("/backfills/1")
    page.route("**/backfills/1?part=main", lambda route: route.abort())
    api.world.run()
    # When it is paused nevertheless
    press(page, "Pause")
    # Then the daemon's refusal stands there
    expect(page.locator("#problem")).to_have_text("backfill 1 is finished; it cannot be paused")


def test_a_log_is_followed_while_its_job_runs(api: Api, page: Page, tmp_path: Path) -> None:
    # Given a job under way that has written something
    log = tmp_path / "job.log"
    log.write_text("first words\n")
    api.world.executor.log = lambda attempt: log  # type: ignore[method-assign]
    api.enqueue("2021-10-19")
    api.world.step()
    # Then its last line is on the overview, and its log is open on the date's page
    page.goto("/")
    expect(page.locator("#running + ul > li").first).to_contain_text("first words")
    page.locator("#running + ul > li a").first.click()
    pre = page.locator("details[open] pre.log").first
    expect(pre).to_have_text("first words\n")
    # When it writes on, in the middle of a character even, the page follows
    word = "größer\n".encode()
    with log.open("ab", buffering=0) as file:
        file.write(word[:3])
        expect(pre).to_contain_text("gr")
        file.write(word[3:])
    expect(pre).to_have_text("first words\ngrößer\n")
    # And it stays open and complete when the job ends
    api.world.run()
    expect(page.locator(".track [aria-current]")).to_have_text("done")
    expect(pre).to_have_text("first words\ngrößer\n")


def test_the_validation_of_a_range_tells_what_is_missing(api: Api, page: Page) -> None:
    api.enqueue("2021-10-19")
    api.world.run()
    page.goto("/validation")
    page.get_by_label("From").fill("2021-10-19")
    page.get_by_label("To", exact=True).fill("2021-10-21")
    press(page, "Ask the warehouse")
    expect(page.locator("#box")).to_contain_text("1 / 3")
    expect(page.locator("#box .marks")).to_have_text("✓○○")


# ---- How it behaves


def test_thousands_of_dates_are_a_few_elements_and_a_poll_touches_only_what_changed(
    api: Api, page: Page
) -> None:
    # Given 5,000 dates
    first = dt.date(2008, 1, 1)
    api.enqueue(str(first), str(first + dt.timedelta(days=4999)))
    page.goto("/")
    # Then each is drawn, by few elements
    drawn = page.locator("#grid path[data-words]").evaluate_all(
        "all => all.map(one => one.getAttribute('d'))"
    )
    assert sum(path.count("M") for path in drawn) == 5000
    assert page.locator("#calendar *").count() < 600
    # When nothing moves, looking again touches nothing
    page.evaluate(COUNT_TOUCHED)
    after_a_look(page)
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
    page.clock.run_for(300_000)
    # Then it asks for nothing
    assert asked == []
    # When it is seen again, it looks at once
    before = looks(page)
    page.evaluate(hide, False)
    page.wait_for_function("n => document.documentElement.dataset.looks > n", arg=before)
    assert asked


def test_it_says_when_the_daemon_does_not_answer_and_goes_on_when_it_does(api: Api, page: Page) -> None:
    api.enqueue("2021-10-19")
    page.goto("/")
    page.route("**/?part=*", lambda route: route.abort())
    expect(page.locator("#pulse")).to_have_text("no answer, trying again")
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
    for week, words in ((1, "26 Oct 2021 never enqueued"), (0, "19 Oct 2021 pending: waits for")):
        page.mouse.move(box["x"] + (10 * week + 4) * unit, box["y"] + (9 + 14) * unit)
        expect(page.locator("#tip")).to_contain_text(words)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url("**/dates/2021-10-19")


def test_everything_can_be_reached_with_the_tab_key(api: Api, page: Page) -> None:
    api.enqueue("2021-10-19")
    page.goto("/")
    reached = []
    for _ in range(12):
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
    with looking(chromium, url, viewport={"width": 390, "height": 844}, color_scheme=scheme) as page:
        for path in PAGES:
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
            ground = page.evaluate(
                "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
            )
            assert (sum(ground) < 3 * 128) == (scheme == "dark")
