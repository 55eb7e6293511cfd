"""Pools at work: one limit over several processors and all dates."""

import re

from backfilld.daemon.engine.free_slots import in_pool
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.store import attempts
from tests.factories import phase, pipeline, processor
from tests.simulation.season import DAY, OPENER, SEASON
from tests.simulation.world import World


def test_processors_of_a_pool_share_its_slots_and_what_waits_names_it(tmp_path):
    # Given two processors that call one API, which allows two calls, and one that does not
    made = pipeline(
        phase("raw", *(processor(name, writers=9, pool="vendor_api") for name in ("box", "odds"))),
        phase("derived", processor("team", writers=9)),
        jobs={"slots": 5},
        pool=[{"name": "vendor_api", "size": 2}],
    )
    world = World(made, SEASON, tmp_path)
    # When the last date has both of its sources, and the earlier ones have none
    for name in ("box", "odds"):
        world.fill(name, DAY)
    world.enqueue(OPENER, DAY)
    world.settle()
    # Then two jobs run in the pool, and the other processor takes a slot beside them
    running = [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched]
    assert sorted(running) == ["box", "odds", "team"]
    with world.db.read() as tx:
        waits = set(waiting_on(tx, world.context, world.live()).values())
    full = r"a slot of the pool vendor_api: 2 of 2 are taken: \d{4}-\d\d-\d\d runs (box|odds)"
    assert [text for text in waits if re.fullmatch(full, text)]
    # And never more
    most = 0
    while world.step():
        with world.db.read() as tx:
            most = max(most, len(in_pool(made, "vendor_api", attempts.running(tx))))
    assert most == 2
    assert not world.live()
    world.db.close()
