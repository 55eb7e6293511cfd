"""Pools at work: one limit over several processors and all dates."""

import re
from dataclasses import replace

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


def test_jobs_that_run_as_the_file_puts_them_into_one_pool_go_on_and_no_other_of_it_starts(tmp_path):
    # Given jobs of two processors that run
    def sources(pool):
        pooled = (processor(name, writers=9, **pool) for name in ("box", "odds"))
        return pipeline(
            phase("raw", *pooled, processor("team", after=["box"])),
            jobs={"slots": 5},
            pool=[{"name": "vendor_api", "size": 1}],
        )

    world = World(sources({}), SEASON, tmp_path)
    work = world.script
    seconds = {"box": 10.0, "odds": 30.0, "team": 10.0}
    world.script = lambda job: replace(work(job), seconds=seconds[job.env["BACKFILLD_PROCESSOR"]])
    world.enqueue(OPENER, OPENER)
    world.settle()
    # When the file puts both into a pool of one slot, and another date comes
    world.pipeline = sources({"pool": "vendor_api"})
    world.start()
    world.enqueue(DAY, DAY)
    starts = {}
    going = True
    while going:
        world.settle()
        for job in world.executor.launched[len(starts) :]:
            starts[job.env["BACKFILLD_PROCESSOR"], job.env["BACKFILLD_DATE"]] = world.time
        going = world.step()
    # Then what is in no pool starts beside them, and what is in it once both have ended
    own_end, other_end = starts["box", str(OPENER)] + 10.0, starts["odds", str(OPENER)] + 30.0
    assert own_end <= starts["team", str(OPENER)] < other_end <= starts["box", str(DAY)]
    assert {row.outcome for row in world.dates().values()} == {"complete"}
    world.db.close()
