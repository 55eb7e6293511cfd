"""The grid without a script: its forms alone show what an action would do, and do it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.integration.api_world import Api, make_api, small_pipeline
from tests.integration.page.page_driver import failing

DATE = dt.date(2021, 10, 19)
MARKED = {"first": "2021-10-18", "last": "2021-10-21", "processor": ["box", "extra"]}


@pytest.fixture
def api(tmp_path: Path) -> Api:
    """Two failed dates, and one that is done."""
    api = make_api(tmp_path, made=lambda: small_pipeline(jobs={"breaker_threshold": 100}))
    api.enqueue("2021-10-21")
    api.world.run()
    api.world.script = failing
    api.enqueue("2021-10-19", "2021-10-20")
    api.world.run()
    return api


def test_the_grid_shows_the_weeks_of_the_last_dates_and_moves_by_its_url(api: Api) -> None:
    page = api.client.get("/grid").text
    assert 'abbr="2021-10-18"' in page
    assert api.client.get("/grid?start=2021-12-15").text.count('abbr="2021-12-13"') == 1
    assert api.client.get("/grid?start=soon").status_code == 422


def test_a_retry_is_shown_before_it_is_done(api: Api) -> None:
    shown = api.client.get("/grid", query_string={**MARKED, "do": "retry"}).text
    assert "Retry 2 dates" in shown
    assert "1 never enqueued, 1 with nothing missing" in shown
    assert api.get("/v1/dates/2021-10-19")["state"] == "failed"
    # When the form is sent
    done = api.client.post("/grid?start=2021-10-18", data={**MARKED, "do": "retry"})
    assert "Retried 2 dates</strong>: 2021-10-19..2021-10-20" in done.text
    assert [api.get(f"/v1/dates/{date}")["state"] for date in ("2021-10-19", "2021-10-20")] == ["pending"] * 2
    # Then the dates are live, and a second time there is nothing to do
    assert "Nothing to retry" in api.client.get("/grid", query_string={**MARKED, "do": "retry"}).text


def test_missing_outputs_are_accepted_with_a_reason_and_not_without(api: Api) -> None:
    box = {**MARKED, "processor": ["box"], "do": "accept"}
    assert "Accept 2 missing outputs on 2 dates" in api.client.get("/grid", query_string=box).text
    refused = api.client.post("/grid", data=box)
    assert (refused.status_code, "say why" in refused.text) == (422, True)
    done = api.client.post("/grid", data={**box, "reason": "no games were played"})
    assert "Accepted 2 dates" in done.text
    (check,) = [c for c in api.get("/v1/dates/2021-10-19")["processors"] if c["processor"] == "box"]
    assert check["waiver"] == {"by": "anonymous", "reason": "no games were played"}


def test_a_form_of_another_site_changes_nothing(api: Api) -> None:
    answer = api.client.post(
        "/grid", data={**MARKED, "do": "retry"}, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
    assert api.get("/v1/dates/2021-10-19")["state"] == "failed"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"first": "2021-10-22"}, "is before first"),
        ({"processor": ["bx"]}, "there is no processor"),
        ({"do": "destroy"}, "do"),
        ({"first": ""}, "first"),
    ],
)
def test_a_wrong_selection_is_a_page_that_says_what_is_wrong(
    api: Api, wrong: dict[str, object], message: str
) -> None:
    answer = api.client.get("/grid", query_string={**MARKED, "do": "retry", **wrong})
    assert answer.status_code == 422
    assert message in answer.text
