"""Days by name: on which dates a processor has output, and why not on the other ones."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.state.pipeline.days_settings import DaysSettings
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.judge import judge
from backfilld.state.rules.season_calendar import Day, days_key
from backfilld.state.rules.verdict import Verdict
from tests.factories import NOW, phase, pipeline, processor, seen

MAY = [dt.date(2024, 5, n) for n in range(1, 32)]


def chosen(**keys: Any) -> list[int]:
    """The days of May 2024 that are in a set; it began on a Wednesday."""
    days = DaysSettings.model_validate({"name": "days", **keys}).recurring_days
    return [date.day for date in MAY if not days.exclusion(Day(date=date, counts={"trucks": date.day % 2}))]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"weekdays": ["mon"]}, [6, 13, 20, 27]),
        ({"first_of": "month"}, [1]),
        ({"last_of": "month"}, [31]),
        ({"last_of": "week"}, [5, 12, 19, 26]),
        ({"weekdays": ["fri"], "last_of": "month"}, [31]),
        ({"weekdays": ["sun"], "first_of": "month"}, [5]),
        ({"business": True, "first_of": "week"}, [6, 13, 20, 27]),
        ({"business": True, "holidays": [dt.date(2024, 5, 31)], "last_of": "month"}, [30]),
        ({"business": True, "holidays": [dt.date(2024, 5, 20)], "first_of": "week"}, [6, 13, 21, 27]),
        ({"dates": [dt.date(2024, 5, 7), dt.date(2024, 5, 8)]}, [7, 8]),
        ({"weekdays": ["wed"], "count": "trucks"}, [1, 15, 29]),
    ],
)
def test_all_stated_conditions_hold(keys: dict[str, Any], expected: list[int]):
    assert chosen(**keys) == expected


@given(st.dates(), st.sampled_from(["week", "month"]), st.booleans())
def test_a_period_has_at_most_one_first_and_one_last_day(date: dt.date, period: str, business: bool):
    for key in ("first_of", "last_of"):
        days = DaysSettings.model_validate({"name": "days", key: period, "business": business}).recurring_days
        near = [date.toordinal() + n for n in range(-31, 32)]
        dates = [dt.date.fromordinal(n) for n in near if 1 <= n <= dt.date.max.toordinal()]
        same = [d for d in dates if _period(d, period) == _period(date, period)]
        assert sum(not days.exclusion(Day(date=d)) for d in same) == 1 or business


def _period(date: dt.date, period: str) -> tuple[int, int]:
    return date.isocalendar()[:2] if period == "week" else (date.year, date.month)


def shop(at: Path = Path("pipeline.toml"), **days: Any) -> Pipeline:
    """Daily sales, and a report on the days given."""
    calendar = {"days": [{"name": "report_days", **days}]}
    report = processor("report", days="report_days", expect={"rows": [1, 1]})
    return pipeline(phase("daily", processor("sales")), phase("reports", report), calendar=calendar, at=at)


def test_a_report_on_mondays_is_missing_on_a_monday_and_not_expected_on_other_days():
    file = shop(weekdays=["mon"])
    context = file.judge_context(file.processors["report"], now=NOW)
    verdicts = [
        judge(seen(rows=0), file.processors["report"].expect, Day(date=date), context) for date in MAY[5:7]
    ]
    assert [v.verdict for v in verdicts] == [Verdict.NEVER_RAN, Verdict.NOT_EXPECTED]
    assert verdicts[1].reason == "not one of the days 'report_days': 2024-05-07 is a Tuesday"


def test_a_holiday_is_called_one():
    (days,) = shop(business=True, holidays=[MAY[6]]).recurring_days.values()
    assert days.exclusion(Day(date=MAY[6])).endswith("2024-05-07 is a Tuesday, one of its holidays")
    assert days.exclusion(Day(date=MAY[4])).endswith("2024-05-05 is a Sunday")


def test_days_that_a_query_names_are_unknown_before_it_was_answered_and_meet_the_other_conditions():
    file = shop(query="SELECT date FROM ref.closing_days", business=True)
    report = file.processors["report"]
    context = file.judge_context(report, now=NOW)

    def verdict(date: dt.date, counts: dict[str, int] | None) -> tuple[Verdict, str]:
        found = judge(seen(rows=0), report.expect, file.seasons.day(date, counts), context)
        return found.verdict, found.reason

    key = days_key("report_days")
    saturday, monday = MAY[3], MAY[5]
    assert verdict(monday, {key: 1})[0] is Verdict.NEVER_RAN
    assert verdict(saturday, {key: 1})[0] is Verdict.NOT_EXPECTED
    assert verdict(monday, {key: 0}) == (
        Verdict.NOT_EXPECTED,
        "not one of the days 'report_days', which a query names",
    )
    assert verdict(monday, None) == (
        Verdict.UNKNOWN,
        "the query of the days 'report_days' has not been answered for this date",
    )


def test_holidays_and_dates_are_read_from_files_beside_the_pipeline_file(tmp_path: Path):
    (tmp_path / "holidays.csv").write_text("date,name\n2024-05-31,closed\n")
    file = shop(tmp_path / "pipeline.toml", business=True, last_of="month", holidays="holidays.csv")
    report = file.processors["report"]
    assert [date.day for date in MAY if file.expects(report, Day(date=date))] == [30]
    # And another list is another pipeline
    (tmp_path / "holidays.csv").write_text("date\n2024-05-30\n")
    again = shop(tmp_path / "pipeline.toml", business=True, last_of="month", holidays="holidays.csv")
    assert again.fingerprint != file.fingerprint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "calendar.days[report_days].dates: days.csv: No such file or directory; correct the file"),
        ("day\n2024-05-31\n", "days.csv: it has no column date; correct the file"),
        ("date\n31.5.2024\n", "days.csv: line 2: '31.5.2024' is not a date like 2021-10-19"),
    ],
)
def test_a_file_of_dates_that_cannot_be_used_is_named(tmp_path: Path, text: str | None, complaint: str):
    if text is not None:
        (tmp_path / "days.csv").write_text(text)
    with pytest.raises(PipelineError) as error:
        shop(tmp_path / "pipeline.toml", dates="days.csv")
    assert complaint in "\n".join(error.value.problems)


@pytest.mark.parametrize(
    ("days", "complaint"),
    [
        ({}, "calendar.days[report_days]: names every day; add weekdays, business"),
        (
            {"weekdays": ["monday"]},
            "weekdays[0]: 'monday' is not known; write 'mon', ",
        ),
        (
            {"last_of": "year"},
            "last_of: 'year' is not known; write 'week' or 'month'",
        ),
        ({"count": "trucks"}, "calendar.days[report_days].count: needs a calendar with query or file"),
        ({"query": ""}, "calendar.days[report_days].query: '' is empty; fill it in"),
        ({"query": "SELECT 1", "last_of": "month"}, "query excludes first_of and last_of; let the query"),
        (
            {"count": "trucks", "last_of": "week"},
            "count excludes first_of and last_of, which choose by the date alone",
        ),
        (
            {"count": "trucks", "weekdays": ["mon"], "first_of": "month"},
            "name the first or last dates by query or dates",
        ),
        ({"weekday": ["mon"]}, "unknown key 'weekday'; did you mean 'weekdays'?"),
    ],
)
def test_days_that_say_nothing_usable_are_refused(days: dict[str, Any], complaint: str):
    with pytest.raises(PipelineError) as error:
        shop(**days)
    assert complaint in "\n".join(error.value.problems)


def test_days_that_are_not_in_the_file_are_refused_with_the_nearest_name():
    with pytest.raises(PipelineError, match=r"named 'mondais'; add them; did you mean 'mondays'\?"):
        pipeline(
            phase("reports", processor("report", days="mondais")),
            calendar={"days": [{"name": "mondays", "weekdays": ["mon"]}]},
        )
