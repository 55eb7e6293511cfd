"""The calendar over HTTP: every date in few bytes, and next to nothing when nothing has moved."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.integration.api_world import Api


def groups(calendar: dict[str, Any]) -> dict[str, tuple[int, list[list[str]]]]:
    return {g["outcome"] or g["state"]: (g["dates"], g["spans"]) for g in calendar["groups"]}


def test_an_empty_calendar_has_no_ends(api: Api) -> None:
    calendar = api.get("/v1/calendar")
    assert (calendar["dates"], calendar["start"], calendar["end"], calendar["groups"]) == (0, None, None, [])


def test_dates_that_stand_alike_and_follow_each_other_are_one_span(api: Api) -> None:
    # Given dates before the season, dates that are done, and later ones that are not
    api.enqueue("2021-10-15", "2021-10-22")
    api.world.run()
    api.enqueue("2021-10-25", "2021-10-26")
    api.enqueue("2021-10-28")
    # Then each group tells its dates as spans, both ends included
    calendar = api.get("/v1/calendar")
    assert (calendar["start"], calendar["end"], calendar["dates"]) == ("2021-10-15", "2021-10-28", 11)
    assert groups(calendar) == {
        "not_expected": (4, [["2021-10-15", "2021-10-18"]]),
        "complete": (4, [["2021-10-19", "2021-10-22"]]),
        "pending": (3, [["2021-10-25", "2021-10-26"], ["2021-10-28", "2021-10-28"]]),
    }


def test_asking_again_costs_nothing_until_a_date_moves(api: Api) -> None:
    # Given an answer
    api.enqueue("2021-10-19", "2021-10-20")
    first = api.client.get("/v1/calendar")
    again = {"If-None-Match": first.headers["ETag"]}
    # When nothing has moved, the next answer is empty
    unchanged = api.client.get("/v1/calendar", headers=again)
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert unchanged.headers["ETag"] == first.headers["ETag"]
    # When a date has moved, it is full again, and so it is after a retry of an ended date
    api.world.settle()
    moved = api.client.get("/v1/calendar", headers=again)
    assert moved.status_code == 200
    api.world.run()
    ended = {"If-None-Match": api.client.get("/v1/calendar").headers["ETag"]}
    api.post("/v1/dates/2021-10-19/retry")
    assert api.client.get("/v1/calendar", headers=ended).status_code == 200


def test_thousands_of_dates_are_one_answer(api: Api) -> None:
    # Given 5,000 dates
    first = dt.date(2000, 1, 1)
    api.enqueue(str(first), str(first + dt.timedelta(days=4999)))
    # Then they come in one answer, every one of them in exactly one span
    calendar = api.get("/v1/calendar")
    covered = [
        (dt.date.fromisoformat(last) - dt.date.fromisoformat(begin)).days + 1
        for group in calendar["groups"]
        for begin, last in group["spans"]
    ]
    assert sum(covered) == calendar["dates"] == 5000
