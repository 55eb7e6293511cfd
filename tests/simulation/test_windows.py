"""Windows at work: what is closed starts nothing and says so, and what runs goes on."""

import datetime as dt

import pytest

from backfilld.daemon.reports import stuck_backfills
from backfilld.daemon.reports.progress import progress
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.store import attempts, backfills
from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import Work
from tests.simulation.season import OPENER, SEASON
from tests.simulation.world import World

NIGHT = {"name": "night_load", "closes": "09:00", "opens": "17:00"}
"""Closed on the day of a world, which begins at 08:53:20."""
LAST = OPENER + dt.timedelta(days=3)
CLOSES = dt.datetime(2025, 10, 9, 9, tzinfo=dt.UTC).timestamp()
OPENS = dt.datetime(2025, 10, 9, 17, tzinfo=dt.UTC).timestamp()


@pytest.fixture
def world_of(tmp_path):
    def open_world(*processors, seconds=1.0, earlier=0.0, **window):
        made = pipeline(phase("raw", *processors), window=[{**NIGHT, **window}])
        world = World(made, SEASON, tmp_path)
        world.time -= earlier
        world.start()
        well = world.well
        world.script = lambda job: Work(seconds=seconds, effect=well(job).effect)
        return world

    return open_world


def waits(world):
    with world.db.read() as tx:
        return waiting_on(tx, world.context, world.live())


def starts(world):
    """When each attempt began, in order."""
    found = []
    for date in SEASON:
        with world.db.read() as tx:
            found += [row.claimed_at for row in attempts.for_date(tx, date)]
    return sorted(found)


def test_nothing_starts_while_a_window_is_closed_and_what_runs_goes_on(world_of):
    # Given a job of ten minutes that starts shortly before the window closes
    world = world_of(processor("box"), seconds=600.0)
    world.enqueue(OPENER, LAST)
    world.settle()
    # When it ends after the closing
    world.step()
    world.settle()
    assert world.time > CLOSES
    # Then it counts, and the other dates name the window and its opening
    assert world.attempts(OPENER) == [("box", "exited 0")]
    assert set(waits(world).values()) == {"the window night_load is closed; it opens at 2025-10-09T17:00:00Z"}
    assert {row.waiting for row in world.live()} == {"window"}
    assert {row.due_at for row in world.live()} == {OPENS}
    # And nothing starts before that
    world.run()
    assert [at for at in starts(world) if CLOSES <= at < OPENS] == []
    assert not world.live()


def test_a_job_that_would_reach_into_a_window_waits_until_it_opens(world_of):
    world = world_of(processor("box", estimate="1h", timeout="2h"))
    world.enqueue(OPENER, OPENER)
    world.settle()
    assert waits(world)[OPENER] == (
        "the window night_load closes at 2025-10-09T09:00:00Z, and box usually takes 1 h 0 min;"
        " it opens at 2025-10-09T17:00:00Z"
    )
    world.run()
    assert starts(world) == [OPENS]


def test_past_attempts_say_how_long_a_job_usually_takes(world_of):
    # Given a job whose attempts took eight minutes, whatever its estimate says
    world = world_of(processor("box", estimate="1s"), seconds=480.0, earlier=480.0)
    world.enqueue(OPENER, LAST)
    # Then the second of them, which would end after the closing, waits
    world.run()
    assert len([at for at in starts(world) if at < CLOSES]) == 1


def test_a_batch_takes_as_many_dates_as_fit_before_a_closing(world_of):
    loads = processor("box", estimate="2m", batch=10, command=["load", "{dates}"])
    world = world_of(loads)
    world.enqueue(OPENER, LAST)
    world.settle()
    (job,) = world.executor.launched
    assert len(job.env["BACKFILLD_DATES"].split(",")) == 3


def test_a_window_for_one_processor_leaves_the_others_alone(world_of):
    world = world_of(processor("box"), processor("odds"), processors=["box"])
    world.time = CLOSES
    world.enqueue(OPENER, OPENER)
    world.step()
    world.settle()
    assert world.attempts(OPENER) == [("odds", "exited 0")]
    assert waits(world)[OPENER].startswith("the window night_load is closed; it opens at")


def test_a_clock_that_is_set_back_opens_a_window_that_is_open_by_it(world_of):
    world = world_of(processor("box"))
    world.time = CLOSES
    world.enqueue(OPENER, OPENER)
    world.settle()
    # When the clock is set back by ten minutes, and the daemon starts again
    world.time -= 600.0
    world.start()
    world.settle()
    # Then the job starts, and not first when the window opens again
    assert len(world.executor.launched) == 1


def test_a_backfill_that_fits_no_opening_is_stuck_and_says_why(world_of):
    # Given a job that turned out to take longer than the window is ever open
    slow = processor("box", timeout="20h", idle_timeout="20h")
    world = world_of(slow, seconds=17 * 3600.0)
    world.enqueue(OPENER, LAST)
    world.run(limit=100)
    # Then its first date is done, and the rest is stuck
    with world.db.read() as tx:
        status, why = stuck_backfills.status(tx, world.context, backfills.get(tx, 1))
    assert status == "stuck"
    assert "box usually takes 17 h 0 min; it is never open for that long" in why


def test_while_all_dates_wait_for_a_window_there_is_no_estimate_of_the_end(world_of):
    world = world_of(processor("box"))
    world.time = CLOSES
    world.enqueue(OPENER, LAST)
    world.settle()
    with world.db.read() as tx:
        eta = progress(tx, world.context).eta
    assert (eta.at, eta.method) == (None, "unknown: 4 dates left, all behind a closed window")
