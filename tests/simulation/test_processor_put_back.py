"""A processor that is taken out of the pipeline file, and put back later."""

import datetime as dt

from tests.factories import phase, pipeline, processor
from tests.simulation.season import OPENER, SEASON, fails
from tests.simulation.world import ME, World


def restart(world, changed):
    world.pipeline = changed
    world.start()


def test_done_dates_without_the_output_of_a_processor_that_was_taken_out_and_put_back_are_regressed(tmp_path):
    # Given a date that failed for want of an output, and that is done by a file without its processor
    with_player = pipeline(phase("phase2", processor("box"), processor("player")), jobs={"max_attempts": 1})
    without = pipeline(phase("phase2", processor("box")), jobs={"max_attempts": 1})
    world = World(with_player, SEASON, tmp_path)
    fails(world, "player", times=1, code=1)
    world.enqueue(OPENER, OPENER + dt.timedelta(days=1))
    world.run(limit=500)
    assert {row.state for row in world.dates().values()} == {"done", "failed"}
    restart(world, without)
    world.commands.retry_date(next(d for d, row in world.dates().items() if row.state == "failed"), by=ME)
    world.run(limit=500)
    assert {row.state for row in world.dates().values()} == {"done"}
    # When the processor is put back, then that date says what it is missing, and the other one nothing
    restart(world, with_player)
    world.step()
    assert sorted(row.regressed.partition(":")[0] for row in world.dates().values()) == [
        "",
        "player is failed",
    ]
