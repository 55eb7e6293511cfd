"""Rows of dates are read as a span or as a list, and no more of them than that needs."""

import datetime as dt
import sqlite3

import pytest

from backfilld.daemon.engine.enqueue_models import MOST_DATES
from backfilld.state.records import AttemptRow, CheckRow, DateRow
from backfilld.state.store import calendar_days, schema
from backfilld.state.store.database import Database
from backfilld.state.store.schema import calendar_days as table
from backfilld.state.store.sql_helpers import select_by_dates

DATES = [dt.date(2021, 1, 1) + dt.timedelta(days=n) for n in range(400)]


@pytest.fixture
def db(state_url):
    database = Database(state_url)
    database.upgrade()
    with database.write() as tx:
        calendar_days.save(tx, {key: {"games": 5} for key in DATES}, 0.0)
    yield database
    database.close()


@pytest.mark.parametrize(
    "wanted",
    [[DATES[0], DATES[-1]], [DATES[3], DATES[6]], DATES[3:7], []],
    ids=["far apart", "with a hole between them", "without a hole", "none"],
)
def test_dates_are_read_and_none_between_them(db, wanted):
    with db.read() as tx:
        assert sorted(row.date for row in select_by_dates(tx, table, wanted)) == wanted
        assert calendar_days.for_dates(tx, wanted) == {key: {"games": 5} for key in wanted}


def test_as_many_dates_as_a_request_has_are_read_with_the_usual_limit_of_parameters(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    database.upgrade()
    every_other = [DATES[0] + dt.timedelta(days=2 * n) for n in range(MOST_DATES)]
    with database.read() as tx:
        tx.connection.dbapi_connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)
        assert calendar_days.for_dates(tx, every_other) == {}
    database.close()


@pytest.mark.parametrize(
    ("table", "record"),
    [(schema.dates, DateRow), (schema.checks, CheckRow), (schema.attempts, AttemptRow)],
    ids=["dates", "checks", "attempts"],
)
def test_a_record_has_the_columns_of_its_table_in_their_order(table, record):
    names = tuple(column.name for column in table.columns)
    assert record._fields[: len(names)] == names
