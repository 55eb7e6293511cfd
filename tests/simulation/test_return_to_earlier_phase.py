"""The file or the calendar changes what is expected of a state that a date has passed already."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import Work
from tests.simulation.world import ME, World

DAY = dt.date(2021, 10, 20)


def shape(expect=None, opens=dt.date(2021, 10, 19), priority="critical", table="nba.box"):
    season = {"name": "2021-22", "opens": opens, "closes": dt.date(2022, 6, 16)}
    return pipeline(
        phase("raw", processor("box", expect=expect or {"rows": [1, 9]}, priority=priority, table=table)),
        phase("mid", processor("team"), processor("player", after=["team"])),
        calendar={"file": "calendar.csv", "season": [season]},
        jobs={"max_attempts": 1, "confirm_after": "0s", "timeout": "24h", "idle_timeout": "24h"},
    )


def in_mid(folder, first=None, calendar=None):
    """A world whose date has passed `raw` with 2 rows, and whose job of `mid` is running."""
    world = World(first or shape(), calendar or {DAY: 5}, folder)
    well = world.well

    def script(job):
        if job.env["BACKFILLD_PROCESSOR"] == "box":
            return Work(effect=lambda: world.fill("box", DAY, rows=2))
        return Work(seconds=600.0, effect=well(job).effect)

    world.script = script
    world.enqueue(DAY, DAY)
    while world.dates()[DAY].state != "mid" or not world.executor.alive:
        world.step()
    return world


def restarted(world, changed):
    world.pipeline = changed
    world.start()
    world.run(limit=200)


def ran(world):
    return [name for name, _ in world.attempts(DAY)]


def test_a_date_goes_back_to_an_output_that_the_changed_file_no_longer_accepts(tmp_path):
    # Given a date that has passed raw with 2 rows
    world = in_mid(tmp_path)
    # When the file wants 4 of them
    restarted(world, shape({"rows": [4, 9]}))
    # Then no other job of mid starts, and the date fails for what it lacks
    row = world.dates()[DAY]
    assert (row.state, row.reason) == ("failed", "box: partial: 2 of at least 4 rows; 1 attempt")
    assert ran(world) == ["box", "team"]


def test_a_date_goes_back_to_an_output_that_the_calendar_no_longer_accepts(tmp_path):
    # Given the same, with two rows for each game
    calendar = {DAY: 1}
    world = in_mid(tmp_path, shape({"rows_per": {"games": [2, 2]}}), calendar)
    # When the calendar gains a game
    calendar[DAY] = 2
    world.engine.recheck_calendar()
    world.run(limit=200)
    # Then the date is not done with half of them
    assert world.dates()[DAY].reason == "box: partial: 2 of 4 rows; 1 attempt"
    assert ran(world) == ["box", "team"]


def test_a_date_waits_where_an_output_that_it_has_passed_cannot_be_asked_about(tmp_path):
    world = in_mid(tmp_path)
    world.warehouse.broken["box"] = "table not found"
    world.pipeline = shape({"rows": [2, 9]})
    world.start()
    for _ in range(20):
        world.step()
    assert (world.dates()[DAY].state, world.dates()[DAY].waiting) == ("raw", "warehouse")
    assert ran(world) == ["box", "team"]
    # And goes on once it can be asked about, with nothing run twice
    world.warehouse.broken.clear()
    world.run(limit=200)
    assert world.dates()[DAY].outcome == "complete"
    assert ran(world) == ["box", "team", "player"]


def test_a_date_keeps_its_state_where_the_output_has_a_waiver(tmp_path):
    world = in_mid(tmp_path, shape({"rows": [3, 9]}, priority="fallback"))
    restarted(world, shape({"rows": [4, 9]}, priority="fallback"))
    assert (world.dates()[DAY].outcome, world.path(DAY)) == ("waived", ["pending", "raw", "mid", "done"])
    assert ran(world) == ["box", "team", "player"]


def test_a_date_of_which_nothing_is_expected_any_more_does_not_end_as_complete(tmp_path):
    # Given a date with a running job, when the season opens a day later
    world = in_mid(tmp_path)
    restarted(world, shape(opens=DAY + dt.timedelta(days=1)))
    # Then it ends as what it is
    row = world.dates()[DAY]
    assert (row.outcome, row.reason) == ("not_expected", "preseason: 2021-22 opens 2021-10-21")


def failed(folder, calendar):
    """A world with a date that failed as its rows were too few for the games of the calendar."""
    world = World(shape({"rows_per": {"games": [2, 2]}}), calendar, folder)

    def script(job):
        name, live = job.env["BACKFILLD_PROCESSOR"], job.env["BACKFILLD_DATES"] != str(DAY)
        return Work(seconds=50_000.0 if live else 10.0, effect=lambda: world.fill(name, DAY, rows=2))

    world.script = script
    world.enqueue(DAY, DAY + dt.timedelta(days=1))
    while world.dates()[DAY].state != "failed":
        world.step()
    assert world.dates()[DAY].reason == "box: partial: 2 of 4 rows; 1 attempt"
    return world


def recheck(world):
    """What the daemon does every `recheck_interval`, a few times."""
    for _ in range(5):
        world.time += 3600.0
        world.engine.recheck_calendar()
        world.engine.recheck_failed()
        world.settle()


@pytest.mark.parametrize(
    ("games", "outcome", "jobs"),
    [(1, "complete", ["box", "team", "player"]), (0, "not_expected", ["box"]), (2, "exhausted", ["box"])],
    ids=["a game less", "no game", "as many"],
)
def test_a_failed_date_is_looked_at_with_the_calendar_as_it_is_now(tmp_path, games, outcome, jobs):
    # Given a failed date, and another one of the same backfill that is live
    calendar = {DAY: 2, DAY + dt.timedelta(days=1): 5}
    world = failed(tmp_path, calendar)
    # When the calendar is corrected
    calendar[DAY] = games
    recheck(world)
    for _ in range(20):
        world.step()
    # Then the date is judged by what it says now
    assert world.dates()[DAY].outcome == outcome
    assert ran(world) == jobs


def test_an_output_of_an_earlier_state_starts_when_the_attempt_has_ended_before_the_verdict_on_it(tmp_path):
    # Given a date whose job of mid runs, when the file names another table for raw just before its end
    world = in_mid(tmp_path)
    world.time = world.executor.next_end() - 5
    world.pipeline = shape(table="nba.box_2")
    world.warehouse.tables = {"box": "nba.box_2"}
    world.start()
    world.settle()
    row = world.dates()[DAY]
    assert (row.waiting, row.waiting_text) == ("attempt", "then the date goes on in raw")
    # And that job ends while no query is answered
    world.time += 10
    world.tick()
    # Then box starts, by evidence that is recent
    assert ran(world) == ["box", "team", "box"]


@pytest.mark.parametrize("forces", ["backfill", "retry", "nothing"])
def test_what_is_forced_runs_for_a_table_that_the_file_names_meanwhile(tmp_path, forces):
    # Given a date past raw, whose output was perhaps forced
    world = in_mid(tmp_path)
    if forces != "nothing":
        world.run()
        if forces == "retry":
            world.commands.retry_date(DAY, by=ME, force=True)
        else:
            world.enqueue(DAY, DAY, force=True)
        while world.dates()[DAY].state != "mid" or not world.executor.alive:
            world.step()
    before = ran(world)
    assert before[-2:] == ["box", "team"]
    # When the file names another table, whose rows are right
    world.pipeline = shape(table="nba.box_2")
    world.warehouse.tables = {"box": "nba.box_2"}
    world.fill("nba.box_2", DAY, rows=2)
    world.script = world.well
    world.start()
    world.run()
    # Then it is written too where it is forced, and taken as it is otherwise
    assert ran(world)[len(before) :] == (["player"] if forces == "nothing" else ["box", "player"])
    assert world.dates()[DAY].outcome == "complete"
