"""Foreign writes: what others write into done dates is noticed, and makes stale what was computed before."""

import datetime as dt

import pytest

from backfilld.daemon.event_types import ForeignWrites
from backfilld.state.rules.evidence import HistoryRun
from backfilld.state.store import checks
from tests.factories import phase, pipeline, processor
from tests.simulation.done_season import LAST, OPENER, READERS, SEASON, WEEK, does, filled, shape
from tests.simulation.world import ME, Work, World


@pytest.fixture
def world(tmp_path):
    return filled(World(shape(), SEASON, tmp_path))


def foreign_writes(world: World) -> list[ForeignWrites]:
    return [event for event in world.events if isinstance(event, ForeignWrites)]


def sweep(world: World) -> None:
    world.time += WEEK
    assert world.engine.sweeper.run() == len(SEASON)


def test_a_foreign_write_is_counted_and_makes_what_was_computed_from_it_stale(world):
    # Given done dates that the sweep has seen
    sweep(world)
    assert foreign_writes(world) == []
    # When something else writes the same number of rows
    world.warehouse.closed["reader_0", OPENER] = HistoryRun(
        succeeded=True, started_at=1_760_000_000.0, ended_at=1_760_000_001.0
    )
    world.fill("reader_0", OPENER)
    sweep(world)
    # Then
    (event,) = foreign_writes(world)
    assert (event.processor, event.dates) == ("reader_0", (OPENER,))
    assert event.suspect == "the latest run in the history started at 2025-10-09T08:53:20Z"
    assert {date for date, row in world.dates().items() if row.stale_at is not None} == set(SEASON)
    # And it is counted once
    sweep(world)
    assert len(foreign_writes(world)) == 1


def test_an_open_run_is_the_first_suspect_of_a_foreign_write(world):
    sweep(world)
    run = HistoryRun(succeeded=False, started_at=world.time)
    world.warehouse.open["box", LAST] = world.warehouse.closed["box", LAST] = run
    world.fill("box", LAST)
    sweep(world)
    assert foreign_writes(world)[0].suspect.startswith("a run is open that started at ")


def test_the_first_stamp_and_the_stamps_of_attempts_are_no_foreign_writes(world):
    sweep(world)
    world.enqueue(OPENER, LAST, force=True)
    world.run()
    sweep(world)
    world.warehouse.rows["box", OPENER] = 0
    world.commands.retry_date(OPENER, by=ME)
    world.run()
    sweep(world)
    assert foreign_writes(world) == []


def test_a_write_between_the_gate_and_the_first_sweep_is_a_foreign_write(world):
    # Given done dates that no sweep has seen, and a partition that others write then
    world.fill("reader_0", OPENER)
    sweep(world)
    (event,) = foreign_writes(world)
    assert (event.processor, event.dates) == ("reader_0", (OPENER,))
    assert {date for date, row in world.dates().items() if row.stale_at is not None} == set(SEASON)


def test_a_write_while_a_later_job_runs_is_noticed_too(tmp_path):
    # Given a job that computes from rows that others replace meanwhile
    world = World(shape(), SEASON, tmp_path)
    does(world, "zones", Work(begin=lambda: world.fill("reader_0", OPENER), effect=lambda: fill_all(world)))
    world.enqueue(OPENER, OPENER)
    world.run()
    sweep_one(world)
    assert [event.processor for event in foreign_writes(world)] == ["reader_0"]
    assert world.dates()[OPENER].stale_at is not None


def test_a_write_after_the_claim_of_an_attempt_whose_job_never_began_is_noticed(world):
    # Given a done date of which an output is to be computed again by a daemon that dies before the launch
    def die(point):
        if point == "before launch":
            raise KeyboardInterrupt

    world.executor.point = die
    world.commands.retry_processor(OPENER, "reader_0", by=ME)
    with pytest.raises(KeyboardInterrupt):
        world.settle()
    world.executor.point = lambda name: None
    # When others write it meanwhile, and the daemon that starts then is kept from another attempt
    world.time += 60
    world.fill("reader_0", OPENER)
    world.commands.hold("processor", "reader_0", reason="maintenance", by=ME)
    world.start()
    world.settle()
    assert world.attempts(OPENER)[-1] == ("reader_0", "lost")
    # Then what was computed from it is stale
    with world.db.read() as tx:
        check = checks.for_dates(tx, [OPENER])[OPENER]["zones"]
    assert check.stale_at == world.time


def fill_all(world: World) -> None:
    world.fill("zones", OPENER)


def sweep_one(world: World) -> None:
    world.time += WEEK
    assert world.engine.sweeper.run() == 1


