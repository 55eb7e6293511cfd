"""The rate and the ETA: always with the sentence that says how they were computed, or why there are none."""

from __future__ import annotations

import pytest

from backfilld.daemon.reports.pace import IDLE_SECONDS, OLDEST_SECONDS, Pace, Work
from backfilld.daemon.reports.progress import SAMPLE, Eta, estimate
from backfilld.state.records import HoldRow
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.interval_sets import Interval

NOW = 1_760_000_000.0
HOUR = 3600.0


def pace(ended: int, *, minutes: float, idle: float = 0.0, more: bool = False) -> Pace:
    """Ends since so many minutes of work, and the minutes without work."""
    return Pace(ended=ended, seconds=minutes * 60, idle_seconds=idle * 60, more=more)


def hold(kind: str, reason: str = "") -> HoldRow:
    return HoldRow(kind=kind, key="", reason=reason, actor="engine", since=NOW, until=None)


def eta(seen: Pace, *, live: int = 10, holds: tuple[HoldRow, ...] = (), **waiting: int) -> Eta:
    """The estimate, with the numbers of dates by the value of their wait reason."""
    known = {WaitReason(reason): n for reason, n in waiting.items()}
    return estimate(seen, live=live, waiting=known, holds=holds, now=NOW)


def test_the_rate_is_that_of_the_last_hour_and_says_so() -> None:
    found = eta(pace(31, minutes=60), live=15)
    assert found.rate_per_hour == 30.0
    assert found.at == NOW + HOUR / 2
    assert found.method == "15 dates left at 30.0 an hour: 30 dates ended within the last hour"


def test_less_than_an_hour_of_work_counts_from_its_first_end() -> None:
    found = eta(pace(11, minutes=20), live=1)
    assert found.rate_per_hour == pytest.approx(30.0)
    assert found.method == "1 date left at 30.0 an hour: 10 dates ended since the first end 20 minutes ago"


def test_a_fast_hour_is_judged_by_its_latest_ends() -> None:
    found = eta(pace(SAMPLE, minutes=10, more=True))
    assert found.rate_per_hour == pytest.approx((SAMPLE - 1) * 6)
    assert found.method.endswith(f"the latest {SAMPLE - 1} dates ended within 10 minutes")


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (pace(0, minutes=0), "unknown: fewer than two dates have ended within the last hour of work"),
        (pace(1, minutes=50), "unknown: fewer than two dates have ended within the last hour of work"),
        (pace(50, minutes=0.5), "unknown: jobs have run for less than a minute since the first date ended"),
        (pace(2, minutes=-5), "unknown: jobs have run for less than a minute since the first date ended"),
    ],
)
def test_too_little_is_no_rate(seen: Pace, why: str) -> None:
    assert eta(seen) == Eta(rate_per_hour=None, at=None, method=why)


def test_dates_left_beside_those_of_paused_backfills_are_named_too() -> None:
    waiting = {WaitReason.PAUSED: 3, WaitReason.HELD: 2}
    found = estimate(pace(31, minutes=30), live=5, waiting=waiting, holds=[], now=NOW)
    assert found.method == (
        "unknown: 2 dates left, all held; 3 dates of paused or stopped backfills not counted"
    )


def test_hours_without_jobs_are_not_counted_and_that_is_said() -> None:
    found = eta(pace(31, minutes=30, idle=600), live=15)
    assert (found.rate_per_hour, found.at) == (60.0, NOW + HOUR / 4)
    assert found.method.endswith(
        "30 dates ended within 30 minutes of work; 10 hours without jobs not counted"
    )


def work(minutes: float, until: float) -> tuple[list[float], list[Interval]]:
    """A job of a minute after the other for so long, each of which ends a date."""
    starts = [until - 60 * n for n in range(round(minutes), 0, -1)]
    return [at + 60 for at in starts], [(at, at + 60) for at in starts]


@pytest.mark.parametrize("hours", [0.5, 3, 20], ids=["paused", "behind a window", "waited for an operator"])
@pytest.mark.parametrize("after", [0, 5], ids=["still idle", "goes on"])
def test_the_pace_is_the_same_before_and_after_hours_without_work(hours: float, after: float) -> None:
    earlier, later = work(30, NOW - hours * HOUR - after * 60), work(after, NOW)
    found = Work(earlier[0] + later[0], earlier[1] + later[1], NOW).pace(NOW)
    assert found.per_hour == pytest.approx(60, rel=0.06)
    assert found.ended == 30 + after
    assert found.idle_seconds == pytest.approx(hours * HOUR, abs=60)


def test_jobs_side_by_side_count_once_and_a_running_one_until_now() -> None:
    ends, jobs = work(30, NOW - 600)
    side_by_side = Work(ends, [*jobs, *jobs, (ends[0], NOW)], NOW).pace(NOW)
    assert side_by_side.seconds == pytest.approx(39 * 60)
    assert side_by_side.idle_seconds == 0


