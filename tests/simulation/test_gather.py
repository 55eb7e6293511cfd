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
