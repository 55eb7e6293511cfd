"""Four dates and mostly one table: a small world for what ends a date and what starts a job."""

import datetime as dt

from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.rules.evidence import HistoryRun
from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import Work
from tests.simulation.world import World

FIRST = dt.date(2021, 10, 19)
DATES = [FIRST + dt.timedelta(days=n) for n in range(4)]
BACKOFF, CONFIRM = 30.0, 60.0


def shape(*phases, table="nba.box", **keys):
    return pipeline(*(phases or [phase("raw", processor("box", table=table))]), **keys)


def success(at: float) -> HistoryRun:
    return HistoryRun(succeeded=True, started_at=at - 60, ended_at=at)


def writes_nothing(job) -> Work:
    return Work(code=0)


def ran(world: World, date: dt.date = FIRST) -> list[str]:
    return [f"{name} {result}" for name, result in world.attempts(date)]


def ended(world: World, date: dt.date = FIRST) -> tuple[str, str]:
    row = world.dates()[date]
    return row.state, row.outcome


def waits(world: World, date: dt.date = FIRST) -> str:
    with world.db.read() as tx:
        return waiting_on(tx, world.context, [world.dates()[date]])[date]


def until_failed(world: World) -> None:
    """Go on until the first date has failed; others may be live."""
    world.settle()
    while world.dates()[FIRST].state != "failed":
        assert world.step()
        world.settle()


def until_the_last_attempt_has_ended(world: World) -> None:
    while len(ran(world)) < 2 or world.executor.alive:
        assert world.step()
        world.settle()
