"""What a refused request is told: one message for each cause, which names what would be accepted."""

import datetime as dt
from typing import Any

import pytest

from backfilld.daemon.executors.adapter import Job
from tests.integration.api_world import Api
from tests.simulation.world import Work

HOLD = {"kind": "processor", "key": "box"}
WEEK = 7 * 86_400.0


def faults(response: Any) -> list[tuple[str, str]]:
    assert response.status_code == 422
    return [(one["field"], one["message"]) for one in response.get_json()["errors"]]


@pytest.mark.parametrize("reason", ["", " ", "\n\t"])
def test_a_hold_without_a_reason_is_told_to_say_why(api: Api, reason: str) -> None:
    response = api.client.post("/v1/holds", json={**HOLD, "reason": reason})
    assert faults(response) == [("reason", "is empty; say why")]
    assert api.get("/v1/holds")["items"] == []


def test_an_unknown_kind_of_hold_is_told_all_kinds(api: Api) -> None:
    words = "'banana' is not known; use 'warehouse', 'processor/KEY' or 'table/KEY'"
    assert faults(api.client.delete("/v1/holds/banana")) == [("kind", words)]
    assert faults(api.client.delete("/v1/holds/banana/x")) == [("kind", words)]


def test_the_hold_of_the_warehouse_is_released_without_a_key_and_the_global_pause_by_resume(api: Api) -> None:
    words = "warehouse has one hold, without a key: DELETE /v1/holds/warehouse releases it"
    assert faults(api.client.delete("/v1/holds/warehouse/x")) == [("kind", words)]
    for path in ("/v1/holds/all", "/v1/holds/all/all"):
        assert faults(api.client.delete(path)) == [
            ("kind", "all is the global pause: POST /v1/resume ends it")
        ]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"dates": ["x"]}, ["dates.0"]),
        ({"dates": ["2021-10-19"], "select": [""]}, ["select.0"]),
        ({"dates": ["x", "y"], "select": []}, ["dates.0", "dates.1", "select"]),
        ({"dates": []}, ["dates"]),
    ],
)
def test_a_list_with_a_wrong_item_is_not_called_empty(
    api: Api, body: dict[str, Any], fields: list[str]
) -> None:
    assert [field for field, _ in faults(api.client.post("/v1/backfills", json=body))] == fields


def test_a_waiver_is_shown_until_the_output_is_complete(api: Api) -> None:
    # Given a date that passed without an output that may be missing
    def script(job: Job) -> Work:
        return Work(code=1) if job.env["BACKFILLD_PROCESSOR"] == "extra" else api.world.well(job)

    api.world.script = script
    api.enqueue("2021-10-19")
    api.world.run()
    assert shown(api)["waiver"]["by"] == "policy"
    # When the output is there after all
    api.world.fill("extra", dt.date(2021, 10, 19))
    api.world.time += WEEK
    api.world.engine.sweeper.run()
    # Then nothing is waived any more
    assert (shown(api)["verdict"], shown(api)["waiver"]) == ("complete", None)


def shown(api: Api) -> dict[str, Any]:
    """The optional processor of the date."""
    processors = api.get("/v1/dates/2021-10-19")["processors"]
    return next(one for one in processors if one["processor"] == "extra")
