"""Every page by what screen readers, keyboards and fingers need: headers, regions and targets."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.browser import browse
from tests.integration.api_world import Api
from tests.integration.page.page_driver import failing

PAGES = (
    "/",
    "/grid",
    "/grid?start=2021-10-18&first=2021-10-19&last=2021-10-21&do=accept",
    "/dates?state=failed",
    "/attempts",
    "/dates/2021-10-19",
    "/backfills",
    "/backfills/1",
    "/enqueue?start=2021-10-19&end=2021-10-22",
    "/validation?start=2021-10-19&end=2021-10-22",
)
FAULTS = """
() => {
  const shown = (one) => one.checkVisibility() && one.getBoundingClientRect().width > 1;
  const all = (what) => [...document.querySelectorAll(what)].filter(shown);
  const name = (one) => one.outerHTML.slice(0, 80);
  const faults = [];
  for (const one of all("th")) {
    if (!one.textContent.trim()) faults.push(`empty header: ${name(one)}`);
    if (!one.scope) faults.push(`header without scope: ${name(one)}`);
  }
  for (const one of all("body *")) {
    const style = getComputedStyle(one);
    const scrolls = ["auto", "scroll"].includes(style.overflowX) && one.scrollWidth > one.clientWidth + 1;
    if (scrolls && one.tabIndex < 0) faults.push(`scrolls without focus: ${name(one)}`);
  }
  const targets = all("a, button, input, select, summary").filter((one) => !one.closest(".skip"));
  const box = (one) => (one.closest("label") ?? one).getBoundingClientRect();
  const inText = (one) => one.tagName === "A" && getComputedStyle(one).display === "inline";
  for (const one of targets) {
    const { width, height } = box(one);
    const small = width < 24 || height < 24;
    if (small && !inText(one)) faults.push(`target of ${width} x ${height}: ${name(one)}`);
  }
  const { scrollWidth } = document.documentElement;
  if (scrollWidth > innerWidth) faults.push(`wide: ${scrollWidth}`);
  return faults;
}
"""


@pytest.mark.parametrize("width", [390, 1440])
def test_every_page_has_named_headers_focusable_regions_and_targets_of_24_pixels(
    chromium: Browser, api: Api, url: str, width: int
) -> None:
    # Given dates that failed, that are done, and one whose job runs
    api.world.script = failing
    api.enqueue("2021-10-19", "2021-10-20")
    api.world.run()
    api.world.script = api.world.well
    api.enqueue("2021-10-21")
    api.world.run()
    api.enqueue("2021-10-22")
    api.world.settle()
    with browse(chromium, url, viewport={"width": width, "height": 844}) as page:
        for path in PAGES:
            page.goto(path)
            page.locator("html[data-polls]").wait_for()
            assert page.evaluate(FAULTS) == [], path
