"""Reruns: an attempt that is to rewrite an output must exit with 0 and change the write stamp."""

import datetime as dt

import pytest

from backfilld.state.records import Sources
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import checks
from tests.factories import phase, pipeline, processor
from tests.simulation.done_season import LAST, OPENER, READERS, SEASON, does, filled, shape
from tests.simulation.world import ME, Work, World


@pytest.fixture
def world(tmp_path):
    return filled(World(shape(), SEASON, tmp_path))


def launched(world: World) -> list[str]:
    return [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched]


def verdict(world: World, name: str = "box", date: dt.date = OPENER) -> tuple[Verdict, str]:
    with world.db.read() as tx:
        check = checks.for_dates(tx, [date])[date][name]
    return check.verdict, check.reason


def outcome(world: World, date: dt.date = OPENER) -> str:
    return world.dates()[date].outcome


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


def test_what_a_failed_rerun_has_written_counts_though_the_query_after_it_has_failed(world):
    # Given a forced job that writes and exits with 1, after which its table cannot be queried for a while
    def write() -> None:
        world.fill("box", OPENER)
        world.warehouse.broken["box"] = "quota exceeded"

    does(world, "box", Work(code=1, effect=write), Work())
    world.enqueue(OPENER, OPENER, force=True)
    while verdict(world)[0] is not Verdict.UNKNOWN:
        assert world.step()
        world.settle()
    del world.warehouse.broken["box"]
    # When no further job writes, and another request takes the rows as they are
    world.run()
    assert verdict(world)[0] is Verdict.UNTOUCHED
    world.enqueue(OPENER, OPENER)
    world.run()
    # Then what was computed from those before is stale
    assert (outcome(world), verdict(world)) == ("complete", (Verdict.COMPLETE, ""))
    with world.db.read() as tx:
        marked = {name for name, check in checks.for_dates(tx, [OPENER])[OPENER].items() if check.stale_at}
    assert {*READERS} <= marked


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


def test_what_a_cancelled_retry_was_to_rewrite_is_not_rewritten_for_another_request(world):
    # Given a date that a forced retry has reopened, when its backfill is cancelled
    receipt = world.enqueue(OPENER, OPENER, force=True)
    world.run()
    world.executor.launched.clear()
    world.commands.retry_date(OPENER, by=ME, force=True)
    world.commands.cancel(receipt.id, by=ME)
    # And another backfill wants it before it has ended
    world.enqueue(OPENER, OPENER)
    world.run()
    # Then it is done with the rows that are there
    assert (outcome(world), launched(world)) == ("complete", [])
    assert world.status(receipt) == "cancelled"


def test_a_forced_retry_owes_no_rewrite_of_what_only_another_request_selects(tmp_path):
    # Given a date whose backfill has selected the last of two outputs, and is the only one
    of = pipeline(phase("raw", processor("box")), phase("out", processor("report")))
    world = World(of, SEASON, tmp_path)
    world.fill("box", OPENER)
    world.enqueue(OPENER, OPENER, selection=("report",))
    world.run()
    # When it is retried with force, and a backfill of all outputs wants it while that job runs
    world.commands.retry_date(OPENER, by=ME, force=True)
    world.settle()
    world.enqueue(OPENER, OPENER)
    world.run()
    # Then the retry has rewritten what its backfill selects, and what is complete beside that stays
    assert (outcome(world), launched(world)) == ("complete", ["report", "report"])


def test_a_second_force_without_a_source_owes_no_rewrite_of_it(tmp_path):
    # Given an output of priority fallback that a forced job did not rewrite
    world = filled(World(shape(priority="fallback"), SEASON, tmp_path))
    does(world, "box", Work())
    world.enqueue(OPENER, OPENER, force=True)
    world.run()
    assert outcome(world) == "waived"
    # When a second forced request runs critical sources alone
    world.executor.launched.clear()
    world.enqueue(OPENER, OPENER, force=True, sources=Sources.CRITICAL)
    world.run()
    # Then the rows that are there count, and everything else is rewritten
    assert (outcome(world), verdict(world)) == ("complete", (Verdict.COMPLETE, ""))
    assert launched(world) == [*READERS, "zones"]


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
