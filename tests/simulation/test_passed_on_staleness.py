"""What is listed, counted and promised as stale is what a retry of all that is stale runs."""

import datetime as dt
from collections import Counter

import pytest

from backfilld.daemon.reports.data_completeness import validation
from backfilld.daemon.reports.plan.plan import plan
from backfilld.daemon.reports.stale_impact import becomes_stale_by_missing
from backfilld.state.records import Mark
from backfilld.state.store import stale_marks
from tests.factories import phase, pipeline, processor
from tests.integration.api_world import Api
from tests.simulation.external_events import retry_marked
from tests.simulation.test_cascade import launched, stale
from tests.simulation.world import ME, World

DAYS = [dt.date(2021, 10, 19) + dt.timedelta(days=n) for n in range(8)]
LOST_SALES, LOST_WEEKLY = DAYS[5], DAYS[2]


@pytest.fixture
def world(tmp_path) -> World:
    """Sales, of which a sum and a report are made, and of these a balance; all of it done."""
    of = pipeline(
        phase("raw", processor("sales")),
        phase("report", processor("sum", needs=[{"of": "sales", "days_back": 2}]), processor("weekly")),
        phase("ledger", processor("balance", depends_on_past=True)),
    )
    world = World(of, dict.fromkeys(DAYS, 5), tmp_path)
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    world.executor.launched.clear()
    world.time += 3600
    world.fill("sales", LOST_SALES, rows=0)
    world.fill("weekly", LOST_WEEKLY, rows=0)
    return world


def stale_pairs(world: World) -> set[tuple[str, str]]:
    with world.db.read() as tx:
        outputs = stale_marks.stale_outputs(tx, DAYS)
    return {(str(date), name) for date, by_name in outputs.items() for name in by_name}


def test_all_that_is_computed_from_what_was_lost_is_listed_counted_and_run_by_one_retry(world):
    # Given sales and a report that were lost, and a plan of the request that brings them back
    report = validation(world.pipeline, world.warehouse, DAYS[0], DAYS[-1], now=world.time)
    made = plan(report, world.pipeline)
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    assert sorted(launched(world)) == [(str(LOST_WEEKLY), "weekly"), (str(LOST_SALES), "sales")]
    # Then every later balance is stale, as it is computed from one that is
    listed = stale_pairs(world)
    assert {date for date, name in listed if name == "balance"} == {str(date) for date in DAYS[2:]}
    assert stale(world) == DAYS[2:]
    assert Counter(name for _, name in listed) == made.becomes_stale
    api = Api(world)
    assert [one["date"] for one in api.get("/v1/dates?mark=stale")["items"]] == [str(d) for d in DAYS[2:]]
    assert api.get("/v1/progress")["stale"] == api.scrape()["backfilld_stale_dates"] == len(DAYS[2:])
    # And a retry runs just what is listed, each once
    world.executor.launched.clear()
    retry_marked(world.commands, Mark.STALE, DAYS[0], DAYS[-1])
    world.run()
    assert sorted(launched(world)) == sorted(listed)
    assert stale(world) == []


def test_a_balance_is_stale_through_a_failed_date_that_it_is_computed_from(world):
    # Given a failed date between a balance that becomes stale and later ones
    between = DAYS[3]
    world.commands.pause_everything(by=ME, reason="")
    world.commands.cancel(world.enqueue(between, between, force=True).id, by=ME)
    world.run()
    world.commands.resume_everything(by=ME)
    assert world.dates()[between].state == "failed"
    world.commands.retry_date(LOST_WEEKLY, by=ME)
    world.run()
    # Then the later ones are stale; of the failed one itself a retry of what is stale runs nothing
    assert stale(world) == [date for date in DAYS[2:] if date != between]
    world.executor.launched.clear()
    retry_marked(world.commands, Mark.STALE, DAYS[0], LOST_WEEKLY)
    world.run()
    assert (str(between), "balance") not in launched(world)


def test_what_may_be_complete_once_its_reference_is_back_may_run_and_counts_as_stale(tmp_path):
    # Given a sum that is compared with sales which were lost
    whole = processor(
        "sum", needs=[{"of": "sales", "days_back": 2}], expect={"ratio": {"of": "sales", "min": 1}}
    )
    of = pipeline(phase("raw", processor("sales")), phase("report", whole))
    world = World(of, dict.fromkeys(DAYS, 5), tmp_path)
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    world.executor.launched.clear()
    world.time += 8 * 86400
    world.fill("sales", LOST_SALES, rows=0)
    world.engine.sweeper.run()
    # Then the plan and the request leave open whether it runs, and count it among what becomes stale
    report = validation(of, world.warehouse, DAYS[0], DAYS[-1], now=world.time)
    made = plan(report, of)
    reasons = {step.processor: step.reason for step in made.steps}
    assert reasons["sum"] == "may run: is compared with sales, which runs first"
    receipt = world.enqueue(DAYS[0], DAYS[-1], dry_run=True)
    missing = {one.date: one.missing for one in receipt.details if one.missing}
    assert missing == {LOST_SALES: ("sales", "sum")}
    with world.db.read() as tx:
        debt = becomes_stale_by_missing(tx, of, missing)
    # And the engine does not run it, as its rows are as many as before
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    assert launched(world) == [(str(LOST_SALES), "sales")]
    assert Counter(name for _, name in stale_pairs(world)) == made.becomes_stale == debt == {"sum": 3}
