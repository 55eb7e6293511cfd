"""A date that failed for one backfill and that others complete: it is done for all."""

import pytest

from backfilld.daemon.engine.operator_commands import Conflict
from tests.simulation.season import OPENER, SEASON, fails, shape
from tests.simulation.world import ME, Work, World


@pytest.fixture
def world(tmp_path):
    return World(shape(breaker_threshold=50), SEASON, tmp_path)


@pytest.mark.parametrize("repair", ["another backfill", "a retry of another backfill", "another that joined"])
def test_a_backfill_has_the_outcome_of_a_failed_date_that_another_one_repaired(world, repair):
    # Given a date that failed for a backfill, when other backfills ask for it until it is done
    fails(world, "box", times=6 if repair == "a retry of another backfill" else 3, code=1)
    first = world.enqueue(OPENER, OPENER)
    world.run()
    assert world.ended(first)[0] == {"failed": 1}
    other = world.enqueue(OPENER, OPENER)
    if repair == "another that joined":
        world.enqueue(OPENER, OPENER)
    world.run()
    if repair == "a retry of another backfill":
        assert world.ended(first)[0] == {"failed": 1}
        world.commands.retry(other.id, by=ME)
        world.run()
    # Then the date is done for the first one too, which has nothing left to retry
    assert world.ended(first)[0] == {"done": 1}
    with pytest.raises(Conflict, match="no date that failed or is live"):
        world.commands.retry(first.id, by=ME)
    # And a later retry of the date returns it to both
    world.commands.retry_date(OPENER, by=ME, force=True)
    assert world.status(first) == world.status(other) == "active"


def test_a_date_that_failed_for_a_backfill_is_not_done_for_it_where_less_was_selected(world):
    # Given a date that failed for a backfill of all processors
    fails(world, "player", times=3, code=1)
    first = world.enqueue(OPENER, OPENER)
    world.run()
    assert world.ended(first)[0] == {"failed": 1}
    # When another one is done with the sources alone
    narrow = world.enqueue(OPENER, OPENER, selection=("box", "pbp"))
    world.run()
    assert world.ended(narrow)[1] == {"selected": 1}
    # Then it is as it was for the first one, until the rest is done too
    assert world.ended(first)[0] == {"failed": 1}
    wide = world.enqueue(OPENER, OPENER)
    world.run()
    assert world.ended(wide)[1] == world.ended(first)[1] == {"bootstrap": 1}


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_retried_backfill_takes_its_failed_date_over_from_one_that_is_being_cancelled(world, has_begun):
    # Given a date that failed for a backfill, and another one that runs it and is cancelled
    fails(world, "box", times=3, code=1)
    first = world.enqueue(OPENER, OPENER)
    world.run()
    world.script = lambda job: Work(seconds=100.0, talks=100.0, effect=world.well(job).effect)
    other = world.enqueue(OPENER, OPENER)
    if has_begun:
        world.settle()
    world.commands.cancel(other.id, by=ME)
    # When the first one is retried before the date has ended
    world.commands.retry(first.id, by=ME)
    world.settle()
    # Then the date goes on for it alone, and the other one is cancelled at once
    assert (world.status(first), world.status(other)) == ("active", "cancelled")
    world.run()
    assert (world.status(first), world.status(other)) == ("finished", "cancelled")
    assert world.dates()[OPENER].outcome == "bootstrap"
