"""Plans of processors with `period`: one step for a week or month, and none where it is not whole."""

import datetime as dt

from backfilld.state.pipeline.pipeline import Pipeline
from tests.factories import phase, pipeline, processor
from tests.fake_warehouse import FakeWarehouse
from tests.unit.plans import date, order, planned

DATES = [date("2021-11-01") + dt.timedelta(days=n) for n in range(12)]
REMEDY = "2021-11-06..2021-11-12 not in this range; backfilld enqueue 2021-11-01 2021-11-12"


def monthly(**keys: object) -> tuple[Pipeline, FakeWarehouse]:
    statement = processor("statement", command=["true", "{start}", "{end}"], period="month", estimate="60s")
    made = pipeline(
        phase("raw", processor("box")),
        phase("derived", {**statement, **keys}),
        phase("last", processor("board")),
        history=None,
    )
    return made, FakeWarehouse(made, calendar=dict.fromkeys(DATES, 5))


def test_a_month_is_one_step_with_the_command_of_all_its_dates() -> None:
    made, facts = monthly()
    found = planned(made, facts, "2021-11-01", "2021-11-30")
    (step,) = (step for step in found.steps if step.processor == "statement")
    assert list(step.dates) == DATES
    assert step.argv[1:] == ("2021-11-01", "2021-11-12")
    assert step.seconds == 60.0 * 12
    assert found.done_dates == 12


def test_a_month_that_the_range_cuts_runs_nothing_and_names_the_command_for_the_whole() -> None:
    made, facts = monthly()
    found = planned(made, facts, "2021-11-01", "2021-11-05")
    assert {step.processor for step in found.steps} == {"box"}
    (cannot,) = found.cannot_run
    assert list(cannot.dates) == DATES[:5]
    assert cannot.reason == f"statement waits for the other dates of November 2021: {REMEDY}"


def test_dates_outside_the_range_that_are_complete_keep_nothing_back() -> None:
    made, facts = monthly()
    for day in DATES[5:]:
        facts.fill(["statement"], [day])
    found = planned(made, facts, "2021-11-01", "2021-11-05")
    assert [step.dates for step in found.steps if step.processor == "statement"] == [DATES[:5]]
    assert found.done_dates == 5


def test_complete_dates_within_a_month_split_its_range() -> None:
    made, facts = monthly()
    facts.fill(["statement"], [DATES[4]])
    found = planned(made, facts, "2021-11-01", "2021-11-30")
    assert [step.dates for step in found.steps if step.processor == "statement"] == [DATES[:4], DATES[5:]]


def test_each_week_is_a_step_of_its_own() -> None:
    made, facts = monthly(period="week")
    found = planned(made, facts, "2021-11-01", "2021-11-30")
    assert order(found)[12:14] == ["2021-11-01 statement", "2021-11-08 statement"]


def test_a_batch_behind_a_month_ends_with_it_only_where_the_month_runs() -> None:
    statement = processor("statement", command=["true", "{start}", "{end}"], period="month")
    board = processor("board", command=["true", "{start}", "{end}"], batch=40)
    made = pipeline(phase("derived", statement), phase("last", board), history=None)
    days = [date("2021-11-25") + dt.timedelta(days=n) for n in range(12)]
    facts = FakeWarehouse(made, calendar=dict.fromkeys(days, 5))
    whole = planned(made, facts, "2021-11-01", "2021-12-31")
    assert [step.dates for step in whole.steps if step.processor == "board"] == [days[:6], days[6:]]
    # And where the months are complete, nothing divides the batch
    facts.fill(["statement"], days)
    again = planned(made, facts, "2021-11-01", "2021-12-31")
    assert [step.dates for step in again.steps] == [days]


def test_a_week_that_is_not_over_waits_for_its_end() -> None:
    weekly = processor("weekly", command=["true", "{dates}"], period="week")
    made = pipeline(phase("raw", processor("box")), phase("derived", weekly), history=None, calendar={})
    found = planned(made, FakeWarehouse(made), "2025-12-01")  # today
    (cannot,) = found.cannot_run
    end = "the end of the week of 2025-12-01 on 2025-12-07; then backfilld enqueue 2025-12-01 2025-12-07"
    assert cannot.reason == f"weekly waits for {end}"
