"""The calendar of the overview on screens of several widths."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from backfilld.state.pipeline.pipeline import Pipeline
from tests.browser import browse
from tests.integration.api_world import Api, make_api, small_pipeline

SIZES = """[...document.querySelectorAll("#grid figure")].map((row) => {
  const [picture, caption] = [row.querySelector("svg"), row.querySelector("figcaption")];
  const [frame, units] = [picture.getBoundingClientRect(), picture.viewBox.baseVal];
  return {
    hidden: row.scrollWidth - row.clientWidth,
    lines: caption.getBoundingClientRect().height / 19,
    ratio: frame.width / units.width / frame.height * units.height,
  };
})"""
"""Of each row: the pixels out of sight, the lines of its name, and how far its squares are from square."""


def two_weeks() -> Pipeline:
    """A season of two weeks; all other dates lie in the row of their year."""
    season = {"name": "cup", "opens": dt.date(2021, 10, 19), "closes": dt.date(2021, 11, 1)}
    return small_pipeline(calendar={"file": "calendar.csv", "season": [season]})


@pytest.fixture
def api(tmp_path: Path) -> Api:
    api = make_api(tmp_path, made=two_weeks)
    api.enqueue("2021-10-19", "2021-11-01")
    api.enqueue("2025-01-01", "2025-12-30")
    api.world.run()
    return api


@pytest.mark.parametrize("width", [1600, 1280, 900])
def test_a_short_season_has_room_for_its_name_and_a_whole_year_is_in_sight(
    chromium: Browser, url: str, width: int
) -> None:
    with browse(chromium, url, viewport={"width": width, "height": 800}) as page:
        page.goto("/")
        season, year = page.evaluate(SIZES)
        assert season["lines"] == pytest.approx(1, abs=0.2)
        assert (season["hidden"], year["hidden"]) == (0, 0)
        assert (season["ratio"], year["ratio"]) == (pytest.approx(1, abs=0.02), pytest.approx(1, abs=0.02))
        # And the pointer finds the date below it
        assert last_date(page) == "/dates/2025-12-30"


def test_on_a_telephone_the_year_scrolls_and_its_squares_stay_large(chromium: Browser, url: str) -> None:
    with browse(chromium, url, viewport={"width": 390, "height": 800}) as page:
        page.goto("/")
        season, year = page.evaluate(SIZES)
        assert season["lines"] == pytest.approx(1, abs=0.2)
        assert year["hidden"] > 0
        assert year["ratio"] == pytest.approx(1, abs=0.02)


def last_date(page: Page) -> str | None:
    """The link on the square of 2025-12-30, the Tuesday of the last week, under the pointer."""
    page.locator("html[data-polls]").wait_for()
    frame = page.locator("#grid svg").nth(1).bounding_box()
    assert frame is not None
    scale = frame["height"] / 79
    page.mouse.move(frame["x"] + frame["width"] - 5 * scale, frame["y"] + (9 + 15) * scale)
    return page.locator("a.cursor").get_attribute("href")
