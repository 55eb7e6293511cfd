"""Logs are kept as long as the pipeline file says, and those of running jobs in any case."""

import datetime as dt
import os

import pytest

from backfilld.daemon.log_retention import CHECK_SECONDS, check_interval, prune
from tests.factories import phase, pipeline, processor
from tests.simulation.world import World

OPENER = dt.date(2021, 10, 27)
DAY = 86_400.0


@pytest.fixture
def world(tmp_path):
    """A world in which attempt 1 runs, and two others have ended."""
    made = pipeline(phase("phase2", processor("box")), engine={"log_retention": "90d"})
    world = World(made, {OPENER: 3}, tmp_path)
    world.enqueue(OPENER, OPENER)
    world.settle()
    return world


def write(world, attempt, age, kinds=("log", "exit")):
    """Files of an attempt, by default log and exit status, whose last line is so many seconds old."""
    folder = world.folder / "attempts" / "000"
    folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        path = folder / f"{attempt}.{kind}"
        path.touch()
        os.utime(path, (world.time - age, world.time - age))


def test_only_old_logs_of_ended_jobs_go_with_their_exit_status(world):
    # Given logs on both sides of the limit, and an old one of a job that runs
    write(world, 1, 100 * DAY)
    write(world, 2, 91 * DAY)
    write(world, 3, 89 * DAY)
    # And what is left of one that never wrote a line, and of a copy that was never whole
    write(world, 4, 91 * DAY, kinds=("exit",))
    write(world, 5, 91 * DAY, kinds=("new",))
    # And one that is gone once it is looked at: renamed, or removed by somebody
    (world.folder / "attempts" / "000" / "6.new").symlink_to("renamed")
    # When the age of logs is looked at
    assert prune(world.context) == 1
    # Then only what is old and of no running job is gone, and the next look finds nothing
    left = sorted(path.name for path in (world.folder / "attempts").rglob("*.*"))
    assert left == ["1.exit", "1.log", "3.exit", "3.log", "6.new"]
    assert prune(world.context) == 0


def test_logs_that_are_kept_for_less_than_an_hour_are_looked_at_more_often():
    assert check_interval(90 * DAY) == CHECK_SECONDS == 3600
    assert check_interval(600) == 600
    assert check_interval(5) == 60
