"""What is due to be told of a backfill, by how far it is and what was told."""

import datetime as dt

import pytest

from backfilld.api.notifications.messages import BackfillProgress, due_topic, implied_topics
from backfilld.state.records import BackfillRow, Sources

DAY = dt.date(2021, 10, 19)
STOP = "stopped 5.0"


def course(status: str, *, live: int = 0, ended: int = 0) -> BackfillProgress:
    row = BackfillRow(
        id=7,
        start=DAY,
        end=DAY,
        dates=live + ended,
        sources=Sources.ALL,
        force=False,
        priority=0,
        max_failures=None,
        note="",
        actor="me",
        created_at=0.0,
        paused_at=None,
        cancelled_at=None,
        stopped_at=5.0 if status == "stopped" else None,
        stop_reason="",
        failures_baseline=0,
    )
    return BackfillProgress(row=row, status=status, live=live, outcomes={"complete": ended} if ended else {})


@pytest.mark.parametrize(
    ("backfill", "sent", "due"),
    [
        (course("active", live=20), [], "0 %"),
        (course("active", live=20), ["0 %"], None),
        (course("active", live=16, ended=4), ["0 %"], None),
        (course("active", live=15, ended=5), ["0 %"], "25 %"),
        (course("active", live=2, ended=18), ["0 %"], "75 %"),
        (course("paused", live=10, ended=10), ["0 %", "25 %"], "50 %"),
        (course("stopped", live=10, ended=10), ["0 %"], STOP),
        (course("stopped", live=10, ended=10), ["0 %", STOP], "50 %"),
        (course("stopped", live=10, ended=10), ["0 %", "50 %", STOP], None),
        (course("cancelling", live=1, ended=19), ["0 %"], None),
        (course("cancelling"), [], None),
        (course("cancelled", ended=20), ["0 %"], "ended"),
        (course("finished", ended=20), [], "ended"),
        (course("finished"), [], "ended"),
        (course("finished", ended=20), ["ended"], None),
    ],
)
def test_the_topic_that_is_due(backfill, sent, due):
    assert due_topic(backfill, sent) == due


def test_a_stop_or_a_stuck_backfill_is_no_step_after_that():
    # Given half of the dates ended, as the message of the stop says
    backfill = course("stopped", live=10, ended=10)
    assert due_topic(backfill, ["0 %"]) == STOP
    # Then no message says afterwards that the half is passed
    sent = ["0 %", *implied_topics(STOP, backfill.percent)]
    assert due_topic(backfill, sent) is None
    # But one says so of the next step, once the backfill is resumed
    assert due_topic(course("active", live=5, ended=15), sent) == "75 %"


@pytest.mark.parametrize(
    ("what", "all_of_it"),
    [
        ("0 %", ["0 %"]),
        ("50 %", ["0 %", "25 %", "50 %"]),
        ("ended", ["0 %", "25 %", "50 %", "75 %", "ended"]),
        (STOP, ["0 %", STOP]),
    ],
)
def test_a_later_notice_stands_for_the_earlier_steps(what, all_of_it):
    assert implied_topics(what) == all_of_it
