"""Every page by axe-core and html-validate, narrow and wide, light and dark."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

from tests.browser import browse
from tests.integration.api_world import Api
from tests.integration.page.page_driver import failing

PAGES = (
    "/",
    "/grid?start=2021-10-18&first=2021-10-19&last=2021-10-21&do=accept",
    "/dates?state=failed",
    "/dates?state=done&reason=nothing",
    "/attempts",
    "/dates/2021-10-19",
    "/dates/2021-10-22",
    "/dates/2031-01-01",
    "/backfills",
    "/backfills/1",
    "/processors/box",
    "/enqueue?start=2021-10-19&end=2021-10-22",
    "/enqueue?start=2021-10-19&end=2021-10-01",
    "/validation?start=2021-10-19&end=2021-10-22",
    "/login",
)
DIALOGS = {"/": "Pause everything", "/dates/2021-10-19": "Accept"}
"""A button of a page that opens a dialog."""
RULES = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
COLOURS = {"resultTypes": ["violations"], "runOnly": ["color-contrast"]}
WIDE_OR_SMALL = """
() => {
  const shown = (one) => one.checkVisibility() && one.getBoundingClientRect().width > 1;
  const targets = [...document.querySelectorAll("a, button, input, select, summary")].filter(shown);
  const box = (one) => (one.closest("label") ?? one).getBoundingClientRect();
  const inText = (one) => one.tagName === "A" && getComputedStyle(one).display === "inline";
  const small = (one) => Math.min(box(one).width, box(one).height) < 24 && !inText(one);
  const faults = targets.filter((one) => !one.closest(".skip") && small(one));
  const names = faults.map((one) => `small: ${one.outerHTML.slice(0, 80)}`);
  const cutOff = (one) => innerWidth > 1024 && one.scrollWidth > one.clientWidth;
  const tables = [...document.querySelectorAll(".scroll")].filter(cutOff);
  names.push(...tables.map((one) => `cut off: ${one.ariaLabel}`));
  const { scrollWidth } = document.documentElement;
  return scrollWidth > innerWidth ? [...names, `wide: ${scrollWidth}`] : names;
}
"""
LONG_RESULT = "document.querySelector('td .result')?.append('; volume not judged'.repeat(20))"
HTML = Path(__file__).parents[2] / "html"
VALIDATOR = (
    Path(__file__).parents[3] / ".venv-node" / "node_modules" / "html-validate" / "bin" / "html-validate.mjs"
)


@pytest.fixture
def filled(api: Api) -> Api:
    """Dates that failed, one that is done, and one whose jobs run."""
    api.world.script = failing
    api.enqueue("2021-10-19", "2021-10-20")
    api.world.run()
    api.world.script = api.world.well
    api.enqueue("2021-10-21")
    api.world.run()
    api.enqueue("2021-10-22")
    api.world.settle()
    return api


def violations(page: Page, options: dict[str, object]) -> list[str]:
    found: list[str] = page.evaluate(
        """options => axe.run(options).then(({ violations }) => violations.flatMap(({ id, nodes }) =>
          nodes.map(({ html }) => `${id}: ${html.slice(0, 120)}`)))""",
        options,
    )
    return found


def test_every_page_and_its_dialogs_can_be_seen_read_and_reached(
    chromium: Browser, filled: Api, url: str
) -> None:
    with browse(chromium, url) as page:
        page.add_init_script(AXE_SCRIPT)
        for path in PAGES:
            page.emulate_media(color_scheme="light")
            page.goto(path)
            page.locator("html[data-polls]").wait_for()
            page.evaluate(LONG_RESULT)
            for width in (1440, 390):
                page.set_viewport_size({"width": width, "height": 844})
                assert page.evaluate(WIDE_OR_SMALL) == [], path
            assert violations(page, RULES) == [], path
            page.emulate_media(color_scheme="dark")
            assert violations(page, COLOURS) == [], f"{path}, dark"
            if path in DIALOGS:
                page.get_by_role("button", name=DIALOGS[path], exact=True).first.click()
                page.get_by_role("dialog").wait_for()
                assert violations(page, RULES) == [], f"the dialog of {path}"


@pytest.mark.packages
def test_every_page_is_valid_html(filled: Api, tmp_path: Path) -> None:
    for number, path in enumerate(PAGES):
        (tmp_path / f"{number}.html").write_text(filled.client.get(path).text, encoding="utf-8")
    command = ["node", VALIDATOR, "--config", HTML / ".htmlvalidate.json", "--formatter", "text", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
