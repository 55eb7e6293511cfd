"""Somebody sets the clock while the engine works: nothing healthy is killed, nothing waits for an hour."""

import datetime as dt
import time

import pytest

from backfilld.daemon.backups import Backups
from backfilld.state.records import AttemptStatus
from backfilld.state.store import calendar_days, checks
from tests.factories import phase, pipeline, processor
from tests.simulation.world import Work, World

DATES = [dt.date(2021, 10, 19) + dt.timedelta(days=n) for n in range(3)]
HOUR = 3600.0


def two_steps():
    """A source and one strict step; jobs may take half an hour, ten minutes in silence, and fail twice."""
    jobs = {"timeout": "30m", "idle_timeout": "10m", "backoff": "30s", "max_attempts": 3}
    return pipeline(
        phase("phase2", processor("source", **jobs)),
        phase("phase4", processor("step", **jobs), order="sequential", lookback=0),
    )


class Settable(World):
    """A world whose clock can be set, which jobs do not notice."""

    steps = 0.0

    def set_clock(self, seconds):
        self.time += seconds
        self.steps += seconds
        for process in self.executor.alive.values():
            process.started += seconds
            process.ends += seconds

    def start(self):
        self.steady = lambda: self.time - self.steps
        super().start()


@pytest.fixture
def world(tmp_path):
    world = Settable(two_steps(), dict.fromkeys(DATES, 2), tmp_path)
    world.script = lambda job: Work(seconds=120.0, effect=world.well(job).effect)
    return world


def statuses(world):
    return {status for date in DATES for _, status in world.attempts(date)}


@pytest.mark.parametrize("leap", [HOUR, -HOUR])
@pytest.mark.parametrize("moment", range(0, 12, 2))
def test_a_leap_kills_no_job_and_delays_no_date(world, leap, moment):
    # Given a run in the middle of its work
    world.enqueue(DATES[0], DATES[-1])
    for _ in range(moment):
        world.step()
    asked = world.warehouse.questions
    # When the clock is set
    world.set_clock(leap)
    before = world.time
    world.run(limit=200)
    # Then every job ends as it would have, no sooner and no later, and the warehouse is not pestered
    assert {row.outcome for row in world.dates().values()} == {"complete"}
    assert statuses(world) == {"exited 0"}
    assert world.time - before <= 6 * 120.0 + 60.0
    assert world.warehouse.questions - asked < 40


@pytest.mark.parametrize("leap", [HOUR, -HOUR])
def test_a_retry_comes_soon_whichever_way_the_clock_was_set(world, leap):
    # Given a job that fails at first, and its retry planned
    failing = iter([True])
    world.script = lambda job: Work(seconds=5.0, code=1) if next(failing, False) else world.well(job)
    world.enqueue(DATES[0], DATES[0])
    while statuses(world) != {"exited 1"}:
        world.step()
    # When the clock is set
    world.set_clock(leap)
    before = world.time
    world.run(limit=100)
    # Then it is tried again without an hour's wait
    assert {row.outcome for row in world.dates().values()} == {"complete"}
    assert world.time - before < 120.0


def test_a_clock_set_back_while_the_daemon_was_down_is_noticed_at_start(world):
    world.enqueue(DATES[0], DATES[-1])
    for _ in range(3):
        world.step()
    world.db.close()
    world.set_clock(-HOUR)
    before = world.time
    world.start()
    world.run(limit=200)
    assert statuses(world) == {"exited 0"}
    assert world.time - before <= 6 * 120.0 + 60.0
    assert any("behind recorded times" in getattr(event, "text", "") for event in world.events)


def test_one_failure_is_counted_once_though_the_clock_was_set_back_since(tmp_path):
    # Given a breaker that trips at two alike, a job that failed once, and other dates that wait for a slot
    jobs = {"breaker_threshold": 2, "max_attempts": 3, "backoff": "30s"}
    world = Settable(
        pipeline(phase("phase2", processor("source")), jobs=jobs), dict.fromkeys(DATES, 2), tmp_path
    )
    failing = iter([True])
    world.script = lambda job: Work(seconds=5.0, code=1) if next(failing, False) else world.well(job)
    world.enqueue(DATES[0], DATES[0])
    while statuses(world) != {"exited 1"}:
        world.step()
    world.settle()
    # When the clock is set back, and the warehouse is asked again and again before the next attempt
    world.set_clock(-HOUR)
    for _ in range(3):
        world.settle()
        with world.db.write() as tx:
            checks.request_check(tx, [(DATES[0], "source")], world.time)
    world.settle()
    # Then the processor is not held for failures that there were not
    assert world.commands.holds() == []
    world.run(limit=100)
    assert {row.outcome for row in world.dates().values()} == {"complete"}


def test_an_answer_that_was_under_way_when_the_clock_was_set_back_is_had_again(world):
    # Given a clock that is set back between a question and its answer
    moments = iter([-HOUR])
    world.warehouse.point = lambda name: world.set_clock(next(moments, 0.0))
    world.enqueue(DATES[0], DATES[0])
    # When all is done that can be done
    world.run(limit=100)
    # Then nothing that is known is from a time that has yet to come
    assert {row.outcome for row in world.dates().values()} == {"complete"}
    with world.db.read() as tx:
        assert all(check.asked_at <= world.time for check in checks.for_dates(tx, DATES)[DATES[0]].values())


