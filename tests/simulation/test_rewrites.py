"""Reruns: an attempt that is to rewrite an output must exit with 0 and change the write stamp."""

import datetime as dt

import pytest

from backfilld.daemon.events import ForeignWrites
from backfilld.state.rules.evidence import HistoryRun
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import checks
from tests.factories import phase, pipeline, processor
from tests.simulation.world import ME, Work, World

OPENER = dt.date(2021, 10, 19)
SEASON = {OPENER + dt.timedelta(days=n): 5 for n in range(4)}
LAST = max(SEASON)
WEEK = 7 * 86400.0
READERS = [f"reader_{number}" for number in range(5)]


def shape(**keys):
    return pipeline(
        phase("phase2", processor("box", **keys)),
        phase("phase3", *map(processor, READERS)),
        phase("phase4", processor("zones"), order="sequential", lookback="season"),
    )


@pytest.fixture
def world(tmp_path):
    return filled(World(shape(), SEASON, tmp_path))


def filled(world: World) -> World:
    """All dates done by attempts of the daemon."""
    world.enqueue(OPENER, LAST)
    world.run()
    assert not world.live()
    world.executor.launched.clear()
    world.time += 3600
    return world


def does(world: World, name: str, *work: Work) -> None:
    """Let the next jobs of a processor do this, the last of them for good, and all others work."""
    left = list(work)

    def script(job):
        if job.env["BACKFILLD_PROCESSOR"] != name:
            return world.well(job)
        return left.pop(0) if len(left) > 1 else left[0]

    world.script = script


def launched(world: World) -> list[str]:
    return [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched]


def verdict(world: World, name: str = "box", date: dt.date = OPENER) -> tuple[Verdict, str]:
    with world.db.read() as tx:
        check = checks.for_dates(tx, [date])[date][name]
    return check.verdict, check.reason


def outcome(world: World, date: dt.date = OPENER) -> str:
    return world.dates()[date].outcome


def foreign_writes(world: World) -> list[ForeignWrites]:
    return [event for event in world.events if isinstance(event, ForeignWrites)]


# --------------------------------------------------------------------------------------------- reruns


def test_t6_a_forced_job_that_writes_nothing_leaves_its_output_untouched(world):
    does(world, "box", Work())
    world.enqueue(OPENER, OPENER, force=True)
    world.run()
    found, reason = verdict(world)
    assert found is Verdict.UNTOUCHED
    assert reason.startswith("exited 0, but the partition was not rewritten since 2")
    assert outcome(world) == "exhausted"
    assert launched(world) == ["box"] * 3


def test_t14_a_forced_job_that_exits_1_fails_whatever_rows_are_there(world):
    does(world, "box", Work(code=1))
    world.enqueue(OPENER, OPENER, force=True)
    world.run()
    assert verdict(world) == (Verdict.FAILED, "the rerun failed (exit 1); 1 row of it or from before")
    assert world.dates()[OPENER].reason.startswith("box: failed: the rerun failed (exit 1)")


def test_s1_nothing_is_computed_from_the_old_rows_of_a_forced_job_that_failed(tmp_path):
    world = filled(World(shape(max_attempts=1), SEASON, tmp_path))
    does(world, "box", Work(code=1))
    receipt = world.enqueue(OPENER, LAST, force=True)
    world.run()
    assert {row.outcome for row in world.dates().values()} == {"exhausted"}
    assert set(launched(world)) == {"box"}
    assert receipt.id == world.dates()[LAST].backfill_id


def test_a_forced_job_that_writes_the_same_rows_again_is_complete_after_one_attempt(world):
    world.enqueue(OPENER, OPENER, force=True)
    world.run()
    assert outcome(world) == "complete"
    assert launched(world) == ["box", *READERS, "zones"]


def test_a_rerun_that_writes_at_its_second_attempt_is_complete(world):
    rewrite = Work(effect=lambda: world.fill("box", OPENER))
    does(world, "box", Work(), rewrite)
    world.enqueue(OPENER, OPENER, force=True)
    world.run()
    assert (outcome(world), launched(world).count("box")) == ("complete", 2)


def test_a_job_that_writes_everything_and_exits_1_is_not_believed_by_its_rows(world):
    does(world, "box", Work(code=1, effect=lambda: world.fill("box", OPENER)))
    world.enqueue(OPENER, OPENER, force=True)
    world.run()
    assert verdict(world)[0] is Verdict.FAILED


def test_a_rerun_whose_job_is_killed_from_outside_says_so(world):
    does(world, "box", Work(code=None))
    world.enqueue(OPENER, OPENER, force=True)
    world.run()
    assert verdict(world) == (Verdict.FAILED, "the rerun failed (lost); 1 row of it or from before")


