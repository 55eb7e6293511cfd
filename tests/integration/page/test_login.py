"""The page of a daemon with tokens: a login that keeps the token out of URLs and of what scripts can read."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from backfilld.api.auth.tokens import Scope, mint
from tests.browser import browse
from tests.integration.api_world import Api, listening, make_api

DATE = "2021-10-19"


class Door:
    """An API with one token of each scope."""

    def __init__(self, folder: Path) -> None:
        made = {scope: mint(f"her-{scope}", scope) for scope in Scope}
        file = folder / "tokens"
        file.write_text("".join(f"{line}\n" for _, line in made.values()))
        file.chmod(0o600)
        self.token = {scope: token for scope, (token, _) in made.items()}
        self.api: Api = make_api(folder, tokens=file)
        self.api.world.enqueue(*[self.api.world.pipeline.seasons.seasons[0].opens] * 2)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def log_in(page: Page, token: str) -> None:
    page.locator("html[data-polls]").wait_for()
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()


def test_whoever_is_not_known_logs_in_and_comes_to_the_page_that_was_wanted(
    chromium: Browser, door: Door
) -> None:
    with listening(door.api.app) as url, browse(chromium, url) as page:
        # Given somebody without a session, who wants a date's page
        page.goto(f"/dates/{DATE}?x=1")
        expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
        # When the token is wrong, the daemon says so
        log_in(page, "bfd_wrong")
        expect(page.locator("#problem")).to_have_text("this token is not known")
        # When it is right, the wanted page opens
        token = door.token[Scope.OPERATE]
        log_in(page, token)
        page.wait_for_url(f"**/dates/{DATE}?x=1")
        expect(page.locator(".who")).to_contain_text("her-operate")
        # Then the token is nowhere that a script could read it
        kept = page.evaluate(
            "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}, location.href])"
        )
        assert token not in kept
        assert page.evaluate("document.cookie") == ""
        (cookie,) = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert token not in cookie["value"]


def test_without_a_script_the_token_stays_out_of_the_url_as_well(chromium: Browser, door: Door) -> None:
    with listening(door.api.app) as url, browse(chromium, url, java_script_enabled=False) as page:
        page.goto("/login")
        page.get_by_label("Token").fill(door.token[Scope.READ])
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_text("the body should be application/json")).to_be_visible()
        assert page.url == f"{url}/login"


def test_a_session_that_ends_leads_back_to_the_login(chromium: Browser, door: Door) -> None:
    with listening(door.api.app) as url, browse(chromium, url) as page:
        page.goto("/")
        log_in(page, door.token[Scope.OPERATE])
        expect(page.get_by_role("button", name="Pause everything")).to_be_visible()
        # When the session ends elsewhere, the next look leads to the login
        page.context.clear_cookies()
        expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
        # And so does a logout
        log_in(page, door.token[Scope.OPERATE])
        page.wait_for_url(f"{url}/")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


def test_who_may_only_read_is_offered_nothing_else(chromium: Browser, door: Door) -> None:
    with listening(door.api.app) as url, browse(chromium, url) as page:
        page.goto("/backfills/1")
        log_in(page, door.token[Scope.READ])
        expect(page.get_by_role("heading", level=1)).to_contain_text("Backfill 1")
        assert page.get_by_role("button").all_inner_texts() == ["Log out"]


def test_a_login_never_leads_to_another_site(chromium: Browser, door: Door) -> None:
    with listening(door.api.app) as url, browse(chromium, url) as page:
        page.goto("/login?next=/%09/example.org/")  # browsers leave the tab out
        log_in(page, door.token[Scope.READ])
        page.wait_for_url(f"{url}/")
