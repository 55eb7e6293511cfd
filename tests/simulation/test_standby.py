"""Attempts on a machine whose daemon is gone, as the leader sees them; and a standby's own."""

import datetime as dt
from pathlib import Path

import pytest

from backfilld.daemon.engine.attempt_monitor import HOST_RETURN_SECONDS, AttemptMonitor
from backfilld.daemon.engine.audited_operator_change import Conflict, NotFound
from backfilld.daemon.engine.mark_attempt_lost import mark_lost
from backfilld.daemon.executors.adapter import JobResult, JobStatus
from backfilld.daemon.executors.attempt_files import FileLog
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.records import Action
from backfilld.state.store import attempts, audit, checks
from backfilld.state.store.database_errors import DatabaseUnavailable, NotLeader
from tests.factories import phase, pipeline, processor
from tests.simulation.world import ME, Work, World

OPENER = dt.date(2021, 10, 19)
TIMEOUT, GRACE = 600.0, 10.0


class OutOfSight:
    """The executor of another machine than the one where the attempts run."""

    def __init__(self, clock):
        self.clock = clock
        self.known = set()

    def recognizes(self, handle):
        return True

    def recover(self, running):
        self.known |= running.keys()

    def poll(self):
        now = self.clock()
        return [JobStatus(attempt=n, output_at=now, unreachable_at="far:/attempts") for n in self.known]

    def stop(self, attempt, grace):
        self.known.discard(attempt)

    def log(self, attempt):
        return FileLog(Path("/nonexistent"))


class Beside(OutOfSight):
    """The executor of a standby beside the leader: to it, what has no handle never began."""

    def __init__(self, clock):
        super().__init__(clock)
        self.never = set()

    def recover(self, running):
        self.never |= {number for number, handle in running.items() if handle is None}
        super().recover(dict.fromkeys(running.keys() - self.never))

    def poll(self):
        never, self.never = self.never, set()
        end = JobResult.never_began("it never began", at=self.clock())
        return [JobStatus(attempt=n, output_at=self.clock(), result=end) for n in never] + super().poll()


@pytest.fixture
def idle(tmp_path, state_url):
    """Jobs go on for ever."""
    box = processor("box", timeout=f"{TIMEOUT:.0f}s", grace_period=f"{GRACE:.0f}s", idle_timeout="60s")
    found = World(pipeline(phase("phase2", box)), {OPENER: 5}, tmp_path, url=state_url)
    found.script = lambda job: Work(seconds=10**9)
    yield found
    found.db.close()


@pytest.fixture
def world(idle):
    """One attempt runs."""
    idle.enqueue(OPENER, OPENER)
    idle.settle()
    assert idle.attempts(OPENER) == [("box", "running")]
    return idle


@pytest.fixture
def leader(world):
    """The duty of a leader on another machine."""
    found = AttemptMonitor(world.context, {"local": OutOfSight(world.clock)})
    found.recover()
    return found


def closed_by(monitor):
    """How many attempts it closes, as in a tick."""
    db = monitor._context.db
    with db.read() as tx:
        running = {row.id: row for row in attempts.running(tx)}
    ended = monitor.poll(running)
    with db.write() as tx:
        events = monitor.close(tx, ended)
    monitor.finish(events)
    return len(ended)


def test_an_attempt_out_of_sight_is_waited_for_until_nothing_of_it_can_run_and_closed_as_lost(world, leader):
    for later in (0.0, TIMEOUT + GRACE, HOST_RETURN_SECONDS):
        world.time += later
        assert closed_by(leader) == 0
        assert world.attempts(OPENER) == [("box", "running")]
    world.time += 0.1
    assert closed_by(leader) == 1
    assert world.attempts(OPENER) == [("box", "lost")]
    assert closed_by(leader) == 0


def test_a_cancel_does_not_give_up_an_attempt_out_of_sight(world, leader):
    world.commands.cancel(1, by=ME)
    assert closed_by(leader) == 0
    assert world.attempts(OPENER) == [("box", "running")]
    world.time += TIMEOUT + GRACE + HOST_RETURN_SECONDS + 0.1
    assert closed_by(leader) == 1
    assert world.attempts(OPENER) == [("box", "cancelled")]


@pytest.mark.parametrize("cancelled", [False, True], ids=["a live date", "a cancelled date"])
def test_an_attempt_out_of_sight_that_an_operator_declares_lost_is_closed_at_once_and_does_not_count(
    world, leader, cancelled
):
    # Given an attempt on a machine that is gone, whose wait names the command
    assert closed_by(leader) == 0
    with world.db.read() as tx:
        (sentence,) = waiting_on(tx, world.context, world.live()).values()
    assert "far:/attempts; if that host is gone for good: backfilld mark-lost 1 --reason TEXT" in sentence
    if cancelled:
        world.commands.cancel(1, by=ME)
    # When an operator declares it lost, once or twice
    for _ in range(2):
        mark_lost(world.context, 1, by=ME, reason="the rack burnt")
    assert closed_by(leader) == 1
    # Then its end and the audit say so, and its date goes on, with all its attempts
    with world.db.read() as tx:
        (attempt,), (check,) = attempts.for_date(tx, OPENER), checks.for_dates(tx, [OPENER])[OPENER].values()
        (row, *_) = audit.page(tx, below=None, limit=9, action=Action.MARK_LOST)
    assert attempt.detail == "lost: declared lost by an operator; it ran out of sight, at far:/attempts"
    assert (check.attempt_count, check.attempt_id) == (0, None)
    assert (row.actor, row.target, row.after["reason"]) == ("me", "attempt 1", "the rack burnt")
    with pytest.raises(Conflict, match="attempt 1 has ended: lost"):
        mark_lost(world.context, 1, by=ME, reason="again")