def test_what_was_known_of_the_calendar_is_asked_again_though_the_clock_was_set_back_since(world):
    # Given the calendar's answer to one request, and a clock that is set back
    world.enqueue(DATES[0], DATES[-1])
    world.set_clock(-HOUR)
    world.settle()
    # When it changes, and a request comes later than that answer serves
    world.warehouse.calendar[DATES[-1]] = 0
    world.time += 61
    world.enqueue(DATES[-1], DATES[-1])
    # Then the calendar was asked again
    with world.db.read() as tx:
        assert calendar_days.between(tx, DATES[-1], DATES[-1]) == {DATES[-1]: {"games": 0}}


def test_done_dates_are_looked_at_in_their_time_though_the_clock_was_set_back_by_more(world):
    # Given done dates, and a clock that is set back by a month
    world.enqueue(DATES[0], DATES[-1])
    world.run(limit=200)
    world.set_clock(-30 * 86400)
    world.settle()
    # Then all of them are looked at within the week
    world.time += 8 * 86400
    assert world.engine.sweeper.run() == len(DATES)


def test_a_standby_ends_none_of_its_jobs_for_a_leap(world):
    # Given a job of half an hour at most, here, and a leader elsewhere
    world.enqueue(DATES[0], DATES[0])
    world.settle()
    # When the clock is set forward
    world.set_clock(HOUR)
    world.engine.supervise_standby()
    world.engine.supervise_standby()
    assert statuses(world) == {AttemptStatus.RUNNING}


def test_a_hang_is_still_noticed_after_a_leap(world):
    world.script = lambda job: Work(seconds=1e9)
    world.enqueue(DATES[0], DATES[0])
    world.settle()
    world.set_clock(-HOUR)
    world.settle()
    world.time += 11 * 60
    world.settle()  # told to end
    world.settle()  # ended
    assert world.attempts(DATES[0])[0] == ("source", AttemptStatus.IDLE)


@pytest.mark.parametrize("change", ["2021-03-14T07:00:00Z", "2021-11-07T06:00:00Z"])
def test_a_change_of_daylight_saving_is_no_leap(world, monkeypatch, change):
    # Given a machine in New York, a minute before its clocks change
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    at = dt.datetime.fromisoformat(change).timestamp()
    world.time = at - 60
    world.start()
    before = time.localtime(at - 1).tm_isdst
    assert time.localtime(at).tm_isdst != before
    # When a job fails before the change and is due again after it
    failing = iter([True])
    world.script = lambda job: Work(seconds=55.0, code=1) if next(failing, False) else world.well(job)
    world.enqueue(DATES[0], DATES[0])
    world.run(limit=100)
    # Then all takes as long as ever, and nobody speaks of a leap
    assert {row.outcome for row in world.dates().values()} == {"complete"}
    assert at < world.time < at + 120
    assert not [event for event in world.events if getattr(event, "kind", "") == "clock"]
    # And copies of the database are named in an order that the repeated hour does not break
    backups = Backups(world.db, now=world.clock)
    first = backups.create()
    world.time += HOUR
    assert first.name < backups.create().name
    monkeypatch.undo()
    time.tzset()


def held_until_midnight(world):
    """A date whose table has used up its attempts of the day."""
    world.script = lambda job: Work(seconds=5.0, code=1)
    world.enqueue(DATES[0], DATES[0])
    while not world.commands.holds():
        world.step()
    (hold,) = world.commands.holds()
    return hold


@pytest.mark.parametrize("while_down", [False, True])
def test_a_hold_until_midnight_stays_until_midnight_though_the_clock_was_set_back(tmp_path, while_down):
    # Given a table that is held until its quota begins anew
    shape = pipeline(phase("raw", processor("source")), jobs={"daily_attempts": 1, "backoff": "10s"})
    world = Settable(shape, dict.fromkeys(DATES, 2), tmp_path)
    hold = held_until_midnight(world)
    # When the clock is set back by an hour
    world.set_clock(-HOUR)
    if while_down:
        world.start()
    world.settle()
    # Then it ends when its sentence says
    (after,) = world.commands.holds()
    assert (after.until, after.reason) == (hold.until, hold.reason)
    world.time = hold.until - 1
    world.settle()
    assert world.commands.holds() == [after]
    world.time = hold.until
    world.settle()
    assert len(world.attempts(DATES[0])) == 2


def test_the_pause_of_an_unreachable_warehouse_is_no_longer_for_a_clock_that_was_set_back(world):
    # Given a warehouse that is asked again in a few seconds
    world.warehouse.down = "refused"
    world.enqueue(DATES[0], DATES[0])
    world.settle()
    (hold,) = world.commands.holds()
    world.set_clock(-HOUR)
    world.settle()
    (after,) = world.commands.holds()
    assert after.until - world.time <= hold.until - hold.since + 1


@pytest.mark.parametrize("nth", range(6))
def test_a_leap_during_a_query_makes_no_old_answer_recent(world, nth):
    # Given a clock that is set forward once while the warehouse thinks
    known = []

    def leap(point):
        known.append(world.context.latest_query.get("seconds", 0.0))
        world.time += 1.0
        if len(known) == nth + 1:
            world.set_clock(HOUR)

    world.warehouse.point = leap
    # When dates are requested
    world.enqueue(DATES[0], DATES[-1])
    world.run(limit=100)
    # Then a query counts as long as it took, which is added to the age that evidence may have
    assert len(known) > nth
    assert max(known) <= 2.0
