"""A real Chromium for the tests of the page, with checks that every page has to pass."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

TIMEOUT_MS = 120_000
"""How long a condition may take on a busy machine."""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOG_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`against the policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""

expect.set_options(timeout=TIMEOUT_MS)


@contextlib.contextmanager
def running() -> Iterator[Browser]:
    """A started browser."""
    path = shutil.which("chromium")
    assert path is not None, "there is no chromium: run make system-packages"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def browse(chromium: Browser, url: str, **options: object) -> Iterator[Page]:
    """A tab on the pages of a daemon. Fails on foreign requests, policy violations and script errors."""
    context = chromium.new_context(base_url=url, **options)  # type: ignore[arg-type]
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    errors: list[str] = []
    foreign: list[str] = []

    def check(route: Route) -> None:
        if urlsplit(route.request.url).netloc != urlsplit(url).netloc:
            foreign.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    context.route("**/*", check)
    page.add_init_script(LOG_VIOLATIONS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if "policy" in line.text.lower() else None)
    yield page
    context.close()
    assert foreign == []
    assert errors == []


def polls(page: Page) -> int:
    """How often the page has polled the daemon."""
    return int(page.evaluate("document.documentElement.dataset.polls ?? 0"))


def wait_for_poll(page: Page) -> None:
    """Wait until a poll that starts from now on has ended: the second to end."""
    page.wait_for_function("n => document.documentElement.dataset.polls >= n", arg=polls(page) + 2)
