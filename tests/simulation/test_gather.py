"""The question after a good job waits for others, as long as nothing could follow from its answer."""

import dataclasses
import datetime as dt

import pytest

from tests.factories import phase, pipeline, processor
from tests.simulation.world import World

DAY = dt.date(2021, 10, 19)


def asked_after(folder, *, box=5.0, plays=9.0, code=0, after=()):
    """Seconds from the start of both jobs of a date until the warehouse was asked about `box`."""
    jobs = processor("box"), processor("plays", after=list(after))
    world = World(pipeline(phase("phase2", *jobs)), {DAY: 2}, folder)
    lasts = {"box": (box, code), "plays": (plays, 0)}

    def script(job):
        seconds, ended = lasts[job.env["BACKFILLD_PROCESSOR"]]
        return dataclasses.replace(world.well(job), seconds=seconds, code=ended)

    world.script = script
    began = world.time
    world.enqueue(DAY, DAY)
    world.run()
    assert world.dates()[DAY].outcome == "complete"
    assert world.dates()[DAY].ended_at - began == (box + plays if after else max(box, plays))
    return [at - began for at in world.warehouse.answers["box", DAY]]


@pytest.mark.parametrize(
    ("lasts", "expected"),
    [
        ({}, [0, 9]),
        ({"plays": 60.0}, [0, 15]),
        ({"code": 1}, [0, 5]),
        ({"after": ["box"]}, [0, 5]),
        ({"box": 9.0, "plays": 9.0}, [0, 9]),
    ],
    ids=[
        "with the last job of its state",
        "after ten seconds at most",
        "at once when it failed",
        "at once when another waits for it",
        "at once when both end together",
    ],
)
def test_a_job_is_asked_about(tmp_path, lasts, expected):
    assert asked_after(tmp_path, **lasts) == expected


def batches_after(folder, *seconds, **keys):
    """The attempts of a processor with a batch, whose dates follow jobs that take so many seconds."""
    days = [DAY + dt.timedelta(days=n) for n in range(len(seconds))]
    team = processor("team", batch=9, command=["true", "{start}", "{end}"])
    world = World(
        pipeline(phase("raw", processor("box", writers=9)), phase("derived", team), **keys),
        dict.fromkeys(days, 2),
        folder,
    )

    def script(job):
        lasts = {"box": dict(zip(map(str, days), seconds, strict=True))[job.env["BACKFILLD_DATE"]]}
        return dataclasses.replace(world.well(job), seconds=lasts.get(job.env["BACKFILLD_PROCESSOR"], 1.0))

    world.script = script
    world.enqueue(days[0], days[-1])
    world.run()
    covered = [j.env["BACKFILLD_DATES"] for j in world.executor.launched if j.processor == "team"]
    world.db.close()
    return [[int(date[-2:]) for date in dates.split(",")] for dates in covered]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [((5.0, 7.0, 12.0), [[19, 20, 21]]), ((5.0, 7.0, 40.0), [[19, 20], [21]]), ((5.0, 5.0), [[19, 20]])],
)
def test_a_batch_waits_up_to_the_window_for_dates_whose_jobs_are_running(tmp_path, seconds, expected):
    assert batches_after(tmp_path, *seconds) == expected


def test_a_batch_waits_for_no_date_without_a_window(tmp_path):
    found = batches_after(tmp_path, 5.0, 7.0, 12.0, engine={"batch_window": "0s"})
    assert found == [[19], [20], [21]]
