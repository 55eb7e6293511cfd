"""Dates and attempts are found by what is wrong with them, by URL alone, and retried from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.api_world import Api, make_api, refused, small_pipeline
from tests.integration.page.page_driver import failing

FAILED = ["2021-10-19", "2021-10-20"]


@pytest.fixture
def api(tmp_path: Path) -> Api:
    """Two dates that failed, and one that is done."""
    api = make_api(tmp_path, made=lambda: small_pipeline(jobs={"breaker_threshold": 100}))
    api.enqueue("2021-10-21")
    api.world.run()
    api.world.script = failing
    api.enqueue(*FAILED)
    api.world.run()
    return api


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("outcome=exhausted", FAILED),
        ("outcome=complete,waived", ["2021-10-21"]),
        ("processor=box", FAILED),
        ("processor=box&verdict=complete", ["2021-10-21"]),
        ("verdict=failed", FAILED),
        ("reason=EXIT%201", FAILED),
        ("reason=exit_1", []),
        ("outcome=exhausted&start=2021-10-20", FAILED[1:]),
        ("verdict=excess", []),
    ],
)
def test_dates_are_filtered_by_outcome_verdict_and_reason(api: Api, query: str, found: list[str]) -> None:
    answer = api.get(f"/v1/dates?{query}")
    assert [row["date"] for row in answer["items"]] == found
    assert answer["dates"] == len(found)
    page = api.client.get(f"/dates?{query}").text
    assert [date for date in (*FAILED, "2021-10-21") if f'id="date-{date}"' in page] == found


@pytest.mark.parametrize(
    ("query", "field"),
    [("outcome=done", "outcome"), ("processor=bx", "processor"), ("verdict=good", "verdict")],
)
def test_a_filter_that_nothing_can_match_is_refused_by_its_field(api: Api, query: str, field: str) -> None:
    assert refused(api.client.get(f"/v1/dates?{query}"), 422)[0] == field
    assert api.client.get(f"/dates?{query}").status_code == 422


def test_the_failed_list_leads_to_a_retry_of_the_chosen_dates(api: Api) -> None:
    assert 'href="/dates?state=failed"' in api.client.get("/").text
    page = api.client.get("/dates?state=failed").text
    assert page.count(" checked") == 2
    done = api.client.post("/dates?state=failed", data={"date": FAILED[:1]}).text
    assert "Retried 1 date</strong>: 2021-10-19" in done
    assert [api.get(f"/v1/dates/{date}")["state"] for date in FAILED] == ["pending", "failed"]
    # A date that is live by then is refused by itself
    again = api.client.post("/dates?state=failed", data={"date": FAILED}).text
    assert "Retried 1 date</strong>: 2021-10-20" in again
    assert "2021-10-19 refused: is in pending" in again


def test_attempts_are_listed_with_what_they_left_and_filtered(api: Api) -> None:
    page = api.client.get("/attempts?verdict=complete").text
    assert "exit 0 · " in page
    assert "exit 1" not in page
    assert "exit 1 · failed" in api.client.get("/attempts?failed=true&processor=box").text
    assert "no attempt matches" in api.client.get("/attempts?reason=never%20printed").text
    assert api.client.get("/attempts?status=succeeded").status_code == 422


def test_the_page_of_a_processor_draws_its_rows_and_seconds_over_the_dates(api: Api) -> None:
    page = api.client.get("/processors/box").text
    assert 'aria-label="Rows of 3 dates, up to 1"' in page
    assert 'aria-label="Seconds per date of 3 dates, up to 10 s"' in page
    assert 'class="v-failed"' in page
    assert 'class="band"' in page
    assert api.client.get("/processors/bx").status_code == 404
    assert "no date has been checked here" in api.client.get("/processors/box?start=2001-01-01").text


def test_the_pages_of_a_date_and_a_backfill_draw_their_attempts_and_the_pace(api: Api) -> None:
    # Given a failed date that is retried a week later
    api.world.time += 7 * 86400
    api.world.script = api.world.well
    api.post(f"/v1/dates/{FAILED[0]}/retry")
    api.world.run()
    page = api.client.get(f"/dates/{FAILED[0]}").text
    assert page.count("<strong>6 attempts</strong>") == 1
    assert 'aria-label="box: 3 attempts: 3 failed"' in page
    assert page.count('aria-label="box: attempt ') == 1
    page = api.client.get("/backfills/2").text
    assert 'aria-label="box: 6 attempts: 6 failed"' in page
    assert page.count('role="img" aria-label="1 date ended, up to 1 per ') == 2
    assert page.count('<tr><th scope="row">2') == 2
    # Then the charts are not drawn again as long as nothing ends
    charts = api.client.get("/backfills/2?part=charts")
    headers = {"If-None-Match": charts.headers["ETag"]}
    assert api.client.get("/backfills/2?part=charts", headers=headers).status_code == 304
    # A date that runs again draws them anew, also where it ends as before between two polls
    api.post(f"/v1/dates/{FAILED[0]}/retry", {"force": True})
    api.world.run()
    assert api.client.get("/backfills/2?part=charts", headers=headers).status_code == 200
    api.post(f"/v1/dates/{FAILED[1]}/retry")
    assert api.client.get("/backfills/2?part=charts", headers=headers).status_code == 200
    assert "Pace" not in api.client.get("/backfills/2?part=main").text


def test_a_backfill_that_had_nothing_to_do_is_listed_with_what_its_dates_were(api: Api) -> None:
    api.enqueue("2021-10-21")
    assert "1 date: 1 already done" in api.client.get("/backfills").text
