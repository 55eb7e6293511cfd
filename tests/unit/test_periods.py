"""Weeks and months that one attempt takes: their bounds, and when they are ready."""

import datetime as dt
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.rules.periods import (
    MOST_DATES,
    Period,
    PeriodDate,
    period_bounds,
    period_status,
    period_title,
)
from tests.factories import phase, pipeline, processor

FIRST = dt.date(2021, 11, 1)
periods = st.sampled_from(["week", "month"])
members = st.builds(
    PeriodDate,
    date=st.dates(FIRST, dt.date(2021, 11, 30)),
    satisfied=st.booleans(),
    ready=st.booleans(),
    used_up=st.booleans(),
)


@given(periods, st.dates(), st.dates())
def test_every_date_lies_in_exactly_one_period(period: Period, date: dt.date, other: dt.date) -> None:
    first, last = period_bounds(period, date)
    assert first <= date <= last
    assert (last - first).days < MOST_DATES[period]
    same = period_bounds(period, other) == (first, last)
    assert same == (first <= other <= last)


@given(st.dates())
def test_weeks_begin_on_mondays_and_months_on_their_first(date: dt.date) -> None:
    monday, sunday = period_bounds("week", date)
    assert monday.isocalendar()[:2] == date.isocalendar()[:2] == sunday.isocalendar()[:2]
    assert monday.weekday() == 0 or monday == dt.date.min
    first, last = period_bounds("month", date)
    assert (first.year, first.month, first.day) == (date.year, date.month, 1)
    assert last == dt.date.max or (last + dt.timedelta(days=1)).day == 1


def test_a_period_is_called_as_people_call_it() -> None:
    assert period_title("month", FIRST) == "November 2021"
    assert period_title("week", dt.date(2021, 11, 21)) == "the week of 2021-11-15"


@given(st.lists(members, unique_by=lambda member: member.date), st.booleans())
def test_an_attempt_starts_only_when_every_date_is_ready_or_needs_none(
    of_period: list[PeriodDate], is_over: bool
) -> None:
    undecided = [] if is_over else [FIRST]
    status = period_status(of_period, undecided)
    nothing_lacks = all(m.satisfied or m.ready or m.used_up for m in of_period)
    anything_to_do = any(m.ready for m in of_period)
    assert status.may_start == (nothing_lacks and anything_to_do and is_over)
    assert set(status.ready).isdisjoint(status.waits_for)
    for dates in (status.expected, status.ready, status.waits_for):
        assert all(one < other for one, other in pairwise(dates))


@given(st.lists(members, unique_by=lambda member: member.date, min_size=1), st.data())
def test_a_date_that_becomes_satisfied_never_keeps_a_period_back(
    of_period: list[PeriodDate], data: st.DataObject
) -> None:
    one = data.draw(st.sampled_from(of_period))
    done = PeriodDate(date=one.date, satisfied=True, ready=False, used_up=one.used_up)
    rest = [member for member in of_period if member is not one]
    before, after = period_status(of_period), period_status([*rest, done])
    assert set(after.waits_for) == set(before.waits_for) - {one.date}


def of_file(**keys: Any) -> str:
    """The mistakes of a file with a monthly processor."""
    monthly = {"period": "month", "command": ["true", "{start}", "{end}"], **keys}
    beside = processor("beside", needs=[{"of": "statement", "days_back": 1}])
    with pytest.raises(PipelineError) as caught:
        pipeline(phase("raw", processor("box")), phase("derived", beside, processor("statement", **monthly)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ({"command": ["true", "{date}"]}, "gives the command many dates; use {start} and {end}, {dates}"),
        ({"command": ["true"]}, "gives the command many dates; use {start} and {end}, {dates}"),
        ({"command": ["true", "{start}", "{date}"]}, "or {dates_file} in place of {date}"),
        ({"batch": 7}, "period = 'month' takes all dates of the month; remove batch"),
        ({"period": "quarter"}, "period: 'quarter'"),
        (
            {"depends_on_past": True},
            "'statement' waits for its own earlier dates through statement, so that no",
        ),
        ({"needs": [{"self": True, "days_back": 1}]}, "through statement, so that no attempt can take them"),
        ({"after": ["beside"]}, "'statement' waits for its own earlier dates through beside, so that no"),
        ({"needs": [{"of": "beside"}]}, "remove period, or that need"),
    ],
)
def test_what_no_attempt_can_take_together_is_refused_with_the_remedy(keys: Any, mistake: str) -> None:
    assert mistake in of_file(**keys)
