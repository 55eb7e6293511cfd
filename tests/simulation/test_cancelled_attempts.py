"""Attempts that an operator or the daemon ended: no error of the job, and none of another request."""

import datetime as dt
from dataclasses import replace

import pytest

from backfilld.daemon.executors.adapter import JobResult
from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import Work
from tests.simulation.world import ME, World

FIRST = dt.date(2021, 10, 19)
DATES = [FIRST + dt.timedelta(days=n) for n in range(16)]
LAST = DATES[7]


@pytest.fixture
def make(tmp_path, state_url):
    opened = []

    def open_world(*stages, **jobs):
        stages = stages or (phase("raw", processor("box", writers=8)),)
        made = pipeline(*stages, jobs={"slots": 8, "backoff": "10s", **jobs})
        opened.append(World(made, dict.fromkeys(DATES, 5), tmp_path, url=state_url))
        return opened[-1]

    yield open_world
    for world in opened:
        world.db.close()


def script(world, *works):
    """The work of the first jobs, in order; the later ones are well."""
    left = list(works)
    world.script = lambda job: left.pop(0) if left else world.well(job)


def slow_to_stop(**keys):
    """A job that takes 5 s to end when it is asked to."""
    return Work(seconds=60.0, dies_after=5.0, **keys)


def end_all(world, how):
    """Have all running jobs end in one way, one after another."""
    for number in list(world.executor.alive):
        world.time += 0.1
        del world.executor.alive[number]
        world.executor.ended[number] = how(world.clock())
    world.wake()


def held(world):
    return [hold.key for hold in world.commands.holds()]


def outcome(world, date=FIRST):
    return world.dates()[date].outcome


def launched(world):
    return len(world.executor.launched)


def results(world):
    return [result for _, result in world.attempts(FIRST)]


# The circuit breaker


def test_a_cancel_of_eight_jobs_holds_nothing(make):
    # Given eight jobs that run, of a processor that is held after five errors
    world = make()
    script(world, *(Work(seconds=60.0, dies_after=seconds) for seconds in range(1, 9)))
    request = world.enqueue(FIRST, LAST)
    world.settle()
    assert len(world.executor.alive) == 8
    # When their backfill is cancelled
    world.commands.cancel(request.id, by=ME)
    world.run()
    # Then the processor runs for others
    assert not held(world)
    world.enqueue(DATES[8], DATES[8])
    world.run()
    assert outcome(world, DATES[8]) == "complete"


def test_six_cancels_of_one_job_each_hold_nothing(make):
    world = make()
    for date in DATES[:6]:
        request = world.enqueue(date, date)
        world.settle()
        world.commands.cancel(request.id, by=ME)
        world.run()
    assert not held(world)


ENDS = {
    "their machine was restarted": lambda at: JobResult.lost("the machine was restarted", at=at),
    "their worker was retired": lambda at: JobResult.preempted("its worker was retired", at=at),
    "an operator declared them lost": lambda at: replace(
        JobResult.lost("declared lost", at=at), counts_as_attempt=False
    ),
}


@pytest.mark.parametrize("how", ENDS.values(), ids=ENDS)
def test_eight_jobs_hold_nothing_where(make, how):
    world = make()
    world.enqueue(FIRST, LAST)
    world.settle()
    end_all(world, how)
    world.run()
    assert not held(world)
    assert {row.outcome for row in world.dates().values()} == {"complete"}


def test_five_jobs_that_run_out_of_memory_hold_their_processor(make):
    world = make()
    world.enqueue(FIRST, LAST)
    world.settle()
    end_all(world, lambda at: JobResult.out_of_memory("1 GB", at=at))
    world.run()
    assert held(world) == ["box"]


def test_four_errors_and_a_cancel_hold_nothing_and_the_fifth_error_does(make):
    # Given four jobs that failed, and then one that was cancelled
    world = make(max_attempts=1)
    script(world, *(Work(seconds=n, code=1) for n in range(1, 5)), slow_to_stop(), Work(code=1))
    world.enqueue(FIRST, DATES[3])
    world.run()
    request = world.enqueue(DATES[4], DATES[4])
    world.settle()
    world.commands.cancel(request.id, by=ME)
    world.run()
    assert not held(world)
    # Then the next error is the fifth in a row
    world.enqueue(DATES[5], DATES[5])
    world.run()
    assert held(world) == ["box"]


# A date that is taken over


