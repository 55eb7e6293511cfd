"""A date is without data only after attempts of its own request, for the table that it has now."""

import datetime as dt

import pytest

from backfilld.daemon.reports.data_completeness import validation
from backfilld.daemon.reports.plan.plan import plan
from backfilld.state.store import checks
from tests.factories import phase, processor
from tests.simulation.fakes import Work
from tests.simulation.one_table import (
    BACKOFF,
    DATES,
    FIRST,
    ended,
    ran,
    shape,
    success,
    waits,
    writes_nothing,
)
from tests.simulation.world import ME


def test_deleted_partitions_of_done_dates_run_at_once_by_the_next_request(worlds):
    world = worlds()
    world.enqueue(DATES[0], DATES[-1])
    world.run()
    for date in DATES:
        world.fill("box", date, rows=0)
    world.enqueue(DATES[0], DATES[-1])
    world.run()
    assert [ended(world, date) for date in DATES] == [("done", "complete")] * 4
    assert [ran(world, date) for date in DATES] == [["box exited 0"] * 2] * 4


def test_rows_of_an_attempt_that_have_vanished_are_named_and_stay_named(worlds):
    # Given a date whose job wrote its rows, and another program that deletes them and whatever comes later
    world = worlds()
    world.enqueue(FIRST, FIRST)
    world.run()
    world.fill("box", FIRST, rows=0)
    world.script = writes_nothing
    # When it is enqueued again, then its failure names the rows that are gone, after each later attempt too
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ended(world) == ("failed", "blocked")
    with world.db.read() as tx:
        check = checks.for_dates(tx, [FIRST])[FIRST]["box"]
    assert check.reason.startswith("what attempt 1 left (1 row) is gone; the latest run succeeded")


def test_attempts_of_an_earlier_request_that_left_nothing_do_not_shorten_a_new_one(worlds):
    world = worlds()
    world.script = writes_nothing
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ended(world) == ("failed", "blocked")
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ended(world) == ("failed", "blocked")
    assert ran(world) == ["box exited 0"] * 4


def test_a_table_that_was_changed_in_the_file_is_filled_whatever_its_predecessor_had(worlds):
    world = worlds()
    world.enqueue(DATES[0], DATES[-1])
    world.run()
    world.warehouse.rows.clear()
    world.pipeline = shape(table="nba.box_v2")
    world.start()
    world.enqueue(DATES[0], DATES[-1])
    world.run()
    assert [ended(world, date) for date in DATES] == [("done", "complete")] * 4
    assert [len(ran(world, date)) for date in DATES] == [2] * 4


def test_an_attempt_that_ends_after_its_table_was_changed_neither_counts_nor_explains(worlds):
    world = worlds()
    world.script = writes_nothing
    world.enqueue(FIRST, FIRST)
    world.settle()
    # When the file names another table while the job runs
    world.pipeline = shape(table="nba.box_v2")
    world.start()
    world.step()
    world.settle()
    # Then the next attempt starts without a backoff, and two more find nothing before the date fails
    world.run()
    assert ran(world) == ["box exited 0"] * 3
    assert ended(world) == ("failed", "blocked")


def test_a_failure_in_the_old_table_leaves_all_attempts_to_the_new_one(worlds):
    world = worlds(shape(jobs={"max_attempts": 2}))
    world.script = lambda job: Work(code=1)
    world.enqueue(FIRST, FIRST)
    world.step()
    world.settle()
    world.pipeline = shape(table="nba.box_v2", jobs={"max_attempts": 2})
    world.start()
    world.run()
    assert ran(world) == ["box exited 1"] * 3


def test_a_live_date_does_not_pass_by_what_another_table_had(worlds):
    # Given a date whose second phase runs, by a first phase that was complete
    def two(table):
        return shape(phase("raw", processor("box", table=table)), phase("made", processor("team")))

    world = worlds(two("nba.box"))
    world.fill("box", FIRST)
    world.enqueue(FIRST, FIRST)
    world.settle()
    assert world.dates()[FIRST].state == "made"
    # When the first phase writes another table, which is empty
    world.warehouse.rows.clear()
    world.pipeline = two("nba.box_v2")
    world.start()
    world.run()
    # Then it is filled before the date is done
    assert "box exited 0" in ran(world)
    assert ended(world) == ("done", "complete")


@pytest.mark.parametrize("priority", ["critical", "important", "fallback"])
def test_a_success_in_the_history_without_rows_is_tried(worlds, priority):
    world = worlds(shape(phase("raw", processor("box", priority=priority))))
    world.warehouse.closed["box", FIRST] = success(world.time)
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ran(world) == ["box exited 0"]
    assert ended(world) == ("done", "complete")


