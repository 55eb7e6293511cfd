"""The spot check after a run counts the rows that are there and are not good enough."""

import datetime as dt
from dataclasses import replace

import pytest

from backfilld.api.cli import show_quality
from backfilld.api.schemas.data_quality_reports import Quality
from backfilld.daemon.reports.quality import quality
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.rules.verdict import Verdict
from tests.factories import NOW, phase, pipeline, processor
from tests.fake_warehouse import FakeWarehouse
from tests.platform import OPENING

START, END = dt.date(2021, 10, 19), dt.date(2021, 10, 22)
COMPLETENESS = {"where": "completeness_percentage >= 95", "share": 0.9}
FILLED = {"columns": ["minutes_played"], "share": 0.05}


def facts() -> FakeWarehouse:
    """One table with a quality rule, 100 rows a date, and one without."""
    judged = processor("context", expect={"rows": [1], "quality": COMPLETENESS})
    both = pipeline(phase("phase3", judged, processor("teams")))
    made = FakeWarehouse(both, calendar=OPENING)
    made.rows = {("context", date): 100 for date in OPENING}
    return made


def test_rows_below_the_predicate_are_counted_by_date() -> None:
    warehouse = facts()
    warehouse.passing_rows = {("context", START): 95, ("context", dt.date(2021, 10, 20)): 60}
    told = quality(warehouse.pipeline, warehouse, START, END, now=NOW)
    (context,) = told.processors
    assert (context.rows, context.below, context.percent_good) == (400, 45, 88.8)
    assert {date.day: (d.below, d.verdict) for date, d in context.dates.items()} == {
        19: (5, Verdict.COMPLETE),
        20: (40, Verdict.DEGRADED),
    }
    assert (told.good, context.degraded_dates) == (False, 1)
    assert told.summary == "45 of 400 rows are below their standard; 1 (processor, date) pair breaks a rule"


def test_a_processor_without_a_standard_is_named_as_unchecked() -> None:
    told = quality(facts().pipeline, facts(), START, END, now=NOW)
    assert (told.unchecked, told.good) == (["teams"], True)


def test_columns_that_must_be_filled_are_counted_too() -> None:
    filled = pipeline(phase("phase3", processor("players", expect={"rows": [1], "filled": FILLED})))
    warehouse = FakeWarehouse(
        filled, calendar=OPENING, empty_counts={("players", START): {"minutes_played": 99}}
    )
    warehouse.rows = {("players", date): 100 for date in OPENING}
    (players,) = quality(filled, warehouse, START, END, now=NOW).processors
    assert (players.empty_counts, players.columns) == ({"minutes_played": 99}, ("minutes_played",))
    assert players.dates[START].reason.startswith("minutes_played is empty in 99 of 100 rows")


def test_a_table_that_cannot_be_asked_is_not_good() -> None:
    warehouse = facts()
    warehouse.broken = {"context": "nba.context: Unrecognized name: completeness_percentage"}
    told = quality(warehouse.pipeline, warehouse, START, END, now=NOW)
    assert (told.good, told.processors[0].unknown_dates) == (False, 4)
    assert told.processors[0].dates[START].reason == warehouse.broken["context"]
    assert [str(line) for line in show_quality.lines(told)][1] == "  △ context: 4 dates could not be queried"


def test_without_a_standard_the_summary_says_so() -> None:
    rules = pipeline(phase("raw", processor("box")))
    told = quality(rules, FakeWarehouse(rules, calendar=OPENING), START, END, now=NOW)
    assert (told.good, told.summary) == (True, "no processor has a quality standard")


def test_an_unreachable_warehouse_is_told() -> None:
    warehouse = facts()
    warehouse.down = "no credentials"
    with pytest.raises(WarehouseError, match="no credentials"):
        quality(warehouse.pipeline, warehouse, START, END, now=NOW)


def test_its_json_is_plain() -> None:
    warehouse = facts()
    warehouse.passing_rows = {("context", START): 60}
    told = Quality.plain(quality(warehouse.pipeline, warehouse, START, START, now=NOW))
    assert told["processors"][0]["dates"]["2021-10-19"]["verdict"] == "degraded"


@pytest.mark.parametrize(
    ("verdict", "text"), [(0, "4 rows, no rule is broken"), (2, "4 rows, 2 dates not as")]
)
def test_a_processor_whose_rules_count_no_rows_has_a_line_all_the_same(verdict: int, text: str) -> None:
    rules = pipeline(phase("raw", processor("box", expect={"no_rows": "SELECT 1 WHERE date = @date"})))
    warehouse = FakeWarehouse(rules, calendar=OPENING)
    warehouse.rows = dict.fromkeys((("box", date) for date in OPENING), 1)
    told = quality(rules, warehouse, START, END, now=NOW)
    (box,) = told.processors
    changed = replace(
        told, processors=[replace(box, rows=4, degraded_dates=verdict, unknown_dates=0, dates={})]
    )
    assert text in [str(line) for line in show_quality.lines(changed)][1]