def test_where_the_warehouse_cannot_tell_the_rows_stand_and_the_reason_says_so(world):
    world.warehouse.unprovable.add("box")
    does(world, "box", Work())
    world.enqueue(OPENER, OPENER, force=True)
    world.run()
    assert verdict(world) == (Verdict.COMPLETE, "rewrite not provable here")
    assert outcome(world) == "complete"


def test_a_job_that_need_not_rewrite_is_judged_by_the_rows_alone(tmp_path):
    # Given a table without rows, and a job that writes them and exits with 1
    world = World(shape(), SEASON, tmp_path)
    does(world, "box", Work(code=1, effect=lambda: world.fill("box", OPENER)))
    world.enqueue(OPENER, OPENER)
    world.run()
    assert (outcome(world), verdict(world)) == ("complete", (Verdict.COMPLETE, ""))


def test_an_untouched_output_of_a_fallback_is_waived_like_a_partial_one(tmp_path):
    world = filled(World(shape(priority="fallback"), SEASON, tmp_path))
    does(world, "box", Work())
    world.enqueue(OPENER, OPENER, force=True)
    world.run()
    assert outcome(world) == "waived"
    assert "box: untouched: exited 0" in world.dates()[OPENER].reason


def test_a_rewrite_stays_due_when_its_date_is_not_expected_for_a_while(tmp_path):
    # Given a forced date whose first job wrote nothing, while another job of the same state runs
    two_sources = pipeline(phase("phase2", processor("box"), processor("plays")))
    calendar = dict(SEASON)
    world = filled(World(two_sources, calendar, tmp_path))
    rewrites = world.script
    world.script = lambda job: Work(seconds=600.0) if job.env["BACKFILLD_PROCESSOR"] == "plays" else Work()
    world.enqueue(OPENER, OPENER, force=True)
    world.step()
    # When the calendar loses the date, until that job was judged, and gains it again
    calendar[OPENER] = 0
    world.engine.recheck_calendar()
    world.settle()
    assert verdict(world)[0] is Verdict.NOT_EXPECTED
    calendar[OPENER] = 5
    world.engine.recheck_calendar()
    world.settle()
    # Then the output is still to be rewritten
    assert verdict(world)[0] is Verdict.UNTOUCHED
    world.script = rewrites
    world.run()
    assert launched(world).count("box") == 2
    assert verdict(world)[0] is Verdict.COMPLETE


# -------------------------------------------------------------------------------------------- retries


def test_a_retry_of_a_failed_forced_date_stays_a_rewrite_and_repeats_none_that_succeeded(world):
    # Given a forced date whose second phase failed in one of five processors
    does(world, "reader_3", Work(code=1))
    world.enqueue(OPENER, OPENER, force=True)
    world.run()
    assert outcome(world) == "exhausted"
    # When it is retried without force
    world.executor.launched.clear()
    does(world, "reader_3", Work(), Work(effect=lambda: world.fill("reader_3", OPENER)))
    world.commands.retry_date(OPENER, by=ME)
    world.run()
    # Then only what was not rewritten yet runs, and it must rewrite
    assert launched(world) == ["reader_3", "reader_3", "zones"]
    assert outcome(world) == "complete"


def test_a_new_request_without_force_owes_no_rewrite_of_an_earlier_one(world):
    does(world, "box", Work(code=1))
    world.enqueue(OPENER, OPENER, force=True)
    world.run()
    world.executor.launched.clear()
    world.enqueue(OPENER, OPENER)
    world.run()
    assert (outcome(world), launched(world)) == ("complete", [])


def test_a_second_force_rewrites_everything_once_more(world):
    for _ in range(2):
        world.executor.launched.clear()
        world.enqueue(OPENER, OPENER, force=True)
        world.run()
        assert launched(world) == ["box", *READERS, "zones"]


def test_a_rewrite_is_proven_over_a_restart_in_the_middle_of_it(world):
    does(world, "box", Work())
    world.enqueue(OPENER, OPENER, force=True)
    world.step()
    world.start()
    world.run()
    assert verdict(world)[0] is Verdict.UNTOUCHED


def test_a_cascade_proves_that_each_stale_output_was_rewritten(world):
    # Given dates that are stale, because an earlier one was repaired
    world.commands.retry_date(OPENER, by=ME, force=True)
    world.run()
    assert world.dates()[LAST].stale_at is not None
    # When their sequential phase runs again and writes nothing
    does(world, "zones", Work())
    world.commands.retry_date(LAST, by=ME, cascades=True)
    world.run()
    assert verdict(world, "zones", LAST)[0] is Verdict.UNTOUCHED
    assert outcome(world, LAST) == "exhausted"


# ------------------------------------------------------------------------------------- foreign writes


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
