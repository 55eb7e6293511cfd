"""The grid over HTTP: a letter per processor and date, and nothing when nothing has changed."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from backfilld.state.store import grid
from tests.factories import phase, pipeline, processor
from tests.integration.api_world import Api, refused
from tests.simulation.world import World

DATE = dt.date(2021, 10, 19)
DAY = dt.timedelta(days=1)
GRID = "/v1/grid?start=2021-10-18&end=2021-10-20"


def letters(api: Api, path: str = GRID) -> dict[str, str]:
    return {row["processor"]: row["cells"] for row in api.get(path)["rows"]}


def test_every_processor_has_one_letter_per_date_in_the_order_of_the_pipeline(api: Api) -> None:
    api.enqueue("2021-10-18", "2021-10-19")
    api.world.run()
    answer = api.get(GRID)
    assert (answer["start"], answer["end"], answer["dates"]) == ("2021-10-18", "2021-10-20", 3)
    assert [row["processor"] for row in answer["rows"]] == ["box", "extra", "zones", "cache"]
    assert [row["phase"] for row in answer["rows"]] == ["phase2", "phase2", "phase4", "phase4"]
    assert letters(api) == dict.fromkeys(("box", "extra", "zones", "cache"), ".c.")
    assert answer["legend"]["c"] == "complete"


def test_a_running_attempt_a_missing_output_and_a_waiver_have_letters_of_their_own(api: Api) -> None:
    # Given a running job
    api.enqueue("2021-10-19")
    api.world.settle()
    assert letters(api)["box"] == ".*."
    api.world.run()
    # When an output is lost, it is missing; when it is accepted, its letter is a capital
    del api.world.warehouse.rows["box", DATE]
    api.enqueue("2021-10-19")
    api.world.settle()
    assert letters(api)["box"] in (".*.", ".o.")
    api.post("/v1/dates/2021-10-20/accept", {"processor": "box", "reason": "closed"})
    api.world.settle()
    assert letters(api)["box"][2] == "O"
    assert api.get(GRID)["legend"]["o"] == "never_ran"


def test_asking_again_costs_nothing_until_a_verdict_changes(api: Api) -> None:
    api.enqueue("2021-10-19")
    first = api.client.get(GRID)
    again = {"If-None-Match": first.headers["ETag"]}
    unchanged = api.client.get(GRID, headers=again)
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    api.world.run()
    assert api.client.get(GRID, headers=again).status_code == 200


def test_thousands_of_dates_are_a_letter_each(api: Api) -> None:
    first = dt.date(2010, 1, 1)
    last = first + dt.timedelta(days=4999)
    api.enqueue(str(first), str(last))
    response = api.client.get(f"/v1/grid?start={first}&end={last}")
    assert [len(row["cells"]) for row in response.json["rows"]] == [5000] * 4
    assert len(response.data) < 4 * 5000 + 2000


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start=2021-10-20&end=2021-10-19", "end"),
        ("start=2021-10-32", "start"),
        ("end=2021-10-19", "start"),
        ("start=2021-10-19&stop=1", "stop"),
    ],
)
def test_a_range_that_is_none_is_refused_by_its_field(api: Api, query: str, field: str) -> None:
    assert refused(api.client.get(f"/v1/grid?{query}"), 422)[0] == field


def test_the_seconds_of_a_batch_are_those_of_one_date_in_any_window(
    tmp_path: Path,
) -> None:
    # Given two dates of one attempt that took 8 seconds
    both = processor("box", command=["job", "{start}", "{end}"], batch=2)
    world = World(pipeline(phase("phase2", both)), {DATE: 1, DATE + DAY: 1}, tmp_path)
    world.script = lambda job: replace(world.well(job), seconds=8.0)
    world.enqueue(DATE, DATE + DAY)
    world.run()
    # When the figures of one of them are read
    with world.db.read() as tx:
        (figure,) = grid.figures(tx, "box", DATE, DATE)
    # Then it took half of the time
    assert figure.seconds == 4.0
