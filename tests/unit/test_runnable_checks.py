"""Which runnable checks come first."""

import datetime as dt

from backfilld.state.store import backfills, checks, dates, runnable_checks, upstream_checks
from backfilld.state.store.database import Database

DATE, NEXT = dt.date(2021, 10, 26), dt.date(2021, 10, 27)


def test_the_first_dates_of_more_processors_than_one_query_can_cover_are_found_by_their_limits(state_url):
    # Given two dates with runnable checks of 600 processors, and a limit for each
    names = [f"p{number}" for number in range(600)]
    database = Database(state_url)
    database.upgrade()
    with database.write() as tx:
        request = {"start": DATE, "end": NEXT, "dates": 2, "sources": "all", "created_at": 0.0}
        row = {"state": "phase2", "backfill_id": backfills.create(tx, request), "entered_at": 0.0}
        dates.create(tx, [{**row, "date": date} for date in (DATE, NEXT)])
        upstream_checks.create(tx, [DATE, NEXT], names, 0.0)
        checks.set_runnable(tx, [(date, name) for date in (DATE, NEXT) for name in names])
    limits = {**dict.fromkeys(names, 1), "p0": 2, "p599": 0}
    # When the first are read
    with database.read() as tx:
        found = runnable_checks.first(tx, limits)
    database.close()
    # Then each processor has its oldest date, one of them both, and one none
    assert [(row.date, row.processor) for row in found if row.processor == "p0"] == [
        (DATE, "p0"), (NEXT, "p0"),
    ]  # fmt: skip
    assert {row.processor for row in found if row.date == DATE} == {*names} - {"p599"}
    assert len(found) == 600
