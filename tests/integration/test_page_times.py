"""Every time on the pages says its zone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.api_world import Api, make_api, small_pipeline
from tests.integration.page.page_driver import failing

PAGES = (
    "/",
    "/grid?start=2021-10-18",
    "/dates?state=failed",
    "/dates/2021-10-19",
    "/dates/2021-10-21",
    "/attempts",
    "/backfills",
    "/backfills/1",
    "/processors/box",
    "/validation?start=2021-10-19&end=2021-10-22",
)
_TIME = re.compile(r"<time (?P<attributes>[^>]*)>(?P<text>[^<]*)</time>(?P<after>[^<]*(?:<small>[^<]*)?)")
_LOCAL = re.compile(r"\d\d:\d\d(:\d\d)? E[DS]T\b")


@pytest.fixture
def api(tmp_path: Path) -> Api:
    """Dates that failed, one that is done, one whose jobs run, and a hold, of a platform in New York."""
    api = make_api(tmp_path, made=lambda: small_pipeline(timezone="America/New_York"))
    api.enqueue("2021-10-21")
    api.world.run()
    api.world.script = failing
    api.enqueue("2021-10-19", "2021-10-20")
    api.world.run()
    api.enqueue("2021-10-22")
    api.world.settle()
    api.post("/v1/pause", {"reason": "maintenance"})
    return api


def test_every_time_on_the_pages_is_in_utc_and_in_the_zone_of_the_pipeline(api: Api) -> None:
    found = {path: list(_TIME.finditer(api.client.get(path).text)) for path in PAGES}
    times = [(path, time) for path, of_path in found.items() for time in of_path]
    assert len(times) > 10
    assert {"/", "/dates/2021-10-19", "/attempts", "/backfills/1"} <= {path for path, _ in times}
    assert not [time[0] for _, time in times if not time["text"].endswith(" UTC")]
    # And "ago" follows none of them: that belongs to the ages that the script shows in their place
    assert not [time[0] for _, time in times if re.match(r"\s+ago\b", time["after"])]
    without = {
        (path, time[0]) for path, time in times if not _LOCAL.search(time["attributes"] + time["after"])
    }
    assert without == set()
