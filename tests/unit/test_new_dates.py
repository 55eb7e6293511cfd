"""The dates that a backfill is the first to ask for, as they are stored."""

import datetime as dt

import pytest

from backfilld.state.records import EnqueueOutcome
from backfilld.state.store import backfills, dates, new_dates, transitions
from backfilld.state.store.backfills import BackfillDateRow
from backfilld.state.store.database import Database

MAY, JUNE, JULY, LATER = (dt.date(2022, month, 30) for month in (5, 6, 7, 8))


@pytest.fixture
def tx(state_url):
    """A write transaction with a backfill that was answered for four dates, the last of them joined."""
    database = Database(state_url)
    database.upgrade()
    with database.write() as connection:
        request = {"start": MAY, "end": LATER, "dates": 4, "sources": "all", "created_at": 0.0}
        number = backfills.create(connection, {**request, "priority": 3})
        answered = [
            BackfillDateRow(date=MAY, answer=EnqueueOutcome.ENQUEUED, reason="", live=True),
            BackfillDateRow(date=JUNE, answer=EnqueueOutcome.NOT_EXPECTED, reason="no games"),
            BackfillDateRow(date=JULY, answer=EnqueueOutcome.ENQUEUED, reason="", live=True),
            BackfillDateRow(date=LATER, answer=EnqueueOutcome.JOINED, reason="", live=True),
        ]
        backfills.add_dates(connection, number, answered)
        seasons = [(MAY, "2021-22"), (JUNE, "2021-22"), (JULY, "")]
        new_dates.create(connection, number, seasons, actor="engine", now=5.0)
        yield connection
    database.close()


def test_a_new_date_is_pending_and_due_with_its_season_and_the_priority_of_the_backfill(tx):
    may, july = dates.get(tx, MAY), dates.get(tx, JULY)
    assert may is not None
    assert july is not None
    assert (may.state, may.due_at, may.season, may.priority) == ("pending", 5.0, "2021-22", 3)
    assert (july.state, july.due_at, july.season, july.priority) == ("pending", 5.0, "", 3)
    assert transitions.history(tx, MAY) == []


def test_a_new_date_on_which_nothing_is_expected_is_done_by_one_transition(tx):
    june = dates.get(tx, JUNE)
    assert june is not None
    assert (june.state, june.outcome, june.reason, june.due_at) == ("done", "not_expected", "no games", None)
    (step,) = transitions.history(tx, JUNE)
    assert (step.source, step.target, step.trigger, step.actor) == ("pending", "done", "dismiss", "engine")


def test_a_date_of_another_backfill_is_left_to_it(tx):
    assert dates.get(tx, LATER) is None


def test_a_second_backfill_changes_no_date_that_is_there(tx):
    request = {"start": JUNE, "end": JUNE, "dates": 1, "sources": "all", "created_at": 0.0}
    second = backfills.create(tx, request)
    again = BackfillDateRow(date=JUNE, answer=EnqueueOutcome.NOT_EXPECTED, reason="other")
    backfills.add_dates(tx, second, [again])
    new_dates.create(tx, second, [(JUNE, "2021-22")], actor="engine", now=6.0)
    june = dates.get(tx, JUNE)
    assert june is not None
    assert june.reason == "no games"
    assert len(transitions.history(tx, JUNE)) == 1
