"""`period_output = "last"`: the last date of a week or month has its output, computed from all its dates."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.daemon.job_command import job_command
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.judge import judge
from backfilld.state.rules.needs_graph import Span
from backfilld.state.rules.period_ends import PeriodEnds
from backfilld.state.rules.periods import Period, period_bounds
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict
from tests.factories import NOW, phase, pipeline, processor, seen
from tests.fake_warehouse import FakeWarehouse
from tests.unit.plans import planned

SEASON = {"name": "2024", "opens": dt.date(2024, 1, 10), "closes": dt.date(2024, 6, 12)}
WORKDAYS = {"name": "workdays", "business": True}


def monthly(calendar: dict[str, Any] | None = None, **keys: Any) -> Pipeline:
    report = {"command": ["true", "{start}", "{end}"], "period": "month", "period_output": "last", **keys}
    counts = {"days": [WORKDAYS], **(calendar or {})}
    return pipeline(
        phase("raw", processor("sales"), processor("stock")),
        phase("reports", processor("report", **report)),
        calendar=counts,
        history=None,
    )


@given(st.sampled_from(["week", "month"]), st.dates(), st.frozensets(st.integers(0, 6)))
def test_a_period_has_one_end_which_is_its_last_date_with_output(
    period: Period, date: dt.date, weekdays: frozenset[int]
) -> None:
    ends = PeriodEnds(period=period, may_have_output=lambda day: day.weekday() in weekdays)
    of_period, (first, last) = ends.dates(date), period_bounds(period, date)
    span = [dt.date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]
    assert [day for day in span if not ends.exclusion(Day(date=day))] == list(of_period[-1:])
    assert list(of_period) == [day for day in span if day.weekday() in weekdays]


@pytest.mark.parametrize(
    ("calendar", "keys", "date", "dates"),
    [
        ({}, {}, "2024-02-29", ("2024-02-01", "2024-02-29")),
        ({}, {"days": "workdays"}, "2024-03-29", ("2024-03-01", "2024-03-29")),
        (
            {},
            {"since": dt.date(2024, 3, 9), "until": dt.date(2024, 3, 20)},
            "2024-03-20",
            ("2024-03-09", "2024-03-20"),
        ),
        ({"season": [SEASON]}, {}, "2024-06-12", ("2024-06-01", "2024-06-12")),
        ({"season": [SEASON]}, {}, "2024-01-31", ("2024-01-10", "2024-01-31")),
        ({}, {"period": "week"}, "2024-03-10", ("2024-03-04", "2024-03-10")),
    ],
)
def test_the_command_names_the_whole_period_and_the_last_date_is_the_one_that_is_judged(
    calendar: dict[str, Any], keys: dict[str, Any], date: str, dates: tuple[str, str]
) -> None:
    made, end = monthly(calendar, **keys), dt.date.fromisoformat(date)
    report = made.processors["report"]
    command = job_command(made, report, [end])
    assert command.argv[1:] == dates
    assert command.env["BACKFILLD_DATE"] == date
    of_day = {
        day: judge(seen(0), report.expect, made.seasons.day(day, None), made.judge_context(report, now=NOW))
        for day in (end, end - dt.timedelta(days=1))
    }
    before = of_day[end - dt.timedelta(days=1)]
    assert of_day[end].verdict is Verdict.NEVER_RAN
    assert before.verdict is Verdict.NOT_EXPECTED
    assert str(end) in before.reason or "workdays" in before.reason


def test_it_needs_its_inputs_on_every_date_of_the_period() -> None:
    first, end = dt.date(2024, 2, 1), dt.date(2024, 2, 29)
    graph = monthly().needs
    assert dict(graph.needs("report", end)) == {"sales": Span(first, end), "stock": Span(first, end)}
    # And a stated need keeps its own window where that is another one
    stated = list(monthly(needs=[{"of": "sales", "days_back": 40}]).needs.needs("report", end))
    assert ("sales", Span(dt.date(2024, 1, 20), end)) in stated
    assert ("stock", Span(first, end)) in stated
    # And none from before its first date, but where a need states so
    since = dt.date(2024, 2, 12)
    graph = monthly(since=since).needs
    assert dict(graph.needs("report", end)) == {"sales": Span(since, end), "stock": Span(since, end)}
    assert dict(graph.needs("report", since))["sales"] == Span(since, since)
    march = dt.date(2024, 3, 1), dt.date(2024, 3, 31)
    assert dict(graph.needs("report", march[1]))["stock"] == Span(*march)
    assert list(graph.needed_by("sales", first)) == [("report", Span(first, first))]
    wide = list(monthly(since=since, needs=[{"of": "sales", "since": "month"}]).needs.needs("report", end))
    assert ("sales", Span(first, end)) in wide
    # It may need its own output of earlier periods, which no attempt takes with it
    monthly(depends_on_past=True, since=dt.date(2024, 1, 1))


@pytest.mark.parametrize(
    ("calendar", "keys", "told"),
    [
        ({}, {"period": None}, 'period_output = "last" is for the last date of a period; add period'),
        ({}, {"period_output": "first"}, "period_output: 'first'"),
        (
            {"file": "calendar.csv"},
            {},
            "period_output: a calendar with query or file decides which",
        ),
        (
            {"days": [{"name": "named", "query": "SELECT date FROM ref.days"}]},
            {"days": "named"},
            "period_output: a query or a count of the days 'named' decides which",
        ),
    ],
)
def test_what_the_file_alone_cannot_say_is_refused(
    calendar: dict[str, Any], keys: dict[str, Any], told: str
) -> None:
    with pytest.raises(PipelineError) as refused:
        monthly(calendar, **keys)
    assert told in str(refused.value)


def test_the_plan_has_one_step_for_the_last_date_after_all_of_the_month() -> None:
    made = monthly()
    days = [dt.date(2024, 2, n) for n in range(1, 30)]
    facts = FakeWarehouse(made, calendar=dict.fromkeys(days))
    facts.fill(["sales", "stock"], days)
    found = planned(made, facts, "2024-02-01", "2024-02-29")
    (step,) = found.steps
    assert (step.processor, list(step.dates)) == ("report", [days[-1]])
    assert step.argv[1:] == ("2024-02-01", "2024-02-29")
    # And none while an earlier date lacks an input
    facts = FakeWarehouse(made, calendar=dict.fromkeys(days))
    facts.fill(["sales", "stock"], [day for day in days if day.day != 7])
    found = planned(made, facts, "2024-02-29", "2024-02-29")
    assert found.steps == []
    assert "2024-02-07" in found.cannot_run[0].reason