def test_a_job_that_also_writes_the_day_before_makes_stale_what_was_computed_from_that(tmp_path):
    # Given a source whose job restates the day before, after the summaries of that day
    world = World(shape(), SEASON, tmp_path)

    def restates(job):
        if job.env["BACKFILLD_PROCESSOR"] == "box":
            world.fill("box", LAST - dt.timedelta(days=1))
        return world.well(job)

    world.enqueue(OPENER, LAST - dt.timedelta(days=1))
    world.run()
    world.script = restates
    world.enqueue(LAST, LAST)
    world.run()
    sweep(world)
    (event,) = foreign_writes(world)
    assert (event.processor, event.dates) == ("box", (LAST - dt.timedelta(days=1),))
    assert world.dates()[LAST - dt.timedelta(days=1)].stale_at is not None


def test_a_request_for_a_done_date_notices_a_foreign_write_before_the_sweep_does(world):
    world.fill("reader_0", OPENER)
    world.enqueue(OPENER, OPENER)
    world.run()
    assert [event.processor for event in foreign_writes(world)] == ["reader_0"]
    assert world.dates()[OPENER].stale_at is not None
    # And it is counted once
    sweep(world)
    assert len(foreign_writes(world)) == 1


def test_rows_that_were_replaced_before_they_were_used_make_nothing_stale(tmp_path):
    # Given a date that was validated, and held before its next job
    world = World(shape(), SEASON, tmp_path)
    world.commands.hold("processor", "zones", by=ME, reason="wait")
    world.enqueue(OPENER, OPENER)
    world.run()
    # When its source is written meanwhile, and the date goes on later
    world.time += 3600
    world.fill("reader_0", OPENER)
    world.commands.release("processor", "zones", by=ME)
    world.run()
    sweep_one(world)
    # Then the evidence was queried again before the job
    assert world.dates()[OPENER].stale_at is None
    assert foreign_writes(world) == []


def test_where_stamps_are_billed_the_first_sweep_records_them(tmp_path):
    world = World(shape(), SEASON, tmp_path)
    world.warehouse.bills_stamps = True
    filled(world)
    # Given dates whose gates read no stamps
    world.fill("reader_0", OPENER)
    sweep(world)
    assert foreign_writes(world) == []
    # When one is written after that
    world.fill("reader_0", OPENER)
    sweep(world)
    assert len(foreign_writes(world)) == 1


def test_a_partition_that_expired_is_regressed_and_makes_nothing_stale(world):
    world.fill("box", OPENER, rows=0)
    sweep(world)
    assert world.dates()[OPENER].regressed
    assert all(row.stale_at is None for row in world.dates().values())


def test_a_table_of_which_the_warehouse_cannot_tell_has_no_foreign_writes(world):
    world.warehouse.unprovable.add("box")
    sweep(world)
    world.fill("box", OPENER)
    sweep(world)
    assert foreign_writes(world) == []


def test_gate_queries_read_no_billed_stamps_but_of_what_is_to_be_rewritten(tmp_path):
    world = World(shape(), SEASON, tmp_path)
    world.warehouse.bills_stamps = True
    read: list[str] = []
    stamp = world.warehouse.write_stamp

    def write_stamp(pair):
        read.append(pair[0])
        return stamp(pair)

    world.warehouse.write_stamp = write_stamp
    filled(world)
    assert read == []
    world.enqueue(OPENER, OPENER, force=True)
    world.run()
    assert set(read) == {"box", *READERS, "zones"}


def test_rows_that_show_late_because_their_table_was_away_are_those_of_the_attempt(tmp_path):
    # Given an attempt behind which its table cannot be queried, so that somebody accepts its output
    team = processor("team", depends_on_past=True)
    world = World(pipeline(phase("raw", processor("box")), phase("derived", team)), SEASON, tmp_path)
    first, second = OPENER, OPENER + dt.timedelta(days=1)

    def script(job):
        if (job.env["BACKFILLD_PROCESSOR"], job.env["BACKFILLD_DATE"]) == ("team", str(first)):
            world.warehouse.broken["team"] = "table not found"
        return world.well(job)

    world.script = script
    world.enqueue(first, second)
    while world.dates()[first].waiting != "warehouse":
        assert world.step()
        world.settle()
    world.commands.accept(first, "team", reason="seen by eye", by=ME)
    assert world.step()
    world.settle()
    # When it can be queried again, and a later date is computed before that is done
    world.warehouse.broken.clear()
    world.run()
    assert world.dates()[second].outcome == "complete"
    world.time += WEEK
    world.engine.sweeper.run()
    # Then no foreign write is seen, and nothing is stale
    assert foreign_writes(world) == []
    assert [row.stale_at for row in world.dates().values()] == [None, None]