def test_a_success_in_the_history_is_enough_where_the_file_trusts_it(worlds):
    world = worlds(shape(phase("raw", processor("box", no_data="trust"))))
    world.warehouse.closed["box", FIRST] = success(world.time)
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ran(world) == []
    assert ended(world) == ("failed", "blocked")
    # But a retry is an order to try, and so is another request: the plan says so
    assert planned(world) == ["box"]
    world.commands.retry_date(FIRST, by=ME)
    world.run()
    assert ran(world) == ["box exited 0"]


def trusted(table):
    """A source whose history is trusted, with its output in some table."""
    return shape(phase("raw", processor("box", table=table, no_data="trust")))


def planned(world):
    """What the plan of the first date runs."""
    with world.db.read() as tx:
        known = checks.for_dates(tx, [FIRST])
    failed = [date for date, row in world.dates().items() if row.state == "failed"]
    report = validation(
        world.pipeline, world.warehouse, FIRST, FIRST, now=world.time, known=known, failed=failed
    )
    return [step.processor for step in plan(report, world.pipeline).steps]


def moved(world, table):
    """The daemon starts again with a file that names another table."""
    world.pipeline = trusted(table)
    world.warehouse.tables = {"box": table}
    world.start()


def writes_and_records(world):
    """A job that writes the table that the file names now, and its run into the history."""

    def script(job):
        date, table = dt.date.fromisoformat(job.env["BACKFILLD_DATES"]), world.warehouse.table("box")

        def effect():
            world.warehouse.rows[table, date] = 1
            world.warehouse.closed["box", date] = success(world.time)

        return Work(effect=effect)

    return script


@pytest.mark.parametrize("again", ["enqueue", "retry"])
def test_runs_that_wrote_another_table_are_not_trusted_about_the_one_that_the_file_names_now(worlds, again):
    # Given a done date whose run is in the history, when the file names another table, which is empty
    world = worlds(trusted("nba.box"))
    world.warehouse.tables = {"box": "nba.box"}
    world.script = writes_and_records(world)
    world.enqueue(FIRST, FIRST)
    world.run()
    moved(world, "nba.box_2")
    world.run()
    assert "box is no_data" in world.dates()[FIRST].regressed
    # Then a request runs the job, as the plan says, and the date does not fail for want of data
    assert planned(world) == ["box"]
    if again == "enqueue":
        world.enqueue(FIRST, FIRST)
    else:
        world.commands.retry_date(FIRST, by=ME)
    world.run()
    assert ran(world) == ["box exited 0"] * 2
    assert ended(world) == ("done", "complete")


def test_a_live_date_tries_the_table_that_the_file_names_now_and_confirms_what_that_left(worlds):
    # Given a live date whose job left nothing, and whose table is changed and changed back
    world = worlds(trusted("nba.box"))
    world.warehouse.tables = {"box": "nba.box"}
    world.script = lambda job: Work(
        effect=lambda: world.warehouse.closed.update({("box", FIRST): success(world.time)})
    )
    world.enqueue(FIRST, FIRST)
    world.step()
    world.settle()
    moved(world, "nba.box_2")
    world.settle()
    moved(world, "nba.box")
    world.run()
    # Then it has failed only by a query after an attempt for that table
    assert ran(world) == ["box exited 0"] * 3
    assert ended(world) == ("failed", "blocked")


def test_a_complete_fallback_replaces_a_source_only_after_its_attempts(worlds):
    world = worlds(shape(phase("raw", processor("box", fallbacks=["spare"]), processor("spare"))))
    world.fill("spare", FIRST)
    world.warehouse.closed["box", FIRST] = success(world.time)
    world.script = writes_nothing
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ran(world) == ["box exited 0"] * 2
    assert ended(world) == ("done", "complete")


def test_a_job_that_writes_nothing_at_first_is_tried_again_after_its_backoff(worlds):
    world, started = worlds(), []

    def script(job):
        started.append(world.time)
        return Work(effect=lambda: world.fill("box", FIRST, rows=len(started) - 1))

    world.script = script
    world.enqueue(FIRST, FIRST)
    world.settle()
    world.step()
    world.settle()
    assert "box: no rows after attempt 1 of 2, tried again at 20" in waits(world)
    world.run()
    assert ended(world) == ("done", "complete")
    assert started[1] - started[0] >= 0.75 * BACKOFF


@pytest.mark.parametrize(("attempts", "most", "runs"), [(1, 3, 1), (3, 3, 3), (5, 2, 2), (2, 1, 1)])
def test_a_date_is_without_data_after_its_attempts_and_max_attempts_bounds_them(worlds, attempts, most, runs):
    world = worlds(shape(jobs={"no_data_attempts": attempts, "max_attempts": most}))
    world.script = writes_nothing
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ran(world) == ["box exited 0"] * runs
    assert ended(world) == ("failed", "blocked")


def test_an_attempt_that_failed_is_no_proof_that_there_is_no_data(worlds):
    world, codes = worlds(), iter((1, 0, 0, 0))
    world.script = lambda job: Work(code=next(codes))
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ran(world) == ["box exited 1", "box exited 0", "box exited 0"]
    assert ended(world) == ("failed", "blocked")
