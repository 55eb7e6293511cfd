"""Attempts whose executor left the pipeline file end all the same."""

from backfilld.state.store import attempts
from tests.factories import phase, processor
from tests.simulation.fakes import Work
from tests.simulation.one_table import (
    FIRST,
    ended,
    ran,
    shape,
    waits,
)
from tests.simulation.world import ME, World


def without_its_executor(worlds) -> tuple[World, int]:
    """A running attempt whose executor the file no longer has, and its backfill."""
    dask = {"dask": {"scheduler": "tcp://127.0.0.1:1"}}
    world = worlds(shape(phase("raw", processor("box", executor="dask")), executor=dask))
    world.engine.launcher._executors = {"dask": world.executor}
    world.script = lambda job: Work(seconds=10**6)
    backfill = world.enqueue(FIRST, FIRST).id
    world.settle()
    world.pipeline = shape()
    world.start()
    world.settle()
    return world, backfill


def test_an_attempt_without_its_executor_is_named_and_given_up_at_its_limits(worlds):
    world, _ = without_its_executor(worlds)
    sentence = waits(world)
    assert "attempt 1 of box: no executor supervises it: restore [executor.dask]" in sentence
    assert "given up at 20" in sentence
    limits = world.pipeline.jobs.timeout + world.pipeline.jobs.grace_period
    world.time += limits - 1
    world.settle()
    assert ran(world) == ["box running"]
    world.time += 1
    world.script = world.well
    world.settle()
    assert ran(world)[0] == "box lost"
    world.run()
    assert ended(world) == ("done", "complete")


def test_a_cancel_reaches_an_attempt_without_its_executor_at_once(worlds):
    world, backfill = without_its_executor(worlds)
    world.commands.cancel(backfill, by=ME)
    world.settle()
    assert ran(world) == ["box lost"]
    assert ended(world) == ("failed", "cancelled")
    with world.db.read() as tx:
        (attempt,) = attempts.for_date(tx, FIRST)
    assert attempt.detail == "lost: [executor.dask] left the pipeline file; its job may still run"


def test_an_attempt_whose_executor_is_restored_in_time_is_adopted(worlds):
    world, _ = without_its_executor(worlds)
    world.engine.attempt_monitor._executors = {"dask": world.executor}
    world.executor.alive[1].ends, world.executor.alive[1].effect = (
        world.time,
        lambda: world.fill("box", FIRST),
    )
    world.settle()
    world.settle()  # adopted by the first tick, ended by the second
    assert ran(world) == ["box exited 0"]
    assert ended(world) == ("done", "complete")
