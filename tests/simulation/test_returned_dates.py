"""To whom a failed date returns when an operator accepts or retries it, and that it goes on there."""

import pytest

from tests.simulation.season import DAY, OPENER, SEASON, fails, shape
from tests.simulation.world import ME, World


@pytest.fixture
def world(tmp_path):
    found = World(shape(breaker_threshold=0, max_attempts=1), SEASON, tmp_path)
    fails(found, "box", code=1)
    yield found
    found.db.close()


def accept(world, *dates):
    for date in dates:
        world.commands.accept(date, "box", by=ME, reason="lost")
    world.run()


def retry(world, *dates):
    for date in dates:
        world.commands.retry_date(date, by=ME)
    world.run()


@pytest.mark.parametrize("repair", [accept, retry])
def test_a_date_of_a_stopped_backfill_that_has_ended_goes_on(world, repair):
    # Given a backfill that stopped at its last failure, and so has no live date that `resume` could reach
    strict = world.enqueue(OPENER, OPENER, max_failures=1)
    world.run()
    assert world.status(strict) == "finished"
    # When its date is put back, then it ends, and nothing waits for a stop
    repair(world, OPENER)
    assert world.live() == []
    assert world.status(strict) == "finished"


def test_a_stopped_backfill_with_other_live_dates_stays_stopped(world):
    strict = world.enqueue(OPENER, DAY, max_failures=1)
    world.run()
    assert world.status(strict) == "stopped"
    accept(world, OPENER)
    assert world.status(strict) == "stopped"
    assert "backfilld resume" in next(row.waiting_text for row in world.live())


def test_a_date_returns_to_another_backfill_that_it_failed_for_where_the_last_was_cancelled(world):
    # Given a date that failed for one backfill, and then for a stopped one that was cancelled
    first = world.enqueue(OPENER, OPENER)
    world.run()
    strict = world.enqueue(OPENER, DAY, max_failures=1)
    world.run()
    world.commands.cancel(strict.id, by=ME)
    world.run()
    assert world.status(strict) == "cancelled"
    # When it is accepted, then it goes on for the first, and the cancelled one stays cancelled
    accept(world, OPENER)
    assert world.status(strict) == "cancelled"
    assert world.ended(first) == ({"done": 1}, {"waived": 1})


def test_a_date_returns_to_another_backfill_that_goes_on_where_the_last_is_stopped(world):
    first = world.enqueue(OPENER, OPENER)
    world.run()
    strict = world.enqueue(OPENER, DAY, max_failures=1)
    world.run()
    assert world.status(strict) == "stopped"
    accept(world, OPENER)
    assert world.ended(first) == ({"done": 1}, {"waived": 1})


def test_the_date_of_a_cancelled_backfill_alone_makes_that_one_active_again(world):
    strict = world.enqueue(OPENER, DAY, max_failures=1)
    world.run()
    world.commands.cancel(strict.id, by=ME)
    world.run()
    accept(world, OPENER)
    assert [row for row in world.live() if row.waiting == "paused"] == []
    assert world.status(strict) == "finished"
