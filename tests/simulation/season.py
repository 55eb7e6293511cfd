"""Forty dates of a season, and a world with three phases that takes them through: for tests of its rules."""

import datetime as dt
import itertools

from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import Work

OPENER = dt.date(2021, 10, 19)
SEASON = {OPENER + dt.timedelta(days=n): 5 for n in range(40)}
DAY = dt.date(2021, 10, 26)
"""The first date that is no bootstrap date."""


def shape(**jobs):
    """Sources, two processors of which one goes first, and two strict steps."""
    return pipeline(
        phase("phase2", processor("box"), processor("pbp", priority="fallback")),
        phase("phase3", processor("team"), processor("player", after=["team"])),
        phase("phase4", processor("zones"), processor("cache"), order="sequential", skip_bootstrap=True),
        jobs={"slots": 8, "backoff": "10s", **jobs},
    )


def fails(world, name, times=10**6, **work):
    """Let a processor's first jobs go wrong: by default they exit 0 and write nothing."""
    left = itertools.count()
    well = world.script

    def script(job):
        if job.env["BACKFILLD_PROCESSOR"] == name and next(left) < times:
            return Work(**work)
        return well(job)

    world.script = script
