"""Periods that are not over, in a pipeline without a calendar: nobody should fill their later dates yet."""

import datetime as dt

import pytest

from tests.factories import phase, pipeline, processor
from tests.simulation.test_periods import status, waits
from tests.simulation.world import World

MONDAY = dt.date(2026, 11, 30)
WEEK = [MONDAY + dt.timedelta(days=n) for n in range(7)]
TAKES = "weekly takes the week of 2026-11-30 as a whole"


def noon(date):
    return dt.datetime.combine(date, dt.time(12), dt.UTC).timestamp()


@pytest.fixture
def make(tmp_path):
    """A world at noon of the week's Wednesday."""
    made = []

    def world(calendar=None, counts=None):
        shape = pipeline(
            phase("raw", processor("events", writers=3)),
            phase("derived", processor("weekly", command=["true", "{dates}"], period="week")),
            jobs={"slots": 6, "backoff": "10s", "breaker_threshold": 0},
            calendar=calendar or {},
        )
        made.append(World(shape, counts or {}, tmp_path))
        made[-1].time = noon(WEEK[2])
        made[-1].start()
        return made[-1]

    yield world
    for one in made:
        one.db.close()


def runs_until_it_waits(world, first, last):
    receipt = world.enqueue(first, last)
    for _ in range(100):
        world.step()
        if all(row.waiting == "period" for row in world.live()):
            break
    return receipt


def test_a_week_that_is_not_over_waits_for_its_end_and_then_names_the_command(make):
    world = make()
    receipt = runs_until_it_waits(world, MONDAY, WEEK[2])
    assert {detail.reason for detail in receipt.details} == {f"{TAKES}, which ends on 2026-12-06"}
    end = "the end of the week of 2026-11-30 on 2026-12-06; then backfilld enqueue 2026-12-03 2026-12-06"
    assert waits(world, MONDAY) == end
    assert status(world, receipt) == ("active", None)
    world.time = noon(WEEK[6] + dt.timedelta(days=1))
    rest = "no backfill fills 2026-12-03..2026-12-06; backfilld enqueue 2026-12-03 2026-12-06"
    stuck = f"the other dates of the week of 2026-11-30 for weekly: {rest}"
    assert status(world, receipt) == ("stuck", stuck)
    world.enqueue(WEEK[3], WEEK[6])
    world.run(limit=300)
    assert status(world, receipt)[0] == "finished"


def test_dates_that_are_over_are_filled_first(make):
    world = make()
    receipt = runs_until_it_waits(world, WEEK[1], WEEK[1])
    note = f"{TAKES}, which ends on 2026-12-06, and no backfill has 2026-11-30 of it"
    assert [detail.reason for detail in receipt.details] == [note]
    stuck = "no backfill fills 2026-11-30; backfilld enqueue 2026-11-30"
    assert status(world, receipt) == (
        "stuck",
        f"the other dates of the week of 2026-11-30 for weekly: {stuck}",
    )
    # The date of today is not over either
    runs_until_it_waits(world, MONDAY, MONDAY)
    end = "the end of the week of 2026-11-30 on 2026-12-06; then backfilld enqueue 2026-12-02 2026-12-06"
    assert waits(world, MONDAY) == end


def test_a_week_whose_later_dates_are_requested_in_advance_does_not_wait(make):
    world = make()
    receipt = world.enqueue(MONDAY, WEEK[6])
    world.run(limit=300)
    assert status(world, receipt)[0] == "finished"
    assert world.time < noon(WEEK[3])


def test_a_calendar_that_expects_later_dates_is_treated_alike(make):
    world = make({"file": "calendar.csv"}, dict.fromkeys(WEEK, 5))
    receipt = runs_until_it_waits(world, MONDAY, WEEK[2])
    assert status(world, receipt)[0] == "active"
    assert waits(world, MONDAY).startswith("the end of the week of 2026-11-30 on 2026-12-06; then ")
