"""Days that a query of the warehouse names: what has output on them, and what a change of the answer does."""

import datetime as dt

import pytest

from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.records import Mark
from backfilld.state.rules.season_calendar import days_key
from tests.factories import phase, pipeline, processor
from tests.simulation.external_events import retry_marked
from tests.simulation.world import World

DAYS = [dt.date(2024, 5, n) for n in range(1, 8)]
CLOSING = {"name": "closing", "query": "SELECT date FROM ref.closing_days"}


def shop(**report):
    return pipeline(
        phase("raw", processor("sales")),
        phase("reports", processor("report", **report)),
        calendar={"days": [CLOSING]} if report else {},
    )


class Shop(World):
    """A platform whose warehouse names closing days."""

    def __init__(self, file, folder, named):
        super().__init__(file, {}, folder)
        self.named = named
        self.refusal = ""
        self.warehouse.counts = self._counts

    def _counts(self, start, end):
        if self.refusal:
            raise WarehouseError(self.refusal)
        return {date: {days_key("closing"): 1} for date in self.named if start <= date <= end}

    def steps(self, count):
        for _ in range(count):
            self.step()

    def verdicts(self):
        with self.db.read() as tx:
            rows = tx.exec_driver_sql("SELECT date, verdict FROM checks WHERE processor = 'report'")
            return {dt.date.fromisoformat(date): verdict for date, verdict in rows}


@pytest.fixture
def world(tmp_path):
    return Shop(shop(days="closing"), tmp_path, {DAYS[2]})


def test_a_processor_has_output_on_the_days_that_the_query_names_and_on_no_other(world):
    world.enqueue(DAYS[0], DAYS[-1])
    world.run(limit=300)
    assert {date: row.outcome for date, row in world.dates().items()} == dict.fromkeys(DAYS, "complete")
    assert world.verdicts() == {date: "complete" if date == DAYS[2] else "not_expected" for date in DAYS}
    assert [date for date in DAYS if "report" in dict(world.attempts(date))] == [DAYS[2]]


def test_a_done_date_that_the_query_names_later_is_regressed_and_runs_when_requested(world):
    world.enqueue(DAYS[0], DAYS[4])
    world.run(limit=300)
    world.named.add(DAYS[1])
    world.enqueue(DAYS[5], DAYS[6])
    world.time += 8 * 86400.0
    world.engine.sweeper.run()
    world.run(limit=300)
    assert "report" in world.dates()[DAYS[1]].regressed
    assert retry_marked(world.commands, Mark.REGRESSED, DAYS[0], DAYS[-1]) == [DAYS[1]]
    world.run(limit=300)
    assert world.verdicts()[DAYS[1]] == "complete"


def test_dates_wait_for_a_query_that_cannot_be_answered_and_say_why(world):
    world.refusal = "calendar.days[closing].query was refused: no table ref.closing_days"
    world.enqueue(DAYS[0], DAYS[0])
    world.steps(20)
    assert world.dates()[DAYS[0]].state == "pending"
    with world.db.read() as tx:
        assert world.refusal in waiting_on(tx, world.context, [world.dates()[DAYS[0]]])[DAYS[0]]
    world.refusal = ""
    world.run(limit=300)
    assert world.dates()[DAYS[0]].outcome == "complete"


def test_a_live_date_is_unknown_until_the_query_of_a_changed_file_is_answered(tmp_path):
    # Given a date that was admitted by a file without the query
    world = Shop(shop(), tmp_path, set())
    world.enqueue(DAYS[0], DAYS[0])
    world.settle()
    assert world.dates()[DAYS[0]].state == "raw"
    # When the file gains the query, and that cannot be answered
    world.refusal = "no"
    world.pipeline = shop(days="closing")
    world.start()
    world.steps(20)
    # Then neither is the report run, nor does the date pass
    assert world.verdicts() == {DAYS[0]: "unknown"}
    assert "report" not in dict(world.attempts(DAYS[0]))
    # Until it is
    world.refusal = ""
    world.time += 400
    world.engine.recheck_calendar()
    world.run(limit=300)
    assert world.verdicts() == {DAYS[0]: "not_expected"}
    assert world.dates()[DAYS[0]].outcome == "complete"
