"""Late data at work: provisional outputs are computed once more, alone, at their ages."""

import datetime as dt

import pytest

from backfilld.state.records import Sources
from backfilld.state.store import checks
from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import Work
from tests.simulation.world import ME, World

DATE = dt.date(2025, 10, 8)
"""The day before a world begins, at 08:53 UTC: it is nine hours old then."""
MIDNIGHT = dt.datetime(2025, 10, 10, tzinfo=dt.UTC).timestamp()
"""When it is one day old."""
DAY = 86400.0
CALENDAR = {DATE + dt.timedelta(days=n): 1 for n in range(-30, 1)}
LATE = {"final_after": "3d", "refresh": ["1d", "3d"]}


def shape(*sources, **jobs):
    return pipeline(
        phase("raw", *(sources or (processor("events", **LATE),))),
        phase("derived", processor("sessions")),
        calendar={},
        jobs={"backoff": "10s", **jobs},
    )


@pytest.fixture
def done(tmp_path):
    """A world in which the date is done, before its first refresh."""

    def made(*sources, date=DATE, options=None, **jobs):
        world = World(shape(*sources, **jobs), CALENDAR, tmp_path)
        world.enqueue(date, date, **(options or {}))
        world.run()
        assert not world.live()
        world.executor.launched.clear()
        return world

    return made


def refreshed(world, at):
    """What runs when the engine looks for refreshes at a time."""
    world.time = at
    world.engine.refresh_provisional()
    world.run()
    jobs = [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched]
    world.executor.launched.clear()
    return jobs


def stale(world, name="sessions", date=DATE):
    with world.db.read() as tx:
        return checks.for_dates(tx, [date])[date][name].stale_at is not None


def test_a_provisional_output_is_computed_once_more_at_each_of_its_ages_and_alone(done):
    world = done()
    assert refreshed(world, MIDNIGHT - 1) == []
    assert refreshed(world, MIDNIGHT) == ["events"]
    assert world.dates()[DATE].outcome == "complete"
    assert refreshed(world, MIDNIGHT + DAY) == []
    assert refreshed(world, MIDNIGHT + 2 * DAY) == ["events"]
    assert refreshed(world, MIDNIGHT + 20 * DAY) == []


def test_a_refresh_does_not_try_an_output_again_that_its_date_goes_without(tmp_path):
    # Given a date that goes without an output by its priority, beside one that is provisional
    derived = phase("derived", processor("sessions"), processor("ads", priority="important"))
    file = pipeline(phase("raw", processor("events", **LATE)), derived, calendar={})
    world = World(file, CALENDAR, tmp_path)
    world.script = lambda job: Work() if job.env["BACKFILLD_PROCESSOR"] == "ads" else world.well(job)
    world.enqueue(DATE, DATE)
    world.run()
    before = world.dates()[DATE]
    assert before.outcome == "waived"
    world.executor.launched.clear()
    # Then each refresh runs alone
    assert refreshed(world, MIDNIGHT) == ["events"]
    assert refreshed(world, MIDNIGHT + 2 * DAY) == ["events"]
    assert (world.dates()[DATE].outcome, world.dates()[DATE].reason) == ("waived", before.reason)


def test_nothing_is_computed_from_an_output_while_its_refresh_writes_it(tmp_path):
    # Given a later date whose sessions need the events of the date, and a refresh of these that runs
    needs = [{"of": "events", "days_back": 1}]
    file = pipeline(
        phase("raw", processor("events", **LATE)),
        phase("derived", processor("sessions", needs=needs)),
        calendar={},
    )
    world = World(file, CALENDAR, tmp_path)
    world.enqueue(DATE - dt.timedelta(days=1), DATE)
    world.run()
    world.executor.launched.clear()
    later = DATE + dt.timedelta(days=1)
    world.fill("events", later)
    world.time = MIDNIGHT
    world.script = lambda job: Work(seconds=100.0, talks=100.0, effect=world.well(job).effect)
    world.engine.refresh_provisional()
    world.settle()
    world.enqueue(later, later)
    for _ in range(5):
        world.settle()
    # Then the sessions wait for its end
    assert [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched] == ["events"]
    assert world.dates()[later].waiting == "earlier_date"
    world.run()
    assert world.dates()[later].outcome == "complete"
    assert world.dates()[later].stale_at is None


def test_its_move_says_what_is_refreshed(done):
    world = done()
    refreshed(world, MIDNIGHT)
    assert "refresh of events, which is provisional" in [
        event.reason for event in world.events if getattr(event, "target", "") == "pending"
    ]


def test_what_depends_on_it_is_stale_if_its_write_stamp_or_its_rows_have_moved(done):
    world = done()
    # When the refresh brings nothing new, and writes nothing
    world.script = lambda job: Work()
    assert refreshed(world, MIDNIGHT) == ["events"]
    # Then it counts as done, and nothing is stale
    assert world.dates()[DATE].outcome == "complete"
    assert not stale(world)
    # When the next one writes
    world.script = world.well
    refreshed(world, MIDNIGHT + 2 * DAY)
    # Then what was computed from it is stale, and was not run
    assert stale(world)


def test_a_refresh_that_fails_is_tried_again_and_then_fails_its_date(done):
    # Given rows from before, and a job that fails from now on
    world = done(max_attempts=2)
    world.script = lambda job: Work(code=1)
    assert refreshed(world, MIDNIGHT) == ["events", "events"]
    row = world.dates()[DATE]
    assert (row.state, row.outcome) == ("failed", "exhausted")
    assert "events: failed: the rerun failed (exit 1); 1 row of it or from before" in row.reason
    # When it is retried by an operator, and works
    world.script = world.well
    world.commands.retry_date(DATE, by=ME)
    world.run()
    # Then the refresh is made up for
    assert world.dates()[DATE].outcome == "complete"
    world.executor.launched.clear()
    assert refreshed(world, world.time) == []


def test_gates_are_open_while_an_output_is_provisional(tmp_path):
    world = World(shape(), CALENDAR, tmp_path)
    world.enqueue(DATE, DATE)
    world.run()
    assert world.attempts(DATE) == [("events", "exited 0"), ("sessions", "exited 0")]


def test_a_date_that_was_old_when_it_was_computed_is_not_refreshed(done):
    old = DATE - dt.timedelta(days=5)
    world = done(date=old)
    assert refreshed(world, world.time + 60) == []


def test_what_was_found_complete_is_refreshed_too(tmp_path):
    world = World(shape(), CALENDAR, tmp_path)
    for name in ("events", "sessions"):
        world.fill(name, DATE)
    world.enqueue(DATE, DATE)
    world.run()
    assert world.attempts(DATE) == []
    assert refreshed(world, MIDNIGHT) == ["events"]


def test_two_outputs_of_one_age_are_refreshed_together(done):
    world = done(processor("events", **LATE), processor("orders", **LATE), processor("shops"))
    assert sorted(refreshed(world, MIDNIGHT)) == ["events", "orders"]


def test_an_output_that_its_backfill_does_not_let_run_is_not_refreshed(done):
    world = done(processor("events", priority="important", **LATE), options={"sources": Sources.CRITICAL})
    assert refreshed(world, MIDNIGHT) == []
    assert not world.live()


def test_a_force_while_a_refresh_is_due_is_a_force(done):
    # Given a refresh that was requested, and has not run
    world = done()
    world.time = MIDNIGHT
    world.engine.refresh_provisional()
    # When the date is enqueued again with force, and its job writes nothing
    world.script = lambda job: Work()
    world.enqueue(DATE, DATE, force=True)
    world.run()
    # Then that is a fault
    assert "untouched" in world.dates()[DATE].reason
