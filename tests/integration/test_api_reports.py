"""Reports over HTTP: what the engine's own rules say of a range, without moving anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.api_world import OPENER, Api, make_api, refused


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return make_api(tmp_path)


def test_a_validation_tells_what_exists_and_what_is_next(api: Api) -> None:
    # Given rows of one source on one of two dates, and a day off
    api.world.fill("box", OPENER)
    # When the range is validated
    told = api.get("/v1/validation?start=2021-10-18&end=2021-10-20")
    # Then it says so, by phase, processor and date
    assert (told["dates"], told["expected_dates"], told["ready"]) == (3, 2, False)
    assert list(told["off_dates"]) == ["2021-10-18"]
    (first, _) = told["phases"]
    box = first["processors"][0]
    assert (box["processor"], box["complete"], box["expected"]) == ("box", 1, 2)
    assert box["verdicts"]["never_ran"] == 1
    assert box["dates"]["2021-10-19"]["verdict"] == "complete"
    assert told["next_action"]
    # And nothing was enqueued
    assert api.get("/v1/dates")["items"] == []


def test_what_an_operator_accepted_counts_in_the_report(api: Api) -> None:
    # Given a date without its source, whose gap is accepted
    before = api.get("/v1/validation?start=2021-10-19")["phases"][0]
    for processor in ("box", "extra"):
        body = {"processor": processor, "reason": "the source lost it"}
        api.post("/v1/dates/2021-10-19/accept", body)
    after = api.get("/v1/validation?start=2021-10-19")["phases"][0]
    # Then the phase is ready, as the engine's gate is
    assert (before["ready"], after["ready"]) == (False, True)


def test_a_warehouse_that_does_not_answer_is_a_503(api: Api) -> None:
    api.world.warehouse.down = "no route to host"
    response = api.client.get("/v1/validation?start=2021-10-19")
    _, message = refused(response, 503)
    assert "no route to host" in message
    assert response.headers["Retry-After"]


def test_a_bad_range_is_refused(api: Api) -> None:
    for query, field in (
        ("", "start"),
        ("?start=2021-10-20&end=2021-10-19", "end"),
        ("?start=1900-01-01&end=2199-12-31", "end"),
    ):
        assert refused(api.client.get(f"/v1/validation{query}"), 422)[0] == field
