"""Processors with `period_output = "last"`: the last date of a month has the output of all its dates."""

import pytest

from backfilld.daemon.reports.stale_impact import becomes_stale
from backfilld.state.records import Mark
from tests.factories import phase, pipeline, processor
from tests.simulation.external_events import retry_marked
from tests.simulation.fakes import Work
from tests.simulation.test_periods import DAY, FIRST, RANGE, status, waits
from tests.simulation.world import ME, World


@pytest.fixture
def world(tmp_path):
    made = World(reporting(since=FIRST), {}, tmp_path)
    yield made
    made.db.close()


def reporting(**keys):
    """A monthly report that is written with the last date of its month, of every date without a calendar."""
    monthly = {"period": "month", "period_output": "last", **keys}
    report = processor("report", command=RANGE, **monthly)
    return pipeline(
        phase("raw", processor("box", writers=3)),
        phase("derived", report, processor("daily", writers=3)),
        phase("out", processor("board")),
        jobs={"slots": 6, "backoff": "10s", "breaker_threshold": 0},
        calendar={},
    )


def reports(world):
    """The command of each attempt of the report, with the dates that it claims."""
    jobs = [job for job in world.executor.launched if job.env["BACKFILLD_PROCESSOR"] == "report"]
    return [(*job.argv[1:], job.env["BACKFILLD_DATE"]) for job in jobs]


def test_a_report_of_the_month_runs_with_its_last_date_and_holds_no_other_one_back(world):
    # Given a month of which one source fails
    end, failed = FIRST + 29 * DAY, FIRST + 6 * DAY
    well = world.script
    world.script = lambda job: Work(code=1) if job.env["BACKFILLD_DATE"] == str(failed) else well(job)
    receipt = world.enqueue(FIRST, end)
    world.run()
    # Then the dates before the last one are done without a report, and the last one waits by name
    assert reports(world) == []
    assert {row.state for date, row in world.dates().items() if date not in (failed, end)} == {"done"}
    assert waits(world, end).startswith(f"blocked by {failed}, which failed: box: ")
    assert status(world, receipt)[0] == "stuck"
    # And once that has a source, one attempt for the last date takes the whole month
    world.script = well
    world.commands.retry_date(failed, by=ME)
    world.run()
    assert reports(world) == [("2021-11-01", "2021-11-30", "2021-11-30")]
    assert world.ended(receipt)[1] == {"complete": 30}
    # A repair within the month makes that date stale alone, whose retry takes the whole month again
    world.time += 3600
    world.enqueue(failed, failed, force=True)
    world.run()
    marked = [date for date, row in world.dates().items() if row.stale_at is not None]
    assert marked == [end]
    retry_marked(world.commands, Mark.STALE, FIRST, end)
    world.run()
    assert reports(world)[1:] == [("2021-11-01", "2021-11-30", "2021-11-30")]


def test_a_part_of_the_month_and_its_last_date_alone(world):
    receipt = world.enqueue(FIRST, FIRST + 4 * DAY)
    world.run()
    assert world.ended(receipt)[1] == {"complete": 5}
    # Given the last date alone, then it names the dates that the report lacks and the command for them
    end = FIRST + 29 * DAY
    last = world.enqueue(end, end)
    world.run()
    assert status(world, last)[0] == "stuck"
    assert waits(world, end).startswith("blocked by 2021-11-06, which was never enqueued: ")
    # And runs once these are there
    world.enqueue(FIRST + 5 * DAY, end - DAY)
    world.run()
    assert reports(world) == [("2021-11-01", "2021-11-30", "2021-11-30")]
    assert world.status(last) == "finished"


def test_edits_of_period_output_while_the_month_is_under_way(world):
    # Given a date that is done before the file gives each date of the month a report of its own
    receipt = world.enqueue(FIRST, FIRST + 29 * DAY)
    while world.dates()[FIRST].state != "done":
        assert world.step()
        world.settle()
    world.pipeline = reporting(since=FIRST, period_output="each")
    world.start()
    world.run()
    # Then the month waits for that date by name
    remedy = "the other dates of November 2021 for report: no backfill fills 2021-11-01"
    assert status(world, receipt) == ("stuck", f"{remedy}; backfilld enqueue 2021-11-01")
    assert world.dates()[FIRST].regressed == "report is never_ran: no rows, no run recorded"
    # And where the file takes that back, the last date has the report of all, and no date is missing one
    world.pipeline = reporting(since=FIRST)
    world.start()
    world.run()
    assert reports(world) == [("2021-11-01", "2021-11-30", "2021-11-30")]
    assert world.status(receipt) == "finished"
    assert {row.regressed for row in world.dates().values()} == {""}


@pytest.mark.parametrize(("last", "dates"), [(FIRST, 1), (FIRST + 29 * DAY, 1), (FIRST + 32 * DAY, 0)])
def test_what_a_rewrite_makes_stale_is_counted_on_dates_with_output_alone(world, last, dates):
    world.enqueue(FIRST, FIRST + 29 * DAY)
    world.run()
    with world.db.read() as tx:
        debt = becomes_stale(tx, world.pipeline, ("box",), [last])
    # Each date has a daily output, and a month one report: none yet where its last date was never enqueued
    assert (debt["daily"], debt.get("report", 0)) == (1, dates)


@pytest.mark.parametrize("before", [{"period": None, "period_output": "each"}, {"period_output": "last"}])
def test_an_edit_that_gives_each_date_of_a_month_its_output_names_those_that_nobody_enqueued(world, before):
    # Given the last date of a month of which nothing else is known, and a report of that date or of the month
    last = FIRST + 29 * DAY
    world.pipeline = reporting_alone(**before)
    world.start()
    world.script = lambda job: Work(code=1)
    receipt = world.enqueue(last, last)
    world.settle()
    # When the file gives each date of the month its own report
    world.pipeline = reporting_alone(period_output="each")
    world.start()
    world.engine.recheck_calendar()
    world.run()
    # Then the backfill is stuck on the dates that no backfill has, and names the command that enqueues them
    missing = f"{FIRST}..{last - DAY}; backfilld enqueue {FIRST} {last - DAY}"
    text = f"the other dates of November 2021 for report: no backfill fills {missing}"
    assert status(world, receipt) == ("stuck", text)


def reporting_alone(**keys):
    report = processor("report", **{"period": "month", "command": ["true", "{dates}"], **keys})
    return pipeline(phase("reports", report), jobs={"breaker_threshold": 0}, calendar={})
