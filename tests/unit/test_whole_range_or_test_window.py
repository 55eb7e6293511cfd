"""Where to start: in order, with a test window, or with the window first, side by side."""

import datetime as dt

import pytest

from backfilld.api.cli import show_plan
from backfilld.api.schemas import plans
from backfilld.daemon.reports.data_completeness import validation
from backfilld.daemon.reports.plan.plan import compare
from tests.factories import HOUR, NOW, phase, pipeline, processor
from tests.fake_warehouse import FakeWarehouse
from tests.unit.plans import date

START = date("2021-10-19")
DATES = [START + dt.timedelta(days=n) for n in range(30)]
LAST = DATES[-1]


def shape():
    """Two sources, a parallel phase, and a step that needs three earlier dates of it."""
    needs = [{"of": "summary", "days_back": 3}]
    return pipeline(
        phase("raw", processor("box", estimate="1h"), processor("odds", estimate="1h")),
        phase("analytics", processor("summary", estimate="1h")),
        phase("features", processor("zones", estimate="1h", needs=needs), order="sequential"),
    )


def compared(complete=(), window=None, end=LAST):
    """The comparison where the sources of some dates are complete."""
    made = shape()
    facts = FakeWarehouse(made, calendar=dict.fromkeys(DATES, 3))
    facts.fill(["box", "odds"], complete)
    report = validation(made, facts, START, end, now=NOW)
    return compare(report, made, window=window)


def test_the_window_is_where_the_sources_are_complete_and_its_needs_are_named():
    starts = compared(complete=DATES[10:24]).starting_points
    assert (starts.window_start, starts.window_end) == (DATES[10], DATES[23])
    (need,) = starts.needs
    assert (need.processor, need.dates, need.missing) == ("summary", DATES[7:10], DATES[7:10])
    whole, alone, both = starts.options
    # The window runs its two computed outputs, and both sources with the summary of the dates it needs
    assert alone.steps == 14 * 2 + 3 * 3
    assert alone.dates == 17
    assert alone.done_dates == 14
    assert (whole.steps, whole.done_dates) == (30 * 4 - 28, 30)
    assert (both.steps, both.done_dates) == (whole.steps, 30)
    assert alone.seconds < whole.seconds <= both.seconds
    assert alone.seconds >= 14 * HOUR
    assert "4 processors and their gates on 14 dates; nothing about the other 16" in alone.proves


def test_a_stated_window_is_taken_and_needs_before_the_range_are_said():
    starts = compared(window=(DATES[0], DATES[2])).starting_points
    assert (starts.window_start, starts.window_end) == (DATES[0], DATES[2])
    assert (starts.needs, starts.before_range) == ([], [])  # the season begins there
    with pytest.raises(ValueError, match="is not within"):
        compared(window=(DATES[0], LAST + dt.timedelta(days=1)))


def test_a_range_that_is_no_longer_than_a_window_has_no_choice_of_a_start():
    assert compared(end=DATES[13]).starting_points is None
    assert compared(end=DATES[14]).starting_points is not None


def test_the_ways_are_printed_side_by_side_and_are_in_the_json():
    comparison = compared(complete=DATES[10:24])
    text = "\n".join(line.plain for line in show_plan.comparison_lines(comparison))
    for words in (
        "where to start    from the start",
        "test window proves: 4 processors and their gates on 14 dates",
        f"test window: {DATES[10]}..{DATES[23]}; --window START END states another",
        f"it needs summary of {DATES[7]}..{DATES[9]}: 3 dates, of which 3 are missing",
    ):
        assert words in text, text
    document = plans.Comparison.plain(comparison)["starting_points"]
    assert [one["start"] for one in document["options"]] == [
        "from the start",
        "test window",
        "window, then all",
    ]
    assert document["needs"][0]["missing"] == [str(day) for day in DATES[7:10]]


def test_a_window_that_cuts_a_month_needs_the_rest_of_it_and_says_so():
    statement = processor("statement", command=["true", "{start}", "{end}"], period="month", estimate="60s")
    made = pipeline(phase("raw", processor("box", estimate="1h")), phase("reports", statement), history=None)
    days = [date("2021-11-01") + dt.timedelta(days=n) for n in range(61)]

    def starts(first, last, complete=()):
        facts = FakeWarehouse(made, calendar=dict.fromkeys(days, 3))
        facts.fill(["statement"], complete)
        report = validation(made, facts, days[0], days[-1], now=NOW)
        return compare(report, made, window=(first, last)).starting_points

    cutting = starts(days[5], days[11])
    (cut,) = cutting.cut_periods
    rest = [*days[:5], *days[12:30]]
    assert (cut.processor, cut.period, cut.dates) == ("statement", "November 2021", rest)
    alone = cutting.options[1]
    assert (alone.dates, alone.steps, alone.done_dates) == (30, 31, 7)
    # One that holds the month, or in which its output is complete, cuts nothing
    assert starts(days[0], days[29]).cut_periods == []
    assert starts(days[5], days[11], complete=days[:30]).cut_periods == []
    text = "\n".join(line.plain for line in show_plan._starting_points(cutting))
    cuts = "it cuts November 2021, which statement takes as a whole: it needs 2021-11-01..2021-11-05,"
    assert f"{cuts} 2021-11-13..2021-11-30 too" in text
    (also,) = starts(days[5], days[35]).cut_periods[1:]
    assert (also.period, also.dates) == ("December 2021", days[36:])