def test_short_times_between_jobs_belong_to_the_work() -> None:
    jobs = [(NOW - n * (1 + IDLE_SECONDS), NOW - n * (1 + IDLE_SECONDS) + 1) for n in range(9, 0, -1)]
    found = Work([end for _, end in jobs], jobs, NOW).pace(NOW)
    assert found.idle_seconds == 0
    assert found.seconds == pytest.approx(8 * (1 + IDLE_SECONDS) + IDLE_SECONDS)


def test_dates_that_are_complete_without_a_job_have_a_pace() -> None:
    ends, _ = work(30, NOW)
    assert Work(ends, [], NOW).pace(NOW).per_hour == pytest.approx(60)


@pytest.mark.parametrize("ago", [OLDEST_SECONDS + 60, 7 * OLDEST_SECONDS])
def test_dates_of_another_day_and_too_little_work_since_are_no_pace(ago: float) -> None:
    (earlier, jobs), later = work(60, NOW - ago), [NOW - 50, NOW - 20]
    found = Work([*earlier, *later], [*jobs, (NOW - 90, NOW)], NOW).pace(NOW)
    assert (found.ended, found.per_hour) == (2, None)
    assert found.basis == "jobs have run for less than a minute since the first date ended"


def test_dates_behind_closed_windows_have_no_estimate() -> None:
    seen = pace(31, minutes=60)
    assert eta(seen, window=10).method == "unknown: 10 dates left, all behind a closed window"
    assert eta(seen, window=4, earlier_date=6).method == (
        "unknown: 10 dates left, all behind a closed window, held or behind an earlier date"
    )
    assert eta(seen, window=9).at is not None


def test_dates_whose_warehouse_or_check_command_gives_no_answer_have_no_estimate() -> None:
    seen, unanswered = pace(31, minutes=60), "all without an answer of their warehouse or check command"
    assert eta(seen, warehouse=10).method == f"unknown: 10 dates left, {unanswered}"
    assert eta(seen, warehouse=1, earlier_date=9).method == (
        f"unknown: 10 dates left, {unanswered}, held or behind an earlier date"
    )
    assert eta(seen, warehouse=9).at is not None


def test_dates_that_lack_an_unselected_output_have_no_end() -> None:
    seen = pace(31, minutes=60)
    lacking = "all without an output that no backfill has selected"
    assert eta(seen, unselected=10).method == f"unknown: 10 dates left, {lacking}"
    assert eta(seen, unselected=3, earlier_date=7).method == (
        f"unknown: 10 dates left, {lacking}, held or behind an earlier date"
    )
    # With some behind a window too, it is the window that opens by itself
    assert eta(seen, unselected=3, window=7).method == "unknown: 10 dates left, all behind a closed window"
    assert eta(seen, unselected=9).at is not None


def test_dates_of_paused_backfills_are_not_counted_and_that_is_said() -> None:
    found = eta(pace(31, minutes=60), live=45, paused=30)
    assert found.at == NOW + HOUR / 2
    assert found.method.endswith("; 30 dates of paused or stopped backfills not counted")


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"live": 0}, "nothing is left to do"),
        ({"holds": (hold("all"),)}, "unknown while everything is paused"),
        ({"live": 7, "paused": 7}, "unknown: 7 dates left, all of paused or stopped backfills"),
        (
            {"live": 9, "paused": 2, "earlier_date": 7},
            "unknown: 7 dates left, all behind an earlier date that is not satisfied"
            "; 2 dates of paused or stopped backfills not counted",
        ),
        ({"holds": (hold("warehouse", "timeout"),)}, "unknown while the warehouse cannot be asked: timeout"),
    ],
)
def test_an_eta_that_nobody_can_tell_is_none_with_the_reason(keys: dict[str, object], why: str) -> None:
    found = eta(pace(31, minutes=60), **keys)  # type: ignore[arg-type]
    assert (found.rate_per_hour, found.at, found.method) == (30.0, None, why)


def test_where_every_live_date_is_held_there_is_no_end_and_the_hold_is_the_reason() -> None:
    breaker = hold("processor", "box is held: the same error 5 times in a row")
    all_held = eta(pace(31, minutes=60), live=10, held=10, holds=(breaker,))
    assert all_held.at is None
    assert all_held.method == f"unknown: 10 dates left, all held: {breaker.reason}"
    behind = eta(pace(31, minutes=60), live=10, held=2, earlier_date=8, holds=(breaker,))
    assert behind.method == f"unknown: 10 dates left, all held, or behind one that is: {breaker.reason}"
    # And with one date that can go on, there is one
    assert eta(pace(31, minutes=60), live=10, held=9, holds=(breaker,)).at is not None
