"""Which checks come first, of more processors than one query can cover."""

import datetime as dt

import pytest
import sqlalchemy as sa

from backfilld.state.store import backfills, checks, done_and_lookback_date_checks, runnable_jobs, schema
from backfilld.state.store.database import Database

DATE, NEXT = dt.date(2021, 10, 26), dt.date(2021, 10, 27)


NAMES = [f"p{number}" for number in range(600)]
"""More processors than the 500 that one compound query may cover."""


@pytest.fixture
def database(state_url):
    """Two dates with checks of all processors."""
    database = Database(state_url)
    database.upgrade()
    with database.write() as tx:
        request = {"start": DATE, "end": NEXT, "dates": 2, "sources": "all", "created_at": 0.0}
        row = {"state": "phase2", "backfill_id": backfills.create(tx, request), "entered_at": 0.0}
        tx.execute(sa.insert(schema.dates), [{**row, "date": date} for date in (DATE, NEXT)])
        done_and_lookback_date_checks.create(tx, [DATE, NEXT], NAMES, 0.0)
    yield database
    database.close()


def test_the_first_dates_of_more_processors_than_one_query_can_cover_are_found_by_their_limits(database):
    # Given that all checks are runnable, and a limit for each processor
    with database.write() as tx:
        checks.set_runnable(tx, [(date, name) for date in (DATE, NEXT) for name in NAMES])
    limits = {**dict.fromkeys(NAMES, 1), "p0": 2, "p599": 0}
    # When the first are read
    with database.read() as tx:
        found = runnable_jobs.first(tx, limits)
    # Then each processor has its oldest date, one of them both, and one none
    assert [(row.date, row.processor) for row in found if row.processor == "p0"] == [
        (DATE, "p0"), (NEXT, "p0"),
    ]  # fmt: skip
    assert {row.processor for row in found if row.date == DATE} == {*NAMES} - {"p599"}
    assert len(found) == 600


def test_the_earliest_unsatisfied_check_of_more_processors_than_one_query_can_cover_is_found(database):
    # Given that the first date is complete but for the last processor, and the next one not at all
    complete = sa.update(schema.checks).where(
        schema.checks.c.date == DATE, schema.checks.c.processor != "p599"
    )
    with database.write() as tx:
        tx.execute(complete.values(satisfied=1))
    # Then the date of the last processor comes before those of the others
    with database.read() as tx:
        assert done_and_lookback_date_checks.earliest_unsatisfied(tx, NAMES, DATE) == (DATE, "p599")
        assert done_and_lookback_date_checks.earliest_unsatisfied(tx, NAMES[:-1], DATE) == (NEXT, "p0")
        assert (
            done_and_lookback_date_checks.earliest_unsatisfied(tx, NAMES, NEXT + dt.timedelta(days=1)) is None
        )
        assert done_and_lookback_date_checks.earliest_unsatisfied(tx, [], DATE) is None
        # And the lists of names have no such limit
        settled = done_and_lookback_date_checks.settled_between(tx, NAMES, DATE, NEXT)
        assert settled == {(name, DATE) for name in NAMES[:-1]}
