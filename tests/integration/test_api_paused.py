"""While everything is paused, each date that would go on has the wait reason `paused`, in every view."""

from __future__ import annotations

from tests.integration.api_world import Api


def waiting(api: Api) -> dict[str, int]:
    """The wait reasons of live dates by /v1/progress, which the other views have to agree with."""
    counts: dict[str, int] = api.get("/v1/progress")["waiting"]
    listed = [date["waiting"] for date in api.get("/v1/dates")["items"] if date["waiting"]]
    assert {reason: listed.count(reason) for reason in set(listed)} == counts
    assert {group["reason"]: group["dates"] for group in api.get("/v1/activity")["waiting"]} == counts
    scraped = {
        name.split('"')[1]: int(value)
        for name, value in api.scrape().items()
        if name.startswith("backfilld_waiting_dates{") and value
    }
    assert scraped == counts
    return counts


def test_a_pause_of_everything_is_the_reason_why_dates_wait(api: Api) -> None:
    # Given dates that were checked, and a pause before any job starts
    api.post("/v1/pause", {"reason": "maintenance"})
    api.enqueue("2021-10-19", "2021-10-22")
    api.world.settle()
    # Then all of them wait for the end of the pause, and say so
    assert waiting(api) == {"paused": 4}
    date = api.get("/v1/dates/2021-10-20")
    assert date["waiting"] == "paused"
    assert date["waiting_on"].startswith("everything is paused by anonymous: maintenance")
    (group,) = api.get("/v1/activity")["waiting"]
    assert (group["first"], group["dates"]) == ("2021-10-19", 4)
    # And after it they go on
    api.post("/v1/resume")
    assert "paused" not in waiting(api)
    api.world.run()
    assert waiting(api) == {}


def test_a_date_that_waits_for_something_else_keeps_its_reason(api: Api) -> None:
    api.enqueue("2021-10-19", "2021-10-20")
    api.post("/v1/pause")
    # Not asked about yet: a pause of everything does not stop queries
    reasons = set(waiting(api))
    api.world.settle()
    assert set(waiting(api)) == {"paused"}
    assert reasons <= {"paused", "calendar", "verdict"}