def take_over(world, *, before=lambda world: None, **first):
    """Have a date asked for again while its backfill is being cancelled. Returns the first of its jobs."""
    request = world.enqueue(FIRST, FIRST, **first)
    world.settle()
    before(world)
    world.commands.cancel(request.id, by=ME)
    world.settle()
    (detail,) = world.enqueue(FIRST, FIRST).details
    assert "taken over" in detail.reason
    world.run()
    return request


def test_a_date_that_is_taken_over_gets_attempts_of_its_own(make):
    # Given one attempt for each request, and a job that is slow to stop
    world = make(max_attempts=1)
    script(world, slow_to_stop())
    # When its date is taken over
    take_over(world)
    # Then the cancelled attempt counts for nothing
    assert (outcome(world), launched(world)) == ("complete", 2)
    assert results(world) == ["cancelled", "exited 0"]


def test_it_gets_them_where_earlier_attempts_of_the_cancelled_request_had_failed(make):
    world = make(max_attempts=2)
    script(world, Work(code=1), slow_to_stop(), Work(code=1))

    def second_attempt(world):
        while launched(world) < 2:
            world.time += 1
            world.settle()

    take_over(world, before=second_attempt)
    assert (outcome(world), launched(world)) == ("complete", 4)


def test_it_gets_them_where_the_job_is_ended_at_its_timeout_before_the_cancel(make):
    world = make(max_attempts=1, timeout="20s")
    script(world, slow_to_stop())

    def to_timeout(world):
        world.time += 21
        world.settle()

    take_over(world, before=to_timeout)
    assert (outcome(world), launched(world)) == ("complete", 2)
    assert results(world) == ["timed_out", "exited 0"]


def test_it_gets_them_where_the_job_exits_0_without_rows_during_the_cancel(make):
    # Given a date that fails for want of data after one attempt, and a job that exits with 0 when stopped
    world = make(no_data_attempts=1, confirm_after="1s")
    script(world, Work(seconds=3.0, dies_after=5.0))
    take_over(world)
    assert (outcome(world), launched(world)) == ("complete", 2)
    assert results(world) == ["exited 0"] * 2


def test_the_second_request_fails_by_its_own_attempts_alone(make):
    world = make(max_attempts=2)
    script(world, slow_to_stop(), Work(code=1), Work(code=1))
    take_over(world)
    assert (outcome(world), launched(world)) == ("exhausted", 3)
    assert world.dates()[FIRST].reason.endswith("; 2 attempts")


# A rerun that is cancelled


def done(make, *stages):
    """A world in which a date is complete."""
    world = make(*stages, max_attempts=1)
    world.enqueue(FIRST, FIRST)
    world.run()
    assert outcome(world) == "complete"
    return world


def test_rows_that_a_cancelled_rerun_left_alone_are_complete_for_whom_forces_nothing(make):
    world = done(make)
    script(world, slow_to_stop())
    take_over(world, force=True)
    assert (outcome(world), launched(world)) == ("complete", 2)


def test_rows_that_a_cancelled_rerun_has_cut_run_again(make):
    world = done(make)
    script(world, slow_to_stop(begin=lambda: world.fill("box", FIRST, rows=0)))
    take_over(world, force=True)
    assert (outcome(world), launched(world)) == ("complete", 3)


def test_what_a_cancelled_request_was_to_rewrite_later_runs_for_nobody(make):
    # Given two outputs, of which a forced request rewrites the first when it is cancelled
    world = done(make, phase("raw", processor("box")), phase("agg", processor("sums")))
    script(world, slow_to_stop())
    take_over(world, force=True)
    assert (outcome(world), launched(world)) == ("complete", 3)


def test_a_rerun_whose_cancel_has_ended_is_judged_by_its_rows_too(make):
    world = done(make)
    script(world, slow_to_stop())
    request = world.enqueue(FIRST, FIRST, force=True)
    world.settle()
    world.commands.cancel(request.id, by=ME)
    world.run()
    assert outcome(world) == "cancelled"
    world.enqueue(FIRST, FIRST)
    world.run()
    assert (outcome(world), launched(world)) == ("complete", 2)


def test_the_request_that_forced_still_fails_where_its_own_rerun_fails(make):
    world = done(make)
    script(world, slow_to_stop(), Work(code=1))
    request = world.enqueue(FIRST, FIRST, force=True)
    world.settle()
    world.commands.cancel(request.id, by=ME)
    world.settle()
    world.enqueue(FIRST, FIRST, force=True)
    world.run()
    assert (outcome(world), launched(world)) == ("exhausted", 3)
    assert "the rerun failed" in world.dates()[FIRST].reason
