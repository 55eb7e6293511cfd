"""Timelines: a lane per processor, and an axis of its own for what ran much later."""

import datetime as dt

import pytest

from backfilld.api.page import attempt_timeline
from backfilld.api.page.time_axis import MOST_AXES, Axis, axes
from backfilld.api.schemas.responses import Attempt
from backfilld.state.records import AttemptStatus
from backfilld.state.rules.verdict import Verdict

WEEK = 7 * 86400.0
NOW = 2 * WEEK


def attempt(number: int, start: float, end: float | None, verdict: Verdict | None, processor: str = "box"):
    return Attempt(
        id=number,
        processor=processor,
        phase="phase2",
        status=AttemptStatus.RUNNING if end is None else AttemptStatus.EXITED,
        exit_code=None if end is None else 0,
        verdict=verdict,
        verdict_reason="",
        detail="",
        started_at=start,
        ended_at=end,
        duration_seconds=None,
        tail="",
        last_line="",
        max_rss_bytes=None,
        cpu_seconds=None,
        dates=[dt.date(2021, 10, 19)],
    )


def test_a_retry_a_week_later_has_an_axis_of_its_own():
    first = [attempt(1, 0, 60, Verdict.PARTIAL), attempt(2, 90, 150, Verdict.PARTIAL)]
    drawn = attempt_timeline.draw([*first, attempt(3, WEEK, WEEK + 30, Verdict.COMPLETE)], NOW)
    assert [(cluster.attempts, cluster.axis) for cluster in drawn] == [
        (2, Axis(0, 150)),
        (1, Axis(WEEK, WEEK + 30)),
    ]
    # The two of the first day fill their axis
    assert drawn[0].lanes[0].bars == {"v-partial": "M0 0h400v12h-400zM600 0h400v12h-400z"}
    assert drawn[1].lanes[0].bars == {"v-complete": "M0 3h1000v6h-1000z"}


@pytest.mark.parametrize(
    ("gap", "drawn"),
    [(60.0, 1), (120.0, 1), (121.0, 2), (WEEK, 2)],
    ids=["a backoff", "two minutes", "longer", "a week"],
)
def test_only_a_gap_longer_than_two_minutes_breaks_the_axis_of_short_attempts(gap: float, drawn: int):
    assert len(axes([(0, 10), (10 + gap, 20 + gap)])) == drawn


def test_a_gap_shorter_than_the_attempts_themselves_breaks_nothing():
    assert axes([(0, 3600), (7100, 8000)]) == [Axis(0, 8000)]


def test_of_many_gaps_the_longest_ones_count():
    starts = [0.0]
    for number in range(20):
        starts.append(starts[-1] + 1000 * (1 + number))
    drawn = axes([(start, start + 1) for start in starts])
    assert len(drawn) == MOST_AXES
    assert drawn[0] == Axis(0, starts[13] + 1)


def test_a_running_attempt_reaches_to_now_and_attempts_side_by_side_share_an_axis():
    (cluster,) = attempt_timeline.draw(
        [attempt(2, 50, None, None, "zones"), attempt(1, 0, 100, Verdict.COMPLETE)], now=200.0
    )
    assert [lane.name for lane in cluster.lanes] == ["box", "zones"]
    assert cluster.axis == Axis(0, 200)
    assert cluster.lanes[1].bars == {"s-running": "M250 0h750v12h-750z"}


def test_a_lane_says_in_words_what_it_shows():
    (cluster,) = attempt_timeline.draw(
        [
            attempt(1, 0, 10, Verdict.PARTIAL),
            attempt(2, 20, 30, Verdict.COMPLETE),
            attempt(3, 40, 50, Verdict.COMPLETE),
            attempt(4, 40, 50, Verdict.NO_DATA, "zones"),
        ],
        NOW,
    )
    assert [lane.summary for lane in cluster.lanes] == [
        "3 attempts: 2 complete, 1 partial",
        "attempt 4: exit 0 · no rows",
    ]


def test_an_attempt_without_length_is_a_bar_that_can_be_seen_even_at_the_edge():
    (cluster,) = attempt_timeline.draw([attempt(1, 0, 0, None), attempt(2, 100, 100, None)], NOW)
    assert cluster.lanes[0].bars == {"v-unknown": "M0 0h4v12h-4zM996 0h4v12h-4z"}
    (single,) = attempt_timeline.draw([attempt(1, 5, 5, None)], NOW)
    assert single.axis.position(5) == 0


def test_without_attempts_there_is_no_axis():
    assert attempt_timeline.draw([], NOW) == []


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (4, ["00:00:00", "00:00:01", "00:00:02", "00:00:03"]),
        (600, ["00:00", "00:02", "00:04", "00:06", "00:08"]),
        (3 * 86400, ["1 Jan", "2 Jan", "3 Jan"]),
        (900 * 86400, ["1 Jan", "31 Dec", "30 Dec"]),
    ],
)
def test_ticks_are_round_times_that_fit(seconds: float, labels: list[str]):
    assert [label for _, label in Axis(0, seconds).ticks] == labels
