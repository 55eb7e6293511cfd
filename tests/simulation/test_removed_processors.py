"""Processors that the file no longer has, or that have no output on a date, and dates in the future."""

import datetime as dt

from backfilld.daemon.engine.context import ACTOR
from backfilld.state.store import holds
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


def test_a_hold_of_the_daemon_ends_with_its_processor_and_that_of_an_operator_stays(tmp_path):
    both = pipeline(phase("phase2", processor("box"), processor("player"), processor("team")))
    world = World(both, SEASON, tmp_path)
    with world.db.write() as tx:
        for name, actor in (("player", ACTOR), ("team", ME.name), ("box", ACTOR)):
            holds.place(tx, "processor", name, reason="failed five times", actor=actor, now=world.clock())
    restart(world, pipeline(phase("phase2", processor("box"))))
    with world.db.read() as tx:
        assert sorted(hold.key for hold in holds.all_holds(tx)) == ["box", "team"]


def test_a_date_on_which_no_processor_has_output_says_so(tmp_path):
    later = {"since": OPENER + dt.timedelta(days=1)}
    world = World(pipeline(phase("phase2", processor("box", **later))), SEASON, tmp_path)
    world.enqueue(OPENER, OPENER + dt.timedelta(days=1))
    world.run()
    assert [row.reason for row in world.dates().values()] == ["no processor has output on this date", ""]


def test_a_request_says_which_dates_lie_in_the_future(tmp_path):
    world = World(pipeline(phase("phase2", processor("box")), calendar={}), {}, tmp_path)
    today = dt.datetime.fromtimestamp(world.clock(), dt.UTC).date()
    receipt = world.enqueue(today, today + dt.timedelta(days=1))
    assert [detail.reason for detail in receipt.details] == ["", "lies in the future"]
