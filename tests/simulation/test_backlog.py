"""Many dates at once: what happens to one of them does not wait for all the others to be admitted."""

import datetime as dt

from backfilld.state.pipeline.phase import PENDING
from tests.factories import phase, pipeline, processor
from tests.simulation.world import World

DATES = [dt.date(2021, 10, 19) + dt.timedelta(days=n) for n in range(100)]


def test_the_oldest_dates_run_while_the_others_are_still_to_be_admitted(tmp_path):
    # Given a hundred dates, of which a pass takes ten and a question twenty outputs
    made = pipeline(phase("phase2", processor("box"), processor("plays")))
    world = World(made, dict.fromkeys(DATES, 2), tmp_path)
    for name, number in (("batch", 10), ("questions", 20)):
        object.__setattr__(world.context, name, number)
    world.enqueue(DATES[0], DATES[-1])
    # When moving and asking take turns, as the daemon's two threads do
    turns = 0
    while not world.executor.launched and turns < 50:
        world.engine.tick()
        world.engine.validate()
        world.time += 1
        turns += 1
    # Then the first job is the oldest date's, and starts after a few passes
    assert turns < 5
    assert world.executor.launched[0].env["BACKFILLD_DATE"] == str(DATES[0])
    assert sum(row.state == PENDING for row in world.live()) > 50
    # And all the others follow
    world.run()
    assert {row.outcome for row in world.dates().values()} == {"complete"}
