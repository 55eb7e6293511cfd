"""The page of one date says what is true now, and has buttons only where they help."""

from __future__ import annotations

import re

from tests.integration.api_world import Api
from tests.integration.page.page_driver import failing


def row(page: str, processor: str) -> str:
    """The row of a processor in the table of verdicts."""
    found = re.search(rf'<tr id="verdict-{processor}">.*?</tr>', page, re.DOTALL)
    assert found is not None
    return found[0]


def test_a_processor_whose_job_runs_is_shown_as_running_as_in_the_grid(api: Api) -> None:
    api.enqueue("2021-10-19")
    api.world.settle()
    (attempt,) = [a for a in api.get("/v1/attempts")["items"] if a["processor"] == "box"]
    shown = row(api.client.get("/dates/2021-10-19").text, "box")
    assert attempt["status"] == "running"
    assert "</i> running</span>" in shown
    assert f"attempt {attempt['id']}" in shown
    assert "no rows, no run recorded" not in shown


def test_a_failed_date_offers_no_run_of_what_never_had_its_turn(api: Api) -> None:
    api.world.script = failing
    api.enqueue("2021-10-19")
    api.world.run()
    page = api.client.get("/dates/2021-10-19").text
    assert "Run again</button>" in row(page, "box")
    assert "<button" not in row(page, "zones")


def test_a_date_on_which_nothing_is_expected_says_so_and_runs_nothing_again(api: Api) -> None:
    api.enqueue("2021-10-15")
    api.world.run()
    page = api.client.get("/dates/2021-10-15").text
    assert "nothing is expected on this date" in page
    assert "Run everything again" not in page


def test_the_charts_of_a_processor_end_with_the_last_known_date(api: Api) -> None:
    api.enqueue("2021-10-19", "2021-10-20")
    api.world.run()
    assert "2021-10-19 to 2021-11-15</strong>" in api.client.get("/processors/box").text
    assert "2021-07-01 to 2021-10-20</strong>" in api.client.get("/processors/box?start=2021-07-01").text