def test_a_month_whose_attempt_was_declared_lost_is_taken_again_as_a_whole(tmp_path):
    # Given an attempt for three dates of a month, which allows no second one
    days = [OPENER, OPENER + dt.timedelta(days=1), OPENER + dt.timedelta(days=2)]
    command = ["true", "{dates}"]
    statement = processor("statement", command=command, period="month", max_attempts=1)
    world = World(pipeline(phase("derived", statement)), dict.fromkeys(days, 5), tmp_path)
    world.script = lambda job: Work(seconds=10**9)
    world.enqueue(days[0], days[-1])
    world.settle()
    monitor = AttemptMonitor(world.context, {"local": OutOfSight(world.clock)})
    monitor.recover()
    assert closed_by(monitor) == 0
    # When an operator declares it lost, and its machine is gone for good
    mark_lost(world.context, 1, by=ME, reason="the rack burnt")
    assert closed_by(monitor) == 1
    world.executor.alive.clear()
    world.script = world.well
    world.run()
    # Then one attempt takes all of them once more
    taken = [job.env["BACKFILLD_DATES"] for job in world.executor.launched]
    assert taken == [",".join(map(str, days))] * 2
    assert [world.dates()[date].outcome for date in days] == ["complete"] * 3
    world.db.close()


def test_an_attempt_whose_job_can_be_seen_is_not_declared_lost(world):
    world.settle()
    refusal = "attempt 1 of box is not out of sight: to stop it, cancel backfill 1, or wait for its end"
    with pytest.raises(Conflict, match=refusal):
        mark_lost(world.context, 1, by=ME, reason="I think so")
    with pytest.raises(NotFound, match="there is no attempt 2"):
        mark_lost(world.context, 2, by=ME, reason="I think so")
    assert world.attempts(OPENER) == [("box", "running")]


def test_a_job_that_comes_back_after_it_was_declared_lost_is_stopped_before_another_one_starts(world, leader):
    # Given an attempt that was out of sight and was declared lost
    closed_by(leader)
    mark_lost(world.context, 1, by=ME, reason="it is gone")
    # When its machine is back before the engine has closed it
    world.script = world.well
    world.settle()
    # Then the job is ended first
    assert not world.executor.alive.get(1)
    world.run(limit=50)
    assert world.attempts(OPENER)[0] == ("box", "lost")
    assert world.dates()[OPENER].outcome == "complete"


def test_a_standby_ends_its_own_attempts_over_their_limits_and_tells_how_they_ended(world):
    def stands_by(tx):
        raise NotLeader("another leads")

    world.db.fence(stands_by)
    world.engine.attempt_monitor.supervise_standby()
    assert world.attempts(OPENER) == [("box", "running")]
    world.time += TIMEOUT + 1
    world.engine.attempt_monitor.supervise_standby()
    world.engine.attempt_monitor.supervise_standby()
    assert world.attempts(OPENER) == [("box", "timed_out")]
    with pytest.raises(NotLeader):
        world.engine.tick()


@pytest.mark.parametrize("duty", ["tick", "supervise_standby"])
def test_a_job_that_another_leader_gave_up_is_ended_by_its_own_machine(world, leader, duty):
    # Given a machine that lost the database, and whose job was given up meanwhile
    world.time += TIMEOUT + GRACE + HOST_RETURN_SECONDS + 0.1
    assert closed_by(leader) == 1
    assert list(world.executor.alive) == [1]
    # When it has the database again, as the leader or beside it
    getattr(world.engine, duty)()
    # Then the job ends, and is forgotten
    assert not world.executor.alive
    getattr(world.engine, duty)()
    assert not world.executor.watched
    assert world.attempts(OPENER) == [("box", "lost")]


def test_a_database_that_takes_no_note_keeps_no_job_beyond_its_limits(world):
    def full(tx):
        raise DatabaseUnavailable("the disk is full")

    world.db.fence(full)
    world.time += TIMEOUT + 1
    with pytest.raises(DatabaseUnavailable):
        world.engine.tick()
    assert not world.executor.alive
    world.db.fence(lambda tx: None)
    world.engine.tick()
    assert world.attempts(OPENER) == [("box", "exited 143")]


def test_a_standby_leaves_alone_what_the_leader_is_about_to_launch(idle):
    # Given a standby that looks between the claim of an attempt and the record of its handle
    standby = AttemptMonitor(idle.context, {"local": Beside(idle.clock)})
    idle.executor.point = lambda name: standby.supervise_standby() if name == "before launch" else None
    # When the attempt is launched, and the standby looks again
    idle.enqueue(OPENER, OPENER)
    idle.settle()
    standby.supervise_standby()
    # Then it runs on, as the leader's
    assert idle.attempts(OPENER) == [("box", "running")]
