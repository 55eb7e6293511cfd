"""Requests for a check, and which results are saved."""

import datetime as dt

import pytest
import sqlalchemy as sa

from backfilld.state.rules.judge import Judgement
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import backfills, checks, dates, done_and_lookback_date_checks, schema
from backfilld.state.store.database import Database

DATE = dt.date(2021, 10, 26)
OTHER = dt.date(2021, 10, 27)
PAIR = (DATE, "box")


@pytest.fixture
def db(state_url):
    """Two live dates, the first with two checks; nothing is due."""
    database = Database(state_url)
    database.upgrade()
    with database.write() as tx:
        request = {"start": DATE, "end": OTHER, "dates": 2, "sources": "all", "created_at": 0.0}
        number = backfills.create(tx, request)
        row = {"state": "phase2", "backfill_id": number, "entered_at": 0.0}
        tx.execute(sa.insert(schema.dates), [{**row, "date": date} for date in (DATE, OTHER)])
        done_and_lookback_date_checks.create(tx, [DATE], ["box", "play"], 0.0)
        checks.save(tx, [result(asked_at=10.0), result(asked_at=10.0, processor="play")])
        checks.set_runnable(tx, [PAIR, (DATE, "play")])
    yield database
    database.close()


def result(*, asked_at, generation=0, rows=5, processor="box"):
    """The result of a query that started at `asked_at`."""
    judgement = Judgement(verdict=Verdict.COMPLETE if rows else Verdict.NEVER_RAN, rows=rows, expected="5")
    return checks.CheckResult(
        date=DATE,
        processor=processor,
        output=f"nba.{processor}",
        generation=generation,
        judgement=judgement,
        asked_at=asked_at,
    )


def check(db, processor="box"):
    with db.read() as tx:
        return checks.for_dates(tx, [DATE])[DATE][processor]


def due_dates(db):
    with db.read() as tx:
        return [row.date for row in dates.due(tx, 1e12, 10)]


def test_a_request_raises_the_generation_clears_runnable_and_makes_the_date_due(db):
    with db.write() as tx:
        checks.request_check(tx, [PAIR], 20.0)
    asked = check(db)
    assert (asked.query_due_at, asked.generation, asked.runnable) == (20.0, 1, False)
    assert due_dates(db) == [DATE]
    # And other checks of the date are unchanged
    other = check(db, "play")
    assert (other.query_due_at, other.generation, other.runnable) == (None, 0, True)


def test_a_request_of_a_date_that_is_evaluated_in_the_same_transaction_does_not_make_it_due(db):
    with db.write() as tx:
        checks.request_check(tx, [PAIR], 20.0, evaluated=True)
    assert check(db).generation == 1
    assert due_dates(db) == []


def test_the_end_of_an_attempt_is_a_request_too(db):
    with db.write() as tx:
        checks.claim(tx, {7: [PAIR]})
        ended = checks.AttemptResult(pair=PAIR, attempt=7, query_due_at=30.0, values={"retry_at": 90.0})
        checks.release(tx, [ended])
    asked = check(db)
    assert (asked.attempt_id, asked.retry_at) == (None, 90.0)
    assert (asked.query_due_at, asked.generation) == (30.0, 1)
    assert due_dates(db) == [DATE]


@pytest.mark.parametrize(
    ("late", "saved"),
    [
        ({"asked_at": 15.0}, {PAIR}),
        ({"asked_at": 10.0}, {PAIR}),
        ({"asked_at": 9.0}, set()),
        ({"asked_at": 15.0, "generation": 1}, set()),
        ({"asked_at": 15.0, "generation": -1}, set()),
    ],
    ids=["newer", "of the same moment", "older", "of a later generation", "of an earlier generation"],
)
def test_a_result_is_saved_if_it_is_not_older_and_of_the_current_generation(db, late, saved):
    with db.write() as tx:
        assert checks.save(tx, [result(rows=0, **late)]) == saved
    known = check(db)
    expected = (Verdict.NEVER_RAN, 0, late["asked_at"]) if saved else (Verdict.COMPLETE, 5, 10.0)
    assert (known.verdict, known.rows, known.asked_at) == expected


def test_of_two_overlapping_queries_the_one_that_started_later_decides(db):
    # Given two queries of one generation, of which the one that started first takes longer
    with db.write() as tx:
        checks.request_check(tx, [PAIR], 20.0)
    slow, quick = result(asked_at=20.0, generation=1, rows=0), result(asked_at=21.0, generation=1, rows=8)
    # When their results arrive
    for one in (quick, slow):
        with db.write() as tx:
            checks.save(tx, [one])
    # Then the newer answer stays
    assert (check(db).verdict, check(db).rows, check(db).asked_at) == (Verdict.COMPLETE, 8, 21.0)
