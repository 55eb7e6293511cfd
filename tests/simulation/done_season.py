"""A season of done dates, for tests of what becomes of them: reruns and foreign writes."""

import datetime as dt

from tests.factories import phase, pipeline, processor
from tests.simulation.world import Work, World

OPENER = dt.date(2021, 10, 19)
SEASON = {OPENER + dt.timedelta(days=n): 5 for n in range(4)}
LAST = max(SEASON)
WEEK = 7 * 86400.0
READERS = [f"reader_{number}" for number in range(5)]


def shape(**keys):
    return pipeline(
        phase("phase2", processor("box", **keys)),
        phase("phase3", *map(processor, READERS)),
        phase("phase4", processor("zones"), order="sequential", lookback="season"),
    )


def filled(world: World) -> World:
    """All dates done by attempts of the daemon."""
    world.enqueue(OPENER, LAST)
    world.run()
    assert not world.live()
    world.executor.launched.clear()
    world.time += 3600
    return world


def does(world: World, name: str, *work: Work) -> None:
    """Let the next jobs of a processor do this, the last of them for good, and all others work."""
    left = list(work)

    def script(job):
        if job.env["BACKFILLD_PROCESSOR"] != name:
            return world.well(job)
        return left.pop(0) if len(left) > 1 else left[0]

    world.script = script
