"""A real Chromium for the tests of the page, and what must hold of every page that it sees."""

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
TELL_VIOLATIONS = """
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
def looking(chromium: Browser, url: str, **options: object) -> Iterator[Page]:
    """A tab on a daemon's pages, at ease: nothing from elsewhere, nothing against the policy, no error."""
    context = chromium.new_context(base_url=url, **options)  # type: ignore[arg-type]
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    complaints: list[str] = []
    elsewhere: list[str] = []

    def check(route: Route) -> None:
        if urlsplit(route.request.url).netloc != urlsplit(url).netloc:
            elsewhere.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    context.route("**/*", check)
    page.add_init_script(TELL_VIOLATIONS)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "policy" in said.text.lower() else None)
    yield page
    context.close()
    assert elsewhere == []
    assert complaints == []


def looks(page: Page) -> int:
    """How often the page has looked for something new."""
    return int(page.evaluate("document.documentElement.dataset.looks ?? 0"))


def after_a_look(page: Page) -> None:
    """Wait until a look that begins from now on is over: the next but one to end."""
    page.wait_for_function("n => document.documentElement.dataset.looks >= n", arg=looks(page) + 2)
