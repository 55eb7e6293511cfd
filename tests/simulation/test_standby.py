"""Attempts on a machine whose daemon is gone, as the leader sees them; and a standby's own."""

import datetime as dt
from pathlib import Path

import pytest

from daemon.executors import Observation
from daemon.reap import RETURN_SECONDS, Reaper
from state.store.faults import StandsBy
from tests.factories import phase, pipeline, processor
from tests.simulation.world import ME, Work, World

OPENER = dt.date(2021, 10, 19)
TIMEOUT, GRACE = 600.0, 10.0


class OutOfSight:
    """The executor of another machine than the one where the attempts run."""

    def __init__(self, clock):
        self.clock = clock
        self.known = set()

    def recover(self, running):
        self.known |= running.keys()

    def poll(self):
        return [Observation(attempt=n, output_at=self.clock(), elsewhere="far:/attempts") for n in self.known]

    def stop(self, attempt, grace):
        self.known.discard(attempt)

    def log(self, attempt):
        return Path("/nonexistent")


@pytest.fixture
def world(tmp_path, state_url):
    """One attempt runs, and goes on for ever."""
    box = processor("box", timeout=f"{TIMEOUT:.0f}s", grace=f"{GRACE:.0f}s", silence="60s")
    found = World(pipeline(phase("phase2", box)), {OPENER: 5}, tmp_path, url=state_url)
    found.script = lambda job: Work(seconds=10**9)
    found.enqueue(OPENER, OPENER)
    found.settle()
    assert found.attempts(OPENER) == [("box", "running")]
    yield found
    found.db.close()


@pytest.fixture
def leader(world):
    """The duty of a leader on another machine."""
    found = Reaper(world.core, {"local": OutOfSight(world.clock)})
    found.recover()
    return found


def test_an_attempt_out_of_sight_is_waited_for_until_nothing_of_it_can_run_and_closed_as_lost(world, leader):
    for later in (0.0, TIMEOUT + GRACE, RETURN_SECONDS):
        world.time += later
        assert leader.run() == 0
        assert world.attempts(OPENER) == [("box", "running")]
    world.time += 0.1
    assert leader.run() == 1
    assert world.attempts(OPENER) == [("box", "lost")]
    assert leader.run() == 0


def test_a_cancel_does_not_give_up_an_attempt_out_of_sight(world, leader):
    world.control.cancel(1, by=ME)
    assert leader.run() == 0
    assert world.attempts(OPENER) == [("box", "running")]
    world.time += TIMEOUT + GRACE + RETURN_SECONDS + 0.1
    assert leader.run() == 1
    assert world.attempts(OPENER) == [("box", "cancelled")]


def test_a_standby_ends_its_own_attempts_over_their_limits_and_tells_how_they_ended(world):
    def stands_by(tx):
        raise StandsBy("another leads")

    world.db.fence(stands_by)
    world.engine.reaper.guard()
    assert world.attempts(OPENER) == [("box", "running")]
    world.time += TIMEOUT + 1
    world.engine.reaper.guard()
    world.engine.reaper.guard()
    assert world.attempts(OPENER) == [("box", "timed_out")]
    with pytest.raises(StandsBy):
        world.engine.turn()
