"""The season of the pipeline file changes: no date waits for one that has left it."""

import datetime as dt
import itertools
from dataclasses import replace

import pytest

from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.records import Sources
from tests.factories import phase, pipeline, processor
from tests.simulation.world import World

DATES = [dt.date(2021, 10, 19) + dt.timedelta(days=n) for n in range(3)]


def opening(day: dt.date):
    """Rows of three dates, and a summary of the two dates before, in a season that opens on `day`."""
    return pipeline(
        phase("phase2", processor("box", writers=3)),
        phase("phase3", processor("team"), lookback=2),
        calendar={"query": "SELECT 1", "season": [{"name": "s", "opens": day, "closes": DATES[-1]}]},
    )


def test_a_date_waits_by_name_for_a_job_of_an_earlier_date_that_left_the_season(tmp_path):
    # Given jobs of the first two dates that run, when the season is corrected to open on the third
    world = World(opening(DATES[0]), dict.fromkeys(DATES, 2), tmp_path)
    seconds = {str(DATES[0]): 30.0, str(DATES[1]): 900.0, str(DATES[2]): 10.0}
    world.script = lambda job: replace(world.well(job), seconds=seconds[job.env["BACKFILLD_DATE"]])
    world.enqueue(DATES[0], DATES[-1])
    world.settle()
    world.pipeline = opening(DATES[2])
    world.start()
    told = []
    for _ in itertools.takewhile(lambda _: world.live(), itertools.count()):
        world.step()
        with world.db.read() as tx:
            told += waiting_on(tx, world.context, [world.dates()[DATES[2]]]).values()
    # Then the last date names the one whose job still writes, and never one that has ended
    blocked = dict.fromkeys(text for text in told if text.startswith("blocked by"))
    assert list(blocked)[-1] == f"blocked by {DATES[1]} in phase2: attempt 2 of box is running"
    assert {row.outcome for row in world.dates().values()} == {"not_expected", "complete"}


@pytest.mark.parametrize("first", [DATES[0], DATES[2]], ids=["failed", "never enqueued"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_date_waits_for_none_that_has_left_the_season(tmp_path, first, moment):
    # Given a date that has failed, as have the earlier ones that it needs, or these were never enqueued
    world = World(opening(DATES[0]), dict.fromkeys(DATES, 2), tmp_path)
    world.enqueue(first, DATES[-1], sources=Sources.NONE)
    world.run(limit=100)
    if moment == "before":
        world.enqueue(DATES[2], DATES[2])
    # When the season is corrected to open on it, and it is requested before or after that
    world.pipeline = opening(DATES[2])
    world.start()
    requested = world.time
    if moment == "after":
        world.enqueue(DATES[2], DATES[2])
    world.run(limit=100)
    # Then it is done before anything is queried again by the interval
    assert world.dates()[DATES[2]].outcome == "complete"
    assert world.time - requested < world.pipeline.engine.recheck_interval


def test_a_date_that_is_past_what_looks_back_at_a_new_opener_ends_and_is_stale_once_that_has_run(tmp_path):
    # Given a date whose last job runs, and which has computed totals of the season
    def opening_with_totals(day: dt.date):
        totals = phase("phase3", processor("totals"), order="sequential", lookback="season")
        season = {"name": "s", "opens": day, "closes": DATES[-1]}
        return pipeline(
            phase("phase2", processor("box")),
            totals,
            phase("phase4", processor("report")),
            calendar={"query": "SELECT 1", "season": [season]},
        )

    world = World(opening_with_totals(DATES[1]), dict.fromkeys(DATES, 2), tmp_path)
    world.enqueue(DATES[1], DATES[2])
    while world.dates()[DATES[2]].state != "phase4" or not world.executor.alive:
        assert world.step()
    # When the season is corrected to open a date earlier, which nobody has asked about
    world.pipeline = opening_with_totals(DATES[0])
    world.start()
    world.run(limit=100)
    # Then it ends, and computes nothing again
    assert world.dates()[DATES[2]].outcome == "complete"
    assert [name for name, _ in world.attempts(DATES[2])] == ["box", "totals", "report"]
    # And its totals are stale once the earlier date is there
    assert world.dates()[DATES[2]].stale_at is None
    world.enqueue(DATES[0], DATES[0])
    world.run(limit=100)
    assert world.dates()[DATES[2]].stale_at is not None


@pytest.mark.parametrize("moved", [True, False])
def test_what_has_left_the_season_makes_nothing_stale_that_is_being_computed_from_it(tmp_path, moved):
    # Given a stale balance of the opener, and one of the date after it that is being computed
    def books(opens: dt.date):
        return pipeline(
            phase("phase2", processor("moves")),
            phase("phase3", processor("balance", depends_on_past=True)),
            calendar={"query": "SELECT 1", "season": [{"name": "s", "opens": opens, "closes": DATES[1]}]},
        )

    world = World(books(DATES[0]), dict.fromkeys(DATES[:2], 2), tmp_path)
    world.fill("balance", DATES[0])
    world.enqueue(DATES[0], DATES[1])
    while world.dates()[DATES[1]].state != "phase3" or not world.executor.alive:
        assert world.step()
        world.settle()
    assert world.dates()[DATES[0]].stale_at is not None
    # When the season is corrected to open on the second date, or is not
    world.pipeline = books(DATES[moved])
    world.start()
    world.run(limit=100)
    # Then the second balance is stale only if the first is an input of it
    assert world.dates()[DATES[1]].outcome == "complete"
    assert (world.dates()[DATES[1]].stale_at is None) == moved
