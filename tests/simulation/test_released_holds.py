"""A processor that is released starts at once, whatever else its date waits for."""

import pytest

from backfilld.daemon.engine.processor_and_table_holds import place_hold
from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import Work
from tests.simulation.one_table import DATES, FIRST, ran, shape, waits
from tests.simulation.world import ME


def takes(world, seconds):
    """Jobs that take so long, by processor."""

    def script(job):
        work = world.well(job)
        return Work(seconds=seconds.get(job.env["BACKFILLD_PROCESSOR"], 10.0), effect=work.effect)

    return script


def hold(world, key):
    world.commands.hold("processor", key, reason="maintenance", by=ME)


def release(world, key):
    world.commands.release("processor", key, by=ME)
    world.settle()


def test_a_released_processor_starts_beside_one_of_its_state_that_runs(worlds):
    # Given a date that waits for a long attempt, of which another processor is held
    world = worlds(shape(phase("raw", processor("box"), processor("plays"))))
    hold(world, "plays")
    world.script = takes(world, {"box": 3600.0})
    world.enqueue(FIRST, FIRST)
    world.settle()
    assert waits(world) == "attempt 1 of box"
    # When that one is released, then it starts at once
    release(world, "plays")
    assert ran(world) == ["box running", "plays running"]


def test_a_released_processor_starts_beside_one_that_waits_for_an_earlier_date(worlds):
    # Given a date that waits for one that was never enqueued, of which another processor is held
    behind = processor("player", needs=[{"of": "box", "days_back": 1}])
    world = worlds(pipeline(phase("raw", processor("box")), phase("marts", behind, processor("team"))))
    hold(world, "team")
    world.enqueue(DATES[1], DATES[1])
    world.run()
    assert waits(world, DATES[1]).startswith(f"blocked by {FIRST}")
    # When that one is released, then it starts at once
    release(world, "team")
    assert ran(world, DATES[1]) == ["box exited 0", "team running"]


def test_a_released_processor_becomes_ready_beside_one_that_waits_for_a_slot(worlds):
    # Given two dates and a pool of one slot, which another date has, and a held processor outside of it
    made = pipeline(
        phase("raw", processor("box", pool="api"), processor("plays")), pool=[{"name": "api", "size": 1}]
    )
    world = worlds(made)
    hold(world, "plays")
    world.script = takes(world, {"box": 3600.0})
    world.enqueue(*DATES[:2])
    world.settle()
    assert (ran(world), ran(world, DATES[1])) == (["box running"], [])
    # When that one is released, then it starts for both dates
    release(world, "plays")
    world.step()
    world.settle()
    assert (ran(world), ran(world, DATES[1])) == (["box running", "plays exited 0"], ["plays running"])


@pytest.mark.parametrize("kind", ["processor", "table"])
def test_a_hold_that_expires_lets_its_processor_start_beside_one_that_runs(worlds, kind):
    world = worlds(shape(phase("raw", processor("box"), processor("plays", table="nba.plays"))))
    until = world.time + 300
    with world.db.write() as tx:
        place_hold(
            tx, world.context, kind, {"table": "nba.plays"}.get(kind, "plays"), reason="x", until=until
        )
    world.script = takes(world, {"box": 3600.0})
    world.enqueue(FIRST, FIRST)
    world.settle()
    assert ran(world) == ["box running"]
    while world.time < until:
        world.step()
    world.settle()
    assert ran(world) == ["box running", "plays running"]


def test_a_date_of_a_stopped_backfill_names_the_stop_although_its_processor_is_held(worlds):
    # Given a backfill whose first date is about to stop it, and whose processor is held meanwhile
    world = worlds(shape(phase("raw", processor("box")), jobs={"max_attempts": 1, "slots": 1}))
    world.script = lambda job: Work(code=1)
    world.enqueue(FIRST, DATES[1], max_failures=1)
    world.settle()
    while not ran(world):
        assert world.step()
        world.settle()
    hold(world, "box")
    # When it is stopped, then the date that is left says so
    world.run()
    stopped = "backfill 1 is stopped: 1 date failed, max_failures is 1; backfilld resume 1"
    assert waits(world, DATES[1]) == stopped
    # When it is resumed, then the date names the hold again
    world.commands.resume(1, by=ME)
    world.settle()
    assert "maintenance" in waits(world, DATES[1])
