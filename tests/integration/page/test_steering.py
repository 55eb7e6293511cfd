"""What people do on the page."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from backfilld.daemon.executors.attempt_files import FileLog
from tests.browser import wait_for_poll
from tests.integration.api_world import Api
from tests.integration.page.page_driver import failing, press


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
    # When everything is paused, with Enter where the reason stands
    press(page, "Pause everything")
    page.get_by_role("dialog").get_by_label("Reason").fill("lunch")
    page.keyboard.press("Enter")
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
    page.get_by_role("button", name="Close").click()
    wait_for_poll(page)
    assert not api.get("/v1/progress")["paused"]


def test_a_hold_is_lifted(api: Api, page: Page) -> None:
    # Given a processor that the same error has paused
    api.world.script = failing
    api.enqueue("2021-10-19", "2021-10-26")
    api.world.run(40)
    assert [hold["key"] for hold in api.get("/v1/holds")["items"]][:1] == ["box"]
    page.goto("/")
    # When its hold is lifted, it is gone from the page and from the daemon
    page.locator("html[data-polls]").wait_for()
    page.locator("#hold-processor-box").get_by_role("button", name="Release").click()
    page.get_by_role("dialog").get_by_role("button", name="Release").click()
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
    page.get_by_role("dialog").get_by_role("button", name="Accept").click()
    expect(page.locator("#verdict-box")).to_contain_text("waived by anonymous: the source never had it")
    api.world.script = api.world.well
    api.world.run()
    expect(page.locator(".facts")).to_contain_text("done, waived")
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
    page.get_by_role("dialog").get_by_role("button", name="Accept").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert api.get("/v1/dates/2021-10-19")["processors"][0]["waiver"] is None


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
    api.world.executor.log = lambda attempt: FileLog(log)  # type: ignore[method-assign]
    api.enqueue("2021-10-19")
    api.world.step()
    # Then its last line is on the overview, and its log is open on the date's page
    page.goto("/")
    expect(page.locator("#running + ul > li").first).to_contain_text("first words")
    page.locator("#running + ul > li a").first.click()
    pre = page.locator("details[open] pre.log").first
    expect(pre).to_have_text("first words\n")
    # When the daemon cannot answer once, and the job writes on, in the middle of a character even
    refusals = [{"detail": "not now"}]
    page.route(
        "**/log?*",
        lambda route: route.fulfill(status=503, json=refusals.pop()) if refusals else route.fallback(),
    )
    word = "größer\n".encode()
    with log.open("ab", buffering=0) as file:
        file.write(word[:3])
        expect(pre).to_contain_text("gr")
        file.write(word[3:])
    # Then the page follows
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
    press(page, "Query the warehouse")
    expect(page.locator("#box")).to_contain_text("1 / 3")
    expect(page.locator("#box .marks")).to_have_text("✓○○")
