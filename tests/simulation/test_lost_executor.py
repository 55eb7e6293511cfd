"""A pipeline file that renames, removes or replaces an executor while a job of it runs."""

import pytest

from backfilld.state.store import attempts, checks
from tests.factories import phase, processor
from tests.simulation.fakes import SimExecutor, Work
from tests.simulation.one_table import (
    FIRST,
    ended,
    ran,
    shape,
    waits,
)
from tests.simulation.world import ME, World

DASK = {"dask": {"scheduler": "tcp://127.0.0.1:1"}}


@pytest.fixture
def launched(worlds) -> World:
    """A world with a running attempt of a Dask cluster. Its own executor alone finds the job."""
    world = on_dask(worlds)
    world.script = lambda job: Work(seconds=10**6)
    world.backfill = world.enqueue(FIRST, FIRST).id
    world.settle()
    assert ran(world) == ["box running"]
    return world


def on_dask(worlds) -> World:
    world = worlds(shape(phase("raw", processor("box", executor="dask")), executor=DASK))
    world.executor.kind = "dask"
    world.engine.launcher._executors = world.engine.attempt_monitor._executors = {"dask": world.executor}
    return world


def another(world: World) -> SimExecutor:
    """An executor that cannot find the jobs of the world's own."""
    return SimExecutor(world.clock, world._play, kind="another")


@pytest.fixture
def without_its_executor(launched) -> World:
    """The same, with a file that no longer has the executor."""
    reload(launched, local=another(launched))
    return launched


def reload(world: World, **executors: SimExecutor) -> None:
    """Start the daemon again by a file that has these executors, and runs the processor on the first."""
    extra = {name: {"kind": "dask", **DASK["dask"]} for name in executors if name != "local"}
    world.pipeline = shape(phase("raw", processor("box", executor=next(iter(executors)))), executor=extra)
    world.start()
    world.engine.launcher._executors = world.engine.attempt_monitor._executors = executors
    world.settle()
    world.time += 1
    world.engine.tick()  # the poll of the next second


def detail(world: World) -> str:
    with world.db.read() as tx:
        return attempts.for_date(tx, FIRST)[0].detail


def test_an_attempt_without_its_executor_is_named_and_given_up_at_its_limits(without_its_executor):
    world = without_its_executor
    sentence = waits(world)
    assert "attempt 1 of box: no executor supervises it: [executor.dask] left the pipeline file" in sentence
    assert "; restore it, or cancel its backfill; given up at 20" in sentence
    limits = world.pipeline.jobs.timeout + world.pipeline.jobs.grace_period
    world.time += limits - 2
    world.settle()
    assert ran(world) == ["box running"]
    world.time += 1
    world.settle()
    assert ran(world)[0] == "box lost"


def test_a_cancel_reaches_an_attempt_without_its_executor_at_once(without_its_executor):
    world = without_its_executor
    world.commands.cancel(world.backfill, by=ME)
    world.settle()
    assert ran(world) == ["box lost"]
    assert ended(world) == ("failed", "cancelled")
    left = "lost: [executor.dask] left the pipeline file; its job may still run"
    assert detail(world) == left
    with world.db.read() as tx:
        assert checks.for_dates(tx, [FIRST])[FIRST]["box"].last_attempt_detail == left


def test_an_attempt_whose_executor_is_restored_in_time_is_adopted(without_its_executor):
    world = without_its_executor
    reload(world, dask=world.executor)
    ends_well(world)
    assert ran(world) == ["box exited 0"]
    assert ended(world) == ("done", "complete")


def test_an_attempt_is_adopted_by_the_executor_that_finds_its_job_under_another_name(launched):
    reload(launched, gpu=launched.executor)
    assert "no executor supervises it" not in waits(launched)
    ends_well(launched)
    assert ran(launched) == ["box exited 0"]
    assert ended(launched) == ("done", "complete")


def test_the_limits_of_an_attempt_hold_whatever_its_executor_is_called_now(launched):
    reload(launched, gpu=launched.executor)
    launched.time += launched.pipeline.jobs.timeout
    launched.script = launched.well
    launched.settle()
    launched.run()
    assert ran(launched)[0] == "box timed_out"
    assert ended(launched) == ("done", "complete")


def test_a_cancel_ends_the_job_of_an_executor_that_was_renamed(launched):
    reload(launched, gpu=launched.executor)
    launched.commands.cancel(launched.backfill, by=ME)
    launched.run()
    assert not launched.executor.alive
    assert ran(launched) == ["box cancelled"]


def test_an_executor_that_took_over_the_name_of_another_loses_none_of_its_jobs(launched):
    """The name says nothing: the new one cannot find the job, and a second one must not start beside it."""
    reload(launched, dask=another(launched))
    assert ran(launched) == ["box running"]
    sentence = "no executor supervises it: [executor.dask] was changed in the pipeline file; restore it"
    assert sentence in waits(launched)
    # Where the old one is in the file under another name, it goes on supervising the job
    reload(launched, dask=another(launched), old=launched.executor)
    ends_well(launched)
    assert ran(launched) == ["box exited 0"]


def test_an_attempt_that_was_never_handed_to_its_executor_ends_at_once_without_it(worlds):
    world = on_dask(worlds)
    world.executor.point = dies_before_launch
    world.enqueue(FIRST, FIRST)
    with pytest.raises(Died):
        world.settle()
    assert ran(world) == ["box running"]
    reload(world, local=another(world))
    assert ran(world)[0] == "box lost"
    assert detail(world) == "lost: never started"


class Died(Exception):
    """The daemon was killed."""


def dies_before_launch(point: str) -> None:
    if point == "before launch":
        raise Died


def ends_well(world: World) -> None:
    """The job ends now, and has written its rows."""
    process = world.executor.alive[1]
    process.ends, process.effect = world.time, lambda: world.fill("box", FIRST)
    world.run()
