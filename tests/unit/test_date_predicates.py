"""Which rows are of which dates: bounds as parameters, by the type of the column and its time zone."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backfilld.daemon.warehouses.sql.date_predicates import DAY, DateColumn, DateFilter

ZONES = ["America/New_York", "America/Sao_Paulo", "America/Havana", "Pacific/Apia", "Asia/Kolkata", "UTC"]
"""With clocks that go forward at midnight, back to midnight, over a whole day, and by half an hour."""

FIRST, LAST = dt.datetime(2005, 1, 1), dt.datetime(2025, 1, 1)


@given(zone=st.sampled_from(ZONES), instant=st.datetimes(FIRST, LAST, timezones=st.just(dt.UTC)))
@example("America/Sao_Paulo", dt.datetime(2018, 11, 4, 3, tzinfo=dt.UTC))
@example("America/Havana", dt.datetime(2023, 11, 5, 5, tzinfo=dt.UTC))
@example("Pacific/Apia", dt.datetime(2011, 12, 30, 10, tzinfo=dt.UTC))
def test_an_instant_lies_between_the_midnights_of_its_own_day(zone: str, instant: dt.datetime) -> None:
    column = DateColumn("made_at", "timestamp", zone)
    day = instant.astimezone(ZoneInfo(zone)).date()
    assert column.midnight(day) <= instant < column.midnight(day + DAY)


@pytest.mark.parametrize(
    ("column", "start", "end", "where"),
    [
        (DateColumn("d"), dt.date(2024, 3, 1), dt.date(2024, 3, 2), "`d` BETWEEN @start0 AND @end0"),
        (
            DateColumn("d", "datetime", "America/New_York"),
            dt.datetime(2024, 3, 1),
            dt.datetime(2024, 3, 3),
            "`d` >= @start0 AND `d` < @end0",
        ),
        (
            DateColumn("d", "timestamp", "America/New_York"),
            dt.datetime(2024, 3, 1, 5, tzinfo=dt.UTC),
            dt.datetime(2024, 3, 3, 5, tzinfo=dt.UTC),
            "`d` >= @start0 AND `d` < @end0",
        ),
    ],
    ids=["date", "datetime", "timestamp"],
)
def test_a_column_is_compared_as_it_is(column: DateColumn, start: dt.date, end: dt.date, where: str) -> None:
    dates = DateFilter()
    found = dates.add((dt.date(2024, 3, 1), dt.date(2024, 3, 2)), column)
    assert dates.params == {"start0": start, "end0": end}
    assert found.predicate.sql("bigquery") == where


def test_columns_of_other_types_or_zones_do_not_share_parameters() -> None:
    dates, day = DateFilter(), (dt.date(2024, 3, 1),)
    columns = [
        DateColumn("a"),
        DateColumn("b", "datetime"),
        *(DateColumn("c", "timestamp", z) for z in ZONES),
    ]
    assert len({dates.add(day, column).number for column in columns}) == len(columns)
    assert dates.add(day, DateColumn("other")).number == 0
